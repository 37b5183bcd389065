"""Parallel paths: the sum of two terms of Jacobians between the same pair of arrays."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ._cost import worth_listing, worth_one_term
from ._draft import Operand, Workspace
from ._meeting import are_apart
from ._places import distinct_places, place_keys
from ._scaled import Scaled, continued, expand
from ._steps import Step, reshape
from ._term import Digit, Kind, Labels, Sizes, Term, canonical, digit_table


@dataclass(frozen=True)
class Sum:
    """The sum of two terms as one: its term, its price, and how to compute its value.

    Attributes:
        term: the sum.
        adds: additions executed.
        left, right: what rewrites the two values for the common labels, and the labels of their axes then.
        axes: the labels of the sum's axes.
        along: the label along which one value continues the other; None where they are added.
        turned: whether the first continues the second, and not the second the first.
        sizes: the sizes of the labels of the sum's axes.
    """

    term: Term
    adds: int
    left: tuple[tuple[Step, ...], Labels]
    right: tuple[tuple[Step, ...], Labels]
    axes: Labels
    sizes: tuple[int, ...]
    along: int | None = None
    turned: bool = False

    def run(self, left: Scaled, right: Scaled) -> Scaled:
        """The value of the sum."""
        x, y = (
            value.after(steps).settled().map(functools.partial(expand, axes=axes, wanted=self.axes))
            for value, (steps, axes) in ((left, self.left), (right, self.right))
        )
        if self.along is None:
            found = x.plus(y)
        else:
            pair = (y, x) if self.turned else (x, y)
            found = continued(*pair, self.axes.index(self.along), self.sizes)
        return found.map(lambda array: reshape(array, self.term.value_shape))


@functools.lru_cache(maxsize=1 << 17)
def add(left: Term, right: Term, sparse: bool = True) -> Sum | None:
    """The sum of two terms of equal shape as one term; None if they are better kept apart.

    One term it is where the entries stand at the same places, where they continue each other along one
    diagonal, and where the common refinement holds no more numbers than both. If the Jacobian will be asked
    for as a sparse one, also where one has entries only where the other has; if not, also where the common
    refinement is small.

    Raises:
        ValueError: when the shapes differ.
    """
    most = worth_one_term(left, right, sparse)
    if _pass_by(left, right, most):
        return None
    pair = _Pair(left, right)
    found = pair.equal() or pair.joined() or pair.united() or (pair.contained() if sparse else None)
    if found is not None:
        return found
    return pair.refined() if pair.refined_numbers() <= most else None


def _pass_by(left: Term, right: Term, most: int) -> bool:
    """Whether two terms are seen at once to have no sum with so few numbers.

    Dimensions in which they differ have to be written out, unless they are parts of one line.
    """
    if left.lines is None or right.lines is None or left.radices != right.radices:
        return False
    pairs = list(zip(left.digits, right.digits, strict=True))
    sizes = left.sizes, right.sizes
    differ = [(x, y) for x, y in pairs if _extent(x, sizes[0]) != _extent(y, sizes[1])]
    if differ and math.prod([x.radix for x, _ in differ]) > most:
        p, q = differ[0][0].labels, differ[0][1].labels
        if p or q:
            whole = all(x.covers(sizes[0]) for x, _ in differ) or all(y.covers(sizes[1]) for _, y in differ)
            if not whole and any(x.labels != p and y.labels != q for x, y in differ):
                return True
        elif any(abs(y.start - x.start) != 1 for x, y in differ):
            return True
    return _crosses(left, right, most) or _crosses(right, left, most)


def _extent(digit: Digit, sizes: Sizes) -> tuple[int, int, int]:
    return digit.start, digit.step, sizes[digit.labels[0]] if digit.labels else 0


def _crosses(one: Term, other: Term, most: int) -> bool:
    """Whether a term goes along a line through several dimensions that the other one leaves."""
    for line in one.lines or ():
        if len(line) == 1 or math.prod([one.digits[at].radix for at in line]) <= most:
            continue
        pairs = [(one.digits[at], other.digits[at]) for at in line]
        if len({x[1:] for x, _ in pairs}) == len({y[1:] for _, y in pairs}) == 1:
            continue  # one may be a part of the other
        labels = pairs[0][1].labels
        if any(y.labels != labels for _, y in pairs):
            return True
        if labels and ((other.lines or ())[labels[0]] != line or any(x.step != y.step for x, y in pairs)):
            return True
        if len({(y.start - x.start) * x.step for x, y in pairs}) > 1:
            return True
    return False


@functools.lru_cache(maxsize=1 << 17)
def refine(left: Term, right: Term) -> Sum:
    """The sum of two terms as one: over the coarsest labels in which both can be written.

    Raises:
        ValueError: when the shapes differ.
    """
    pair = _Pair(left, right)
    return pair.equal() or pair.refined()


@functools.lru_cache(maxsize=1 << 12)
def merge(left: Term, right: Term) -> Sum:
    """The sum of two terms as one: over common labels, or where these leave most places empty over a list.

    Raises:
        ValueError: when the shapes differ.
    """
    pair = _Pair(left, right)
    found = pair.equal()
    if found is None:
        listing = worth_listing(pair.entries, pair.refined_numbers())
        found = pair.listed() if listing else pair.refined()
    return found


def labels_only(term: Term) -> Term:
    """The term with slices and tables written out as zeros among its numbers."""
    return term if term.labels_alone else replace(_Pair(term, term).refined().term, kind=term.kind)


def _labels(digits: Sequence[Digit]) -> list[int]:
    return list(dict.fromkeys(label for digit in digits for label in digit.labels))


def _common_shift(
    moving: Sequence[tuple[Digit, Digit]], p: Labels, q: Labels
) -> tuple[list[int], int] | None:
    """How many steps further the second of two diagonals begins, and how large the steps of its digits are.

    Args:
        moving: the digits of both that move along their labels ``p`` and ``q``, which are empty for a point.
    """
    steps, shifts = [], set()
    for x, y in moving:
        gap = y.start - x.start
        step = x.step if p else y.step if q else gap
        if (p and q and x.step != y.step) or (not p and not q and abs(step) != 1) or gap % step:
            return None
        steps.append(step)
        shifts.add(gap // step)
    return (steps, shifts.pop()) if len(shifts) == 1 else None


def _take_turns(x: Digit, y: Digit) -> bool:
    """Whether two digits step over each other's values."""
    step = x.step
    return (
        all(digit.table is None and digit.labels and digit.step == step for digit in (x, y))
        and step > 1
        and x.radix % step == 0
        and x.start // step == y.start // step
        and x.start != y.start
    )


