"""Columns of rows in memory, in and out of vectors: tiles of rows and columns, transposed in registers.

A kernel works on columns, of which the arrays' rows hold one entry each. *Gathering* takes columns of as
many rows as a kernel works on at once and puts them beside one another, each column a vector; *scattering*
does the opposite. Rows are read and written in pieces as long as a tile is wide; nothing beyond is touched.
"""

from __future__ import annotations

from typing import NamedTuple

from ._instructions import Writer

_ENTRIES = {1: "i8", 4: "float", 8: "double"}


class Transfer(NamedTuple):
    """A function that moves columns.

    It is called with the address of the first row's first entry, the bytes from row to row, the address of
    the vectors, and the number of columns.

    Attributes:
        direction: ``"gather"`` or ``"scatter"``.
        size: bytes of an entry.
        width: how many rows are moved.
        columns: how many there are, where these are all that rows have; zero where only the call says it.
    """

    direction: str
    size: int
    width: int
    columns: int = 0

    @property
    def name(self) -> str:
        return f"graphax_{self.direction}_{self.size}_{self.width}_{self.columns}"

    @property
    def declaration(self) -> str:
        return f"declare void @{self.name}(ptr, i64, ptr, i64)"

    def text(self, vector_bytes: int) -> str:
        """Its LLVM IR, for registers of so many bytes."""
        w = Writer(self.width)
        if self.columns:
            _packed(w, self)
        else:
            _tiles(w, self, vector_bytes)
        parameters = "ptr noalias %rows, i64 %stride, ptr noalias %vectors, i64 %columns"
        return "\n".join([f"define void @{self.name}({parameters}) nounwind {{", "entry:", *w.lines, "}", ""])


def _packed(w: Writer, transfer: Transfer) -> None:
    """Few columns: the rows are as many vectors, whose entries change places."""
    n, width, size = transfer.columns, transfer.width, transfer.size
    scalar = _ENTRIES[size]
    source, target = ("%rows", "%vectors") if transfer.direction == "gather" else ("%vectors", "%rows")
    vectors = []
    for k in range(n):
        place = w.value(f"getelementptr {w.wide(scalar)}, ptr {source}, i64 {k}")
        vectors.append(w.value(f"load {w.wide(scalar)}, ptr {place}, align {size}"))
    for k in range(n):
        # Where the entries of a target come from: the vector, and the place in it.
        if transfer.direction == "gather":
            origins = [divmod(row * n + k, width) for row in range(width)]
        else:
            origins = [divmod(k * width + e, n)[::-1] for e in range(width)]
        joined = vectors[0]
        for j in range(n - 1):
            # What was taken before is at its place already.
            taken = [
                width + place if vector > j else e if j else place
                for e, (vector, place) in enumerate(origins)
            ]
            joined = w.shuffle(joined, vectors[j + 1], scalar, width, taken)
        place = w.value(f"getelementptr {w.wide(scalar)}, ptr {target}, i64 {k}")
        w.do(f"store {w.wide(scalar)} {joined}, ptr {place}, align {size}")
    w.do("ret void")


