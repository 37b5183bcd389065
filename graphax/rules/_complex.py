"""Complex intermediate results: a complex array is a real one with a last dimension of size 2.

JAX's `jvp` is linear over the real numbers, whether the function is holomorphic or not (a conjugate, a
modulus); so the local Jacobian of the real view is all that there is to know.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._trace import is_complex
from ..sparse import Block, Digit, added_label, arranged_block, label_dims
from ._dense import dense_rule, real_view
from ._elementwise import ELEMENTWISE, NotElementwise
from ._registry import Blocks, Call, Rule

_ENTRYWISE = frozenset((*ELEMENTWISE, "complex", "conj", "imag", "real"))
# Real and imaginary parts go the same way: the real view's Jacobian is that of a real array, twice.
_TWICE = frozenset(
    """add add_any broadcast_in_dim concatenate copy copy_p device_put layout_constraint name neg
    optimization_barrier pad pvary reduce_sum reshape reshard rev select_n sharding_constraint slice split
    squeeze stack sub tile transpose unstack""".split()
)
_HOLOMORPHIC = frozenset(
    """acos acosh add asin asinh atan atanh cos cosh div exp exp2 expm1 integer_pow log log1p logistic mul neg
    pow rsqrt sin sinh sqrt square sub tan tanh""".split()
)
#: Rules that give the blocks of the real views themselves.
TAKES_COMPLEX: set[Rule] = set()


def touches_complex(call: Call, results: Any) -> bool:
    """Whether a wanted operand or a result is complex."""
    return any(is_complex(array) for array in _carriers(call, results))


def complex_rule(call: Call, results: Any, rule: Rule | None) -> tuple[list[Any], Blocks]:
    """The blocks of the real views.

    Args:
        call: the call.
        results: their types.
        rule: the primitive's rule for real arrays.
    """
    name = call.primitive.name
    if rule is not None and rule in TAKES_COMPLEX:
        return rule(call)
    if name in _TWICE and rule is not None and all(map(is_complex, _carriers(call, results))):
        try:
            found, blocks = rule(call)
            return found, [[block and _twice(block) for block in row] for row in blocks]
        except NotElementwise:  # a sum that repeats an operand along an axis of size 1
            pass
    if name in _ENTRYWISE:
        return _entrywise(call)
    return dense_rule(call)


def _carriers(call: Call, results: Any) -> list[Any]:
    """What carries a derivative: the wanted operands and the results."""
    return [*(call.operands[at] for at in call.moving), *results]


def real_block(block: Block, array: Any) -> Block:
    """The block of a copy or sum of entries for the real view, if the array is complex."""
    return block.times_identity(2) if is_complex(array) else block


def _twice(block: Block) -> Block:
    """The block for real and imaginary parts that go the same way."""
    # The rule may have given the mask of a selection the dtype of what it selects.
    real = jax.tree.map(lambda array: lax.real(array) if is_complex(array) else array, block)
    return real.times_identity(2)


def _entrywise(call: Call) -> tuple[list[Any], Blocks]:
    (result,) = call.evaluate()

    def block(at: int) -> Block:
        part = _part_of_factor(call, at, result)
        if part is not None:
            return _of_factor(part, call.operands[1 - at], np.shape(result))
        holomorphic = call.primitive.name in _HOLOMORPHIC
        return directional_block(lambda value: call.of_operand(at)(value)[0], call.operands[at], holomorphic)

    return [result], [call.row(block)]


def _part_of_factor(call: Call, at: int, result: Any) -> Any:
    """`lax.real` or `lax.imag`, if a complex operand is multiplied by what is known to have no other part."""
    if call.primitive.name != "mul" or not is_complex(call.operands[at]):
        return None
    factor = call.known(1 - at, at_once=True)
    if factor is None or np.shape(call.operands[at]) != np.shape(result) or not np.isfinite(factor).all():
        return None
    if not np.imag(factor).any():
        return lax.real
    return None if np.real(factor).any() else lax.imag


def _of_factor(part: Any, factor: Any, shape: Sequence[int]) -> Block:
    """The block of an array multiplied by real or by imaginary numbers.

    Real ones multiply both parts, imaginary ones exchange them.
    """
    dims, sizes = label_dims(shape)
    number = part(jnp.asarray(factor))
    # The factor may be spread along axes that are of size 1 in it.
    spread = zip(dims, np.shape(factor), strict=False)
    axes = [label for dim, size in spread if size != 1 for label in dim]
    (label,) = added_label(2, sizes)
    source = Digit(2, (label,))
    if part is lax.imag:
        number, axes = jnp.stack([lax.neg(number), number], axis=-1), [*axes, label]
        source = Digit(2, (label,), 1, -1)
    return arranged_block([*dims, [label]], [*dims, [source]], sizes, number, axes)


def directional_block(fun: Callable[[Any], Any], operand: Any, holomorphic: bool = False) -> Block:
    """The block of a function that acts entry by entry, with broadcasting, for the real views.

    Args:
        fun: the function.
        operand: what it is applied to.
        holomorphic: whether the derivative along the imaginary axis is ``1j`` times that along the real one.
    """
    result, along_real = jax.jvp(fun, (operand,), (lax.full_like(operand, 1),))
    columns = [real_view(along_real)]
    if is_complex(operand) and is_complex(result) and holomorphic:
        columns.append(jnp.stack([lax.neg(lax.imag(along_real)), lax.real(along_real)], axis=-1))
    elif is_complex(operand):
        columns.append(real_view(jax.jvp(fun, (operand,), (lax.full_like(operand, 1j),))[1]))
    out, sizes = label_dims(result.shape)
    shape = np.shape(operand)
    dims = out[len(out) - len(shape) :]
    in_ = [dim if size != 1 else [] for dim, size in zip(dims, shape, strict=True)]
    for complex_side, side in ((is_complex(result), out), (is_complex(operand), in_)):
        if complex_side:
            side.append(added_label(2, sizes))
    return arranged_block(out, in_, sizes, jnp.stack(columns, axis=-1), range(len(sizes)))
