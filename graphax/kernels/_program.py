"""A finished program of scalars: the instructions of a kernel, one after another."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from ._scalars import KINDS, Scalars, evaluate, operands, outside_of


class Operand(NamedTuple):
    """An array that a kernel reads: its shape, without the batch, and the kind of its entries."""

    shape: tuple[int, ...]
    kind: str

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=int))


class Result(NamedTuple):
    """An array that a kernel writes, and the instructions that are its entries, in rows."""

    shape: tuple[int, ...]
    kind: str
    entries: tuple[int, ...]


#: Instructions that compute nothing.
NO_OPERATIONS = frozenset({"input", "const", "carry", "last", "outside", "loop"})


class Instructions:
    """Instructions in an order in which they can be carried out.

    Attributes:
        ops: the operation of every instruction, as in :class:`Scalars` without ``zero`` and ``given``;
            ``loop`` for all of a loop, whose results are ``last``.
        args: its operands: earlier instructions; of ``input`` the operand and the offset, of ``const`` the
            number, of ``last`` a ``loop`` and a place, of ``carry`` a place; of ``outside`` a place among
            what a body takes from outside.
        kinds: of which of ``KINDS`` it is; the one of a ``loop`` says nothing.
        bodies: of every ``loop`` its body. The operands of the ``loop`` are what its first step is given,
            followed by what is taken from outside.
    """

    def __init__(self) -> None:
        self.ops: list[str] = []
        self.args: list[tuple[Any, ...]] = []
        self.kinds: list[str] = []
        self.bodies: dict[int, Body] = {}

    def __len__(self) -> int:
        return len(self.ops)

    def __iter__(self) -> Iterator[tuple[str, tuple[Any, ...], str]]:
        """Operation, operands and kind of one instruction after another."""
        return zip(self.ops, self.args, self.kinds, strict=True)

    @property
    def operations(self) -> int:
        """How many operations there are: all but reading and constants. Those of a loop count once."""
        own = sum(op not in NO_OPERATIONS for op in self.ops)
        return own + sum(body.operations for body in self.bodies.values())

    @property
    def content(self) -> Iterator[bytes]:
        """Everything that the instructions do."""
        for x, (op, args, kind) in enumerate(self):
            if op == "const":
                yield f"const {kind} ".encode() + args[0].tobytes()
                continue
            yield f"{op} {kind} {args}".encode()
            if op == "loop":
                yield f"{self.bodies[x].length} {self.bodies[x].after}".encode()
                yield from self.bodies[x].content

    def carried_out(self, known: dict[str, Any]) -> list[Any]:
        """The values of the instructions, by NumPy.

        Args:
            known: for ``input``, ``carry`` and ``outside`` a function of the arguments.
        """
        values: list[Any] = []
        for x, (op, args, kind) in enumerate(self):
            if op in known:
                values.append(known[op](*args))
            elif op == "const":
                values.append(args[0])
            elif op == "loop":
                values.append(self.bodies[x].run([values[y] for y in args]))
            elif op == "last":
                values.append(values[args[0]][args[1]])
            else:
                values.append(evaluate(op, [values[y] for y in args], kind))
        return values


class Body(Instructions):
    """The instructions of one step of a loop.

    Attributes:
        length: how many steps there are.
        after: the instructions whose values a step hands on, each to the place that it stands in.
    """

    def __init__(self, length: int) -> None:
        super().__init__()
        self.length = length
        self.after: tuple[int, ...] = ()

    def run(self, given: list[Any]) -> list[Any]:
        """What the last step hands on, by NumPy."""
        carried, outside = given[: len(self.after)], given[len(self.after) :]
        for _ in range(self.length):
            now = carried
            values = self.carried_out({"carry": now.__getitem__, "outside": outside.__getitem__})
            carried = [values[x] for x in self.after]
        return carried


class ScalarProgram(Instructions):
    """The instructions of a kernel for one element of a batch.

    Attributes:
        operands: what is read.
        results: what is written.
    """

    def __init__(
        self, scalars: Scalars, operands: Sequence[Operand], results: Sequence[tuple[tuple[int, ...], Any]]
    ) -> None:
        """Take from a table of expressions what certain results need.

        Args:
            scalars: the expressions.
            operands: what their inputs are entries of.
            results: for each a shape and its entries, expressions of one kind, at least one; or a kind in
                the place of no entries.
        """
        super().__init__()
        self.operands = tuple(operands)
        roots = [x for _, entries in results if not isinstance(entries, str) for x in entries]
        place = _Selection(scalars, _needed(scalars, roots)).append(self, roots)
        self.results = tuple(
            Result(tuple(shape), entries, ())
            if isinstance(entries, str)
            else Result(tuple(shape), scalars.kinds[entries[0]], tuple(place[x] for x in entries))
            for shape, entries in results
        )

    @cached_property
    def identity(self) -> str:
        """A hash of everything that the program does; equal for equal programs in every process."""
        digest = hashlib.sha256(repr((self.operands, self.results)).encode())
        for part in self.content:
            digest.update(part)
        return digest.hexdigest()

    def evaluate(self, operands: Sequence[np.ndarray]) -> list[np.ndarray]:
        """What the program computes, by NumPy: the reference for what is emitted.

        Args:
            operands: arrays of the operands' shapes, after an axis of the batch.

        Returns:
            the results, after an axis of the batch.
        """
        batch = len(operands[0]) if operands else 1
        flat = [np.asarray(x).reshape(batch, -1) for x in operands]
        with np.errstate(all="ignore"):
            values = self.carried_out({"input": lambda operand, offset: flat[operand][:, offset]})
        return [
            np.stack([np.broadcast_to(values[x], (batch,)) for x in r.entries], 1).reshape(batch, *r.shape)
            if r.entries
            else np.empty((batch, *r.shape), KINDS[r.kind])
            for r in self.results
        ]


def _needed(scalars: Scalars, roots: Sequence[int]) -> dict[int, list[int]]:
    """Of every loop the places that are needed for certain expressions."""
    found: dict[int, set[int]] = {}
    seen: set[int] = set()
    pending = list(roots)
    while pending:
        x = pending.pop()
        if x in seen:
            continue
        seen.add(x)
        if scalars.ops[x] in ("carry", "last"):
            loop, place = scalars.args[x]
            found.setdefault(loop, set()).add(place)
            pending.extend((scalars.loops[loop].first[place], scalars.loops[loop].after[place]))
        pending.extend(operands(scalars, x))
    return {loop: sorted(places) for loop, places in found.items()}


class _Selection:
    """What is taken from a table of expressions.

    Attributes:
        needed: of every loop the places that are needed.
    """

    def __init__(self, scalars: Scalars, needed: dict[int, list[int]]) -> None:
        self.scalars, self.needed = scalars, needed

    def append(
        self,
        block: Instructions,
        roots: Sequence[int],
        place: dict[int, int] | None = None,
        loop: int | None = None,
    ) -> dict[int, int]:
        """Instructions for expressions and what they need.

        Args:
            block: where to put them.
            roots: the expressions.
            place: expressions that there is an instruction for.
            loop: the number of the loop whose body it is.

        Returns:
            the instruction of every expression.
        """
        scalars = self.scalars
        place = {} if place is None else place
        loops: dict[int, int] = {}
        pending = list(reversed(roots))
        while pending:
            x = pending[-1]
            if x in place:
                pending.pop()
                continue
            op, args, kind = scalars.ops[x], scalars.args[x], scalars.kinds[x]
            needed: tuple[int, ...]
            if op == "last":
                needed = () if args[0] in loops else self._given(args[0])
            elif op == "zero":
                needed = (scalars.const(0, kind),)
            else:
                needed = operands(scalars, x)
            missing = [other for other in needed if other not in place]
            if missing:
                pending.extend(reversed(missing))
                continue
            pending.pop()
            if op in ("given", "zero"):
                place[x] = place[next(iter(needed))]
                continue
            if op == "last":
                number, at = args
                if number not in loops:
                    loops[number] = self._loop(block, number, [place[other] for other in needed])
                put = loops[number], self.needed[number].index(at)
            elif op == "carry":
                assert args[0] == loop
                put = (self.needed[args[0]].index(args[1]),)
            else:
                put = tuple(place[other] for other in needed) if needed else args
            place[x] = _put(block, op, put, kind)
        return place

    def _given(self, number: int) -> tuple[int, ...]:
        """What a loop is given: by its first step, and from outside."""
        loop, places = self.scalars.loops[number], self.needed[number]
        after = [loop.after[at] for at in places]
        return (*(loop.first[at] for at in places), *outside_of(self.scalars, number, after))

    def _loop(self, block: Instructions, number: int, given: list[int]) -> int:
        loop, places = self.scalars.loops[number], self.needed[number]
        after = [loop.after[at] for at in places]
        body = Body(loop.length)
        outside = outside_of(self.scalars, number, after)
        inside = {x: _put(body, "outside", (at,), self.scalars.kinds[x]) for at, x in enumerate(outside)}
        found = self.append(body, after, inside, number)
        body.after = tuple(found[x] for x in after)
        x = _put(block, "loop", tuple(given), "b1")
        block.bodies[x] = body
        return x


def _put(block: Instructions, op: str, args: tuple[Any, ...], kind: str) -> int:
    block.ops.append(op)
    block.args.append(args)
    block.kinds.append(kind)
    return len(block.ops) - 1
