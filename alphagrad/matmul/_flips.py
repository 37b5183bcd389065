"""Compiled walks through the flip graph of the schemes modulo 2 of a format.

A scheme is a sum of products u (x) v (x) w whose factors are vectors of bits, each held in one integer of 64
bits. Neighbours in the flip graph of M. Kauers and J. Moosbauer (arXiv 2212.01175) differ by a flip: of two
products that share a factor,

    u (x) v (x) w + u (x) v' (x) w'  =  u (x) (v + v') (x) w + u (x) v' (x) (w' - w).

Where two products come to share two factors they are one, and the rank falls. Where a walk has found no such
place for long, a plus transition (Y. Arai, Y. Ichikawa and K. Hukushima, arXiv 2312.16960) makes two products
that share nothing into three,

    u (x) v (x) w + u' (x) v' (x) w'
        =  u (x) (v + v') (x) w + u (x) v' (x) (w' - w) + (u' - u) (x) v' (x) w',

and leads to other parts of the graph.

The pairs of products that share a factor are kept in a list, so that a flip is drawn uniformly; what a new
factor is shared with is found by comparing it with all others of its kind, which the compiler makes a few
vector instructions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from graphax.compiled import compiled

# Places in `State.top`: how many products there are, how many pairs of them share a factor, the state of the
# random numbers, the moves so far, the plus transitions among them, the flips since the rank last changed,
# the flips between plus transitions, the rank up to which they lead, and the bits of a product's number.
RANK, PAIRS, RANDOM, FLIPS, PLUSES, SINCE, PATIENCE, CEILING, BITS, _TOP_WIDTH = range(10)

_WORD = 64
_U = np.uint64
_ONE = _U(1)
# A de Bruijn sequence: the upper six bits of its product with a power of two tell the exponent.
_BRUIJN = _U(0x03F79D71B4CB0A89)
_EXPONENT = np.zeros(_WORD, np.uint64)
for _i in range(_WORD):
    _EXPONENT[((int(_BRUIJN) << _i) & (2**64 - 1)) >> 58] = _i


class State(NamedTuple):
    """A scheme and what is known of its neighbours.

    Attributes:
        factors: (3, capacity) u, v and w of every product, zeros behind the last.
        pairs: codes of the pairs of products that share a factor, in no order.
        places: for every code where in `pairs` it stands; a code is axis, lower and upper product, one after
            the other in its bits.
        top: numbers, see the constants of this module.
    """

    factors: np.ndarray
    pairs: np.ndarray
    places: np.ndarray
    top: np.ndarray


@compiled
def _draw(top):
    """A random number of 64 bits (xorshift64*, S. Vigna, arXiv 1402.6246)."""
    x = top[RANDOM]
    x ^= x >> _U(12)
    x ^= x << _U(25)
    x ^= x >> _U(27)
    top[RANDOM] = x
    return x * _U(0x2545F4914F6CDD1D)


@compiled
def _below(top, bound):
    """A random number below a bound of at most 32 bits."""
    return ((_draw(top) >> _U(32)) * bound) >> _U(32)


@compiled
def _equal(factors, axis, word, value):
    """The bits of the 64 products from 64 * word on that have a value at an axis."""
    base = word * _U(_WORD)
    found = _U(0)
    for i in range(_WORD):
        found |= _U(factors[axis, base + _U(i)] == value) << _U(i)
    return found


@compiled
def _code(state, axis, one, other):
    bits = state.top[BITS]
    return (((axis << bits) | min(one, other)) << bits) | max(one, other)


@compiled
def _put(state, axis, row, value):
    """Make a value a factor of a product that has none there; return a product to merge with, or itself."""
    factors, pairs, places, top = state
    one, two = (axis + _ONE) % _U(3), (axis + _U(2)) % _U(3)
    u, v = factors[one, row], factors[two, row]
    count, partner = top[PAIRS], row
    words = (top[RANK] + _U(_WORD - 1)) // _U(_WORD)
    for word in range(words):
        found = _equal(factors, axis, _U(word), value)
        while found != 0:
            bit = found & (~found + _ONE)
            found ^= bit
            other = _U(word) * _U(_WORD) + _EXPONENT[(bit * _BRUIJN) >> _U(58)]
            code = _code(state, axis, row, other)
            pairs[count] = code
            places[code] = count
            count += _ONE
            if factors[one, other] == u or factors[two, other] == v:
                partner = other
    top[PAIRS] = count
    factors[axis, row] = value
    return partner


@compiled
def _take(state, axis, row):
    """Take the factor of a product away, and return it."""
    factors, pairs, places, top = state
    value = factors[axis, row]
    factors[axis, row] = 0
    count = top[PAIRS]
    words = (top[RANK] + _U(_WORD - 1)) // _U(_WORD)
    for word in range(words):
        found = _equal(factors, axis, _U(word), value)
        while found != 0:
            bit = found & (~found + _ONE)
            found ^= bit
            other = _U(word) * _U(_WORD) + _EXPONENT[(bit * _BRUIJN) >> _U(58)]
            place = places[_code(state, axis, row, other)]
            count -= _ONE
            last = pairs[count]
            pairs[place] = last
            places[last] = place
    top[PAIRS] = count
    return value


@compiled
def _remove(state, row):
    """Take a product away; the last one moves into its place."""
    top = state.top
    last = top[RANK] - _ONE
    for axis in range(3):
        _take(state, _U(axis), row)
        if last != row:
            value = _take(state, _U(axis), last)
            _put(state, _U(axis), row, value)
    top[RANK] = last


@compiled
def _double(state, row):
    """A product that shares two factors with a product, or the product itself."""
    factors = state.factors
    for other in range(state.top[RANK]):
        shared = 0
        for axis in range(3):
            shared += factors[axis, other] == factors[axis, row]
        if shared >= 2 and other != row:
            return _U(other)
    return row


@compiled
def _merge(state, row, other):
    """Make two products that share two factors one, or none if it vanishes."""
    factors = state.factors
    axis = _U(0)
    for i in range(3):
        if factors[i, row] != factors[i, other]:
            axis = _U(i)
    value = factors[axis, row] ^ factors[axis, other]
    lower = min(row, other)
    _remove(state, max(row, other))
    if value == 0:
        _remove(state, lower)
    else:
        _take(state, axis, lower)
        _put(state, axis, lower, value)


@compiled
def reduce(state):
    """Merge products until no two share two factors."""
    row = _U(0)
    while row < state.top[RANK]:
        other = _double(state, row)
        if other != row:
            _merge(state, row, other)
            row = _U(0)
        else:
            row += _ONE


@compiled
def _settle(state, row):
    """Merge a product with those that it shares two factors with, where no others share two."""
    while row < state.top[RANK]:
        other = _double(state, row)
        if other == row:
            break
        _merge(state, row, other)
        row = min(row, other)


@compiled
def flip(state):
    """Flip a pair that is drawn from all that share a factor; False if there is none."""
    factors, pairs, top = state.factors, state.pairs, state.top
    if top[PAIRS] == 0:
        return False
    number = _draw(top)
    code = _U(pairs[((number >> _U(32)) * top[PAIRS]) >> _U(32)])
    bits = top[BITS]
    mask = (_ONE << bits) - _ONE
    first, second, axis = code & mask, (code >> bits) & mask, code >> (bits + bits)
    if number & _U(1 << 20):
        first, second = second, first
    one, two = (axis + _ONE) % _U(3), (axis + _U(2)) % _U(3)
    top[FLIPS] += _ONE
    top[SINCE] += _ONE
    added, taken = factors[one, second], factors[two, first]
    here = _put(state, one, first, _take(state, one, first) ^ added)
    there = _put(state, two, second, _take(state, two, second) ^ taken)
    if here != first or there != second:
        top[SINCE] = 0
        if there == second:
            _settle(state, first)
        elif here == first:
            _settle(state, second)
        else:
            reduce(state)
    return True


@compiled
def plus(state):
    """Make two products that share nothing into three; False if no such pair was met."""
    factors, top = state.factors, state.top
    rank = top[RANK]
    if rank < 2 or rank + _U(2) > _U(factors.shape[1]):
        return False
    for _ in range(100):
        first, second = _below(top, rank), _below(top, rank)
        a = _below(top, _U(3))
        b = (a + _ONE + _below(top, _U(2))) % _U(3)
        c = _U(3) - a - b
        apart = True
        for axis in range(3):
            apart &= factors[axis, first] != factors[axis, second]
        if not apart:
            continue
        u, v, w = factors[a, first], factors[b, first], factors[c, first]
        x, y, z = factors[a, second], factors[b, second], factors[c, second]
        settled = True
        for axis, row, value in ((b, first, v ^ y), (a, second, x ^ u)):
            _take(state, axis, row)
            settled &= _put(state, axis, row, value) == row
        top[RANK] = rank + _ONE
        for axis, value in ((a, u), (b, y), (c, z ^ w)):
            settled &= _put(state, axis, rank, value) == rank
        top[PLUSES] += _ONE
        top[FLIPS] += _ONE
        top[SINCE] = 0
        if not settled:
            reduce(state)
        return True
    return False


@compiled
def wander(state, flips, goal):
    """Walk until the rank is the goal or less, or for a number of flips.

    A plus transition is made when the rank has not changed for `top[PATIENCE]` flips and is below
    `top[CEILING]`, or when there is nothing to flip.

    Returns:
        whether the walk can go on: False where there is nothing to flip, nor room for a plus transition.
    """
    top = state.top
    until = top[FLIPS] + flips
    while top[FLIPS] < until and top[RANK] > goal:
        if top[SINCE] >= top[PATIENCE]:
            top[SINCE] = 0
            if top[RANK] < top[CEILING]:
                plus(state)
        if not flip(state) and (top[RANK] >= top[CEILING] or not plus(state)):
            top[FLIPS] += _ONE
            return False
    return True


@compiled
def begin(state, factors):
    """Make the state that of a scheme, given as (3, rank) factors of which none is zero."""
    state.factors[:] = 0
    state.top[RANK] = 0
    state.top[PAIRS] = 0
    state.top[SINCE] = 0
    for row in range(factors.shape[1]):
        state.top[RANK] += _ONE
        for axis in range(3):
            _put(state, _U(axis), _U(row), factors[axis, row])
    reduce(state)


def new_state(capacity: int, seed: int) -> State:
    """A state with room for schemes of a rank below a capacity.

    Args:
        capacity: products, at least.
        seed: of the random numbers.
    """
    bits = max(6, (capacity - 1).bit_length())
    top = np.zeros(_TOP_WIDTH, np.uint64)
    top[RANDOM] = np.random.SeedSequence(seed).generate_state(1, np.uint64)[0] | _ONE
    top[BITS] = bits
    codes = 3 << (2 * bits)
    return State(
        np.zeros((3, 1 << bits), np.uint64), np.zeros(codes, np.uint32), np.zeros(codes, np.uint32), top
    )
