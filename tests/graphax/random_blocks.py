"""Blocks of random structures, and what they stand for, entry by entry."""

import itertools

import jax.numpy as jnp
import numpy as np

from graphax.sparse import Digit, arranged_block, digit_table, unit_block
from graphax.sparse._holes import numbers_of

SHAPES = [(), (1,), (2,), (4,), (6,), (2, 3), (3, 2), (4, 3), (3, 4), (1, 6), (12,), (2, 2, 3)]
FACTORS = {1: [()], 2: [(2,)], 3: [(3,)], 4: [(4,), (2, 2)], 6: [(6,), (2, 3), (3, 2)]}
FACTORS[12] = [(12,), (4, 3), (3, 4), (2, 6), (2, 2, 3)]


class Draw:
    """Draws random blocks: digits of every kind, over labels that they share at random."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def shapes(self, count):
        return [SHAPES[self.rng.integers(len(SHAPES))] for _ in range(count)]

    def block(self, out_shape, in_shape):
        self.sizes = []
        out, in_ = ([self.dim(size) for size in shape] for shape in (out_shape, in_shape))
        kind = self.rng.integers(4)
        if kind < 2:
            return unit_block(out, in_, self.sizes, self.rng.choice([1, -1, 2.5]))
        used = {label for dim in out + in_ for digit in dim for label in digit.labels}
        axes = [label for label in sorted(used) if self.rng.random() < 0.6]
        value = self.rng.integers(-4, 5, [self.sizes[label] for label in axes]).astype(float)
        return arranged_block(out, in_, self.sizes, jnp.asarray(value) if kind == 2 else value, axes)

    def dim(self, size):
        factors = FACTORS[size]
        return [self.digit(radix) for radix in factors[self.rng.integers(len(factors))]]

    def digit(self, radix):
        rng = self.rng
        kind = rng.choice(["cover", "affine", "constant", "table", "wide table"])
        if kind == "constant":
            return Digit(radix, (), int(rng.integers(radix)))
        if kind == "cover":
            return Digit(radix, (self.label(radix, 0.6),))
        if kind == "affine":
            step = int(rng.choice([-2, -1, 1, 2]))
            size = int(rng.integers(1, (radix - 1) // abs(step) + 2))
            span = abs(step) * (size - 1)
            start = int(rng.integers(0, radix - span))
            return Digit(radix, (self.label(size, 0.6),), start if step > 0 else start + span, step)
        labels = []
        for _ in range(1 if kind == "table" else 2):
            labels.append(self.label(int(rng.integers(1, 4)), 0.7, but=labels))
        count = int(np.prod([self.sizes[label] for label in labels]))
        return digit_table(radix, labels, rng.integers(0, radix, count))

    def label(self, size, share, but=()):
        found = [at for at, other in enumerate(self.sizes) if other == size and at not in but]
        if found and self.rng.random() < share:
            return int(self.rng.choice(found))
        self.sizes.append(size)
        return len(self.sizes) - 1


def by_definition(block):
    """Walk through all label values of all terms and add up what stands at each pair of entries."""
    jacobian = np.zeros(block.shape)
    for term, (value, scale) in zip(block.structure.terms, block.values, strict=True):
        value = np.ones(term.value_shape) if value is None else np.asarray(numbers_of(value), float)
        assert value.shape == term.value_shape
        for index in itertools.product(*map(range, term.sizes)):
            place = tuple(position(dim, index, term.sizes) for dim in term.out + term.in_)
            jacobian[place] += scale * value[tuple(index[label] for label in term.axes)]
    return jacobian


def position(dim, index, sizes):
    at = 0
    for digit in dim:
        if digit.table is None:
            value = digit.start + (digit.step * index[digit.labels[0]] if digit.labels else 0)
        else:
            row = 0
            for label in digit.labels:
                row = row * sizes[label] + index[label]
            value = int(digit.table.indices[row])
        assert 0 <= value < digit.radix
        at = at * digit.radix + value
    return at
