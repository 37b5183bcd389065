"""Tensors divided into blocks, as the laser method takes them apart, and those of Coppersmith and Winograd.

A tensor here is an array of integers, one axis for each of the three sets of variables. Block tensors carry
labels for the indices of every axis; a block is what lies between three labels. The border rank of the
tensors is not taken on trust: `BorderScheme` holds the approximate decomposition and expands it.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

Label = tuple[int, ...]
Triple = tuple[Label, Label, Label]


@dataclass(frozen=True, eq=False)
class BlockTensor:
    """A tensor with a label for each index of each axis.

    Attributes:
        tensor: the entries.
        labels: for each axis, a row of `levels` integers for each index. Kronecker products put the rows of
            their factors side by side.

    Raises:
        ValueError: when the tensor has not three axes, or labels do not fit it.

    Example:
        >>> tensor = matmul.small_coppersmith_winograd(2)
        >>> tensor.tensor.shape, sorted(tensor.blocks())
        ((3, 3, 3), [((0,), (1,), (1,)), ((1,), (0,), (1,)), ((1,), (1,), (0,))])
    """

    tensor: Int[np.ndarray, "x y z"]
    labels: tuple[Int[np.ndarray, "x levels"], Int[np.ndarray, "y levels"], Int[np.ndarray, "z levels"]]

    def __post_init__(self):
        if self.tensor.ndim != 3:
            raise ValueError(f"A block tensor has three axes; the one given has {self.tensor.ndim}.")
        for axis, (size, rows) in enumerate(zip(self.tensor.shape, self.labels, strict=True)):
            if rows.ndim != 2 or len(rows) != size:
                raise ValueError(
                    f"Axis {axis} has {size} indices, its labels have the shape {rows.shape}; "
                    f"give one row of integers for each index."
                )

    def kronecker(self, other: BlockTensor) -> BlockTensor:
        """The Kronecker product; a label is the labels in `self` and in `other`, one after the other.

        Args:
            other: the other factor.

        Returns:
            the product, whose sizes and levels are products and sums of those of the factors.
        """
        labels = [
            np.hstack([np.repeat(mine, len(theirs), axis=0), np.tile(theirs, (len(mine), 1))])
            for mine, theirs in zip(self.labels, other.labels, strict=True)
        ]
        return BlockTensor(np.kron(self.tensor, other.tensor), (labels[0], labels[1], labels[2]))

    def power(self, count: int) -> BlockTensor:
        """The Kronecker product of several copies of this tensor.

        Args:
            count: how many, at least 1.

        Returns:
            the product.

        Raises:
            ValueError: for less than 1.
        """
        if count < 1:
            raise ValueError(f"A Kronecker power has at least one factor, not {count}.")
        product = self
        for _ in range(count - 1):
            product = product.kronecker(self)
        return product

    def blocks(self, coarse: bool = False) -> dict[Triple, BlockTensor]:
        """The blocks that are not zero, by their labels; each keeps the full labels of its indices.

        Args:
            coarse: whether indices whose labels have the same sum go into one block.

        Returns:
            from the labels of a block, one tuple for each axis, to the block.
        """
        groups = [_grouped(rows.sum(axis=1, keepdims=True) if coarse else rows) for rows in self.labels]
        found = {}
        for (i, xs), (j, ys), (k, zs) in itertools.product(*groups):
            part = self.tensor[np.ix_(xs, ys, zs)]
            if part.any():
                rows = (self.labels[0][xs], self.labels[1][ys], self.labels[2][zs])
                found[i, j, k] = BlockTensor(part, rows)
        return found


def _grouped(rows: Int[np.ndarray, "size levels"]) -> list[tuple[Label, Int[np.ndarray, " members"]]]:
    distinct, member = np.unique(rows, axis=0, return_inverse=True)
    return [
        (tuple(int(part) for part in row), np.flatnonzero(member.reshape(-1) == number))
        for number, row in enumerate(distinct)
    ]


def matmul_format(tensor: Int[np.ndarray, "x y z"]) -> tuple[int, int, int] | None:
    """The format (n, m, p) if the tensor is that of matrix multiplication but for the names of its variables.

    In the tensor of trace(A B C) an entry of A and one of B meet exactly if they share the inner index, so
    that the indices (a, b), (b, c), (c, a) of the variables can be read off who meets whom; what has been
    read is then compared with the whole tensor. Variables that do not occur are left out.

    Args:
        tensor: the entries.

    Returns:
        the format; None if the tensor is none of these.

    Example:
        >>> matmul.matmul_format(matmul.matmul_tensor(2, 3, 4)[::-1])  # the entries of A renamed
        (2, 3, 4)
        >>> matmul.matmul_format(np.ones((2, 2, 2))) is None
        True
    """
    for axis in range(3):
        rest = tuple({0, 1, 2} - {axis})
        tensor = np.compress(tensor.any(axis=rest), tensor, axis=axis)
    if not tensor.size:
        return None
    occurs = tensor != 0
    b_of_x, b_of_y = _shared_index(np.logical_or.reduce(occurs, axis=2))
    c_of_y, c_of_z = _shared_index(np.logical_or.reduce(occurs, axis=0))
    a_of_z, a_of_x = _shared_index(np.logical_or.reduce(occurs, axis=1).T)
    expected = (
        (b_of_x[:, None, None] == b_of_y[:, None])
        & (c_of_y[:, None] == c_of_z)
        & (a_of_x[:, None, None] == a_of_z)
    )
    n, m, p = (int(index.max()) + 1 for index in (a_of_x, b_of_x, c_of_y))
    pairs = ((a_of_x, b_of_x, n * m), (b_of_y, c_of_y, m * p), (c_of_z, a_of_z, p * n))
    complete = all(len(set(zip(s, t, strict=True))) == len(s) == size for s, t, size in pairs)
    return (n, m, p) if complete and np.array_equal(tensor, expected) else None


def _shared_index(meets: Bool[np.ndarray, "left right"]):
    _, left = np.unique(meets, axis=0, return_inverse=True)
    left = left.reshape(-1)
    return left, left[meets.argmax(axis=0)]


def small_coppersmith_winograd(q: int) -> BlockTensor:
    """The tensor cw_q = sum_i x_0 y_i z_i + x_i y_0 z_i + x_i y_i z_0, of shape (q + 1, q + 1, q + 1).

    Its labels are 0 for the variables of index 0 and 1 for the others, so that the three labels of a block
    sum to 2.

    Args:
        q: the parameter, at least 1.

    Returns:
        the tensor with its labels.

    Raises:
        ValueError: when `q` is less than 1.

    Example:
        >>> matmul.small_coppersmith_winograd(8).tensor.shape
        (9, 9, 9)

    D. Coppersmith and S. Winograd, "Matrix multiplication via arithmetic progressions", 1990.
    """
    _check_parameter(q)
    tensor = np.zeros((q + 1, q + 1, q + 1), np.int64)
    others = np.arange(1, q + 1)
    tensor[0, others, others] = tensor[others, 0, others] = tensor[others, others, 0] = 1
    labels = np.array([0] + [1] * q)[:, None]
    return BlockTensor(tensor, (labels, labels, labels))


def coppersmith_winograd(q: int) -> BlockTensor:
    """The tensor CW_q = cw_q + x_0 y_0 z_{q+1} + x_0 y_{q+1} z_0 + x_{q+1} y_0 z_0, of size q + 2 each way.

    Its labels are 0 for index 0, 1 for 1 to q and 2 for q + 1; those of a block sum to 2.

    Args:
        q: the parameter, at least 1.

    Returns:
        the tensor with its labels.

    Raises:
        ValueError: when `q` is less than 1.

    Example:
        >>> matmul.coppersmith_winograd(6).tensor.shape
        (8, 8, 8)

    D. Coppersmith and S. Winograd, "Matrix multiplication via arithmetic progressions", 1990.
    """
    tensor = np.pad(small_coppersmith_winograd(q).tensor, (0, 1))
    tensor[0, 0, -1] = tensor[0, -1, 0] = tensor[-1, 0, 0] = 1
    labels = np.array([0] + [1] * q + [2])[:, None]
    return BlockTensor(tensor, (labels, labels, labels))


def schoenhage_sum(k: int, n: int) -> Int[np.ndarray, "x y z"]:
    """The direct sum of the outer product <k, 1, n> and the inner product <1, (k - 1)(n - 1), 1>.

    Args:
        k: rows of the outer product.
        n: its columns.

    Returns:
        the entries, zeros and ones.

    Example:
        >>> matmul.schoenhage_sum(4, 4).shape
        (13, 13, 17)

    A. Schönhage, "Partial and total matrix multiplication", 1981.
    """
    inner = (k - 1) * (n - 1)
    tensor = np.zeros((k + inner, n + inner, k * n + 1), np.int64)
    for i, j in itertools.product(range(k), range(n)):
        tensor[i, j, i * n + j] = 1
    both = np.arange(inner)
    tensor[k + both, n + both, -1] = 1
    return tensor


def _check_parameter(q: int) -> None:
    if q < 1:
        raise ValueError(f"The tensors of Coppersmith and Winograd have a parameter q >= 1, not {q}.")


@dataclass(frozen=True, eq=False)
class BorderScheme:
    """An approximate decomposition: sum_r u_r(e) v_r(e) w_r(e) = e^order T + terms of higher order.

    Attributes:
        u, v, w: coefficients of the powers of e in the factors of the three axes, each of shape
            (rank, size, powers).
        order: the power of e that multiplies the tensor.

    Example:
        >>> scheme = matmul.border_coppersmith_winograd(6)
        >>> scheme.rank, scheme.order
        (8, 3)
        >>> scheme.verify(matmul.coppersmith_winograd(6).tensor)  # silent: it is an approximation of that

    D. Bini, M. Capovani, F. Romani and G. Lotti, "O(n^2.7799) complexity for n x n approximate matrix
    multiplication", 1979.
    """

    u: Int[np.ndarray, "rank x powers"]
    v: Int[np.ndarray, "rank y powers"]
    w: Int[np.ndarray, "rank z powers"]
    order: int

    @property
    def rank(self) -> int:
        """An upper bound on the border rank of the tensor."""
        return len(self.u)

    def tensor(self) -> Int[np.ndarray, "x y z"]:
        """The tensor that is approximated.

        Raises:
            ValueError: if a lower power of e than `order` does not cancel.
        """
        powers = [range(factor.shape[2]) for factor in (self.u, self.v, self.w)]
        terms = np.zeros((self.order + 1, self.u.shape[1], self.v.shape[1], self.w.shape[1]), np.int64)
        for a, b, c in itertools.product(*powers):
            if a + b + c <= self.order:
                terms[a + b + c] += np.einsum("rx,ry,rz->xyz", self.u[..., a], self.v[..., b], self.w[..., c])
        for power in range(self.order):
            if terms[power].any():
                raise ValueError(f"The terms of order {power}, below {self.order}, do not cancel.")
        return terms[self.order]

    def verify(self, tensor: Int[np.ndarray, "x y z"]) -> None:
        """Checks that `tensor` is what is approximated, so that its border rank is at most `rank`.

        Args:
            tensor: the tensor.

        Raises:
            ValueError: naming the first entry that differs.
        """
        mine = self.tensor()
        if mine.shape != tensor.shape:
            raise ValueError(f"The scheme approximates a tensor of shape {mine.shape}, not {tensor.shape}.")
        if (wrong := np.argwhere(mine != tensor)).size:
            entry = tuple(int(i) for i in wrong[0])
            raise ValueError(f"At {entry} the scheme yields {mine[entry]}, the tensor has {tensor[entry]}.")


def border_coppersmith_winograd(q: int, small: bool = False) -> BorderScheme:
    """Coppersmith and Winograd's q + 2 products for CW_q, or for cw_q (1990).

    sum_i e (x_0 + e x_i)(y_0 + e y_i)(z_0 + e z_i) - (x_0 + e^2 sum_i x_i)(...)(...)
    + (1 - q e)(x_0 + e^3 x_{q+1})(...)(...) = e^3 CW_q + O(e^4); without x_{q+1} it is cw_q.

    Args:
        q: the parameter of the tensor, at least 1.
        small: whether the tensor is cw_q.

    Returns:
        the approximation; its `verify` compares it with the tensor.

    Raises:
        ValueError: when `q` is less than 1.

    Example:
        >>> matmul.border_coppersmith_winograd(8, small=True).rank
        10
    """
    _check_parameter(q)
    factor = np.zeros((q + 2, q + 1 if small else q + 2, 4), np.int64)
    factor[:, 0, 0] = 1
    for i in range(1, q + 1):
        factor[i - 1, i, 1] = 1
        factor[q, i, 2] = 1
    if not small:
        factor[q + 1, q + 1, 3] = 1
    # The scalars e, -1 and 1 - q e in front of the products go into the first factor.
    scaled = factor.copy()
    scaled[:q] = np.roll(factor[:q], 1, axis=2)
    scaled[q] = -factor[q]
    scaled[q + 1, :, 1:] -= q * factor[q + 1, :, :-1]
    return BorderScheme(scaled, factor, factor, order=3)


def border_schoenhage(k: int, n: int) -> BorderScheme:
    """Schönhage's k n + 1 products for `schoenhage_sum(k, n)` (1981).

    sum_ij (x_i + e s_ij)(y_j + e t_ij)(z + e^2 z_ij) - (sum_i x_i)(sum_j y_j) z, where the inner product is
    sum_ij s_ij t_ij with s_ij zero in the last column and of sum zero over i, t_ij of sum zero over j and
    zero in the last row.

    Args:
        k: rows of the outer product.
        n: its columns.

    Returns:
        the approximation; its `verify` compares it with the tensor.

    Example:
        >>> scheme = matmul.border_schoenhage(4, 4)
        >>> scheme.verify(matmul.schoenhage_sum(4, 4))
        >>> scheme.rank  # of two products that take 16 and 9 multiplications
        17
    """
    inner = (k - 1) * (n - 1)
    u = np.zeros((k * n + 1, k + inner, 2), np.int64)
    v = np.zeros((k * n + 1, n + inner, 2), np.int64)
    w = np.zeros((k * n + 1, k * n + 1, 3), np.int64)
    for i, j in itertools.product(range(k), range(n)):
        product = i * n + j
        u[product, i, 0] = v[product, j, 0] = w[product, -1, 0] = w[product, product, 2] = 1
        if i < k - 1 and j < n - 1:
            free = i * (n - 1) + j
            u[product, k + free, 1] = v[product, n + free, 1] = 1
            u[(k - 1) * n + j, k + free, 1] = -1
            v[i * n + n - 1, n + free, 1] = -1
    u[-1, :k, 0] = v[-1, :n, 0] = 1
    w[-1, -1, 0] = -1
    return BorderScheme(u, v, w, order=2)
