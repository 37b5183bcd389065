"""Columns of arrays in and out of registers: tiles of rows and columns that are transposed in registers."""

from __future__ import annotations

from ._instructions import SIZES, Writer, memory_type


def tiles(columns: int, most: int) -> list[tuple[int, int]]:
    """Where tiles begin that cover columns, and how wide they are: powers of two, at most ``most``.

    The last one may overlap the one before.
    """
    covered = [(start, most) for start in range(0, columns - most + 1, most)]
    start, width = len(covered) * most, most
    while start < columns:
        rest = columns - start
        while width > 1 and (width >= 2 * rest or width > columns):
            width //= 2
        start = min(start, columns - width)
        covered.append((start, width))
        start += width
    return covered


def transpose(writer: Writer, vectors: list[str], scalar: str, size: int) -> list[str]:
    """Blocks of a vector for each of some columns, of as many rows each, transposed where they stand.

    Entry ``block * n + j`` of result ``i`` is entry ``block * n + i`` of vector ``j``, of ``n`` vectors. The
    transposition is its own inverse. It is done in halves of blocks; the first ones of four-byte entries by
    the order that the registers' 128-bit lanes are joined in.
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
    top = [writer.shuffle(a, b, scalar, width, low), writer.shuffle(c, d, scalar, width, low)]
    bottom = [writer.shuffle(a, b, scalar, width, high), writer.shuffle(c, d, scalar, width, high)]
    return [
        writer.shuffle(*pair, scalar, width, places) for pair in (top, bottom) for places in (first, second)
    ]


class Rows:
    """One array of rows in a function: where its rows of the moment begin, and how many columns it has.

    Args:
        writer: the function.
        base: the address of the first row.
        columns: entries of a row.
        kind: of what kind these are.
        piece: bytes that are moved at once.
    """

    def __init__(self, writer: Writer, base: str, columns: int, kind: str, piece: int) -> None:
        self.writer, self.base, self.columns, self.kind = writer, base, columns, kind
        self.scalar, self.size = memory_type(kind), SIZES[kind]
        self.tiles = tiles(columns, max(1, min(writer.width, piece // max(self.size, 4))))

    def _address(self, row: int, column: int) -> str:
        offset = (row * self.columns + column) * self.size
        return self.writer.value(f"getelementptr i8, ptr {self.base}, i64 {offset}") if offset else self.base

    def load(self, start: int, width: int) -> list[str]:
        """A tile's columns."""
        writer, scalar, rows = self.writer, self.scalar, self.writer.width
        if rows == 1 or self.columns == 1:
            return [self._loaded(self._address(0, start), writer.wide(scalar))]
        if width == 1:
            column = "poison"
            for row in range(rows):
                entry = self._loaded(self._address(row, start), scalar)
                column = writer.value(
                    f"insertelement {writer.wide(scalar)} {column}, {scalar} {entry}, i64 {row}"
                )
            return [column]
        pieces = [self._loaded(self._address(row, start), f"<{width} x {scalar}>") for row in range(rows)]
        vectors = [self._join(pieces[j::width], width) for j in range(width)]
        return transpose(writer, vectors, scalar, self.size)

    def _loaded(self, address: str, kind: str) -> str:
        return self.writer.value(f"load {kind}, ptr {address}, align {self.size}")

    def _join(self, pieces: list[str], width: int) -> str:
        """Vectors one after the other as one."""
        while len(pieces) > 1:
            pieces = [
                self.writer.shuffle(x, y, self.scalar, width, list(range(2 * width)))
                for x, y in zip(pieces[::2], pieces[1::2], strict=True)
            ]
            width *= 2
        return pieces[0]

    def store(self, start: int, vectors: list[str]) -> None:
        """A tile's columns, values as they lie in memory."""
        writer, scalar, rows, width = self.writer, self.scalar, self.writer.width, len(vectors)
        if rows == 1 or self.columns == 1:
            self._stored(vectors[0], writer.wide(scalar), self._address(0, start))
            return
        wide = writer.wide(scalar)
        if width == 1:
            for row in range(rows):
                entry = writer.value(f"extractelement {wide} {vectors[0]}, i64 {row}")
                self._stored(entry, scalar, self._address(row, start))
            return
        transposed = transpose(writer, vectors, scalar, self.size)
        for row in range(rows):
            block = row // width * width
            vector = transposed[row % width]
            piece = (
                vector
                if rows == width
                else writer.shuffle(vector, "poison", scalar, rows, list(range(block, block + width)))
            )
            self._stored(piece, f"<{width} x {scalar}>", self._address(row, start))

    def store_constants(self, start: int, text: str, width: int) -> None:
        """The same entries in every row."""
        for row in range(self.writer.width):
            kind = f"<{width} x {self.scalar}>" if width > 1 else self.scalar
            self._stored(text, kind, self._address(row, start))

    def _stored(self, value: str, kind: str, address: str) -> None:
        self.writer.do(f"store {kind} {value}, ptr {address}, align {self.size}")
