"""Tensor trains: tensors as chains of small cores, found by successive singular value decompositions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float


def balanced_modes(size: int, count: int) -> tuple[int, ...]:
    """Factors `size` into `count` modes as equal as its divisors allow, the largest first.

    Of all factorisations the one of least sum is taken: it has the fewest parameters for given ranks. Prime
    factors cannot be divided, so that 7 in 2 modes is (7, 1).

    Args:
        size: what the modes multiply to.
        count: how many modes.

    Returns:
        the modes.

    Raises:
        ValueError: when one of them is less than 1.

    Example:
        >>> from alphagrad.layers import balanced_modes
        >>> balanced_modes(768, 3), balanced_modes(7, 2)
        ((12, 8, 8), (7, 1))
    """
    if size < 1 or count < 1:
        raise ValueError(f"Cannot factor {size} into {count} modes; both must be at least 1.")

    def factorisations(rest, modes, largest):
        if modes == 1:
            if rest <= largest:
                yield (rest,)
            return
        for mode in range(min(rest, largest), 0, -1):
            if mode**modes < rest:
                return
            if rest % mode == 0:
                yield from ((mode, *others) for others in factorisations(rest // mode, modes - 1, mode))

    return min(factorisations(size, count, size), key=sum)


class TensorTrain(NamedTuple):
    """A tensor as a chain of cores, and how far it may be from the tensor that it was made of.

    Attributes:
        cores: core k has the shape (ranks[k], modes[k], ranks[k + 1]); the ranks at the ends are 1.
        truncated: the Frobenius norm of what was cut off at each of the bonds between the cores.

    Example:
        >>> from alphagrad.layers import tt_svd
        >>> tensor = np.add.outer(np.arange(4.0), np.arange(5.0))  # of rank 2
        >>> train = tt_svd(tensor)
        >>> [core.shape for core in train.cores]
        [(1, 4, 4), (4, 5, 1)]
        >>> bool(np.allclose(train.to_tensor(), tensor)), train.error_bound < 1e-9
        (True, True)
    """

    cores: tuple[Float[np.ndarray, "left mode right"], ...]
    truncated: tuple[float, ...]

    @property
    def error_bound(self) -> float:
        """Bounds the Frobenius norm of the difference: the root of the sum of the squares cut off."""
        return math.hypot(*self.truncated)

    def to_tensor(self) -> Float[np.ndarray, "*modes"]:
        """The tensor that the chain stands for."""
        tensor = np.ones((1, 1))
        for core in self.cores:
            tensor = np.tensordot(tensor, core, axes=1).reshape(-1, core.shape[-1])
        return tensor.reshape([core.shape[1] for core in self.cores])


def feasible_ranks(modes: Sequence[int], ranks: int | Sequence[int]) -> tuple[int, ...]:
    """The ranks at the bonds of a train, none above what any tensor with these modes can use.

    Args:
        modes: sizes of the modes.
        ranks: one for all bonds, or one for each of the `len(modes) - 1` bonds.

    Returns:
        a rank for each bond.

    Raises:
        ValueError: when there are not as many ranks as bonds, or one is less than 1.

    Example:
        >>> from alphagrad.layers import feasible_ranks
        >>> feasible_ranks((4, 4, 4), 8)
        (4, 4)
    """
    bonds = len(modes) - 1
    wanted = [ranks] * bonds if isinstance(ranks, int) else list(ranks)
    if len(wanted) != bonds or any(rank < 1 for rank in wanted):
        raise ValueError(
            f"A train with {bonds + 1} modes has {bonds} ranks of at least 1; the ranks given are {ranks}."
        )
    return tuple(
        min(rank, math.prod(modes[: bond + 1]), math.prod(modes[bond + 1 :]))
        for bond, rank in enumerate(wanted)
    )


def tt_svd(
    tensor: Float[np.ndarray, "*modes"],
    max_rank: int | Sequence[int] | None = None,
    tolerance: float = 0.0,
) -> TensorTrain:
    """Decomposes a tensor to a train by one singular value decomposition for each bond.

    The result is at most `error_bound` away from the tensor in Frobenius norm, and at most
    sqrt(len(modes) - 1) times as far as the best train of the same ranks. (Oseledets 2011, Tensor-train
    decomposition, theorem 2.2 and corollary 2.4.)

    Args:
        tensor: any array with at least one axis; it is decomposed in double precision.
        max_rank: greatest rank, for all bonds or for each.
        tolerance: the relative error in Frobenius norm that may be made for smaller ranks, where `max_rank`
            does not force a greater one.

    Returns:
        the train.

    Raises:
        ValueError: for a tensor without axes or entries, or a tolerance that is none.

    Example:
        >>> from alphagrad.layers import tt_svd
        >>> train = tt_svd(np.ones((4, 4, 4)), max_rank=2)
        >>> [core.shape for core in train.cores]
        [(1, 4, 2), (2, 4, 2), (2, 4, 1)]
    """
    tensor = np.asarray(tensor, np.float64)
    if not tensor.ndim or not tensor.size:
        raise ValueError(
            f"A tensor train needs a tensor with entries and axes, not the shape {tensor.shape}."
        )
    if not 0 <= tolerance < 1:
        raise ValueError(f"The tolerance is a relative error from 0 to below 1, not {tolerance}.")
    modes = tensor.shape
    limits = feasible_ranks(modes, tensor.size if max_rank is None else max_rank)
    allowed = tolerance * float(np.linalg.norm(tensor)) / math.sqrt(max(len(limits), 1))
    cores, truncated, rest, left = [], [], tensor, 1
    for mode, limit in zip(modes, limits, strict=False):
        u, s, vh = np.linalg.svd(rest.reshape(left * mode, -1), full_matrices=False)
        # tails[r] is the norm of what is left out at rank r.
        tails = np.sqrt(np.append(np.cumsum(s[::-1] ** 2)[::-1], 0.0))
        rank = min(max(int((tails > allowed).sum()), 1), limit)
        cores.append(u[:, :rank].reshape(left, mode, rank))
        truncated.append(float(tails[rank]))
        rest, left = s[:rank, None] * vh[:rank], rank
    cores.append(rest.reshape(left, modes[-1], 1))
    return TensorTrain(tuple(cores), tuple(truncated))
