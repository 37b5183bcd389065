"""Where derivatives of elementwise primitives are certainly zero, by what is certain of their operands."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .._certain_forms import ANY, LOWEST, ZERO
from ..sparse import Support
from ._registry import Call

# From a call and the position of an operand to where the derivative with respect to it is zero.
_Zeros = Callable[[Call, int], "np.ndarray | None"]


def _of_product(call: Call, at: int) -> np.ndarray | None:
    return _where(call, 1 - at, ZERO)


def _of_quotient(call: Call, at: int) -> np.ndarray | None:
    zeros = _where(call, 0, ZERO) if at == 1 else None
    return None if zeros is None else zeros & _is(call, 1, ANY)


def _of_power(call: Call, _: int) -> np.ndarray | None:
    return _where(call, 0, ZERO) if call.params.get("y", 2) > 1 else None


def _of_even(call: Call, _: int) -> np.ndarray | None:
    return _where(call, 0, ZERO)


def _of_exponential(call: Call, _: int) -> np.ndarray | None:
    return _where(call, 0, LOWEST)


_ZEROS: dict[str, _Zeros] = {
    "mul": _of_product,
    "div": _of_quotient,
    "integer_pow": _of_power,
    "square": _of_power,
    "cos": _of_even,
    "cosh": _of_even,
    "exp": _of_exponential,
    "exp2": _of_exponential,
    "logistic": _of_exponential,
}


def vanishing_outside(call: Call, at: int) -> Support | None:
    """Where the derivative with respect to an operand may be nonzero, if zeros of it are certain."""
    zeros = _ZEROS.get(call.primitive.name)
    found = zeros(call, at) if zeros is not None else None
    return None if found is None or not found.any() else Support(lambda: ~found)


def _where(call: Call, at: int, what: int) -> np.ndarray | None:
    """Where the entries of an operand are certainly that; None where nothing is certain of it."""
    certain = call.certain(at)
    return None if certain is None else certain == what


def _is(call: Call, at: int, what: int) -> np.ndarray:
    """The same, where nothing may be certain."""
    certain = call.certain(at)
    return np.asarray(what == ANY) if certain is None else certain == what
