"""Branches as selections, and short loops step by step."""

from __future__ import annotations

import numpy as np

from ..._trace import inline, scan_counts
from .._scalars import Loop
from ._expansion import Call, Expressions, NoKernel, register


@register("cond")
def _cond(call: Call) -> list[Expressions]:
    """The results of all branches, the one selected entry by entry."""
    index, branches = call.operands[0].item(), call.params["branches"]
    known = call.scalars.value(index)
    if known is not None:
        branches = [branches[min(max(int(known), 0), len(branches) - 1)]]
    found = [call.expansion.run(inline(branch), call.operands[1:], call.moving[1:])[0] for branch in branches]
    return [_chosen(call, index, list(options)) for options in zip(*found, strict=True)]


def _chosen(call: Call, index: int, options: list[Expressions]) -> Expressions:
    choose = call.expansion.choose
    entries = [choose(index, xs) for xs in zip(*(a.ravel().tolist() for a in options), strict=True)]
    return np.array(entries, np.int64).reshape(options[0].shape)


@register("scan")
def _scan(call: Call) -> list[Expressions]:
    """Step by step, or as a loop where there are many, but in rules, whose results are to be seen linear."""
    if call.params["length"] > _FEW and not call.expansion.in_rule:
        found = _loop(call)
        if found is not None:
            return found
    expansion, scalars, params = call.expansion, call.scalars, call.params
    length = params["length"]
    num_consts, num_carry = scan_counts(params)
    body, first = inline(params["jaxpr"]), num_consts + num_carry
    consts, carry, sequences = (
        call.operands[:num_consts],
        call.operands[num_consts:first],
        call.operands[first:],
    )
    moving = call.moving[:first]
    expansion.allow(length)
    steps = range(length)[::-1] if params["reverse"] else range(length)
    stacked: list[list[Expressions]] = []
    for turn, step in enumerate(steps):
        before = len(scalars)
        found, moves = expansion.run(
            body, [*consts, *carry, *(xs[step] for xs in sequences)], [*moving, *call.moving[first:]]
        )
        carry, moving = found[:num_carry], [*moving[:num_consts], *moves[:num_carry]]
        stacked.append(found[num_carry:])
        if turn == 1:  # the first one may meet more constants than the others
            expansion.allow((len(scalars) - before) * (length - 2))
    results = call.equation.outputs[num_carry:]
    if not length:
        return [*carry, *(np.empty(output.aval.shape, np.int64) for output in results)]
    stacked = stacked[::-1] if params["reverse"] else stacked
    return [*carry, *map(np.stack, zip(*stacked, strict=True))]


#: So many steps are always taken one by one.
_FEW = 8


def _loop(call: Call) -> list[Expressions] | None:
    """What is handed on by the last step; None where there are sequences, or results of every step."""
    scalars, params = call.scalars, call.params
    num_consts, num_carry = scan_counts(params)
    if len(call.operands) > num_consts + num_carry or len(call.equation.outputs) > num_carry:
        return None
    consts, start = call.operands[:num_consts], call.operands[num_consts:]
    loop = Loop(params["length"], [x for array in start for x in array.ravel().tolist()])
    number = len(scalars.loops)
    scalars.loops.append(loop)
    loop.own = len(loop.first)
    places = iter(range(loop.own))
    carry = [
        np.array([scalars.carry(number, next(places)) for _ in range(array.size)], np.int64).reshape(
            array.shape
        )
        for array in start
    ]
    moves = True in call.moving
    moving = [*call.moving[:num_consts], *(moves for _ in carry)]
    found, _ = call.expansion.run(inline(params["jaxpr"]), [*consts, *carry], moving)
    loop.after = [x for array in found for x in array.ravel().tolist()]
    places = iter(range(loop.own))
    return [
        np.array([scalars.last(number, next(places)) for _ in range(array.size)], np.int64).reshape(
            array.shape
        )
        for array in start
    ]


@register("while")
def _while(call: Call) -> list[Expressions]:
    """Step by step, where the number of steps is known.

    Raises:
        NoKernel: if it is not.
    """
    params = call.params
    first, last = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]
    condition, body = inline(params["cond_jaxpr"]), inline(params["body_jaxpr"])
    carry, moving = call.operands[last:], call.moving[last:]
    steps = 0
    while True:
        call.expansion.allow(steps)
        (goes_on,), _ = call.expansion.run(
            condition, [*call.operands[:first], *carry], [*call.moving[:first], *moving]
        )
        known = [call.scalars.value(x) for x in goes_on.ravel().tolist()]
        if None in known:
            raise NoKernel(
                "the primitive 'while' is not expanded into scalars if its values say when it ends"
            )
        if not any(known):
            return carry
        steps += 1
        found, moving = call.expansion.run(
            body, [*call.operands[first:last], *carry], [*call.moving[first:last], *moving]
        )
        # Under vmap some lanes end before others.
        lanes = np.array(known, bool).reshape(goes_on.shape)
        carry = [
            np.where(lanes.reshape(lanes.shape + (1,) * (new.ndim - lanes.ndim)), new, old)
            for new, old in zip(found, carry, strict=True)
        ]


@register("reduce")
def _reduce(call: Call) -> list[Expressions]:
    """By the function that combines two entries, one after another."""
    body, axes = inline(call.params["jaxpr"]), call.params["dimensions"]
    count = len(call.operands) // 2
    found = [np.broadcast_to(start, call.shape) for start in call.operands[count:]]
    lines = [
        np.moveaxis(operand, axes, range(len(axes))).reshape(-1, *call.shape)
        for operand in call.operands[:count]
    ]
    for entries in zip(*lines, strict=True):
        pairs = zip(*(a.ravel().tolist() for a in (*found, *entries)), strict=True)
        each = [
            call.expansion.run(body, [np.array(x, np.int64) for x in pair], call.moving)[0] for pair in pairs
        ]
        found = [
            np.array([one[at].item() for one in each], np.int64).reshape(call.shape) for at in range(count)
        ]
    return found
