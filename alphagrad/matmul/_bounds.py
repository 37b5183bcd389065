"""Bounds on the exponent of matrix multiplication, from one scheme to the laser method.

The laser method (Strassen 1987) starts from a tensor T of known border rank r whose blocks are tensors of
known value; the value of the tensor <n, m, p> is (n m p)^tau. A high power of T, from which the blocks of
one chosen distribution are kept and all that overlap are zeroed, degenerates to many independent products
of blocks. Per factor of the power this yields, for every distribution a over the blocks b,

    log V_tau(T) >= 1/3 sum of H(a_x), H(a_y), H(a_z)  +  sum_b a_b log V_tau(b)  -  (max H(a') - H(a)),

where a_x, a_y, a_z are the marginals over the labels of the three axes, H is the entropy, and a' runs over
the distributions with these marginals: the others of them have to be zeroed too, which is what the last term
pays for. Then V_tau(T) >= r implies omega <= 3 tau.

Distributions of the form a_b = exp(f(x_b) + g(y_b) + h(z_b)) owe nothing, whatever the numbers f, g, h are
(a constant that makes the sum 1 is part of them). For if a' has the same marginals, sum_b a'_b log a_b is the
same sum over the marginals as sum_b a_b log a_b = -H(a), and H(a') <= -sum_b a'_b log a_b = H(a) by Gibbs'
inequality. These potentials f, g, h are what is optimised here: the last term is zero by construction, in
the tensor and in every block that is taken apart in turn, and where an optimiser stops changes how good a
bound is, not whether it is one. Where the marginals determine the distribution, as for CW_q and its square,
the problem is concave and its optimum the global one. A block that is no matrix multiplication itself, as
(1, 1, 2) in the square of CW_q, gets its value from its own blocks.

For given potentials the right hand side is a constant plus tau times the expected logarithm of the volume,
so that the tau at which it reaches log r is a quotient. To take the best potentials for that tau next is
Newton's method, and each of its steps yields a bound.

The eighth power gives 2.3728623, where Le Gall has 2.3728642. For large powers he maximises without the last
term, which is a concave problem, and goes over to the distribution of greatest entropy with the marginals
found. That costs something: done in the power itself it gives 2.3728636, done in all its blocks 2.3728793.
Without the last term the number would be 2.3726, and no bound.

Sources: D. Coppersmith, S. Winograd, Matrix multiplication via arithmetic progressions (1990);
A. Davie, A. Stothers, Improved bound for complexity of matrix multiplication (2013); F. Le Gall, Powers of
tensors and fast matrix multiplication (2014), for the general form above and powers beyond the square;
A. Schönhage, Partial and total matrix multiplication (1981).
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from ._block_tensor import (
    BlockTensor,
    border_coppersmith_winograd,
    border_schoenhage,
    coppersmith_winograd,
    matmul_format,
    schoenhage_sum,
    small_coppersmith_winograd,
)

# Entropies are summed with this much added to a probability that may be nought.
_TINY = 1e-300

# Bounds are rounded up by this much, a thousand times what the sums and logarithms behind them may be off.
_ROUNDING = 1e-11


def exponent(rank: int, n: int, m: int, p: int) -> float:
    """The bound 3 log(rank) / log(n m p) on omega from a scheme for n x m by m x p matrices.

    Args:
        rank: multiplications of the scheme.
        n: rows of the first factor.
        m: columns of the first factor, rows of the second.
        p: columns of the second factor.

    Returns:
        the bound.

    Raises:
        ValueError: if there is no bound to be had, or no such scheme.

    Example:
        >>> round(matmul.exponent(7, 2, 2, 2), 3)  # Strassen's
        2.807
    """
    if min(rank, n, m, p) < 1 or n * m * p == 1:
        raise ValueError(
            f"A scheme of rank {rank} for {n} x {m} by {m} x {p} says nothing about omega; "
            f"give a rank >= 1 and sizes >= 1 that are not all 1."
        )
    _check_rank([(n, m, p)], rank)
    return 3 * math.log(rank) / math.log(n * m * p)


def direct_sum_exponent(formats: Iterable[tuple[int, int, int]], border_rank: int) -> float:
    """The bound on omega from several independent products at once, by Schönhage's theorem.

    If the direct sum of the tensors <n_i, m_i, p_i> has border rank at most r, more than there are products,
    then omega <= 3 tau for the tau with sum_i (n_i m_i p_i)^tau = r.

    Args:
        formats: the sizes (n, m, p) of the products.
        border_rank: r; a rank will do.

    Returns:
        the bound, rounded up.

    Raises:
        ValueError: if there is no bound to be had, or no such decomposition.

    Example:
        >>> round(matmul.direct_sum_exponent([(4, 1, 4), (1, 9, 1)], border_rank=17), 3)
        2.548

    A. Schönhage, "Partial and total matrix multiplication", 1981.
    """
    formats = list(formats)
    volumes = [n * m * p for n, m, p in formats]
    if not volumes or min(map(min, formats)) < 1 or max(volumes) == 1 or border_rank <= len(volumes):
        raise ValueError(
            f"Border rank {border_rank} for products of the volumes {volumes} bounds nothing; "
            f"the theorem wants a rank above the number of products and one volume above 1."
        )
    _check_rank(formats, border_rank)
    highest = math.log(border_rank) / math.log(max(volumes))
    return 3 * (
        _root(lambda tau: sum(v**tau for v in volumes) - border_rank, 0.0, highest + 1e-9) + _ROUNDING
    )


def _check_rank(formats: list[tuple[int, int, int]], rank: int) -> None:
    """Refuse ranks below the number of entries of the first factors, the second ones, or the results."""
    entries = max(sum(n * m for n, m, _ in formats), sum(m * p for _, m, p in formats))
    entries = max(entries, sum(p * n for n, _, p in formats))
    if rank < entries:
        raise ValueError(
            f"Products of the formats {formats} have a border rank of at least {entries}, not {rank}."
        )


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    from scipy.optimize import brentq  # half a second, which only the bounds need

    return float(brentq(function, low, high, xtol=1e-13))  # pyright: ignore[reportArgumentType]


@dataclass(frozen=True, eq=False)
class Partition:
    """A tensor as the laser method sees it: which blocks it has, and what these are worth.

    Attributes:
        support: the labels of each block on the three axes, numbered from 0 on each axis.
        parts: each block as a Kronecker product of components; a component is the volume n m p of a matrix
            multiplication, or has a partition of its own.
        symmetric: whether permuting the axes changes nothing; one potential then serves all three.

    Raises:
        ValueError: for a support that the laser method does not apply to, because a block occurs twice or
            there are no integers for the labels of each axis, different ones for different labels, that sum
            to nought over every block (the support is not tight); for parts that don't fit it.
    """

    support: Int[np.ndarray, "blocks 3"]
    parts: tuple[tuple[Component, ...], ...]
    symmetric: bool = False

    def __post_init__(self):
        support = self.support
        if support.ndim != 2 or support.shape[1] != 3 or not len(support) or support.min() < 0:
            raise ValueError(f"The support has the shape {support.shape}; give three labels >= 0 a block.")
        if len(np.unique(support, axis=0)) != len(support):
            raise ValueError("The support has a block twice; give every block once.")
        if len(self.parts) != len(support) or not all(self.parts):
            raise ValueError(f"{len(self.parts)} blocks have parts, {len(support)} have labels.")
        for component in itertools.chain(*self.parts):
            _check_component(component)
        if not _is_tight(support):
            raise ValueError("The support is not tight: its labels cannot be made to sum to the same.")


Component = int | Partition


def _check_component(component: Component) -> None:
    if not isinstance(component, Partition) and (
        isinstance(component, bool) or not isinstance(component, int | np.integer) or component < 1
    ):
        raise ValueError(f"A component is a volume n m p >= 1 or a partition, not {component!r}.")


def _counts(support: Int[np.ndarray, "blocks 3"], shared: bool) -> Float[np.ndarray, "blocks labels"]:
    """How often a block has a label, with the axes' labels taken for the same or apart.

    It takes potentials to log weights; its adjoint takes a distribution to the sum of its marginals.
    """
    columns = support if shared else support + (support.max() + 1) * np.arange(3)
    counts = np.zeros((len(support), columns.max() + 1))
    np.add.at(counts, (np.arange(len(support))[:, None], columns), 1)
    return counts


def _is_tight(support: Int[np.ndarray, "blocks 3"]) -> bool:
    """Whether labels can be numbered so that those of every block sum to nought.

    The numberings that do are a linear space; a general member of it tells two labels of an axis apart if any
    member does.
    """
    counts = _counts(support, shared=False)
    singular = np.linalg.svd(counts)
    numberings = singular.Vh[(singular.S > 1e-9).sum() :].T
    axes = [np.unique(support[:, axis]) + (support.max() + 1) * axis for axis in range(3)]
    return all(
        np.abs(numberings[one] - numberings[other]).max(initial=0) > 1e-9
        for labels in axes
        for one, other in itertools.combinations(labels, 2)
    )


def partition(tensor: BlockTensor, coarse: bool = False) -> Component:
    """Takes a block tensor apart until all blocks are matrix multiplications.

    Args:
        tensor: with labels such that the three of a block determine each other's sum (a tight support, as
            the method demands).
        coarse: whether to take first the blocks of equal sum of labels, and then those in turn apart.

    Returns:
        its blocks and theirs, or the volume n m p of the multiplication that it is.

    Raises:
        ValueError: if a block with a single label on each axis is no matrix multiplication, or if the
            support is not tight.

    Example:
        >>> tensor = matmul.partition(matmul.coppersmith_winograd(6))
        >>> len(tensor.parts), tensor.symmetric
        (6, True)
    """
    format = matmul_format(tensor.tensor)
    if format is not None:
        return math.prod(format)
    blocks = tensor.blocks(coarse)
    if len(blocks) == 1 and not coarse:
        raise ValueError(f"The block {next(iter(blocks))} is no matrix multiplication; give finer labels.")
    if len({tuple(map(sum, zip(*labels, strict=True))) for labels in blocks}) > 1:
        raise ValueError(f"The labels of the blocks {list(blocks)} do not all sum to the same.")
    return Partition(
        support=_numbered(list(blocks)),
        parts=tuple((partition(block),) for block in blocks.values()),
        symmetric=_is_symmetric(tensor),
    )


def coppersmith_winograd_power(q: int, doublings: int) -> Partition:
    """The partition of the Kronecker power of CW_q with 2^doublings factors, made without its entries.

    A block of the square of a tensor consists of the products of two blocks whose labels add up to its own.
    Where one label is 0, which names a single variable, these all are inner products <1, 1, N> in variables
    of their own, and merge to one. (Davie and Stothers 2013; Le Gall 2014.)

    Args:
        q: the parameter of the tensor.
        doublings: how often it is squared; 0 for the tensor itself.

    Returns:
        the partition, for :func:`laser_exponent`.

    Raises:
        ValueError: for a negative number of doublings.

    Example:
        >>> square = matmul.coppersmith_winograd_power(6, doublings=1)
        >>> round(matmul.laser_exponent(square, 8**2), 3)
        2.375
    """
    if operator.index(doublings) < 0:
        raise ValueError(f"A tensor is squared 0 times or more often, not {doublings} times.")
    first = partition(coppersmith_winograd(q))
    assert isinstance(first, Partition)
    blocks: dict[tuple[int, ...], Any] = {
        tuple(map(int, labels)): parts[0] for labels, parts in zip(first.support, first.parts, strict=True)
    }
    for _ in range(doublings):
        pairs: dict[tuple[int, ...], list] = {}
        for left, right in itertools.product(blocks, repeat=2):
            pairs.setdefault(tuple(map(sum, zip(left, right, strict=True))), []).append((left, right))
        # The axes may be permuted: only blocks with their labels in order are made.
        made = {}
        for labels in (labels for labels in pairs if sorted(labels) == list(labels)):
            parts = tuple((blocks[left], blocks[right]) for left, right in pairs[labels])
            triples = [tuple(zip(*pair, strict=True)) for pair in pairs[labels]]
            if labels[0] == 0:
                made[labels] = sum(blocks[left] * blocks[right] for left, right in pairs[labels])
            else:
                made[labels] = Partition(_numbered(triples), parts)
        blocks = {labels: made[tuple(sorted(labels))] for labels in pairs}
    return Partition(np.array(list(blocks)), tuple((block,) for block in blocks.values()), symmetric=True)


def _numbered(triples: list) -> Int[np.ndarray, "blocks 3"]:
    """Numbers the labels on each axis, the same label alike on all axes."""
    number = {label: i for i, label in enumerate(sorted(set(itertools.chain(*triples))))}
    return np.array([[number[label] for label in triple] for triple in triples])


def _is_symmetric(tensor: BlockTensor) -> bool:
    entries, (first, second, third) = tensor.tensor, tensor.labels
    return (
        np.array_equal(first, second)
        and np.array_equal(second, third)
        and all(np.array_equal(entries, entries.transpose(axes)) for axes in ((1, 2, 0), (1, 0, 2)))
    )


def log_value(component: Component, tau: float) -> float:
    """A lower bound on log V_tau of a component, in nats; it grows with tau.

    Args:
        component: a volume or a partition.
        tau: a third of the exponent that is put to the test.

    Returns:
        the bound.

    Example:
        >>> tensor = matmul.partition(matmul.coppersmith_winograd(6))
        >>> round(matmul.log_value(tensor, tau=0.8), 3)
        2.087

    D. Coppersmith and S. Winograd, "Matrix multiplication via arithmetic progressions", 1990.
    """
    _check_component(component)
    return float(_line(component, tau, {}) @ (1, tau))


def _line(component: Component, tau: float, known: dict[Component, np.ndarray]) -> Float[np.ndarray, "2"]:
    """The constant and the slope of a line below log V as a function of tau: at `tau`, the highest found."""
    if not isinstance(component, Partition):
        return np.array([0.0, math.log(component)])
    if component not in known:
        lines = np.array([sum(_line(part, tau, known) for part in parts) for parts in component.parts])
        chosen = _best_distribution(component.support, lines @ (1, tau), component.symmetric)
        known[component] = chosen @ lines + (_mean_entropy(component.support, chosen), 0)
    return known[component]


def _mean_entropy(support: Int[np.ndarray, "blocks 3"], chosen: Float[np.ndarray, " blocks"]) -> float:
    """The mean entropy of the three marginals."""
    marginals = np.concatenate([np.bincount(labels, chosen) for labels in support.T])
    return -float(marginals @ np.log(marginals + _TINY)) / 3


def _best_distribution(
    support: Int[np.ndarray, "blocks 3"], log_values: Float[np.ndarray, " blocks"], symmetric: bool
) -> Float[np.ndarray, " blocks"]:
    """Of the distributions that potentials make, one of great mean entropy plus expected log value."""
    from scipy.optimize import minimize

    counts = _counts(support, shared=symmetric)
    axes = 3 if symmetric else 1

    def distribution(potentials):
        weights = np.exp((scores := counts @ potentials) - scores.max())
        return weights / weights.sum()

    def loss(potentials):
        chosen = distribution(potentials)
        marginals = chosen @ counts / axes
        logs = np.log(marginals + _TINY)
        entropy = -axes * (marginals @ logs) / 3
        slope = log_values - counts @ logs / 3
        slope = chosen * (slope - chosen @ slope)
        return -(entropy + chosen @ log_values), -(slope @ counts)

    found = minimize(loss, np.zeros(counts.shape[1]), jac=True, method="BFGS", options={"gtol": 1e-11})
    return distribution(found.x)


def laser_exponent(component: Component, border_rank: int) -> float:
    """The bound on omega that the laser method draws from a tensor, rounded up.

    Args:
        component: the tensor's partition.
        border_rank: of the tensor, or a bound on it from above.

    Returns:
        the bound.

    Raises:
        ValueError: if there is no bound to be had, or no such tensor.

    Example:
        >>> tensor = matmul.coppersmith_winograd(6)
        >>> rank = matmul.border_coppersmith_winograd(6).rank
        >>> round(matmul.laser_exponent(matmul.partition(tensor), rank), 3)
        2.387

    V. Strassen, "Relative bilinear complexity and matrix multiplication", 1987; D. Coppersmith and
    S. Winograd, "Matrix multiplication via arithmetic progressions", 1990; F. Le Gall, "Powers of
    tensors and fast matrix multiplication", 2014.
    """
    _check_component(component)
    if operator.index(border_rank) < 1:
        raise ValueError(f"A border rank is at least 1, not {border_rank}.")

    def step(tau):
        constant, slope = _line(component, tau, {})
        if slope == 0:
            raise ValueError("No block of the tensor holds more than one product, which bounds nothing.")
        return (math.log(border_rank) - constant) / slope

    tau = step(1.0)
    if tau > 1 + _ROUNDING:
        raise ValueError(f"With border rank {border_rank} the tensor does not even show that omega <= 3.")
    while tau > 2 / 3 - _ROUNDING:
        if (better := step(tau)) > tau - 1e-12:
            return float(3 * (tau + _ROUNDING))
        tau = better
    raise ValueError(f"No tensor with these blocks has border rank {border_rank}: omega would be below 2.")


class OmegaRow(NamedTuple):
    """One bound on the exponent omega of matrix multiplication.

    Attributes:
        name: where it comes from.
        computed: what is computed here.
        literature: what was published.

    Example:
        >>> row = matmul.OmegaRow("Strassen", matmul.exponent(7, 2, 2, 2), 2.8074)
        >>> abs(row.computed - row.literature) < 1e-4
        True
    """

    name: str
    computed: float
    literature: float


def omega_table() -> list[OmegaRow]:
    """The bounds on omega from Strassen (1969) to the fourth power of the Coppersmith-Winograd tensor.

    Every figure is computed from the tensor: its border rank from an approximate decomposition that is
    verified, its blocks from its entries; only the fourth power is put together from the blocks of the first.

    Returns:
        a row for each bound, the oldest first.

    Example:
        >>> for row in matmul.omega_table()[:3]:
        ...     print(f"{row.computed:.4f} {row.name}")
        2.8074 Strassen: <2,2,2> of rank 7
        2.5480 Schönhage: <4,1,4> + <1,9,1>
        2.4036 Coppersmith, Winograd: small tensor, q = 8
    """
    outer_and_inner = border_schoenhage(4, 4)
    outer_and_inner.verify(schoenhage_sum(4, 4))
    small_tensor, small = small_coppersmith_winograd(8), border_coppersmith_winograd(8, small=True)
    small.verify(small_tensor.tensor)
    tensor, big = coppersmith_winograd(6), border_coppersmith_winograd(6)
    big.verify(tensor.tensor)
    fourth = laser_exponent(coppersmith_winograd_power(5, 2), border_coppersmith_winograd(5).rank ** 4)
    return [
        OmegaRow("Strassen: <2,2,2> of rank 7", exponent(7, 2, 2, 2), 2.8074),
        OmegaRow(
            "Schönhage: <4,1,4> + <1,9,1>",
            direct_sum_exponent([(4, 1, 4), (1, 9, 1)], outer_and_inner.rank),
            2.548,
        ),
        OmegaRow(
            "Coppersmith, Winograd: small tensor, q = 8",
            laser_exponent(partition(small_tensor), small.rank),
            2.404,
        ),
        OmegaRow("Coppersmith, Winograd: q = 6", laser_exponent(partition(tensor), big.rank), 2.3872),
        OmegaRow(
            "Coppersmith, Winograd: square, q = 6",
            laser_exponent(partition(tensor.power(2), coarse=True), big.rank**2),
            2.3755,
        ),
        OmegaRow("Davie, Stothers, Vassilevska Williams, Le Gall: fourth power, q = 5", fourth, 2.3729),
    ]
