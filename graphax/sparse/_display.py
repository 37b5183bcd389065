"""Blocks for people: in a line, as text, as a picture."""

from __future__ import annotations

import itertools
import math
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..files import write_atomically
from ._solve import Solutions

# Entries of a structure that are counted to print a line, and letters of its algebra there.
_COUNTED, _SHOWN = 1 << 20, 160

# Cells of the text, and of the picture; a cell of text is twice as high as it is wide.
_LINES, _LETTERS, _CELLS = 32, 64, 200


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
        algebra = " + ".join(str(part) for part in self.parts()) or "zero"
        if len(algebra) > _SHOWN:
            algebra = (
                f"{algebra[:_SHOWN]}... ({sum(len(part.structure.terms) for part in self.parts())} terms)"
            )
        facts = [f"{self.out_shape} <- {self.in_shape}"]
        if self.dtype is not None:
            if self.batch_shape:
                facts.append(f"batch {self.batch_shape}")
            facts.append(str(np.dtype(self.dtype)))
        most = sum(math.prod(term.sizes) for part in self.parts() for term in part.structure.terms)
        counted = most <= _COUNTED and self.places_are_known
        density = (self.nnz if counted else most) / (math.prod(self.matrix_shape) or 1)
        facts.append(f"nnz {self.nnz}" if counted else f"nnz <= {most}")
        facts.append(f"density {density:.2g}")
        return f"Block({', '.join(facts)}: {algebra})"


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
    cells = []
    for at, line in enumerate(levels):
        first = 0
        for level, run in itertools.groupby(line.tolist()):
            length = len(list(run))
            if level:
                cells.append(
                    f'<rect x="{first}" y="{at}" width="{length}" height="1" opacity="{level / 4}"/>'
                )
            first += length
    scale = 480 / max(height, width)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width * scale:.0f}" '
        f'height="{height * scale:.0f}" shape-rendering="crispEdges"><title>{caption}</title><rect '
        f'width="{width}" height="{height}" fill="#f4f4f4"/><g fill="#1f4e79">{"".join(cells)}</g></svg>'
    )
