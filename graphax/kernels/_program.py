"""A finished program of scalars: the instructions of a kernel, one after another."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from ._scalars import KINDS, Scalars, evaluate


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


class ScalarProgram:
    """Instructions in an order in which they can be carried out, for one element of a batch.

    Attributes:
        operands: what is read.
        results: what is written.
        ops: the operation of every instruction, as in :class:`Scalars`, without ``zero`` and ``given``.
        args: its operands: earlier instructions; of ``input`` the operand and the offset, of ``const`` the
            number.
        kinds: of which of ``KINDS`` it is.
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
        self.operands = tuple(operands)
        self.ops: list[str] = []
        self.args: list[tuple[Any, ...]] = []
        self.kinds: list[str] = []
        place: dict[int, int] = {}
        finished: list[Result] = []
        for shape, entries in results:
            if isinstance(entries, str):
                finished.append(Result(tuple(shape), entries, ()))
                continue
            for entry in entries:
                self._append(scalars, entry, place)
            kind = scalars.kinds[entries[0]]
            finished.append(Result(tuple(shape), kind, tuple(place[entry] for entry in entries)))
        self.results = tuple(finished)

    def _append(self, scalars: Scalars, root: int, place: dict[int, int]) -> None:
        """Instructions for an expression and what it needs, but for what is there."""
        pending = [root]
        while pending:
            x = pending[-1]
            if x in place:
                pending.pop()
                continue
            op, args, kind = scalars.ops[x], scalars.args[x], scalars.kinds[x]
            if op == "given":
                args = args[:1]
            needed = () if op in ("input", "const", "zero") else args
            missing = [other for other in needed if other not in place]
            if missing:
                pending.extend(reversed(missing))
                continue
            pending.pop()
            if op == "given":
                place[x] = place[args[0]]
                continue
            if op == "zero":
                nothing = scalars.const(0, kind)
                self._append(scalars, nothing, place)
                place[x] = place[nothing]
                continue
            place[x] = len(self.ops)
            self.ops.append(op)
            self.args.append(tuple(place[other] for other in needed) if needed else args)
            self.kinds.append(kind)

    def __len__(self) -> int:
        return len(self.ops)

    def __iter__(self) -> Iterator[tuple[str, tuple[Any, ...], str]]:
        """Operation, operands and kind of one instruction after another."""
        return zip(self.ops, self.args, self.kinds, strict=True)

    @cached_property
    def identity(self) -> str:
        """A hash of everything that the program does; equal for equal programs in every process."""
        digest = hashlib.sha256(repr((self.operands, self.results)).encode())
        for op, args, kind in self:
            if op == "const":
                digest.update(f"const {kind} ".encode() + args[0].tobytes())
            else:
                digest.update(f"{op} {kind} {args}".encode())
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
        values: list[Any] = []
        with np.errstate(all="ignore"):
            for op, args, kind in self:
                if op == "input":
                    values.append(flat[args[0]][:, args[1]])
                elif op == "const":
                    values.append(args[0])
                else:
                    values.append(evaluate(op, [values[x] for x in args], kind))
        return [
            np.stack([np.broadcast_to(values[x], (batch,)) for x in r.entries], 1).reshape(batch, *r.shape)
            if r.entries
            else np.empty((batch, *r.shape), KINDS[r.kind])
            for r in self.results
        ]
