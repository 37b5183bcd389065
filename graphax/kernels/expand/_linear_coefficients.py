"""The coefficients of expressions that are linear in certain inputs."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence

from .._scalars import LEAVES, Scalars


class NotLinear(Exception):
    """An expression is not seen to be linear in what it should be."""


def linear_coefficients(
    scalars: Scalars, results: Sequence[int], variables: Sequence[int]
) -> list[dict[int, int]]:
    """For every result its coefficients by the variables that it depends on.

    Args:
        scalars: the expressions.
        results: expressions that are linear in the variables.
        variables: inputs, which no expression older than the first of them depends on.

    Raises:
        NotLinear: if a result is not linear, or if that is not seen.
    """
    place = {variable: at for at, variable in enumerate(variables)}
    first = min(variables, default=len(scalars))
    moving = set(variables)
    for x in range(first, len(scalars)):
        if scalars.ops[x] == "last":
            raise NotLinear("loops are not looked into")
        if scalars.ops[x] not in LEAVES and any(y in moving for y in scalars.args[x]):
            moving.add(x)
    return [_of_one(scalars, result, place, moving) for result in results]


def _of_one(scalars: Scalars, result: int, place: dict[int, int], moving: set[int]) -> dict[int, int]:
    """Coefficients go from an expression to its operands, from the youngest expression to the oldest."""
    found: dict[int, int] = {}
    if result not in moving:
        if _vanishes(scalars, result):
            return found
        raise NotLinear("a result is not zero where all variables are")
    weights = {result: scalars.const(1, scalars.kinds[result])}
    pending = [-result]

    def put(x: int, weight: int) -> None:
        if x in weights:
            weights[x] = scalars.add(weights[x], weight)
        else:
            weights[x] = weight
            heapq.heappush(pending, -x)

    while pending:
        x = -heapq.heappop(pending)
        weight = weights.pop(x)
        if x in place:
            found[place[x]] = weight
            continue
        step = _STEPS.get(scalars.ops[x])
        if step is None:
            raise NotLinear(f"'{scalars.ops[x]}' is not linear")
        step(scalars, x, weight, moving, put)
    return found


def _vanishes(scalars: Scalars, x: int) -> bool:
    """Whether an expression is zero because of the zeros in it: no variable, no coefficient."""
    known: dict[int, bool] = {}
    pending = [x]
    while pending:
        y = pending[-1]
        op, args = scalars.ops[y], scalars.args[y]
        if y not in known:
            parts = [] if scalars.value(y) == 0 else list(args[_ADDENDS[op]]) if op in _ADDENDS else None
            if op == "mul":
                parts = [] if any(scalars.value(z) == 0 for z in args) else parts
            missing = [z for z in parts or () if z not in known]
            if missing:
                pending.extend(missing)
                continue
            holds = any if op == "mul" and parts else all
            known[y] = parts is not None and holds(known[z] for z in parts)
        pending.pop()
    return known[x]


#: Which operands of an operation say that it vanishes: all of those, but one of a product's.
_ADDENDS = {
    "add": slice(2),
    "sub": slice(2),
    "mul": slice(2),
    "neg": slice(1),
    "div": slice(1),
    "convert": slice(1),
    "select": slice(1, 3),
}


Put = Callable[[int, int], None]
Step = Callable[[Scalars, int, int, set[int], Put], None]


def _added(scalars: Scalars, x: int, weight: int, moving: set[int], put: Put) -> None:
    first, second = scalars.args[x]
    for y, part in ((first, weight), (second, scalars.neg(weight) if scalars.ops[x] == "sub" else weight)):
        if y in moving:
            put(y, part)
        elif not _vanishes(scalars, y):
            raise NotLinear("something is added that does not vanish where the variables do")


def _negated(scalars: Scalars, x: int, weight: int, moving: set[int], put: Put) -> None:
    put(scalars.args[x][0], scalars.neg(weight))


def _scaled(scalars: Scalars, x: int, weight: int, moving: set[int], put: Put) -> None:
    y, z = scalars.args[x]
    if y in moving and z in moving:
        raise NotLinear("variables are multiplied by one another")
    y, z = (y, z) if y in moving else (z, y)
    put(y, scalars.mul(weight, z))


def _divided(scalars: Scalars, x: int, weight: int, moving: set[int], put: Put) -> None:
    y, z = scalars.args[x]
    if z in moving:
        raise NotLinear("something is divided by a variable")
    put(y, scalars.div(weight, z))


def _selected(scalars: Scalars, x: int, weight: int, moving: set[int], put: Put) -> None:
    predicate, on_true, on_false = scalars.args[x]
    if predicate in moving:
        raise NotLinear("something is selected by a variable")
    nothing = scalars.zero(scalars.kinds[x])
    for y, part in (
        (on_true, scalars.select(predicate, weight, nothing)),
        (on_false, scalars.select(predicate, nothing, weight)),
    ):
        if y in moving:
            put(y, part)
        elif not _vanishes(scalars, y):
            raise NotLinear("something is selected that does not vanish where the variables do")


def _converted(scalars: Scalars, x: int, weight: int, moving: set[int], put: Put) -> None:
    y = scalars.args[x][0]
    if scalars.kinds[y][0] != "f" or scalars.kinds[x][0] != "f":
        raise NotLinear("a variable is rounded")
    put(y, scalars.convert(weight, scalars.kinds[y]))


def _as_given(scalars: Scalars, x: int, weight: int, moving: set[int], put: Put) -> None:
    _, *others = scalars.args[x]
    half = len(others) // 2
    if scalars.args[x][0] in moving and not any(y in moving for y in others[:half]):
        raise NotLinear("a variable has no derivative where its value is used")
    for y, partial in zip(others[:half], others[half:], strict=True):
        if y in moving:
            put(y, scalars.mul(weight, partial))


_STEPS: dict[str, Step] = {
    "add": _added,
    "sub": _added,
    "neg": _negated,
    "mul": _scaled,
    "div": _divided,
    "select": _selected,
    "convert": _converted,
    "given": _as_given,
}
