"""What operations on scalars do with small changes of their operands: derivatives as JAX defines them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from ._scalars import LEAVES, Scalars

#: The derivatives of an operation by those of its operands that have one.
Partials = list[tuple[int, int]]


def partials(scalars: Scalars, x: int) -> Partials:
    """The derivatives of an expression by its operands.

    Args:
        scalars: the table of expressions.
        x: an expression.

    Returns:
        pairs of an operand and the derivative by it, for real operands along which there is one. An operand
        may occur twice.
    """
    op, args = scalars.ops[x], scalars.args[x]
    if op in LEAVES:
        return []
    if op == "given":
        half = len(args) // 2
        return list(zip(args[1 : half + 1], args[half + 1 :], strict=True))
    if op == "select":
        predicate, on_true, on_false = args
        one, zero = _number(scalars, x, 1), scalars.zero(scalars.kinds[x])
        arms = (
            (on_true, scalars.select(predicate, one, zero)),
            (on_false, scalars.select(predicate, zero, one)),
        )
        return list(arms)
    if op == "convert":
        return [(args[0], _number(scalars, x, 1))] if scalars.kinds[args[0]][0] == "f" else []
    rule = _RULES.get(op)
    if rule is None:
        return []
    return list(zip(args, rule(scalars, x, *args), strict=True))


def _number(scalars: Scalars, x: int, value: float) -> int:
    """A constant of the kind of an expression."""
    return scalars.const(value, scalars.kinds[x])


def _square(s: Scalars, x: int) -> int:
    return s.mul(x, x)


def _root_of_reciprocal(s: Scalars, z: int, argument: int) -> int:
    return s.div(_number(s, z, 1), s.function("sqrt", argument))


def _division(s: Scalars, z: int, x: int, y: int) -> Sequence[int]:
    reciprocal = s.div(_number(s, z, 1), y)
    return reciprocal, s.neg(s.mul(z, reciprocal))


def _power(s: Scalars, z: int, x: int, y: int) -> Sequence[int]:
    one, zero = _number(s, z, 1), _number(s, z, 0)
    by_base = s.mul(y, s.binary("pow", x, s.sub(y, one)))
    not_zero = s.select(s.compare("eq", x, zero), one, x)
    return by_base, s.mul(s.function("log", not_zero), z)


def _angle(s: Scalars, z: int, y: int, x: int) -> Sequence[int]:
    square = s.add(_square(s, y), _square(s, x))
    return s.div(x, square), s.neg(s.div(y, square))


def _larger(s: Scalars, z: int, x: int, y: int) -> Sequence[int]:
    """Of the larger or the smaller of two: equal ones share. JAX multiplies by the share, be it zero."""
    zero, one, half = _number(s, z, 0), _number(s, z, 1), _number(s, z, 0.5)
    is_x, is_y = s.compare("eq", x, z), s.compare("eq", y, z)
    return s.select(is_x, s.select(is_y, half, one), zero), s.select(is_y, s.select(is_x, half, one), zero)


def _remainder(s: Scalars, z: int, x: int, y: int) -> Sequence[int]:
    quotient = s.div(x, y)
    whole = s.mul(s.function("sign", quotient), s.function("floor", s.function("abs", quotient)))
    return _number(s, z, 1), s.neg(whole)


def _bell(s: Scalars, z: int, x: int, height: float) -> int:
    return s.mul(_number(s, z, height), s.function("exp", s.neg(_square(s, x))))


_Rule = Callable[..., Sequence[int]]
_RULES: dict[str, _Rule] = {
    "add": lambda s, z, x, y: (_number(s, z, 1), _number(s, z, 1)),
    "sub": lambda s, z, x, y: (_number(s, z, 1), _number(s, z, -1)),
    "mul": lambda s, z, x, y: (y, x),
    "neg": lambda s, z, x: (_number(s, z, -1),),
    "div": _division,
    "rem": _remainder,
    "pow": _power,
    "atan2": _angle,
    "min": _larger,
    "max": _larger,
    "abs": lambda s, z, x: (
        s.select(s.compare("ge", x, _number(s, z, 0)), _number(s, z, 1), _number(s, z, -1)),
    ),
    "sqrt": lambda s, z, x: (s.div(_number(s, z, 0.5), z),),
    "cbrt": lambda s, z, x: (s.div(_number(s, z, 1 / 3), _square(s, z)),),
    "sin": lambda s, z, x: (s.function("cos", x),),
    "cos": lambda s, z, x: (s.neg(s.function("sin", x)),),
    "tan": lambda s, z, x: (s.add(_number(s, z, 1), _square(s, z)),),
    "asin": lambda s, z, x: (_root_of_reciprocal(s, z, s.sub(_number(s, z, 1), _square(s, x))),),
    "acos": lambda s, z, x: (s.neg(_root_of_reciprocal(s, z, s.sub(_number(s, z, 1), _square(s, x)))),),
    "atan": lambda s, z, x: (s.div(_number(s, z, 1), s.add(_number(s, z, 1), _square(s, x))),),
    "sinh": lambda s, z, x: (s.function("cosh", x),),
    "cosh": lambda s, z, x: (s.function("sinh", x),),
    "tanh": lambda s, z, x: (s.mul(s.add(_number(s, z, 1), z), s.sub(_number(s, z, 1), z)),),
    "asinh": lambda s, z, x: (_root_of_reciprocal(s, z, s.add(_square(s, x), _number(s, z, 1))),),
    "acosh": lambda s, z, x: (_root_of_reciprocal(s, z, s.sub(_square(s, x), _number(s, z, 1))),),
    "atanh": lambda s, z, x: (
        s.div(_number(s, z, 1), s.mul(s.add(_number(s, z, 1), x), s.sub(_number(s, z, 1), x))),
    ),
    "exp": lambda s, z, x: (z,),
    "exp2": lambda s, z, x: (s.mul(_number(s, z, math.log(2)), z),),
    "expm1": lambda s, z, x: (s.add(z, _number(s, z, 1)),),
    "log": lambda s, z, x: (s.div(_number(s, z, 1), x),),
    "log1p": lambda s, z, x: (s.div(_number(s, z, 1), s.add(x, _number(s, z, 1))),),
    "erf": lambda s, z, x: (_bell(s, z, x, 2 / math.sqrt(math.pi)),),
    "erfc": lambda s, z, x: (_bell(s, z, x, -2 / math.sqrt(math.pi)),),
}
