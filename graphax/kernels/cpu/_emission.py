"""Instructions of a program as LLVM instructions, written where their values are needed."""

from __future__ import annotations

from collections.abc import Callable

from .._program import Body, Instructions
from ._instructions import Writer

_ANGLES = ("sin", "cos")


class Values:
    """The values of instructions in one function, each written when it is first needed.

    Those of a loop's body are written inside of a loop. What its steps hand on is in memory on the stack:
    there may be more of it than there are registers.

    Args:
        writer: the function.
        instructions: what is to be written.
        leaf: gives the values of certain instructions by itself: of all that have no operands, and of
            whatever else is known; None for others.
    """

    def __init__(
        self,
        writer: Writer,
        instructions: Instructions,
        leaf: Callable[[int], str | None],
    ) -> None:
        self.writer, self.instructions, self.leaf = writer, instructions, leaf
        self.angles = {(op, args[0]): x for x, (op, args, _) in enumerate(instructions) if op in _ANGLES}
        self.known: dict[int, str] = {}
        self.carried: dict[int, list[str]] = {}  # the results of loops

    def __getitem__(self, root: int) -> str:
        """The register of an instruction's values; what it needs is written before it."""
        pending = [root]
        while pending:
            x = pending[-1]
            if x in self.known:
                pending.pop()
                continue
            known = self.leaf(x)
            if known is not None:
                self.known[x] = known
                continue
            op, args = self.instructions.ops[x], self.instructions.args[x]
            missing = [other for other in (args[:1] if op == "last" else args) if other not in self.known]
            if missing:
                pending.extend(reversed(missing))
                continue
            self._write(x)
        return self.known[root]

    def _write(self, x: int) -> None:
        """An instruction whose operands are there."""
        op, args, kinds = self.instructions.ops[x], self.instructions.args[x], self.instructions.kinds
        if op == "loop":
            self.carried[x] = self._loop(self.instructions.bodies[x], [self.known[other] for other in args])
            self.known[x] = ""
        elif op == "last":
            self.known[x] = self.carried[args[0]][args[1]]
        elif op in _ANGLES and all((other, args[0]) in self.angles for other in _ANGLES):
            both = self.writer.sine_and_cosine(self.known[args[0]], kinds[x])
            self.known.update(
                {self.angles[f, args[0]]: value for f, value in zip(_ANGLES, both, strict=True)}
            )
        else:
            operands, of_kinds = [self.known[other] for other in args], [kinds[other] for other in args]
            self.known[x] = self.writer.operation(op, operands, of_kinds, kinds[x])

    def _loop(self, body: Body, given: list[str]) -> list[str]:
        """A loop, and the registers of its results."""
        w, count = self.writer, len(body.after)
        name, before, outside = f"{w.prefix}step{len(w.lines)}", w.block, given[count:]
        w.do(f"br label %{name}")
        w.label(name)
        head = len(w.lines)
        carried = [f"%{name}.{k}" for k in range(count)]

        def leaf(x: int) -> str | None:
            op, args, kind = body.ops[x], body.args[x], body.kinds[x]
            if op == "const":
                return w.constant(args[0], kind)
            if op == "outside":
                return outside[args[0]]
            return carried[args[0]] if op == "carry" else None

        w.lines.extend([""] * (count + 1))
        values = Values(w, body, leaf)
        after = [values[x] for x in body.after]
        end = w.block
        w.lines[head] = f"  %{name}.step = phi i64 [0, %{before}], [%{name}.next, %{end}]"
        for k, (first, later, x) in enumerate(zip(given, after, body.after, strict=False)):
            kind = w.type(body.kinds[x])
            w.lines[head + 1 + k] = f"  {carried[k]} = phi {kind} [{first}, %{before}], [{later}, %{end}]"
        w.lines.append(f"  %{name}.next = add i64 %{name}.step, 1")
        more = w.value(f"icmp slt i64 %{name}.next, {body.length}")
        w.do(f"br i1 {more}, label %{name}, label %{name}.done")
        w.label(f"{name}.done")
        return after
