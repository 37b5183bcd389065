"""Blocks for people: in a line, as text, as a picture."""

from __future__ import annotations

import itertools
import math
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .._notebook import facts
from ..files import write_atomically
from ._solve import Solutions

# Entries of a structure that are counted to print a line, and letters of its algebra there.
_COUNTED, _SHOWN = 1 << 20, 160

# Cells of the text, and of the picture; a cell of text is twice as high as it is wide.
_LINES, _LETTERS, _CELLS = 32, 64, 200
_THINNEST = 6  # pixels that the picture of a single row is high


class Displays(Solutions):
    """A matrix that can be looked at."""

    def spy(self) -> Spy:
        """Where the structural nonzeros are, in the matrix with a row for every output and a column for every
        input entry: as text where it is printed, as a picture in notebooks.

        Returns:
            the picture: ``print(block.spy())``, ``block.spy().save("jacobian.svg")``.
        """
        return spied(*self.pattern(), self.matrix_shape)

    def __repr__(self) -> str:
        told = [f"{self.out_shape} <- {self.in_shape}"]
        if self.dtype is not None:
            if self.batch_shape:
                told.append(f"batch {self.batch_shape}")
            told.append(str(np.dtype(self.dtype)))
        nonzeros, density = self._nonzeros()
        return f"Block({', '.join(told)}, nnz {nonzeros}, density {density:.2g}: {self._algebra()})"

    def _repr_html_(self) -> str:
        """What notebooks show: facts, and where the entries are if they are few enough to be looked up."""
        nonzeros, density = self._nonzeros()
        rows: list[tuple[str, object]] = [("output", self.out_shape), ("input", self.in_shape)]
        if self.dtype is not None:
            rows += [("batch", self.batch_shape)] if self.batch_shape else []
            rows.append(("dtype", np.dtype(self.dtype)))
        rows += [("nonzeros", nonzeros), ("density", f"{density:.2g}"), ("algebra", self._algebra())]
        is_shown = self._is_countable() and math.prod(self.matrix_shape) > 0
        return facts("Block", rows, self.spy().svg if is_shown else "")

    def _algebra(self) -> str:
        algebra = " + ".join(str(part) for part in self.parts()) or "zero"
        if len(algebra) <= _SHOWN:
            return algebra
        return f"{algebra[:_SHOWN]}... ({sum(len(part.structure.terms) for part in self.parts())} terms)"

    def _most(self) -> int:
        return sum(math.prod(term.sizes) for part in self.parts() for term in part.structure.terms)

    def _is_countable(self) -> bool:
        return self._most() <= _COUNTED and self.places_are_known

    def _nonzeros(self) -> tuple[str, float]:
        """How many there are, or may be, and their share."""
        count = self.nnz if self._is_countable() else self._most()
        density = count / (math.prod(self.matrix_shape) or 1)
        return f"{count}" if self._is_countable() else f"<= {count}", density


@dataclass(frozen=True)
class Spy:
    """A picture of where entries are. Printed, it is text; notebooks show the picture.

    Attributes:
        text: lines of letters, one for an entry or, in a large matrix, for some that stand together.
        svg: a picture.
    """

    text: str = field(repr=False)
    svg: str = field(repr=False)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.text

    def _repr_svg_(self) -> str:
        return self.svg

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the picture (``.svg``) or the text (``.txt``) to a file, atomically.

        Raises:
            ValueError: for another suffix.
        """
        kinds = {".svg": self.svg, ".txt": self.text + "\n"}
        suffix = Path(path).suffix.lower()
        if suffix not in kinds:
            raise ValueError(
                f"path must end in .svg (the picture) or .txt (the text), got {os.fspath(path)!r}"
            )
        write_atomically(Path(path), kinds[suffix])


def spied(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> Spy:
    """The picture of entries at these rows and columns of a matrix."""
    caption = f"{shape[0]} x {shape[1]}, {len(rows)} nonzeros"
    return Spy(_text(rows, columns, shape, caption), _svg(rows, columns, shape, caption))


def _levels(
    rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int], most: tuple[int, int]
) -> np.ndarray:
    """For cells of like sizes, at most so many, how much of them is taken: 0 for nothing, 4 for all."""
    cells = tuple(min(size, limit) for size, limit in zip(shape, most, strict=True))
    if 0 in cells:
        return np.zeros(cells, int)
    at = [place * count // size for place, count, size in zip((rows, columns), cells, shape, strict=True)]
    found = np.bincount(at[0] * cells[1] + at[1], minlength=math.prod(cells)).reshape(cells)
    ends = [-(-np.arange(count + 1) * size // count) for size, count in zip(shape, cells, strict=True)]
    return np.ceil(4 * found / np.outer(*map(np.diff, ends))).astype(int)


def _text(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int], caption: str) -> str:
    lines = np.array(list("·░▒▓█"))[_levels(rows, columns, shape, (_LINES, _LETTERS))]
    return "\n".join([*map("".join, lines), caption])


def _svg(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int], caption: str) -> str:
    levels = _levels(rows, columns, shape, (_CELLS, _CELLS))
    height, width = (max(1, size) for size in levels.shape)
    paths = {level: "" for level in range(1, 5)}
    for at, line in enumerate(levels):
        first = 0
        for level, run in itertools.groupby(line.tolist()):
            length = len(list(run))
            if level:
                paths[level] += f"M{first} {at}h{length}v1h-{length}z"
            first += length
    cells = "".join(f'<path opacity="{level / 4}" d="{d}"/>' for level, d in paths.items() if d)
    scale = 480 / max(height, width)
    across, down = (round(max(size * scale, _THINNEST)) for size in (width, height))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {across} {down}" width="{across}" '
        f'height="{down}" shape-rendering="crispEdges" style="max-width:100%;height:auto">'
        f'<title>{caption}</title><rect width="{across}" height="{down}" fill="#f4f4f4"/>'
        f'<g fill="#1f4e79" transform="scale({across / width:g} {down / height:g})">{cells}</g></svg>'
    )