def _split_stride(digit: Digit) -> tuple[Digit, Digit]:
    """A digit that steps as two: the turn, and its place in every turn."""
    turn, place = divmod(digit.start, digit.step)
    return Digit(digit.radix // digit.step, digit.labels, turn), Digit(digit.step, (), place)


class _Pair:
    """Two terms with aligned digits, in a workspace of their own.

    Its methods rewrite the terms only where they find a sum; after one that finds none, another may be tried.
    """

    def __init__(self, left: Term, right: Term) -> None:
        if (left.out_shape, left.in_shape) != (right.out_shape, right.in_shape):
            raise ValueError(
                f"cannot add Jacobians of shapes {left.out_shape} <- {left.in_shape} "
                f"and {right.out_shape} <- {right.in_shape}"
            )
        self.space = Workspace()
        self._terms = left, right
        self._numbers = left.numbers + right.numbers
        self.entries = math.prod(left.sizes) + math.prod(right.sizes)
        x_out, x_in, self.x = self.space.load(left)
        y_out, y_in, self.y = self.space.load(right)
        self.space.align((x_out, y_out), (x_in, y_in))
        self.shape = [[len(dim) for dim in side.dims] for side in (x_out, x_in)]
        self.xs = x_out.digits() + x_in.digits()
        self.ys = y_out.digits() + y_in.digits()

    def equal(self) -> Sum | None:
        """The sum where both have their entries at the same places."""
        names: dict[int, int] = {}
        for x, y in zip(self.xs, self.ys, strict=True):
            if len(x.labels) != len(y.labels):
                return None
            if any(names.setdefault(b, a) != a for a, b in zip(x.labels, y.labels, strict=True)):
                return None
            if x != y._replace(labels=x.labels):
                return None
        sizes = self.space.sizes
        if any(sizes[y] != sizes[x] for y, x in names.items()) or len(set(names.values())) != len(names):
            return None
        self.y.rename(names)
        return self._finished(self.xs)

    def joined(self) -> Sum | None:
        """The sum where both are parts of one diagonal that touch or overlap, or take turns along it."""
        pairs, shape = self._with_strides_split()
        if Kind.VALUE not in (self.x.kind, self.y.kind) or any(x.table or y.table for x, y in pairs):
            return None
        # All that differs must move along one label of each, or be a point on the way of the other's label.
        sizes = self.space.sizes
        different = [(x, y) for x, y in pairs if not self._alike(x, y)]
        if not different:
            return None
        p, q = different[0][0].labels, different[0][1].labels
        moving = [(p and x.labels == p) or (q and y.labels == q) for x, y in pairs]
        if not p and not q:
            moving = [not self._alike(x, y) for x, y in pairs]
        names: dict[int, int] = {}
        for (x, y), moves in zip(pairs, moving, strict=True):
            if moves:
                if (x.labels, y.labels) != (p, q):
                    return None
            elif not self._alike(x, y):
                return None
            elif y.labels and names.setdefault(y.labels[0], x.labels[0]) != x.labels[0]:
                return None
        if len(set(names.values())) != len(names):
            return None
        p_size, q_size = (sizes[labels[0]] if labels else 1 for labels in (p, q))
        found = _common_shift([pair for pair, moves in zip(pairs, moving, strict=True) if moves], p, q)
        if found is None:
            return None
        steps, shift = found
        if steps[0] < 0 and not p and not q:  # two points: the sum does not depend on which comes first
            steps, shift = [-step for step in steps], -shift
        low, high = min(0, shift), max(p_size - 1, shift + q_size - 1)
        others = {names.get(label, label) for label in self.y.axes if (label,) != q}
        others |= {label for label in self.x.axes if (label,) != p}
        numbers = (high - low + 1) * math.prod(sizes[label] for label in others)
        if numbers > self._numbers:
            return None
        hull = self.space.new_label(high - low + 1)
        overlap = max(0, p_size + q_size - (high - low + 1))
        continues = p_size + q_size == high - low + 1
        self._put_together(hull, ((self.x, p, -low), (self.y, q, shift - low)), continues)
        self.y.rename(names)
        remaining = iter(steps)
        digits = [
            Digit(x.radix, (hull,), x.start + (step := next(remaining)) * low, step) if moves else x
            for (x, _), moves in zip(pairs, moving, strict=True)
        ]
        found = self._finished(digits, numbers // (high - low + 1) * overlap, shape)
        return replace(found, along=hull, turned=shift < 0) if continues else found

    def _with_strides_split(self) -> tuple[list[tuple[Digit, Digit]], list[list[int]]]:
        """The digits of both, those that take other turns of one stride as a turn and a place in it.

        Returns:
            pairs of digits, and how many every dimension of the output and of the input has.
        """
        pairs: list[tuple[Digit, Digit]] = []
        remaining = iter(zip(self.xs, self.ys, strict=True))

        def taken(count: int) -> int:
            before = len(pairs)
            for x, y in itertools.islice(remaining, count):
                if _take_turns(x, y):
                    pairs.extend(zip(_split_stride(x), _split_stride(y), strict=True))
                else:
                    pairs.append((x, y))
            return len(pairs) - before

        return pairs, [[taken(count) for count in side] for side in self.shape]

    def _put_together(self, hull: int, parts: Sequence[tuple[Operand, Labels, int]], continues: bool) -> None:
        """Let values along their own labels, or points, be parts along one label, from their starts on."""
        for operand, own, start in parts:
            label = own[0] if own else self.space.new_label(1)
            if continues:
                operand.part(label, hull)
            else:
                operand.place(label, hull, start, 1)

    def _alike(self, x: Digit, y: Digit) -> bool:
        """Whether two affine digits are the same but for the name of their label."""
        if (x.start, x.step, len(x.labels)) != (y.start, y.step, len(y.labels)):
            return False
        return not x.labels or self.space.sizes[x.labels[0]] == self.space.sizes[y.labels[0]]

    def contained(self) -> Sum | None:
        """The sum where one has its entries on slices of the labels of the other."""
        for whole, part, wholes, parts in (
            (self.x, self.y, self.xs, self.ys),
            (self.y, self.x, self.ys, self.xs),
        ):
            inside = self._slices(wholes, parts)
            if inside is None:
                continue
            sizes = self.space.sizes
            partial = {label: digit for label, digit in inside.items() if not digit.covers(sizes)}
            moving = {label for label, digit in inside.items() if not set(part.axes).isdisjoint(digit.labels)}
            numbers = math.prod(sizes[label] for label in {*whole.axes, *partial, *moving})
            if Kind.VALUE not in (whole.kind, part.kind) or numbers > self._numbers:
                continue
            overlap = math.prod(len(digit.indices(sizes)) for digit in inside.values())
            for label, digit in inside.items():
                if label not in partial:
                    part.rename({digit.labels[0]: label})
                else:
                    own = digit.labels[0] if digit.labels else self.space.new_label(1)
                    part.place(own, label, digit.start, digit.step)
            return self._finished(wholes, overlap)
        return None

    def _slices(self, wholes: Sequence[Digit], parts: Sequence[Digit]) -> dict[int, Digit] | None:
        """For every label of the one the digit of the other that runs through it; None if it is not so."""
        sizes, found = self.space.sizes, dict[int, Digit]()
        for whole, part in zip(wholes, parts, strict=True):
            if not whole.labels and whole == part:
                continue
            if not whole.covers(sizes) or part.table is not None:
                return None
            if found.setdefault(whole.labels[0], part) != part:
                return None
        own = [digit.labels[0] for digit in found.values() if digit.labels]
        return found if len(set(own)) == len(own) else None

    def united(self) -> Sum | None:
        """The sum where both list their entries in tables and some places are on both lists."""
        if all(digit.table is None for digit in self.xs + self.ys) or self._numbers != self.entries:
            return None
        return None if are_apart(*self._terms) else self._over(*self._listing())

    def listed(self) -> Sum:
        """The sum over one label, which runs through the places of both in order."""
        return self._over(*self._listing())

    def _over(self, columns: list[np.ndarray], places: np.ndarray) -> Sum:
        chosen, inverse = distinct_places(places)
        new = self.space.new_label(len(chosen))
        at = np.split(inverse, [math.prod(self.space.sizes[label] for label in _labels(self.xs))])
        for operand, digits, where in zip((self.x, self.y), (self.xs, self.ys), at, strict=True):
            operand.scatter(_labels(digits), [new], where)
        digits = [
            digit_table(x.radix, [new], column[chosen]) for x, column in zip(self.xs, columns, strict=True)
        ]
        return self._finished(digits, adds=self.entries - len(chosen))

    def _listing(self) -> tuple[list[np.ndarray], np.ndarray]:
        """The digits of all entries of both terms, and for every entry a number for its place."""
        sides = []
        for digits in (self.xs, self.ys):
            grids = self.space.grids(_labels(digits))
            size = math.prod(self.space.sizes[label] for label in grids)
            sides.append([np.broadcast_to(self.space.digit_at(digit, grids), size) for digit in digits])
        columns = [np.concatenate(pair) for pair in zip(*sides, strict=True)]
        return columns, place_keys(columns, [digit.radix for digit in self.xs])

    def refined_numbers(self) -> int:
        """How many numbers the sum over labels of both holds."""
        kept = self._common_ties()
        written = math.prod(x.radix for at, x in enumerate(self.xs) if at not in kept)
        names = {self.ys[at].labels[0]: self.xs[at].labels[0] for at in kept}
        varying = {*self.x.axes, *(names.get(label) for label in self.y.axes)}
        return written * math.prod(self.space.sizes[label] for label in varying.intersection(names.values()))

    def refined(self) -> Sum:
        """The sum over labels of both: what only one ties together or leaves out is written out as zeros."""
        kept = self._common_ties()
        digits: list[Digit] = []
        names: dict[int, int] = {}
        for at, (x, y) in enumerate(zip(self.xs, self.ys, strict=True)):
            if at in kept:
                digits.append(x)
                names[y.labels[0]] = x.labels[0]
            elif x.radix == 1:
                digits.append(Digit(1))
            else:
                digits.append(Digit(x.radix, (self.space.new_label(x.radix),)))
        places = [at for at in range(len(digits)) if at not in kept and digits[at].labels]
        for operand, old in ((self.x, self.xs), (self.y, self.ys)):
            self.space.write_out(operand, [old[at] for at in places], [digits[at].labels[0] for at in places])
        self.y.rename(names)
        return self._finished(digits)

    def _common_ties(self) -> set[int]:
        """The digits that are labels of their own in both, tied to the same other digits."""
        sizes = self.space.sizes

        def ties(digits: Sequence[Digit]) -> dict[int, frozenset[int]]:
            places: dict[int, set[int]] = {}
            for at, digit in enumerate(digits):
                for label in digit.labels:
                    places.setdefault(label, set()).add(at)
            return {
                at: frozenset(places[digit.labels[0]])
                for at, digit in enumerate(digits)
                if digit.covers(sizes) and all(digits[to].covers(sizes) for to in places[digit.labels[0]])
            }

        x_ties, y_ties = ties(self.xs), ties(self.ys)
        return {at for at, tied in x_ties.items() if y_ties.get(at) == tied}

    def _finished(
        self,
        digits: Sequence[Digit],
        adds: int | None = None,
        shape: Sequence[Sequence[int]] | None = None,
    ) -> Sum:
        sizes = self.space.sizes
        remaining = iter(digits)
        out, in_ = ([[next(remaining) for _ in range(n)] for n in side] for side in shape or self.shape)
        kind = Kind.VALUE if max(self.x.kind, self.y.kind) >= Kind.COPY else Kind.CONSTANT
        axes = dict.fromkeys([*self.x.axes, *self.y.axes])
        final = canonical(out, in_, sizes, kind, axes)
        if adds is None:
            adds = math.prod(sizes[label] for label in axes) if kind is Kind.VALUE else 0
        return Sum(
            term=final.term,
            adds=adds,
            left=(tuple(self.x.steps), tuple(self.x.axes)),
            right=(tuple(self.y.steps), tuple(self.y.axes)),
            axes=final.axes,
            sizes=tuple(sizes[label] for label in final.axes),
        )
