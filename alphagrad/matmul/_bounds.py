"""Bounds on the exponent of matrix multiplication, from one scheme to the laser method.

The laser method (Strassen 1987) starts from a tensor T of known border rank r whose blocks are tensors of
known value; the value of the tensor <n, m, p> is (n m p)^tau. A high power of T, from which the blocks of
one chosen distribution are kept and all that overlap are zeroed, degenerates to many independent products
of blocks. Per factor of the power this yields

    log V_tau(T) >= max over a of  1/3 sum of H(a_x), H(a_y), H(a_z)  +  sum_b a_b log V_tau(b),

where a is a distribution over the blocks b, the one of greatest entropy H among those with its marginals
a_x, a_y, a_z over the labels of the three axes. Then V_tau(T) >= r implies omega <= 3 tau. The distributions
of greatest entropy are those of the form a_b ~ exp(f(x_b) + g(y_b) + h(z_b)): these potentials f, g, h are
what is optimised here, and any of them gives a valid bound. Where the marginals determine the distribution,
as for CW_q and its square, the problem is concave and its optimum the global one. A block that is no matrix
multiplication itself, as (1, 1, 2) in the square of CW_q, gets its value from its own blocks.

Sources: D. Coppersmith, S. Winograd, Matrix multiplication via arithmetic progressions (1990);
A. Davie, A. Stothers, Improved bound for complexity of matrix multiplication (2013); F. Le Gall, Powers of
tensors and fast matrix multiplication (2014), for the general form above and powers beyond the square;
A. Schönhage, Partial and total matrix multiplication (1981).
"""

from __future__ import annotations

import itertools
import math
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


def exponent(rank: int, n: int, m: int, p: int) -> float:
    """The bound 3 log(rank) / log(n m p) on omega from a scheme for n x m by m x p matrices.

    Args:
        rank: multiplications of the scheme.
        n: rows of the first factor.
        m: columns of the first factor, rows of the second.
        p: columns of the second factor.
    """
    if min(rank, n, m, p) < 1 or n * m * p == 1:
        raise ValueError(
            f"A scheme of rank {rank} for {n} x {m} by {m} x {p} says nothing about omega; "
            f"give a rank >= 1 and sizes >= 1 that are not all 1."
        )
    return 3 * math.log(rank) / math.log(n * m * p)


def direct_sum_exponent(formats: Iterable[tuple[int, int, int]], border_rank: int) -> float:
    """The bound on omega from several independent products at once, by Schönhage's theorem.

    If the direct sum of the tensors <n_i, m_i, p_i> has border rank at most r, more than there are products,
    then omega <= 3 tau for the tau with sum_i (n_i m_i p_i)^tau = r.

    Args:
        formats: the sizes (n, m, p) of the products.
        border_rank: r; a rank will do.
    """
    volumes = [n * m * p for n, m, p in formats]
    if not volumes or max(volumes) == 1 or border_rank <= len(volumes):
        raise ValueError(
            f"Border rank {border_rank} for products of the volumes {volumes} bounds nothing; "
            f"the theorem wants a rank above the number of products and one volume above 1."
        )
    highest = math.log(border_rank) / math.log(max(volumes))
    return 3 * _root(lambda tau: sum(v**tau for v in volumes) - border_rank, 0.0, highest + 1e-9)


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
        symmetric: whether permuting the axes changes nothing; the three potentials are then the same.
    """

    support: Int[np.ndarray, "blocks 3"]
    parts: tuple[tuple[Component, ...], ...]
    symmetric: bool = False


Component = int | Partition


def partition(tensor: BlockTensor, coarse: bool = False) -> Component:
    """Takes a block tensor apart until all blocks are matrix multiplications.

    Args:
        tensor: with labels such that the three of a block determine each other's sum (a tight support, as
            the method demands).
        coarse: whether to take first the blocks of equal sum of labels, and then those in turn apart.

    Raises:
        ValueError: if a block with a single label on each axis is no matrix multiplication, or if the
            support is not tight.
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
    """
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
    """
    return _log_value(component, tau, {})


def _log_value(component: Component, tau: float, known: dict[Component, float]) -> float:
    if not isinstance(component, Partition):
        return tau * math.log(component)
    if component not in known:
        values = [sum(_log_value(part, tau, known) for part in parts) for parts in component.parts]
        known[component] = _best_distribution(component.support, np.array(values), component.symmetric)[0]
    return known[component]


def _best_distribution(
    support: Int[np.ndarray, "blocks 3"], log_values: Float[np.ndarray, " blocks"], symmetric: bool
) -> tuple[float, Float[np.ndarray, " blocks"]]:
    """The greatest mean entropy of the marginals plus expected log value, and a distribution that has it."""
    from scipy.optimize import minimize

    labels = int(support.max()) + 1
    columns = support if symmetric else support + labels * np.arange(3)
    # How often a block has a label: the adjoint of taking the marginals, and potentials to log weights.
    counts = np.zeros((len(support), columns.max() + 1))
    np.add.at(counts, (np.arange(len(support))[:, None], columns), 1)
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
    return -float(found.fun), distribution(found.x)


def laser_exponent(component: Component, border_rank: int) -> float:
    """The bound on omega that the laser method draws from a tensor.

    Args:
        component: the tensor's partition.
        border_rank: of the tensor, or a bound on it from above.
    """

    def excess(tau):
        return log_value(component, tau) - math.log(border_rank)

    if excess(2 / 3) > 0:
        raise ValueError(
            f"No tensor with these blocks has border rank {border_rank}: omega would be below 2."
        )
    if excess(1.0) < 0:
        raise ValueError(f"With border rank {border_rank} the tensor does not even show that omega <= 3.")
    return 3 * _root(excess, 2 / 3, 1.0)


class OmegaRow(NamedTuple):
    """One bound on omega: where it comes from, what is computed here, and what was published."""

    name: str
    computed: float
    literature: float


def omega_table() -> list[OmegaRow]:
    """The bounds on omega from Strassen (1969) to the fourth power of the Coppersmith-Winograd tensor.

    Every figure is computed from the tensor: its border rank from an approximate decomposition that is
    verified, its blocks from its entries; only the fourth power is put together from the blocks of the first.
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