def _tiles(w: Writer, transfer: Transfer, vector_bytes: int) -> None:
    """Tiles as wide as a register, of at most 32 bytes, and narrower ones for the rest.

    Where there are columns before the rest that can be moved once more, none is narrower than 16 bytes.
    """
    width, size = transfer.width, transfer.size
    scalar = _ENTRIES[size]
    steps = [f"%step{r}" for r in range(width)]
    for r, name in enumerate(steps):
        w.lines.append(f"  {name} = mul i64 %stride, {r}")
    columns = min(width, max(1, min(vector_bytes, 32) // max(size, 4)))
    w.do(f"br label %head{columns}")
    before, place = "entry", "0"
    while columns:
        incoming = [f"[{place}, %{before}]", f"[%end{columns}, %tile{columns}]"]
        if columns > 1:
            incoming.append(f"[%last{columns}, %over{columns}]")
        w.label(f"head{columns}")
        w.lines.append(f"  %c{columns} = phi i64 {', '.join(incoming)}")
        w.lines.append(f"  %end{columns} = add i64 %c{columns}, {columns}")
        whole = w.value(f"icmp sle i64 %end{columns}, %columns")
        w.do(f"br i1 {whole}, label %tile{columns}, label %rest{columns}")
        w.label(f"tile{columns}")
        vectors = w.value(f"getelementptr [{width} x {scalar}], ptr %vectors, i64 %c{columns}")
        base = w.value(f"getelementptr {scalar}, ptr %rows, i64 %c{columns}")
        _Tile(w, base, steps, vectors, scalar, size, columns).move(transfer.direction)
        w.do(f"br label %head{columns}")
        w.label(f"rest{columns}")
        if columns > 1:
            left = w.value(f"sub i64 %columns, %c{columns}")
            least = 0 if columns * size <= 16 and size > 1 else columns // 2
            many = w.value(f"icmp sgt i64 {left}, {least}")
            w.lines.append(f"  %last{columns} = sub i64 %columns, {columns}")
            inside = w.value(f"icmp sge i64 %last{columns}, 0")
            overlaps = w.value(f"and i1 {many}, {inside}")
            w.do(f"br i1 {overlaps}, label %over{columns}, label %less{columns}")
            w.label(f"over{columns}")
            w.do(f"br label %head{columns}")
            w.label(f"less{columns}")
            before, place = f"less{columns}", f"%c{columns}"
            w.do(f"br label %head{columns // 2}")
        columns //= 2
    w.do("ret void")


#: The function that copies rows to an address from another, so many bytes, past the cache or not.
COPY = "graphax_copy"


def copy_function(vector_bytes: int) -> str:
    """LLVM IR of the function that copies rows that were put together elsewhere, if they were.

    Args:
        vector_bytes: how wide a register is.
    """
    vector = f"<{vector_bytes} x i8>"
    return f"""
define void @{COPY}(ptr %to, ptr %from, i64 %bytes, i1 %stream) nounwind {{
entry:
  %same = icmp eq ptr %to, %from
  br i1 %same, label %done, label %other
other:
  %address = ptrtoint ptr %to to i64
  %both = or i64 %address, %bytes
  %beyond = and i64 %both, {vector_bytes - 1}
  %aligned = icmp eq i64 %beyond, 0
  %past = and i1 %aligned, %stream
  br i1 %past, label %loop, label %plain
plain:
  call void @llvm.memcpy.p0.p0.i64(ptr %to, ptr %from, i64 %bytes, i1 false)
  ret void
loop:
  %at = phi i64 [0, %other], [%next, %loop]
  %source = getelementptr i8, ptr %from, i64 %at
  %target = getelementptr i8, ptr %to, i64 %at
  %piece = load {vector}, ptr %source, align {vector_bytes}
  store {vector} %piece, ptr %target, align {vector_bytes}, !nontemporal !0
  %next = add i64 %at, {vector_bytes}
  %more = icmp slt i64 %next, %bytes
  br i1 %more, label %loop, label %done
done:
  ret void
}}
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
!0 = !{{i32 1}}
"""


class _Tile:
    """Some columns of each row: ``base`` is the first row's piece, ``steps`` lead to the others'."""

    def __init__(
        self, w: Writer, base: str, steps: list[str], vectors: str, scalar: str, size: int, columns: int
    ) -> None:
        self.w, self.vectors, self.scalar, self.size, self.columns = w, vectors, scalar, size, columns
        # Addresses of four rows are at most three steps from one that is kept.
        self.rows: list[str] = []
        for r in range(len(steps)):
            near, step = (self.rows[r // 4 * 4], steps[r % 4]) if r % 4 else (base, steps[r])
            self.rows.append(w.value(f"getelementptr i8, ptr {near}, i64 {step}"))
        self.piece = scalar if columns == 1 else f"<{columns} x {scalar}>"

    def move(self, direction: str) -> None:
        """The tile's instructions."""
        if direction == "gather":
            self._gather()
        else:
            self._scatter()

    def _gather(self) -> None:
        pieces = [self._load(self.piece, row, self.size) for row in self.rows]
        if self.columns == 1:
            column, wide = "poison", self.w.wide(self.scalar)
            for k, piece in enumerate(pieces):
                column = self.w.value(f"insertelement {wide} {column}, {self.scalar} {piece}, i64 {k}")
            self._store(wide, column, self._vector(0), self.size * self.w.width)
            return
        joined = [self._join(pieces[j :: self.columns]) for j in range(self.columns)]
        for j, vector in enumerate(transpose(self.w, joined, self.scalar, self.size)):
            self._store(self.w.wide(self.scalar), vector, self._vector(j), self.size * self.w.width)

    def _scatter(self) -> None:
        if self.columns == 1:
            for k, row in enumerate(self.rows):
                place = self.w.value(f"getelementptr i8, ptr {self.vectors}, i64 {k * self.size}")
                self._store(self.scalar, self._load(self.scalar, place, self.size), row, self.size)
            return
        kind = self.w.wide(self.scalar)
        vectors = [self._load(kind, self._vector(j), self.size * self.w.width) for j in range(self.columns)]
        transposed = transpose(self.w, vectors, self.scalar, self.size)
        for r, row in enumerate(self.rows):
            start = r // self.columns * self.columns
            places = list(range(start, start + self.columns))
            vector = transposed[r % self.columns]
            if self.columns < self.w.width:
                vector = self.w.shuffle(vector, "poison", self.scalar, self.w.width, places)
            self._store(self.piece, vector, row, self.size)

    def _vector(self, j: int) -> str:
        return self.w.value(f"getelementptr [{self.w.width} x {self.scalar}], ptr {self.vectors}, i64 {j}")

    def _load(self, kind: str, address: str, alignment: int) -> str:
        return self.w.value(f"load {kind}, ptr {address}, align {alignment}")

    def _store(self, kind: str, value: str, address: str, alignment: int) -> None:
        self.w.do(f"store {kind} {value}, ptr {address}, align {alignment}")

    def _join(self, pieces: list[str]) -> str:
        """Vectors one after the other as one."""
        width = self.columns
        while len(pieces) > 1:
            pieces = [
                self.w.shuffle(x, y, self.scalar, width, list(range(2 * width)))
                for x, y in zip(pieces[::2], pieces[1::2], strict=True)
            ]
            width *= 2
        return pieces[0]


def transpose(writer: Writer, vectors: list[str], scalar: str, size: int) -> list[str]:
    """Blocks of a vector for each of some columns, of as many rows each, transposed where they stand.

    Entry ``block * n + j`` of result ``i`` is entry ``block * n + i`` of vector ``j``, of ``n`` vectors. The
    transposition is its own inverse. It is done in halves of blocks; for entries of four bytes the first two
    in the order that is one instruction in the registers' 128-bit lanes.
    """
    n, width = len(vectors), writer.width
    rows, half = list(vectors), 1
    if size == 4 and n >= 4:
        for group in range(0, n, 4):
            rows[group : group + 4] = _transpose_lanes(writer, rows[group : group + 4], scalar)
        half = 4
    while half < n:
        for i in range(n):
            if i & half:
                continue
            x, y = rows[i], rows[i + half]
            low = [e if not e & half else width + e - half for e in range(width)]
            high = [e + half if not e & half else width + e for e in range(width)]
            rows[i] = writer.shuffle(x, y, scalar, width, low)
            rows[i + half] = writer.shuffle(x, y, scalar, width, high)
        half *= 2
    return rows


def _transpose_lanes(writer: Writer, vectors: list[str], scalar: str) -> list[str]:
    """Four vectors, transposed in blocks of four."""
    width = writer.width
    lanes = range(0, width, 4)
    low = [place for lane in lanes for place in (lane, width + lane, lane + 1, width + lane + 1)]
    high = [place + 2 for place in low]
    first = [place for lane in lanes for place in (lane, lane + 1, width + lane, width + lane + 1)]
    second = [place + 2 for place in first]
    a, b, c, d = vectors
    top = (writer.shuffle(a, b, scalar, width, low), writer.shuffle(c, d, scalar, width, low))
    bottom = (writer.shuffle(a, b, scalar, width, high), writer.shuffle(c, d, scalar, width, high))
    return [
        writer.shuffle(x, y, scalar, width, places) for x, y in (top, bottom) for places in (first, second)
    ]
