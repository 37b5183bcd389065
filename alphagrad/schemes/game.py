"""The tensor game: write a tensor as a sum of as few rank-one tensors as possible.

The game is that of A. Fawzi et al., *Discovering faster matrix multiplication algorithms with reinforcement
learning* (AlphaTensor, Nature 610, 2022): the player subtracts rank-one tensors u x v x w from what is left
of the target; every move costs one, and whoever has not arrived at zero in time pays a bound on the rank of
what is left. The number of moves is the number of products of a scheme.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

_PRIME = 32749  # the largest below 2**15: products of residues fit into int32
_DENSITIES = (0.2, 0.7)  # shares of entries that are not zero, of the factors in demonstrations
_APART = 0.01  # weight of moves without a common factor when a game is opened again, others have 1
_ROW_OPERATIONS = 1  # for each row, in a change of basis


class TensorState(NamedTuple):
    """What is left to decompose.

    Attributes:
        residual: the target, in the basis of this game, minus all moves.
        history: the last moves, the latest first; zeros before the first.
        moves: how many were made.
        limit: how many may be made.
        target: the number of the target; -1 for a random tensor.
        basis: the number that the change of basis is drawn from; 0 for none.
    """

    residual: Int[Array, "a b c"]
    history: Int[Array, "history a+b+c"]
    moves: Int[Array, ""]
    limit: Int[Array, ""]
    target: Int[Array, ""]
    basis: Int[Array, ""]


class TensorView(NamedTuple):
    """What an agent sees.

    Attributes:
        residual: what is left.
        history: the last moves, each as the tensor that it subtracted.
        time: the share of the moves that is left.
    """

    residual: Float[Array, "a b c"]
    history: Float[Array, "history a b c"]
    time: Float[Array, ""]


class TensorGame:
    """Subtract rank-one tensors until nothing is left; every move costs one.

    A move is an integer vector of length a + b + c, the factors u, v and w one after the other. There are too
    many to list: the menu at a state is drawn from an agent's policy (Sampled AlphaZero, Hubert et al. 2021).

    Args:
        targets: integer tensors of three axes, by name. Smaller ones are padded with zeros to common sizes.
        limits: for each target how many moves a game may have; by default what decomposes any tensor of
            that shape, the least product of two of its sizes.
        coefficients: the entries that factors may have, in ascending order.
        modulus: 2 to reckon modulo 2, None for the integers.
        menu: moves on the menu of a state.
        history: how many of the last moves the player sees.
        changed_bases: the share of games in a random basis: exercises, which give no scheme.
        symmetries: for some targets integer matrices (A, B, C), one triple after the other, that turn the
            target into itself when they are applied to its axes. Games that are opened again are turned by
            one of them, drawn at random, as far as the coefficients allow.
        demonstration_rank: the most terms of a demonstration; by default the greatest limit.

    Attributes:
        targets: the padded targets, one after the other.
        names: of the targets.
        sizes: (a, b, c).
        num_actions, max_steps, num_targets: see :class:`alphagrad.zero.game.Game`.

    Raises:
        ValueError, TypeError: for targets that are no integer tensors, and for settings out of range.

    Example:
        >>> from alphagrad.schemes import TensorGame
        >>> game = TensorGame({"1x1x2": matmul.matmul_tensor(1, 1, 2)}, changed_bases=0.0)
        >>> state, scheme = jax.jit(game.init)(jax.random.key(0)), matmul.standard(1, 1, 2)
        >>> for product in np.hstack([scheme.u, scheme.v, scheme.w]):
        ...     state, reward = jax.jit(game.step)(state, jnp.array(product))
        >>> bool(game.is_over(state)), float(reward)
        (True, -1.0)

    The game: A. Fawzi et al., "Discovering faster matrix multiplication algorithms with reinforcement
    learning", Nature 610, 2022.
    """

    def __init__(
        self,
        targets: Mapping[str, np.ndarray],
        limits: Mapping[str, int] | None = None,
        coefficients: Sequence[int] = (-1, 0, 1),
        modulus: int | None = None,
        menu: int = 16,
        history: int = 2,
        changed_bases: float = 0.5,
        symmetries: Mapping[str, Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]] | None = None,
        demonstration_rank: int | None = None,
    ) -> None:
        tensors = {name: _checked(name, tensor) for name, tensor in targets.items()}
        if not tensors:
            raise ValueError("a tensor game needs at least one target")
        # Any tensor is a sum of one term for each fibre along its longest axis.
        fibres = {name: int(np.prod(sorted(tensor.shape)[:2])) for name, tensor in tensors.items()}
        limits = fibres | dict(limits or {})
        if modulus not in (None, 2):
            raise ValueError(f"modulus={modulus!r} must be 2, or None for the integers")
        allowed = (0, 1) if modulus == 2 else tuple(coefficients)
        if list(allowed) != sorted(set(allowed)) or 0 not in allowed or 1 not in allowed:
            raise ValueError(f"coefficients={allowed} must ascend and have 0 and 1 among them")
        if min(menu, *limits.values()) < 1 or history < 0 or not 0 <= changed_bases <= 1:
            raise ValueError(
                f"menu={menu} and limits={limits} must be at least 1, history={history} not negative, and "
                f"changed_bases={changed_bases} between 0 and 1"
            )
        self.names = tuple(tensors)
        self.sizes = tuple(int(max(t.shape[axis] for t in tensors.values())) for axis in range(3))
        self.targets = np.stack([_padded(tensor, self.sizes) for tensor in tensors.values()])
        self.coefficients = allowed
        self.modulus = modulus
        if modulus:
            self.targets %= modulus
        self.num_actions = menu
        self.num_targets = len(tensors)
        self.max_steps = max(limits.values())
        self._limits = np.array([limits[name] for name in tensors], np.int32)
        self._symmetries = self._stacked(symmetries or {})
        self._history = history
        self._changed_bases = float(changed_bases)
        self._demonstration_rank = min(demonstration_rank or self.max_steps, self.max_steps)

    @property
    def action(self) -> jax.ShapeDtypeStruct:
        """The shape and type of a move."""
        return jax.ShapeDtypeStruct((sum(self.sizes),), jnp.int8)

    def init(self, key: Array) -> TensorState:
        """A target drawn at random, some of the time in a random basis."""
        key_target, key_whether, key_basis = jax.random.split(key, 3)
        target = jax.random.randint(key_target, (), 0, self.num_targets)
        basis = jax.random.randint(key_basis, (), 1, np.iinfo(np.int32).max)
        basis = jnp.where(jax.random.bernoulli(key_whether, self._changed_bases), basis, 0)
        residual = jnp.asarray(self.targets)[target]
        for axis, (matrix, _) in enumerate(self.bases(basis)):
            residual = jnp.moveaxis(jnp.tensordot(matrix, residual, (1, axis)), 0, axis)
        return self._begin(self._reduced(residual), jnp.asarray(self._limits)[target], target, basis)

    def step(self, state: TensorState, action: Int[Array, "a+b+c"]) -> tuple[TensorState, Float[Array, ""]]:
        """Subtract the product of the move's factors."""
        residual = self._reduced(state.residual - self._product(action))
        moves = state.moves + 1
        history = jnp.concatenate([action.astype(jnp.int8)[None], state.history])[: self._history]
        bound = jnp.where(moves >= state.limit, self.rank_bound(residual), 0)
        after = state._replace(residual=residual, history=history, moves=moves)
        return after, -1.0 - bound.astype(jnp.float32)

    def legal(self, state: TensorState) -> Bool[Array, "num_actions"]:
        """Every move that an agent thinks of may be made."""
        del state
        return jnp.ones(self.num_actions, bool)

    def is_over(self, state: TensorState) -> Bool[Array, ""]:
        """Whether nothing is left of the tensor, or of the time."""
        return (state.moves >= state.limit) | ~jnp.any(state.residual != 0)

    def observe(self, state: TensorState) -> TensorView:
        """What is left, the last moves, and the time."""
        history = jax.vmap(self._product)(state.history)
        time = 1 - state.moves / self.max_steps
        return TensorView(state.residual.astype(jnp.float32), history.astype(jnp.float32), time)

    def target(self, start: TensorState) -> Int[Array, ""]:
        """The number of the target; -1 where the game is an exercise: a random tensor, or a changed basis."""
        return jnp.where(start.basis == 0, start.target, -1)

    def identify(self, actions: Int[Array, "steps a+b+c"], length: Int[Array, ""]) -> Int[Array, "steps"]:
        """A number for each product, in ascending order, that says how many products have the same u, the
        same v and the same w, but for the sign.

        No change of basis alters these counts. Games that agree in them are taken to be alike, so that the
        many guises of one scheme do not crowd out the others.
        """
        made = jnp.arange(len(actions)) < length
        number = jnp.zeros(len(actions), jnp.int32)
        for same in self._same_factors(actions):
            number = number * (self.max_steps + 1) + jnp.sum(same & made, axis=1)
        return jnp.sort(jnp.where(made, number, 0))

    def demonstrate(
        self, key: Array, number: Int[Array, ""]
    ) -> tuple[TensorState, Int[Array, "steps a+b+c"]]:
        """A random sum of rank-one tensors, and its terms as moves (Fawzi et al. 2022, "synthetic
        demonstrations"). All demonstrations are of this kind."""
        del number
        key_rank, key_start, key_density, *keys = jax.random.split(key, 6)
        low, high = _DENSITIES
        density = jax.random.uniform(key_density, (), minval=low, maxval=high)
        factors = [self._random_factors(k, size, density) for k, size in zip(keys, self.sizes, strict=True)]
        moves = spell(jnp.concatenate(factors, axis=1).astype(jnp.int8), self.sizes, self.coefficients)
        rank = jax.random.randint(key_rank, (), 1, self._demonstration_rank + 1)
        used = jnp.arange(self.max_steps)[:, None, None, None] < rank
        residual = jnp.sum(jnp.where(used, jax.vmap(self._product)(moves), 0), axis=0)
        begun = jax.random.randint(key_start, (), 0, self.max_steps - rank + 1)
        state = self._begin(self._reduced(residual), self.max_steps, jnp.array(-1), jnp.array(0))
        return state._replace(moves=begun), moves

    def reopen(
        self,
        key: Array,
        start: TensorState,
        actions: Int[Array, "steps a+b+c"],
        length: Int[Array, ""],
    ) -> tuple[TensorState, Int[Array, "steps a+b+c"]]:
        """The moves in another order, turned by a symmetry of the target, and no more time than they took.

        The terms of a sum may come in any order. The last ones are most often terms that share factors:
        terms that do not can hardly be replaced by others.
        """
        key_order, key_turn = jax.random.split(key)
        moves = actions[self._order(key_order, actions, length)]
        moves = self._turned(key_turn, moves, length, start.target)
        return start._replace(limit=length), spell(moves, self.sizes, self.coefficients)

    def rank_bound(self, residual: Int[Array, "a b c"]) -> Int[Array, ""]:
        """A lower bound on the rank: the greatest rank of the three flattenings, modulo a prime.

        Args:
            residual: the tensor.

        Returns:
            a whole number.
        """
        flat = [jnp.moveaxis(residual, axis, 0).reshape(size, -1) for axis, size in enumerate(self.sizes)]
        return jnp.max(jnp.stack([_rank(matrix, self.modulus or _PRIME) for matrix in flat]))

    def bases(self, basis: Int[Array, ""]) -> list[tuple[Array, Array]]:
        """For each axis the unimodular matrix of a change of basis, and its inverse.

        Args:
            basis: the number that they are drawn from; 0 for the identity.

        Returns:
            three pairs of square matrices.
        """
        keys = jax.random.split(jax.random.key(basis), 3)
        return [self._unimodular(k, size, basis) for k, size in zip(keys, self.sizes, strict=True)]

    def _unimodular(self, key, size, basis):
        """A product of row operations and a signed permutation, and the inverse."""
        key_rows, key_signs, key_order = jax.random.split(key, 3)
        rows = jax.random.randint(key_rows, (2, _ROW_OPERATIONS * size), 0, size)
        signs = jax.random.rademacher(key_signs, (_ROW_OPERATIONS * size,), jnp.int32)
        order = jax.random.permutation(key_order, size)
        identity = jnp.eye(size, dtype=jnp.int32)

        def operate(matrices, operation):
            matrix, inverse = matrices
            (to, of), sign = operation
            sign = jnp.where(to == of, 0, sign)
            matrix = matrix.at[to].add(sign * matrix[of])
            return (matrix, inverse.at[:, of].add(-sign * inverse[:, to])), None

        (matrix, inverse), _ = jax.lax.scan(operate, (identity[order], identity[:, order]), (rows.T, signs))
        return jnp.where(basis == 0, identity, matrix), jnp.where(basis == 0, identity, inverse)

    def _same_factors(self, moves: Int[Array, "steps a+b+c"]) -> list[Bool[Array, "steps steps"]]:
        """For each axis which moves have the same factor, but for the sign."""
        factors = [factor * _sign(factor) for factor in _cut(moves, self.sizes)]
        return [jnp.all(factor[:, None] == factor[None], axis=-1) for factor in factors]

    def _order(self, key, moves, length) -> Int[Array, "steps"]:
        """Begins at the end with a move that shares a factor with another, and goes on with those that share
        factors with one already drawn; any others are drawn as seldom as `_APART` says."""
        steps = jnp.arange(len(moves))
        used = steps < length
        others = used[:, None] & used & ~jnp.eye(len(moves), dtype=bool)
        near = jnp.any(jnp.stack(self._same_factors(moves)), axis=0) & others
        # Moves that were not made come last. Finite, so that they differ from those already drawn.
        made = jnp.where(used, 0.0, -1e6)

        def draw(carry, noise):
            drawn, reached = carry
            weights = jnp.where(reached, 0.0, math.log(_APART)) + made
            move = jnp.argmax(jnp.where(drawn, -jnp.inf, weights + noise))
            reached = jnp.where(jnp.any(drawn), reached | near[move], near[move])
            return (drawn.at[move].set(True), reached), move

        noise = jax.random.gumbel(key, (len(moves), len(moves)))
        none = jnp.zeros(len(moves), bool)
        _, order = jax.lax.scan(draw, (none, jnp.any(near, axis=1)), noise)
        return order[jnp.where(steps < length, length - 1 - steps, steps)]

    def _stacked(self, symmetries) -> list[Int[np.ndarray, "targets count size size"]]:
        """For each axis the matrices of all symmetries; targets with fewer have theirs repeated."""
        count = max((len(triples) for triples in symmetries.values()), default=1)
        stacks = [np.zeros((self.num_targets, count, size, size), np.int32) for size in self.sizes]
        for target, name in enumerate(self.names):
            triples = list(symmetries.get(name, ())) or [
                tuple(np.eye(size, dtype=int) for size in self.sizes)
            ]
            for at in range(count):
                for stack, matrix in zip(stacks, triples[at % len(triples)], strict=True):
                    size = len(matrix)
                    stack[target, at, :size, :size] = matrix
            self._check_symmetries(name, [stack[target] for stack in stacks], self.targets[target])
        return stacks

    def _check_symmetries(self, name, stacks, tensor) -> None:
        for matrices in zip(*stacks, strict=True):
            # One axis after the other, and in floats, which hold such integers: all axes at once take minutes
            # for the product of 5 x 5 matrices.
            turned = tensor.astype(float)
            for axis, matrix in enumerate(matrices):
                turned = np.moveaxis(np.tensordot(matrix.astype(float), turned, (1, axis)), 0, axis)
            if np.any((turned - tensor) % self.modulus if self.modulus else turned - tensor):
                raise ValueError(f"the symmetries of target {name!r} do not turn it into itself")

    def _turned(self, key, moves, length, target):
        """The moves after a symmetry of the target, or as they are if coefficients would not be allowed."""
        at = jax.random.randint(key, (), 0, self._symmetries[0].shape[1])
        turned = jnp.concatenate(
            [
                self._reduced(factor @ jnp.asarray(stack)[target, at].T)
                for factor, stack in zip(_cut(moves, self.sizes), self._symmetries, strict=True)
            ],
            axis=1,
        )
        allowed = jnp.isin(turned, jnp.array(self.coefficients)).all(axis=1)
        return jnp.where(jnp.all(allowed | (jnp.arange(len(moves)) >= length)), turned, moves).astype(
            moves.dtype
        )

    def _begin(self, residual, limit, target, basis) -> TensorState:
        return TensorState(
            residual=residual,
            history=jnp.zeros((self._history, sum(self.sizes)), jnp.int8),
            moves=jnp.zeros((), jnp.int32),
            limit=jnp.asarray(limit, jnp.int32),
            target=jnp.asarray(target, jnp.int32),
            basis=jnp.asarray(basis, jnp.int32),
        )

    def _product(self, move) -> Int[Array, "a b c"]:
        u, v, w = _cut(move, self.sizes)
        return u[:, None, None] * v[None, :, None] * w[None, None, :]

    def _reduced(self, residual):
        return residual % self.modulus if self.modulus else residual

    def _random_factors(self, key, size, density) -> Int[Array, "steps size"]:
        """Random entries; a vector of zeros gets a one."""
        key_entries, key_zeros, key_ones = jax.random.split(key, 3)
        shape = (self.max_steps, size)
        others = jnp.array([c for c in self.coefficients if c])
        entries = others[jax.random.randint(key_entries, shape, 0, len(others))]
        entries = jnp.where(jax.random.bernoulli(key_zeros, density, shape), entries, 0)
        ones = jax.nn.one_hot(jax.random.randint(key_ones, shape[:1], 0, size), size, dtype=entries.dtype)
        return jnp.where(jnp.any(entries != 0, axis=1, keepdims=True), entries, ones)


