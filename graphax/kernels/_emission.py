"""Instructions of a program as LLVM instructions, written where their values are needed."""

from __future__ import annotations

from collections.abc import Callable

from ._instructions import SIZES, Writer
from ._program import Body, Instructions

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
        room: where the function's memory is claimed.
    """

    def __init__(
        self,
        writer: Writer,
        instructions: Instructions,
        leaf: Callable[[int], str | None],
        room: list[str],
    ) -> None:
        self.writer, self.instructions, self.leaf, self.room = writer, instructions, leaf, room
        self.angles = {(op, args[0]): x for x, (op, args, _) in enumerate(instructions) if op in _ANGLES}
        self.known: dict[int, str] = {}
        self.carried: dict[int, list[str]] = {}  # where the results of loops are

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
            self.known[x] = self.writer.load(self.carried[args[0]][args[1]], kinds[x])
        elif op in _ANGLES and all((other, args[0]) in self.angles for other in _ANGLES):
            both = self.writer.sine_and_cosine(self.known[args[0]], kinds[x])
            self.known.update(
                {self.angles[f, args[0]]: value for f, value in zip(_ANGLES, both, strict=True)}
            )
        else:
            operands, of_kinds = [self.known[other] for other in args], [kinds[other] for other in args]
            self.known[x] = self.writer.operation(op, operands, of_kinds, kinds[x])

    def _loop(self, body: Body, given: list[str]) -> list[str]:
        """A loop, and where its results are."""
        w, kinds = self.writer, [body.kinds[x] for x in body.after]
        name = f"{w.prefix}step{len(w.lines)}"
        offsets = [0]
        for kind in kinds:
            offsets.append(offsets[-1] + -(-SIZES[kind] * w.width // 16) * 16)
        self.room.append(f"  %{name}.carried = alloca [{max(1, offsets[-1])} x i8], align 64")
        slots = [
            w.value(f"getelementptr i8, ptr %{name}.carried, i64 {offset}")
            for offset in offsets[: len(kinds)]
        ]
        for slot, value, kind in zip(slots, given, kinds, strict=False):
            w.store(value, slot, kind)
        outside, before = given[len(kinds) :], w.block
        w.do(f"br label %{name}")
        w.label(name)
        counter = len(w.lines)
        w.lines.append("")

        def leaf(x: int) -> str | None:
            op, args, kind = body.ops[x], body.args[x], body.kinds[x]
            if op == "const":
                return w.constant(args[0], kind)
            if op == "outside":
                return outside[args[0]]
            return w.load(slots[args[0]], kind) if op == "carry" else None

        values = Values(w, body, leaf, self.room)
        after = [values[x] for x in body.after]
        for slot, value, kind in zip(slots, after, kinds, strict=True):
            w.store(value, slot, kind)
        w.lines[counter] = f"  %{name}.count = phi i64 [0, %{before}], [%{name}.counted, %{w.block}]"
        w.lines.append(f"  %{name}.counted = add i64 %{name}.count, 1")
        more = w.value(f"icmp slt i64 %{name}.counted, {body.length}")
        w.do(f"br i1 {more}, label %{name}, label %{name}.done")
        w.label(f"{name}.done")
        return slots
