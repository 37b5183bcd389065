"""Matrix products by schemes: blocks are added, multiplied, added again, and so on within the blocks."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Num

from ._additions import Additions, Terms
from ._scheme import Format, Scheme, additions_of, characteristic, winograd

Sizes = tuple[int, int, int]
Product = Callable[[Array, Array], Array]

# So many multiplications in float32 take about the time of moving one element through memory: the peak rates
# say 20 to 40, for CPUs and GPUs alike.
_MULTIPLICATIONS_PER_MOVE = 32


class Cut(NamedTuple):
    """How matrices are cut into the blocks of one level.

    Attributes:
        core: the sizes (n, m, p) that the blocks cover; smaller than the matrices where a remainder is peeled
            off and multiplied directly, larger where they are padded with zeros.
        level: which of the schemes is used first.
    """

    core: Sizes
    level: int


def multiply(
    a: Num[ArrayLike, "*batch n m"],
    b: Num[ArrayLike, "*batch m p"],
    scheme: Scheme | Sequence[Scheme] | None = None,
    levels: int | None = None,
    *,
    batched: bool | None = None,
    precision: Any = None,
    preferred_element_type: Any = None,
) -> Num[Array, "*batch n p"]:
    """Multiply matrices as `jnp.matmul` does, with fewer products of blocks.

    Each level cuts the matrices into blocks of a scheme's format; the products of sums of blocks are taken by
    the next level, and by `jnp.matmul` after the last. Where sizes are no multiples of the format, the rest
    is peeled off or the matrices are padded with zeros, whichever costs less; a level that would save no
    multiplications is left out. Rounding errors grow by a factor with every level (Higham, "Accuracy and
    Stability of Numerical Algorithms", chapter 23).

    It works under `jit`, `vmap` and `grad`. Sums of blocks have the type of the matrices; integers wrap
    around as ever, and the result is that of `jnp.matmul`.

    Args:
        a, b: matrices, or stacks of them with leading dimensions that broadcast, or vectors.
        scheme: over "Z" or "Q"; several of them for different levels, the outermost first. By default
            Winograd's for 2 x 2 blocks.
        levels: how many, for one scheme (by default 1).
        batched: take all products of a level as one batched `jnp.matmul`, so that there is one in the end;
            otherwise one by one, which takes longer to compile. By default one by one on CPUs, where it is
            faster, up to 64 products in all.
        precision, preferred_element_type: of the innermost products, as in `jnp.matmul`.

    Returns:
        their product.

    Raises:
        SchemeError: for a scheme that is wrong.
        ValueError: for sizes that don't fit, levels that don't suit the schemes, or schemes modulo a prime.
        TypeError: for booleans, and for integers with a scheme that divides.

    Example:
        >>> a, b = jnp.arange(12.0).reshape(3, 4), jnp.arange(20.0).reshape(4, 5)
        >>> product = matmul.multiply(a, b, matmul.strassen(), levels=1)
        >>> bool(jnp.allclose(product, a @ b))
        True
        >>> jax.jit(matmul.multiply)(a, b).shape
        (3, 5)
    """
    a, b = jnp.asarray(a), jnp.asarray(b)
    schemes = _checked_schemes(scheme, levels)
    dtype = jnp.result_type(a, b)
    if dtype == jnp.bool_:
        raise TypeError("a and b are boolean, and schemes subtract; convert them, or use jnp.matmul")
    if jnp.issubdtype(dtype, jnp.integer):
        if any(math.prod(scheme.denominators) != 1 for scheme in schemes):
            raise TypeError(
                f"a scheme that divides can't multiply {dtype}; use one over Z, or convert a and b"
            )
        # Sums of blocks must not wrap around before they get the wider type.
        dtype = dtype if preferred_element_type is None else preferred_element_type
    if batched is None:
        batched = jax.default_backend() != "cpu" or math.prod(scheme.rank for scheme in schemes) > 64
    if a.ndim == 0 or b.ndim == 0 or a.shape[-1] != b.shape[0 if b.ndim == 1 else -2]:
        raise ValueError(
            f"a of shape {a.shape} and b of shape {b.shape} can't be multiplied: sizes don't fit"
        )
    return _multiply(a.astype(dtype), b.astype(dtype), schemes, batched, precision, preferred_element_type)


def _checked_schemes(scheme: Scheme | Sequence[Scheme] | None, levels: int | None) -> tuple[Scheme, ...]:
    if scheme is None or isinstance(scheme, Scheme):
        levels = 1 if levels is None else levels
        if levels < 0:
            raise ValueError(f"levels is {levels}; expected 0 or more")
        schemes = (scheme or winograd(),) * levels
    else:
        schemes = tuple(scheme)
        if levels is not None and levels != len(schemes):
            raise ValueError(f"levels is {levels}, and there are {len(schemes)} schemes; leave levels out")
    for one in set(schemes):
        if not isinstance(one, Scheme):
            raise TypeError(f"scheme holds a {type(one).__name__}; expected Scheme")
        if characteristic(one.ring):
            raise ValueError(
                f"{one} multiplies matrices over {one.ring} only; lift it to the integers or rationals first"
            )
        _verified(one)
    return schemes


@lru_cache(maxsize=256)
def _verified(scheme: Scheme) -> None:
    scheme.verify()


@partial(jax.jit, static_argnums=(2, 3, 4, 5))
def _multiply(
    a: Array,
    b: Array,
    schemes: tuple[Scheme, ...],
    batched: bool,
    precision: Any,
    preferred_element_type: Any,
) -> Array:
    product = partial(jnp.matmul, precision=precision, preferred_element_type=preferred_element_type)
    if a.ndim == 1 or b.ndim == 1:
        return product(a, b)
    # Blocks are stacked in front of the leading dimensions, which therefore need equal numbers.
    dimensions = max(a.ndim, b.ndim)
    a, b = (x.reshape((1,) * (dimensions - x.ndim) + x.shape) for x in (a, b))
    return _by_schemes(a, b, schemes, batched, product)


def _by_schemes(a: Array, b: Array, schemes: tuple[Scheme, ...], batched: bool, product: Product) -> Array:
    (n, m), p = a.shape[-2:], b.shape[-1]
    cut = best_cut((n, m, p), tuple((scheme.format, scheme.rank) for scheme in schemes))[1]
    if cut is None:
        return product(a, b)
    (n0, m0, p0), scheme, inner = cut.core, schemes[cut.level], schemes[cut.level + 1 :]
    left, right, out = additions_of(scheme)
    forms_a = _evaluate(left, _blocks(_resized(a, n0, m0), *scheme.format[:2]))
    forms_b = _evaluate(right, _blocks(_resized(b, m0, p0), *scheme.format[1:]))
    if batched:
        products = list(_by_schemes(jnp.stack(forms_a), jnp.stack(forms_b), inner, batched, product))
    else:
        pairs = zip(forms_a, forms_b, strict=True)
        products = [_by_schemes(*pair, inner, batched, product) for pair in pairs]
    entries = _evaluate(out, products)
    columns = scheme.format[2]
    rows = [jnp.concatenate(entries[at : at + columns], -1) for at in range(0, len(entries), columns)]
    c = jnp.concatenate(rows, axis=-2)[..., :n, :p]
    if m0 < m:
        c = c + product(a[..., :n0, m0:], b[..., m0:, :p0])
    if p0 < p:
        c = jnp.concatenate([c, product(a[..., :n0, :], b[..., p0:])], axis=-1)
    if n0 < n:
        c = jnp.concatenate([c, product(a[..., n0:, :], b)], axis=-2)
    return c


def _evaluate(additions: Additions, values: Sequence[Array]) -> list[Array]:
    values = list(values)
    for terms in additions.sums:
        values.append(_sum(terms, values))
    return [_sum(terms, values) for terms in additions.forms]


def _sum(terms: Terms, values: Sequence[Array]) -> Array:
    total = None
    # Positive terms first: then nothing has to be negated.
    for value, coefficient in sorted(terms, key=lambda term: term[1] < 0):
        size = abs(coefficient)
        size = int(size) if size == int(size) else float(size)
        term = values[value] if size == 1 else size * values[value]
        if total is None:
            total = term if coefficient > 0 else -term
        else:
            total = total + term if coefficient > 0 else total - term
    return jnp.zeros_like(values[0]) if total is None else total


def _resized(x: Array, rows: int, columns: int) -> Array:
    """The first rows and columns, with zeros where there are too few."""
    x = x[..., :rows, :columns]
    missing = (rows - x.shape[-2], columns - x.shape[-1])
    if not any(missing):
        return x
    return jnp.pad(x, [(0, 0)] * (x.ndim - 2) + [(0, size) for size in missing])


def _blocks(x: Array, rows: int, columns: int) -> list[Array]:
    """Equal blocks of a matrix, row by row."""
    height, width = x.shape[-2] // rows, x.shape[-1] // columns
    return [
        x[..., row * height : (row + 1) * height, column * width : (column + 1) * width]
        for row in range(rows)
        for column in range(columns)
    ]


@lru_cache(maxsize=4096)
def best_cut(sizes: Sizes, schemes: tuple[tuple[Format, int], ...]) -> tuple[float, Cut | None]:
    """Decide between padding and peeling, size by size, and whether a level pays at all.

    Args:
        sizes: n, m and p of the matrices.
        schemes: format and rank of each level's scheme.

    Returns:
        the cost in multiplications, where peeled parts also count what they move through memory; and the cut
        of the first level that is used, None for no level at all.
    """
    n, m, p = sizes
    best: tuple[float, Cut | None] = (n * m * p, None)
    for level in reversed(range(len(schemes))):
        format, rank = schemes[level]
        choices = [
            sorted({size // parts * parts, -(-size // parts) * parts} - {0})
            for size, parts in zip(sizes, format, strict=True)
        ]
        for core in itertools.product(*choices):
            n0, m0, p0 = core
            block = (n0 // format[0], m0 // format[1], p0 // format[2])
            peeled = n * m * p - math.prod(map(min, sizes, core))
            moved = (m0 < m) * 2 * n * p + (p0 < p) * n * (m + p) + (n0 < n) * p * (m + n)
            cost = rank * best_cut(block, schemes[level + 1 :])[0]
            cost += peeled + _MULTIPLICATIONS_PER_MOVE * moved
            if cost <= best[0]:
                best = (cost, Cut((n0, m0, p0), level))
    return best