def spell(
    moves: Int[Array, "... a+b+c"], sizes: Sequence[int], coefficients: Sequence[int]
) -> Int[Array, "... a+b+c"]:
    """The same products, each spelt in one of the ways that differ in signs: the first entries of u and of v
    that are not zero are positive.

    Args:
        moves: the factors u, v and w, one after the other.
        sizes: of these.
        coefficients: that entries may have; if not all have a negative among them, moves stay as they are.
    """
    if not all(-c in coefficients for c in coefficients):
        return moves
    u, v, w = _cut(moves, sizes)
    factors = (u * _sign(u), v * _sign(v), w * _sign(u) * _sign(v))
    return jnp.concatenate(factors, axis=-1).astype(moves.dtype)


def _cut(moves: Int[Array, "... a+b+c"], sizes: Sequence[int]) -> list[Int[Array, "... size"]]:
    """u, v and w of one move or of several."""
    a, b, _ = sizes
    return jnp.split(moves.astype(jnp.int32), (a, a + b), axis=-1)


def _checked(name: str, tensor: np.ndarray) -> Int[np.ndarray, "a b c"]:
    array = np.asarray(tensor)
    if array.ndim != 3 or array.dtype.kind not in "iu":
        raise TypeError(
            f"target {name!r} must be an integer array of three axes, not {array.dtype}{list(array.shape)}"
        )
    if not array.any() or abs(array).max() > 100:
        raise ValueError(f"target {name!r} must have entries between -100 and 100, and not only zeros")
    return array.astype(np.int32)


def _padded(tensor: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    return np.pad(tensor, [(0, size - own) for size, own in zip(sizes, tensor.shape, strict=True)])


def _sign(factor: Int[Array, "... size"]) -> Int[Array, "... 1"]:
    """Of the first entry that is not zero."""
    first = jnp.argmax(factor != 0, axis=-1, keepdims=True)
    return jnp.sign(jnp.take_along_axis(factor, first, axis=-1))


def _rank(matrix: Int[Array, "rows columns"], prime: int) -> Int[Array, ""]:
    """The rank modulo a prime, which for integers is a lower bound of the rank, by elimination."""
    matrix = matrix % prime
    rank = jnp.zeros((), jnp.int32)
    for row in range(len(matrix)):
        pivots = matrix[row]
        column = jnp.argmax(pivots != 0)
        pivot = pivots[column]
        # Multiplied crosswise, no row needs an inverse.
        eliminated = (matrix * pivot - matrix[:, column, None] * pivots) % prime
        matrix = jnp.where(pivot != 0, eliminated, matrix)
        rank += pivot != 0
    return rank
