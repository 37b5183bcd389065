"""The factors of a bilinear scheme as a picture: a cell for each coefficient that is not zero."""

from __future__ import annotations

from fractions import Fraction

from .document import escaped
from .result import Factor, Factors

_CELL = 10  # units of the picture
_LABEL = 34
_GAP = 14  # between factors, with the name
_NARROWEST, _WIDEST = 6, 24  # pixels of a cell
#: Classes of coefficients: whether they are negative, and how they compare with one in size.
_KINDS = {
    (False, 0): ("plus", "1"),
    (True, 0): ("minus", "−1"),
    (False, 1): ("plus-more", "above 1"),
    (True, 1): ("minus-more", "below −1"),
    (False, -1): ("plus-less", "between 0 and 1"),
    (True, -1): ("minus-less", "between −1 and 0"),
}


def picture_of_factors(factors: Factors) -> str:
    """The factors one above the other, as HTML; column r of each is about product r."""
    rank = max((len(factor.columns) for factor in factors.factors), default=0)
    width = _LABEL + _CELL * rank + 2
    shapes: list[str] = []
    kinds: set[tuple[bool, int]] = set()
    top = 0
    for factor in factors.factors:
        shapes.append(f'<text class="name" x="{_LABEL}" y="{top + _GAP - 4}">{escaped(factor.name)}</text>')
        top += _GAP
        shapes += _labels(factor, top)
        shapes.append(
            f'<rect class="frame" x="{_LABEL}" y="{top}" width="{_CELL * len(factor.columns)}" '
            f'height="{_CELL * len(factor.entries)}"/>'
        )
        for kind, path in _cells(factor, top).items():
            kinds.add(kind)
            name, words = _KINDS[kind]
            shapes.append(f'<path class="{name}" d="{path}"><title>{words}</title></path>')
        top += _CELL * len(factor.entries)
    legend = "".join(
        f'<li><span class="swatch {name}"></span>{words}</li>'
        for kind, (name, words) in _KINDS.items()
        if kind in kinds
    )
    least, most = _NARROWEST * width // _CELL, _WIDEST * width // _CELL
    named = ", ".join(f"{factor.name}: {_nonzeros(factor)} coefficients" for factor in factors.factors)
    return (
        f'<div class="wide" tabindex="0"><svg class="factors" viewBox="0 0 {width} {top + 2}" role="img" '
        f'style="min-width:{least}px;max-width:{most}px" aria-label="{escaped(named)}">'
        f"{''.join(shapes)}</svg>"
        f'</div>\n<ul class="legend">{legend}</ul>\n'
        f"<p>A column for each of the {rank} products, a row for each entry of the matrices. A cell is a "
        "coefficient; where there is none, it is zero.</p>"
    )


def _labels(factor: Factor, top: int) -> list[str]:
    return [
        f'<text x="{_LABEL - 3}" y="{top + _CELL * at + 7.5}" class="entry">{escaped(name)}</text>'
        for at, name in enumerate(factor.entries)
    ]


def _cells(factor: Factor, top: int) -> dict[tuple[bool, int], str]:
    """The cells of each kind of coefficient as one path."""
    paths: dict[tuple[bool, int], str] = {}
    for column, numbers in enumerate(factor.columns):
        for row, number in enumerate(numbers):
            if number:
                size = abs(Fraction(number, factor.denominator))
                kind = number < 0, (size > 1) - (size < 1)
                at = f"M{_LABEL + _CELL * column + 1} {top + _CELL * row + 1}h8v8h-8z"
                paths[kind] = paths.get(kind, "") + at
    return paths


def _nonzeros(factor: Factor) -> int:
    return sum(number != 0 for column in factor.columns for number in column)
