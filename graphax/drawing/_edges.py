"""How an edge shows the structure of its Jacobian: colours, dashes, widths, and what they mean."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Sequence

from .._numbering import Edge
from ..sparse import Kind, Structure
from ._layout import Point
from ._text import amount, clean, shortened

_KIND_NAMES = {
    Kind.UNIT: "unit (±1)",
    Kind.CONSTANT: "constant",
    Kind.COPY: "copy",
    Kind.VALUE: "value",
}

# Longer edges are drawn solid, since browsers choke on a million dashes; pages draw them at every step.
LONG_EDGE, LONG_DASHES = 10_000.0, 2_000.0


class Form(enum.Enum):
    """How the entries of a Jacobian hang together."""

    DENSE = "dense"  # every entry is there, and a value holds each; scalars too
    TIED = "tied"  # some entries are zero by structure, or share a number
    SUM = "sum"  # of several terms


_FORM_NAMES = {
    Form.DENSE: "dense or scalar",
    Form.TIED: "diagonal or tied",
    Form.SUM: "sum of terms",
}


def kind_of(structure: Structure) -> Kind:
    """What the nonzeros hold; of a sum what the term that holds most does."""
    return max(term.kind for term in structure.terms)


def form_of(structure: Structure) -> Form:
    """How the entries hang together."""
    term, *others = structure.terms
    if others:
        return Form.SUM
    digits = [digit for dim in (*term.out, *term.in_) for digit in dim]
    labels = [label for digit in digits for label in digit.labels]
    full = all(digit.covers(term.sizes) for digit in digits) and len(labels) == len(set(labels))
    own = not term.has_value or len(term.axes) == len(term.sizes)
    return Form.DENSE if full and own else Form.TIED


def width_of(structure: Structure) -> float:
    """The width of an edge: more numbers, wider."""
    return round(min(6.0, 1.3 + 0.35 * math.log2(max(structure.numbers, 1))), 2)


def structure_text(structure: Structure) -> str:
    """A structure and how many numbers it holds, in two lines."""
    return f"{shortened(str(structure))}\nholds {amount(structure.numbers, 'number')}"


def explained(structures: Iterable[Structure]) -> list[tuple[str, str]]:
    """The style classes that the edges of these structures need explained, with their names."""
    seen = list(structures)
    kinds = sorted({kind_of(structure) for structure in seen})
    forms = [form for form in Form if form in {form_of(structure) for structure in seen}]
    items = [(f"edge {kind.name.lower()}", _KIND_NAMES[kind]) for kind in kinds]
    if forms != [Form.DENSE]:
        items += [(f"edge sample {form.value}", _FORM_NAMES[form]) for form in forms]
    return items


def edge_element(edge: Edge, structure: Structure, route: Sequence[Point]) -> str:
    """A path with its tooltip."""
    classes, width = f"edge {kind_of(structure).name.lower()} {form_of(structure).value}", width_of(structure)
    if route[-1][1] - route[0][1] > LONG_EDGE:
        classes += " long"
    source, target = edge
    title = clean(f"edge {source} → {target}\n{structure_text(structure)}")
    return (
        f'<path class="{classes}" data-edge="{source},{target}" stroke-width="{width:g}" d="{curve(route)}">'
        f"<title>{title}</title></path>"
    )


def curve(route: Sequence[Point]) -> str:
    """A path through points from top to bottom that is vertical at each of them."""
    (x, y), *rest = route
    path = [f"M{x:g} {y:g}"]
    for to_x, to_y in rest:
        if to_x == x:
            path.append(f"V{to_y:g}")
        else:
            middle = (y + to_y) / 2
            path.append(f"C{x:g} {middle:g} {to_x:g} {middle:g} {to_x:g} {to_y:g}")
        x, y = to_x, to_y
    return "".join(path)
