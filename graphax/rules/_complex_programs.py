"""Loops and branches of complex arrays as ones of real arrays, with a last dimension of size 2."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import numpy as np
from jax.extend import core

from .._trace import is_complex
from ._dense import of_real_view, real_type, real_view, view_shape
from ._registry import Blocks, Call, Rule

#: The parameters that hold the programs of primitives whose operands go into these, one by one.
HOLDING_PROGRAMS = {"cond": ("branches",), "scan": ("jaxpr",), "while": ("cond_jaxpr", "body_jaxpr")}


def with_real_programs(call: Call, rule: Rule) -> tuple[list[Any], Blocks]:
    """The results of a loop or a branch, and the blocks of the real views, by the rule for real arrays."""
    names = HOLDING_PROGRAMS[call.primitive.name]
    params = call.params | {name: _real(call.params[name]) for name in names}

    def known(at: int, at_once: bool = False) -> np.ndarray | None:
        value = call.known(at, at_once)
        return (
            np.stack([np.real(value), np.imag(value)], -1) if value is not None and _is_split(at) else value
        )

    def certain(at: int) -> np.ndarray | None:
        found = call.certain(at)
        return np.stack([found, found], -1) if found is not None and _is_split(at) else found

    def _is_split(at: int) -> bool:
        return is_complex(call.operands[at])

    views = [real_view(operand) for operand in call.operands]
    of_views = replace(call, params=params, operands=views, known=known, certain=certain)
    found, blocks = rule(of_views)
    types = _types_of_results(call)
    return [of_real_view(view, kind) for view, kind in zip(found, types, strict=True)], blocks


def _types_of_results(call: Call) -> list[Any]:
    return jax.eval_shape(lambda *operands: call.with_operands(operands).evaluate(), *call.operands)


def _real(programs: Any) -> Any:
    """Programs of complex arrays as ones of their real views."""
    if isinstance(programs, core.ClosedJaxpr):
        return _of_views(programs)
    return tuple(map(_of_views, programs))


def _of_views(program: core.ClosedJaxpr) -> core.ClosedJaxpr:
    fun, types = core.jaxpr_as_fun(program), program.in_avals

    def of_views(*views: Any) -> list[Any]:
        operands = [of_real_view(view, kind) for view, kind in zip(views, types, strict=True)]
        return [real_view(result) for result in fun(*operands)]

    return jax.make_jaxpr(of_views)(
        *[jax.ShapeDtypeStruct(view_shape(kind), _real_type(kind)) for kind in types]
    )


def _real_type(kind: Any) -> Any:
    return real_type(kind.dtype) if is_complex(kind) else kind.dtype
