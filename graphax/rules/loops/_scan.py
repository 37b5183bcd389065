"""`scan`, and with it `fori_loop` and `lax.map`: the body is eliminated once, its Jacobian carried through.

Let ``c' , y = body(theta, c, x)``, with ``theta`` the constants, ``c`` what is carried and ``x`` the slices
of a step. With ``A, B, X`` the Jacobians of ``c'`` with respect to ``c``, ``theta`` and ``x`` there are these
ways, of which the cheapest is taken:

- *map*: no derivative is carried. The steps are independent, and the body is eliminated for all at once;
- *stepwise by blocks*, where the Jacobian of what is carried holds few of its entries: diagonals stay so;
- *products*, for few carried numbers: the steps are evaluated one after another; then, for several steps at a
  time, the body is eliminated (every operation of the elimination works on longer arrays), and the products
  follow in a loop of their own: ``S' = A S + B`` forward, or ``R <- R A`` backward;
- *stepwise*: for large bodies, and tiny ones, ``S`` is carried along, by blocks, as ``while_loop`` does;
- *pulled*: for few results ``R c'`` is differentiated instead of ``c'``;
- *compressed*, where a sparse Jacobian is wanted: sums of columns that meet in no row are carried along;
- *unrolled*, there too, if the loop is short and takes entries by the numbers of its steps (`_places.py`).

Where the whole function has far fewer results, or arguments, than the loop has numbers, or where columns are
pushed through it in less time, it has no Jacobian: see ``_matrix_free.py`` and ``_pushed_columns.py``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from ..._trace import Equation, holds, scan_counts
from ...sparse import identity_block
from .._registry import (
    Blocks,
    Call,
    Inputs,
    far_fewer,
    register_dependence,
    register_pulling,
    register_pushable,
    register_pushing,
    register_rule,
)
from ._compressed import bounded, compressed, compression
from ._flow import Flow, find_flow, follow_loop
from ._loop import Loop
from ._map import mapped
from ._products import backward_products, forward_products
from ._pulled import pulled
from ._stepwise import Carried, final_blocks, numbers_in, settled, stepwise
from ._unrolled import is_short, unrolled

#: How many numbers the Jacobians of all steps may hold together for several of them to be computed at a time.
_STORED = 2**24
#: Of more carried numbers the matrices of all steps are too much to be read again for their products.
_FEW = 64
#: Of steps that compute no more numbers, Jacobians included, one loop is faster than two.
_TINY = 64
#: Blocks of so many times fewer numbers than there are entries are carried step by step.
_THIN = 4
#: At least so many numbers are read by a loop through which fewer columns are pushed, or come of one through
#: which fewer rows are pulled.
_MANY = 8
#: How many times faster a number goes through a product of large matrices than through a sum.
_FASTER = 8
#: Under `vmap` both branches are run, loops run as long as the longest, and random bits may differ.
_STEP_BY_STEP = ("cond", "while", "rng_bit_generator", "rng_uniform", "random_bits")

Way = Callable[[Loop], tuple[list[Any], Blocks]]


@register_rule("scan")
def _scan(call: Call) -> tuple[list[Any], Blocks]:
    loop = _loop_of(call)
    try:
        return _choose(loop)(loop)
    except NotImplementedError:  # some primitives cannot be batched
        return stepwise(loop)


def _loop_of(call: Call) -> Loop:
    body, counts = call.params["jaxpr"], scan_counts(call.params)
    return Loop(call, find_flow(body, *counts, call.wanted, call.needed, call.params["length"]))


@register_pulling("scan")
def _pulling(call: Call, rows: int) -> bool:
    """Where many numbers come of a loop."""
    loop = _loop_of(call)
    flow = loop.flow
    produced = flow.packing(loop.finals()).size + flow.length * flow.out_packing(flow.results).size
    return _moving(loop, rows, produced) and not holds(flow.body.jaxpr, ("while",))


@register_pushing("scan")
def _pushing(call: Call, columns: int) -> bool:
    """Where a loop reads many numbers."""
    loop = _loop_of(call)
    flow = loop.flow
    read = flow.packing(flow.columns).size + flow.length * flow.packing(flow.through).size
    return _moving(loop, columns, read)


def _moving(loop: Loop, moved: int, numbers: int) -> bool:
    """Whether so many rows or columns are better moved through a loop that has so many numbers there."""
    if numbers < _MANY or not far_fewer(moved, numbers) or not _may_be_moved_through(loop):
        return False
    return not _is_thin(loop.flow, settled(loop))


@register_pushable("scan")
def _pushable(call: Call) -> bool:
    return _may_be_moved_through(_loop_of(call))


def _may_be_moved_through(loop: Loop) -> bool:
    flow = loop.flow
    return bool(flow.carries) and flow.length > 0 and not flow.body.effects


def _is_thin(flow: Flow, form: Carried) -> bool:
    """Whether Jacobians of carried values, in a form that has settled, hold few of their entries."""
    entries = flow.packing(flow.carries).size * flow.packing(flow.columns).size
    return bool(form) and _THIN * numbers_in(form) <= entries


@register_dependence("scan")
def _dependence(equation: Equation, operands: Sequence[Inputs]) -> list[Inputs]:
    return follow_loop(equation.params["jaxpr"], *scan_counts(equation.params), operands)[1]


def _choose(loop: Loop, anyhow: bool = False) -> Way:
    """The cheapest way that is right; with all zeros written out, if that is all the same."""
    flow, length = loop.flow, loop.flow.length
    if not length:
        return _no_steps
    named_order = loop.call.jacobians.named  # it fits other programs than the body itself
    batchable = not flow.body.effects and not holds(flow.body.jaxpr, _STEP_BY_STEP)
    if not flow.carries and batchable and named_order and length * loop.computed <= 4 * _STORED:
        return mapped
    groups = flow.carries, flow.fixed, flow.slices, flow.through, flow.columns, loop.finals()
    carried, fixed, slices, through, columns, rows = (flow.packing(group).size for group in groups)
    returned = flow.out_packing(flow.results).size
    form = settled(loop)
    tiny = not through and loop.computed + carried * columns + returned * (columns + slices) <= _TINY
    if not anyhow and loop.call.sparse and (not form or flow.results):
        by = compression(loop)
        if by is not None and by.saves:
            return functools.partial(compressed, by=by)
        if by is not None:
            return functools.partial(bounded, way=_choose(loop, anyhow=True), by=by)
        if is_short(loop):
            return unrolled
    if tiny or _is_thin(flow, form) or (form and loop.call.sparse):
        return functools.partial(stepwise, settled_form=form)
    # Rows are gathered number by number; the columns move by products of matrices, which are faster.
    all_rows, all_columns = rows + length * returned, columns + length * through
    pulling = _FASTER * all_rows * (carried**2 + fixed + slices) < all_columns * carried**2
    if pulling and named_order and not flow.body.effects:
        return pulled
    backward = bool(flow.through) or carried * columns > 2 * rows * (carried + fixed)
    stored = length * (carried + returned) * (carried + fixed + slices)
    if batchable and stored <= _STORED and carried <= _FEW:
        return backward_products if backward and not flow.results else forward_products
    return functools.partial(stepwise, settled_form=form)


def _no_steps(loop: Loop) -> tuple[list[Any], Blocks]:
    initial = {(at, at): identity_block(loop.flow.shape(at)) for at in loop.flow.inits}
    return loop.call.evaluate(), final_blocks(loop, initial)
