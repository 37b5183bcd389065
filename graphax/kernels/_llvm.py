"""A finished program of scalars as LLVM IR: a loop over the rows of a batch, several of them at once."""

from __future__ import annotations

from typing import NamedTuple

from ._instructions import SIZES, Writer, literal, memory_type
from ._program import ScalarProgram
from ._tiles import Rows

#: What operations cost beside an addition; the others cost as much, functions a good deal more.
_COSTS = {"input": 1, "const": 0, "div": 8, "sqrt": 8}
_SIMPLE = frozenset(
    "add sub mul neg abs min max and or xor not eq ne lt le select convert sign floor ceil round "
    "is_finite".split()
)


class Target(NamedTuple):
    """The machine that code is for: LLVM's names of it and its features, and the vectors it has."""

    triple: str
    cpu: str
    features: str

    @property
    def vector_bytes(self) -> int:
        """How wide a register is."""
        features = self.features.split(",")
        return 64 if "+avx512f" in features else 32 if "+avx2" in features else 16


class Loop(NamedTuple):
    """A function ``rows(arrays, first, end)`` that carries out a program for rows of a batch.

    Attributes:
        text: its LLVM IR.
        declarations: of what it calls, by name.
        functions: what of that has to be defined, as (operation, kind, width).
        width: how many rows it works on at once, and needs at least.
        cost: what a row takes, in cycles.
    """

    text: str
    declarations: dict[str, str]
    functions: set[tuple[str, str, int]]
    width: int
    cost: float


def width(program: ScalarProgram, target: Target) -> int:
    """How many rows are worked on at once: as many as a register has of the widest kind."""
    wide = any(kind in ("f8", "i8") for kind in program.kinds)
    return target.vector_bytes // (8 if wide else 4)


def loop(program: ScalarProgram, batched: tuple[bool, ...], target: Target, single: bool = False) -> Loop:
    """Emit a program.

    Args:
        program: the program.
        batched: which of its operands have rows; of the others, each row takes the same entries.
        target: the machine.
        single: whether rows are worked on one by one.
    """
    return _Emission(program, batched, 1 if single else width(program, target), target).loop()


