"""A finished program of scalars as LLVM IR: a loop over the rows of a batch, several of them at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .._program import Instructions, Result, ScalarProgram
from ._emission import Values
from ._instructions import SIZES, Writer, literal, memory_literal, memory_type
from ._rows import MOST_BESIDE, Columns, piece_of, runs, split, writer
from ._transfer import COPY, Transfer

#: What operations cost in cycles, where it is not one; functions cost a good deal more.
_COSTS = {"const": 0, "div": 8, "sqrt": 8}
_SIMPLE = frozenset(
    "input carry outside last add sub mul neg abs min max and or xor not eq ne lt le select convert sign "
    "floor ceil round is_finite".split()
)
#: Bytes of rows that are put together before they are written, in all: the stacks of threads are not large.
_MOST_BUFFERED = 1 << 16
#: What part of a result may be constants that are moved like all else.
_FEW_CONSTANTS = 1 / 3
#: Bytes of rows that stay in the nearest cache beside what they are made of, and of one of its lines.
_NEAREST, _LINE = 1 << 14, 64
#: Bytes of rows so short that their columns are moved by permutations.
_PACKED = 16


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
        transfers: what of that moves columns.
        width: how many rows it works on at once, and needs at least.
        cost: what a row takes, in cycles.
    """

    text: str
    declarations: dict[str, str]
    functions: set[tuple[str, str, int]]
    transfers: set[Transfer]
    width: int
    cost: float


def width(program: ScalarProgram, target: Target) -> int:
    """How many rows are worked on at once: as many as a register has of the widest kind."""
    wide = any(kind in ("f8", "i8") for kind in _kinds(program))
    return target.vector_bytes // (8 if wide else 4)


