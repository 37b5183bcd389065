"""Rows of a result in which constants stand among what is computed: each written in pieces, each piece once.

The columns that are computed lie beside one another as vectors, with an entry for every row. A row takes its
own entry of each, puts it into the piece where its column is, and writes the piece, constants included.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ._instructions import SIZES, Writer, memory_type
from ._transfer import COPY

#: Columns that are put beside one another at once, and that are written by one function.
MOST_BESIDE, _MOST_TOGETHER = 64, 1024


class Columns(NamedTuple):
    """Columns of a result that lie together.

    Attributes:
        first, end: the columns.
        runs: where those begin and end that are put beside one another: all that are computed.
    """

    first: int
    end: int
    runs: list[tuple[int, int]]

    @property
    def beside(self) -> list[int]:
        """The columns that are put beside one another, in their order."""
        return [column for first, end in self.runs for column in range(first, end)]


def split(computed: Sequence[bool], piece: int, near: int) -> Iterator[Columns]:
    """The columns of a result, as many together as are put beside one another at once.

    Args:
        computed: for every column whether it is computed, and no constant.
        piece: how many columns are written at once.
        near: fewer constants than that between computed columns are put beside one another with these.
    """
    first, found = 0, list[int]()
    for start in range(0, len(computed), piece):
        end = min(start + piece, len(computed))
        found += [column for column in range(start, end) if computed[column]]
        many = len(found) > MOST_BESIDE - piece or end - first >= _MOST_TOGETHER
        if many or end == len(computed):
            yield Columns(first, end, runs(found, near))
            first, found = end, []


def runs(columns: Sequence[int], near: int) -> list[tuple[int, int]]:
    """Where columns begin and end that lie together, or so near that those between them cost little."""
    found: list[tuple[int, int]] = []
    for column in columns:
        if found and column - found[-1][1] < near:
            found[-1] = (found[-1][0], column + 1)
        else:
            found.append((column, column + 1))
    return found


def piece_of(columns: int, size: int, vector_bytes: int) -> int:
    """How many entries of so many bytes are written at once: as many as registers have.

    Pieces of 64 bytes are better only if they are cache lines, which they are where rows consist of them.
    """
    widest = vector_bytes // size
    return widest if columns % widest == 0 else min(widest, 32 // size)


def writer(
    name: str,
    columns: Columns,
    constants: Sequence[str | None],
    kind: str,
    width: int,
    piece: int,
    past: bool,
) -> str:
    """LLVM IR of a function that writes columns of as many rows as are worked on at once.

    It is called with the address of the first row and that of the vectors.

    Args:
        name: the function's name.
        columns: what it writes.
        constants: of all columns of the result, as LLVM writes them in memory; None where it is computed.
        kind: of the entries.
        width: how many rows there are.
        piece: how many entries are written at once.
        past: whether there is another function, whose name ends in ``.past``, that bypasses the cache: it
            puts the columns of a row together elsewhere before.
    """
    w, size, scalar = Writer(width), SIZES[kind], memory_type(kind)
    places = {column: place for place, column in enumerate(columns.beside) if constants[column] is None}
    for first, count in _pieces(columns, piece):
        value, wide = _joined(w, places, constants, scalar, first, count, width * size)
        at = w.value(f"getelementptr i8, ptr %row, i64 {(first - columns.first) * size}")
        w.do(f"store {wide} {value}, ptr {at}, align {size}")
    count = (columns.end - columns.first) * size
    forms = {name: [f"call void {name}.row(ptr %row, ptr %own)"]}
    if past:
        copy = f"call void @{COPY}(ptr %row, ptr %buffer, i64 {count}, i1 true)"
        forms[f"{name}.past"] = [f"call void {name}.row(ptr %buffer, ptr %own)", copy]
    # Straight-line code is compiled faster outside of the loop.
    row = f"define internal void {name}.row(ptr noalias %row, ptr noalias %own) nounwind {{"
    lines = [row, *w.lines, "  ret void", "}"]
    for form, calls in forms.items():
        lines += _over_rows(form, calls, columns.first * size, len(constants) * size, size, width, count)
    return "\n".join(lines)


def _over_rows(
    name: str, calls: Sequence[str], first: int, stride: int, size: int, width: int, count: int
) -> list[str]:
    """A function that calls others for each of some rows."""
    return [
        f"define internal void {name}(ptr %rows, ptr %vectors) nounwind {{",
        "entry:",
        f"  %buffer = alloca [{count} x i8], align 64",
        f"  %columns = getelementptr i8, ptr %rows, i64 {first}",
        "  br label %loop",
        "loop:",
        "  %k = phi i64 [0, %entry], [%next, %loop]",
        f"  %start = mul i64 %k, {stride}",
        f"  %place = mul i64 %k, {size}",
        "  %row = getelementptr i8, ptr %columns, i64 %start",
        "  %own = getelementptr i8, ptr %vectors, i64 %place",
        *(f"  {call}" for call in calls),
        "  %next = add i64 %k, 1",
        f"  %more = icmp slt i64 %next, {width}",
        "  br i1 %more, label %loop, label %done",
        "done:",
        "  ret void",
        "}",
    ]


def _pieces(columns: Columns, piece: int) -> Iterator[tuple[int, int]]:
    """Where pieces begin and how long they are; the last one may write some columns once more."""
    first, end = columns.first, columns.end
    while piece > 1 and end - first < piece:
        piece //= 2
    yield from ((at, piece) for at in range(first, end - piece + 1, piece))
    if (end - first) % piece:
        yield end - piece, piece


def _joined(
    w: Writer,
    places: dict[int, int],
    constants: Sequence[str | None],
    scalar: str,
    first: int,
    count: int,
    step: int,
) -> tuple[str, str]:
    """The entries of a piece as one value, and its type."""
    found: dict[int, str] = {}
    for at in range(count):
        if first + at in places:
            place = w.value(f"getelementptr i8, ptr %own, i64 {places[first + at] * step}")
            found[at] = w.value(f"load {scalar}, ptr {place}, align {step // w.width}")
    fixed = [text or "poison" for text in constants[first : first + count]]
    if count == 1:
        return found.get(0, fixed[0]), scalar
    wide = f"<{count} x {scalar}>"
    value = "<" + ", ".join(f"{scalar} {text}" for text in fixed) + ">"
    for at, entry in found.items():
        value = w.value(f"insertelement {wide} {value}, {scalar} {entry}, i64 {at}")
    return value, wide
