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
from ..sparse import Block, Digit, Support, added_label, arranged_block, label_dims, with_support
from ._complex_programs import HOLDING_PROGRAMS, with_real_programs
from ._dense import dense_rule, real_view
from ._elementwise import ELEMENTWISE, NotElementwise
from ._registry import Blocks, Call, Rule
from ._vanishing import vanishing_outside

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
    if rule is not None and call.sparse and name in HOLDING_PROGRAMS:
        return with_real_programs(call, rule)
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
        whole = call.primitive.name == "mul" and np.shape(call.operands[at]) == np.shape(result)
        if whole and is_complex(call.operands[at]) and (part := _only_part(call, 1 - at)) is not None:
            dims, sizes = label_dims(np.shape(result))
            # The factor may be spread along axes that are of size 1 in it.
            spread = zip(dims, np.shape(call.operands[1 - at]), strict=False)
            axes = [label for dim, size in spread if size != 1 for label in dim]
            return _of_part(call, 1 - at, part, (dims, dims, sizes, axes))
        holomorphic = call.primitive.name in _HOLOMORPHIC
        fun, operand = call.of_operand(at), call.operands[at]
        return directional_block(
            lambda value: fun(value)[0], operand, holomorphic, vanishing_outside(call, at)
        )

    return [result], [call.row(block)]


#: What the dimensions of a result and of an operand are made of, as for `arranged_block`, the sizes of all
#: labels, and those of the axes of a factor.
Labels = tuple[Sequence[Sequence[int | Digit]], Sequence[Sequence[int | Digit]], list[int], list[int]]


def factor_block(call: Call, at: int, labels: Labels, taken: Callable[[Any], Any] = lambda a: a) -> Block:
    """The block of a complex product of two operands with respect to one of them, for the real views.

    Args:
        call: the product.
        at: the position of the other operand.
        labels: of the blocks of the same product of real arrays.
        taken: what is taken of that operand, which may be a static array.
    """
    part = _only_part(call, at)
    if part is not None and is_complex(call.operands[1 - at]):
        return _of_part(call, at, part, labels, taken)
    out, in_, sizes, axes = labels
    factor, sizes = taken(jnp.asarray(call.operands[at])), [*sizes]
    result = added_label(2, sizes)
    out, axes = [*out, result], [*axes, *result]
    value = jnp.stack([lax.real(factor), lax.imag(factor)], -1)
    if is_complex(call.operands[1 - at]):
        source = added_label(2, sizes)
        in_, axes = [*in_, source], [*axes, *source]
        value = jnp.stack([value, jnp.stack([lax.neg(lax.imag(factor)), lax.real(factor)], -1)], -1)
    support, count = call.support(at), value.ndim - factor.ndim
    value = with_support(value, support and support.map(taken).map(_over_parts(count)))
    return arranged_block(out, in_, sizes, value, axes)


def _over_parts(count: int) -> Callable[[np.ndarray], np.ndarray]:
    """What repeats an array along so many more axes of size 2."""

    def repeated(array: np.ndarray) -> np.ndarray:
        return np.broadcast_to(array.reshape(array.shape + (1,) * count), array.shape + (2,) * count)

    return repeated


def _only_part(call: Call, at: int) -> Any:
    """`real` or `imag`, of an operand that is known to have no other part; None of others."""
    if not is_complex(call.operands[at]):
        return "real"
    factor = call.known(at, at_once=True)
    if factor is None or not np.isfinite(factor).all():
        return None
    if not np.imag(factor).any():
        return "real"
    return None if np.real(factor).any() else "imag"


def _of_part(
    call: Call, at: int, part: str, labels: Labels, taken: Callable[[Any], Any] = lambda a: a
) -> Block:
    """The block of an array multiplied by real or by imaginary numbers.

    Real ones multiply both parts, imaginary ones exchange them.
    """
    out, in_, sizes, axes = labels
    factor, sizes = call.factor(at), [*sizes]
    static = isinstance(factor, np.ndarray) and call.sparse
    number = getattr(np if static else jnp, part)(taken(factor))
    if part == "real":
        support = call.support(at)
        number = with_support(number, support and support.map(taken))
    (label,) = added_label(2, sizes)
    source = Digit(2, (label,))
    if part == "imag":
        number, axes = (np if static else jnp).stack([-number, number], axis=-1), [*axes, label]
        source = Digit(2, (label,), 1, -1)
    return arranged_block([*out, [label]], [*in_, [source]], sizes, number, axes)


def directional_block(
    fun: Callable[[Any], Any], operand: Any, holomorphic: bool = False, support: Support | None = None
) -> Block:
    """The block of a function that acts entry by entry, with broadcasting, for the real views.

    Args:
        fun: the function.
        operand: what it is applied to.
        holomorphic: whether the derivative along the imaginary axis is ``1j`` times that along the real one.
        support: where in the result the derivative may be nonzero, if that is known.
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
    value, rank = jnp.stack(columns, axis=-1), result.ndim

    def repeated(places: np.ndarray) -> np.ndarray:
        return np.broadcast_to(places.reshape(places.shape + (1,) * (value.ndim - rank)), value.shape)

    value = with_support(value, support and support.map(repeated))
    return arranged_block(out, in_, sizes, value, range(len(sizes)))