class _Emission:
    """The writing of one program's loop.

    What depends on no operand with rows is computed once, before the loop, and kept in a table in memory.
    """

    def __init__(self, program: ScalarProgram, batched: tuple[bool, ...], width: int, target: Target) -> None:
        self.program, self.batched, self.width = program, batched, width
        self.piece = min(32, target.vector_bytes)
        self.before, self.body = Writer(1, "u"), Writer(width)
        self.uniform = self._uniform()
        self.inputs = {args: x for x, (op, args, _) in enumerate(program) if op == "input"}
        self.scalars: dict[int, str] = {}  # values before the loop
        self.values: dict[int, str] = {}  # values in it
        self.table: dict[int, int] = {}  # where those that are used in it are kept

    def _uniform(self) -> list[bool]:
        """Which instructions give every row the same."""
        uniform: list[bool] = []
        for op, args, _ in self.program:
            if op == "input":
                uniform.append(not self.batched[args[0]])
            else:
                uniform.append(op == "const" or all(uniform[x] for x in args))
        return uniform

    def loop(self) -> Loop:
        program, body, before = self.program, self.body, self.before
        self.operands = [
            Rows(body, f"%in{k}", operand.size, operand.kind, self.piece)
            for k, operand in enumerate(program.operands)
        ]
        for k, operand in enumerate(program.operands):
            if self.batched[k]:
                self._first_row(f"in{k}", k, operand.size * SIZES[operand.kind])
        for k, result in enumerate(program.results):
            size = len(result.entries) * SIZES[result.kind]
            self._first_row(f"out{k}", len(program.operands) + k, size)
        for k in range(len(program.results)):
            self._result(k)
        arrays = len(program.operands) + len(program.results)
        pointers = [f"  %p{k} = getelementptr ptr, ptr %arrays, i64 {k}" for k in range(arrays)]
        pointers += [f"  %array{k} = load ptr, ptr %p{k}, align 8" for k in range(arrays)]
        lines = [
            "define internal void @rows(ptr %arrays, i64 %first, i64 %end) nounwind {",
            "entry:",
            f"  %table = alloca [{max(1, len(self.table))} x i64], align 8",
            *pointers,
            *before.lines,
            f"  %last = sub i64 %end, {self.width}",
            "  br label %loop",
            "loop:",
            "  %row = phi i64 [%first, %entry], [%next, %loop]",
            *body.lines,
            # The last rows are those that end with the batch, some of them once more.
            f"  %after = add i64 %row, {self.width}",
            "  %fits = icmp slt i64 %after, %last",
            "  %next = select i1 %fits, i64 %after, i64 %last",
            "  %more = icmp slt i64 %after, %end",
            "  br i1 %more, label %loop, label %done",
            "done:",
            "  ret void",
            "}",
        ]
        return Loop(
            "\n".join(lines),
            {**before.declarations, **body.declarations},
            before.functions | body.functions,
            self.width,
            self._cost(),
        )

    def _first_row(self, name: str, array: int, bytes_a_row: int) -> None:
        self.body.lines.append(f"  %{name}.at = mul i64 %row, {bytes_a_row}")
        self.body.lines.append(f"  %{name} = getelementptr i8, ptr %array{array}, i64 %{name}.at")

    def _cost(self) -> float:
        program = self.program
        moved = sum(
            SIZES[x.kind] * x.size for x, rows in zip(program.operands, self.batched, strict=True) if rows
        )
        moved += sum(SIZES[r.kind] * len(r.entries) for r in program.results)
        operations = sum(
            _COSTS.get(op, 1 if op in _SIMPLE else 40)
            for op, uniform in zip(program.ops, self.uniform, strict=True)
            if not uniform
        )
        return operations / self.width + moved / 8

    # ---- results

    def _result(self, k: int) -> None:
        """What a result's entries need, and their stores, tile by tile."""
        result = self.program.results[k]
        rows = Rows(self.body, f"%out{k}", len(result.entries), result.kind, self.piece)
        scalar = memory_type(result.kind)
        for start, count in rows.tiles:
            entries = result.entries[start : start + count]
            numbers = [self._number(x, result.kind) for x in entries]
            if all(number is not None for number in numbers):
                text = ", ".join(f"{scalar} {number}" for number in numbers)
                rows.store_constants(start, f"<{text}>" if count > 1 else str(numbers[0]), count)
                continue
            columns = []
            for x, number in zip(entries, numbers, strict=True):
                if number is not None:
                    columns.append(self.body.fill(number, scalar))
                else:
                    columns.append(self.body.to_memory(self._value(x), result.kind))
            rows.store(start, columns)
            self._forget_uniform()

    def _number(self, x: int, kind: str) -> str | None:
        """The constant that an entry is, as it lies in memory."""
        if self.program.ops[x] != "const":
            return None
        value = self.program.args[x][0]
        return str(int(value)) if kind == "b1" else literal(value, kind)

    def _forget_uniform(self) -> None:
        """Read what is the same for all rows anew when it is used again: memory has more room than registers."""
        for x in [x for x in self.values if self.uniform[x]]:
            del self.values[x]

    # ---- values

    def _value(self, root: int) -> str:
        """The register of an instruction's values in the loop, what it needs written before it."""
        program, pending = self.program, [root]
        while pending:
            x = pending[-1]
            if x in self.values:
                pending.pop()
                continue
            op, args, kind = program.ops[x], program.args[x], program.kinds[x]
            if op == "const":
                self.values[x] = self.body.constant(args[0], kind)
            elif self.uniform[x]:
                self.values[x] = self._from_table(x)
            elif op == "input":
                self._load(args[0], args[1])
            else:
                missing = [other for other in args if other not in self.values]
                if missing:
                    pending.extend(reversed(missing))
                    continue
                self.values[x] = self._apply(self.body, self.values, x)
        return self.values[root]

    def _apply(self, writer: Writer, values: dict[int, str], x: int) -> str:
        args, kinds = self.program.args[x], self.program.kinds
        return writer.operation(
            self.program.ops[x], [values[other] for other in args], [kinds[other] for other in args], kinds[x]
        )

    def _load(self, operand: int, offset: int) -> None:
        """The columns of the tile with one of an operand's entries."""
        rows = self.operands[operand]
        start, count = next(tile for tile in rows.tiles if sum(tile) > offset)
        columns = rows.load(start, count)
        for place, column in enumerate(columns, start):
            x = self.inputs.get((operand, place))
            if x is not None and x not in self.values:
                self.values[x] = self.body.from_memory(column, rows.kind)

    # ---- what is the same for all rows

    def _from_table(self, x: int) -> str:
        """A value computed before the loop, read in it for every row."""
        kind = self.program.kinds[x]
        if self.program.ops[x] == "input":
            operand, offset = self.program.args[x]
            address = self.body.value(f"getelementptr i8, ptr %array{operand}, i64 {offset * SIZES[kind]}")
        else:
            if x not in self.table:
                self.table[x] = len(self.table)
                address = self.before.value(f"getelementptr i64, ptr %table, i64 {self.table[x]}")
                entry = self.before.to_memory(self._scalar(x), kind)
                self.before.do(f"store {memory_type(kind)} {entry}, ptr {address}")
            address = self.body.value(f"getelementptr i64, ptr %table, i64 {self.table[x]}")
        return self._broadcast(address, kind)

    def _broadcast(self, address: str, kind: str) -> str:
        entry = self.body.value(f"load {memory_type(kind)}, ptr {address}")
        if kind == "b1":
            entry = self.body.value(f"icmp ne i8 {entry}, 0")
        return self.body.splat(entry, kind)

    def _scalar(self, root: int) -> str:
        """The same as a scalar before the loop."""
        program, pending = self.program, [root]
        while pending:
            x = pending[-1]
            if x in self.scalars:
                pending.pop()
                continue
            op, args, kind = program.ops[x], program.args[x], program.kinds[x]
            if op == "const":
                self.scalars[x] = literal(args[0], kind)
            elif op == "input":
                address = self.before.value(
                    f"getelementptr i8, ptr %array{args[0]}, i64 {args[1] * SIZES[kind]}"
                )
                entry = self.before.value(f"load {memory_type(kind)}, ptr {address}, align {SIZES[kind]}")
                self.scalars[x] = self.before.from_memory(entry, kind)
            else:
                missing = [other for other in args if other not in self.scalars]
                if missing:
                    pending.extend(reversed(missing))
                    continue
                self.scalars[x] = self._apply(self.before, self.scalars, x)
        return self.scalars[root]