def _kinds(instructions: Instructions) -> set[str]:
    """Which kinds of scalars there are, those in loops included."""
    return set(instructions.kinds).union(*map(_kinds, instructions.bodies.values()))


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

    The columns of operands are gathered before the rows' computation, those of results are put beside one
    another in memory and scattered from there, some at a time: registers are for what is computed. What
    depends on no operand with rows is computed once, before the loop, and kept in a table in memory.
    """

    def __init__(self, program: ScalarProgram, batched: tuple[bool, ...], width: int, target: Target) -> None:
        self.program, self.batched, self.width = program, batched, width
        self.vector_bytes = target.vector_bytes
        self.before, self.body = Writer(1, "u"), Writer(width, block="loop")
        self.room: list[str] = []  # memory
        self.scalars = Values(self.before, program, self._scalar)
        self.values = Values(self.body, program, self._value)
        self.uniform = self._uniform()
        self.inputs = {args: x for x, (op, args, _) in enumerate(program) if op == "input"}
        self.rows: dict[int, str] = {}  # where the first row is, by array
        self.places: dict[int, str] = {}  # where the columns of operands are, by instruction
        self.table: dict[int, int] = {}  # where what is computed before the loop is kept
        self.transfers: set[Transfer] = set()
        self.writers: list[str] = []
        self.widest, self.buffered = 1, 0

    def _uniform(self) -> list[bool]:
        """Which instructions give every row the same."""
        uniform: list[bool] = []
        for op, args, _ in self.program:
            if op == "input":
                uniform.append(not self.batched[args[0]])
            elif op == "last":
                uniform.append(uniform[args[0]])
            else:
                uniform.append(op == "const" or all(uniform[x] for x in args))
        return uniform

    def loop(self) -> Loop:
        program, body, before = self.program, self.body, self.before
        for k, rows in enumerate(self.batched):
            if rows:
                self._gather(k)
        self._results()
        arrays = len(program.operands) + len(program.results)
        lines = [
            *self.writers,
            f"declare void @{COPY}(ptr, ptr, i64, i1)",
            "define internal void @rows(ptr %arrays, i64 %first, i64 %end, i1 %stream) nounwind {",
            "entry:",
            f"  %table = alloca [{max(1, len(self.table))} x i64], align 8",
            *self.room,
        ]
        for k in range(arrays):
            lines.append(f"  %place{k} = getelementptr ptr, ptr %arrays, i64 {k}")
            lines.append(f"  %array{k} = load ptr, ptr %place{k}, align 8")
        lines += [
            *before.lines,
            f"  %last = sub i64 %end, {self.width}",
            "  br label %loop",
            "loop:",
            f"  %row = phi i64 [%first, %{before.block}], [%next, %{body.block}]",
            *body.lines,
            # The last rows are those that end with the batch, some of them once more.
            f"  %after = add i64 %row, {self.width}",
            "  %fits = icmp slt i64 %after, %last",
            "  %next = select i1 %fits, i64 %after, i64 %last",
            "  %more = icmp slt i64 %after, %end",
            "  br i1 %more, label %loop, label %done",
            "done:",
            "  fence seq_cst",
            "  ret void",
            "}",
        ]
        declarations = {**before.declarations, **body.declarations}
        declarations.update({x.name: x.declaration for x in self.transfers})
        functions = before.functions | body.functions
        return Loop("\n".join(lines), declarations, functions, self.transfers, self.width, self._cost())

    def _cost(self) -> float:
        program = self.program
        moved = sum(
            SIZES[x.kind] * x.size for x, rows in zip(program.operands, self.batched, strict=True) if rows
        )
        moved += sum(SIZES[r.kind] * len(r.entries) for r in program.results)
        operations = sum(_cost(program, x) for x, uniform in enumerate(self.uniform) if not uniform)
        return 1 + operations / self.width + moved / 8

    # ---- arrays

    def _column(self, array: int, columns: int, column: int, kind: str) -> str:
        """The address of an entry of the first row."""
        size = SIZES[kind]
        if array not in self.rows:
            first = self.body.value(f"mul i64 %row, {columns * size}")
            self.rows[array] = self.body.value(f"getelementptr i8, ptr %array{array}, i64 {first}")
        if not column:
            return self.rows[array]
        return self.body.value(f"getelementptr i8, ptr {self.rows[array]}, i64 {column * size}")

    def _vectors(self, name: str, columns: int, size: int) -> None:
        """Memory for columns."""
        self.room.append(f"  {name} = alloca [{columns * self.width * size} x i8], align 64")

    def _transfer(
        self, w: Writer, direction: str, rows: str, stride: int, vectors: str, columns: int, size: int
    ) -> None:
        # Where the columns are all that there are, the rows lie one after the other.
        packed = columns if stride == columns * size and columns <= _PACKED // size else 0
        transfer = Transfer(direction, size, self.width, packed)
        self.transfers.add(transfer)
        w.do(f"call void @{transfer.name}(ptr {rows}, i64 {stride}, ptr {vectors}, i64 {columns})")

    def _gather(self, operand: int) -> None:
        """The columns of an operand that are needed, and those between them."""
        columns, kind = self.program.operands[operand].size, self.program.operands[operand].kind
        needed = sorted(offset for k, offset in self.inputs if k == operand)
        size = SIZES[kind]
        if columns == 1 or self.width == 1:
            for offset in needed:
                self.places[self.inputs[operand, offset]] = self._column(operand, columns, offset, kind)
            return
        slots = 0
        for first, last in runs(needed, 8):
            for offset in range(first, last):
                if (operand, offset) in self.inputs:
                    place = (slots + offset - first) * self.width * size
                    address = self.body.value(f"getelementptr i8, ptr %in{operand}, i64 {place}")
                    self.places[self.inputs[operand, offset]] = address
            vectors = self.body.value(f"getelementptr i8, ptr %in{operand}, i64 {slots * self.width * size}")
            rows = self._column(operand, columns, first, kind)
            self._transfer(self.body, "gather", rows, columns * size, vectors, last - first, size)
            slots += last - first
        if slots:
            self._vectors(f"%in{operand}", slots, size)

    def _results(self) -> None:
        """What the results' entries need, and their stores."""
        for k, result in enumerate(self.program.results):
            array, columns = len(self.program.operands) + k, len(result.entries)
            if columns == 1 or self.width == 1:
                for column, x in enumerate(result.entries):
                    address = self._column(array, columns, column, result.kind)
                    self._store(x, result.kind, address)
            elif columns:
                self._block(array, result)
        self._vectors("%out", self.widest, 1)

    def _block(self, array: int, result: Result) -> None:
        """A result's rows, which lie one after the other."""
        columns, size = len(result.entries), SIZES[result.kind]
        rows = self._column(array, columns, 0, result.kind)
        piece = piece_of(columns, size, self.vector_bytes)
        constants = sum(self.program.ops[x] == "const" for x in result.entries)
        if constants <= columns * _FEW_CONSTANTS:
            self._tiles(array, result, rows)
        elif self.width * columns * size > _NEAREST and columns * size % _LINE == 0:
            self._pieces(array, result, rows, piece)
        else:
            self._pieces_or_tiles(array, result, rows, piece)

    def _tiles(self, array: int, result: Result, rows: str) -> None:
        """Rows by tiles of columns."""
        columns = len(result.entries)
        buffer = self._buffer(array, result)
        target = self.body.value(f"select i1 %stream, ptr {buffer}, ptr {rows}") if buffer else rows
        for start in range(0, columns, MOST_BESIDE):
            run = start, min(start + MOST_BESIDE, columns)
            self._beside(result, range(*run))
            self._scatter(self.body, result, target, "%out", [run])
        self._copy(result, rows, target)

    def _pieces(self, array: int, result: Result, rows: str, piece: int) -> None:
        """Rows so long that they would fall out of the nearest cache: in pieces, past all caches or not."""
        for columns in self._split(result, piece, 1):
            name = self._writer(array, result, columns, piece, past=True)
            name = self.body.value(f"select i1 %stream, ptr {name}.past, ptr {name}")
            self._beside(result, columns.beside)
            self.body.do(f"call void {name}(ptr {rows}, ptr %out)")

    def _pieces_or_tiles(self, array: int, result: Result, rows: str, piece: int) -> None:
        """Rows in pieces; those to bypass the cache by tiles, between constants that are there already."""
        buffer = self._buffer(array, result)
        target = self.body.value(f"select i1 %stream, ptr {buffer}, ptr {rows}") if buffer else rows
        names = []
        for columns in self._split(result, piece, 4):
            name = self._writer(array, result, columns, piece)
            names.append(name)
            if buffer:
                tiles = self._tiles_of(array, result, columns)
                name = self.body.value(f"select i1 %stream, ptr {tiles}, ptr {name}")
            self._beside(result, columns.beside)
            self.body.do(f"call void {name}(ptr {target}, ptr %out)")
        if buffer:
            self._fill(array, buffer, names)
            self._copy(result, rows, target)

    def _tiles_of(self, array: int, result: Result, columns: Columns) -> str:
        """The name of a function that writes columns by tiles."""
        name = f"@rows{array}.{columns.first}.tiles"
        w = Writer(self.width)
        self._scatter(w, result, "%rows", "%vectors", columns.runs)
        lines = ["entry:", *w.lines, "  ret void", "}"]
        self.writers += [f"define internal void {name}(ptr %rows, ptr %vectors) nounwind {{", *lines]
        return name

    def _fill(self, array: int, buffer: str, names: Sequence[str]) -> None:
        """Constants into the rows of a buffer, before the loop, and whatever stands between them."""
        self.before.do(f"br i1 %stream, label %fill{array}, label %filled{array}")
        self.before.label(f"fill{array}")
        for name in names:
            self.before.do(f"call void {name}(ptr {buffer}, ptr %out)")
        self.before.do(f"br label %filled{array}")
        self.before.label(f"filled{array}")

    def _split(self, result: Result, piece: int, near: int) -> Iterator[Columns]:
        return split([self.program.ops[x] != "const" for x in result.entries], piece, near)

    def _writer(self, array: int, result: Result, columns: Columns, piece: int, past: bool = False) -> str:
        """The name of a function that writes columns in pieces."""
        name = f"@rows{array}.{columns.first}"
        program, kind = self.program, result.kind
        constants = [
            memory_literal(program.args[x][0], kind) if program.ops[x] == "const" else None
            for x in result.entries
        ]
        self.writers.append(writer(name, columns, constants, kind, self.width, piece, past))
        return name

    def _buffer(self, array: int, result: Result) -> str | None:
        """Memory for rows that are put together before they are written; None where they are too long."""
        bytes_of_rows = self.width * len(result.entries) * SIZES[result.kind]
        if self.buffered + bytes_of_rows > _MOST_BUFFERED:
            return None
        self.buffered += bytes_of_rows
        self._vectors(f"%rows{array}", len(result.entries), SIZES[result.kind])
        return f"%rows{array}"

    def _copy(self, result: Result, rows: str, source: str) -> None:
        """Rows that were put together elsewhere."""
        if source != rows:
            count = self.width * len(result.entries) * SIZES[result.kind]
            self.body.do(f"call void @{COPY}(ptr {rows}, ptr {source}, i64 {count}, i1 %stream)")

    def _beside(self, result: Result, columns: Sequence[int]) -> None:
        """Columns one beside the other in memory, from where they go into rows."""
        step = self.width * SIZES[result.kind]
        for place, column in enumerate(columns):
            address = self.body.value(f"getelementptr i8, ptr %out, i64 {place * step}")
            self._store(result.entries[column], result.kind, address)
        self.widest = max(self.widest, len(columns) * SIZES[result.kind])

    def _scatter(
        self, w: Writer, result: Result, rows: str, vectors: str, runs: Sequence[tuple[int, int]]
    ) -> None:
        """Runs of columns that lie one beside the other."""
        columns, size = len(result.entries), SIZES[result.kind]
        place = 0
        for first, end in runs:
            to = w.value(f"getelementptr i8, ptr {rows}, i64 {first * size}")
            source = w.value(f"getelementptr i8, ptr {vectors}, i64 {place * self.width * size}")
            self._transfer(w, "scatter", to, columns * size, source, end - first, size)
            place += end - first

    def _store(self, x: int, kind: str, address: str) -> None:
        self.body.store(self.values[x], address, kind)

    # ---- values

    def _value(self, x: int) -> str | None:
        """What is known of an instruction in the loop over rows without its operands."""
        op, args, kind = self.program.ops[x], self.program.args[x], self.program.kinds[x]
        if op == "const":
            return self.body.constant(args[0], kind)
        if self.uniform[x]:
            # Of a loop that is done before, only the results count.
            return "" if op == "loop" else self._from_table(x)
        return self.body.load(self.places[x], kind) if op == "input" else None

    def _from_table(self, x: int) -> str:
        """A value computed before the loop, read in it for every row."""
        op, args, kind = self.program.ops[x], self.program.args[x], self.program.kinds[x]
        if op == "input":
            address = self.body.value(f"getelementptr i8, ptr %array{args[0]}, i64 {args[1] * SIZES[kind]}")
        else:
            if x not in self.table:
                self.table[x] = len(self.table)
                address = self.before.value(f"getelementptr i64, ptr %table, i64 {self.table[x]}")
                self.before.store(self.scalars[x], address, kind)
            address = self.body.value(f"getelementptr i64, ptr %table, i64 {self.table[x]}")
        entry = self.body.value(f"load {memory_type(kind)}, ptr {address}")
        if kind == "b1":
            entry = self.body.value(f"icmp ne i8 {entry}, 0")
        return self.body.splat(entry, kind)

    def _scalar(self, x: int) -> str | None:
        """What is known of an instruction before the loop without its operands."""
        op, args, kind = self.program.ops[x], self.program.args[x], self.program.kinds[x]
        if op == "const":
            return literal(args[0], kind)
        if op != "input":
            return None
        address = self.before.value(f"getelementptr i8, ptr %array{args[0]}, i64 {args[1] * SIZES[kind]}")
        return self.before.load(address, kind)


def cycles(instructions: Instructions) -> float:
    """About how many cycles of a processor instructions take for one row."""
    return sum(_cost(instructions, x) for x in range(len(instructions)))


def _cost(instructions: Instructions, x: int) -> float:
    """What an instruction takes, in cycles."""
    op = instructions.ops[x]
    if op == "loop":
        body = instructions.bodies[x]
        return body.length * cycles(body)
    return _COSTS.get(op, 1 if op in _SIMPLE else 40)
