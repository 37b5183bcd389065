"""A computation along a batch on several devices, each of which goes over the rows that it holds."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental.custom_partitioning import custom_partitioning
from jax.extend import core
from jax.sharding import NamedSharding, PartitionSpec


def partitioned(
    compute: Callable[..., Any], content: bytes, ranks: Sequence[int], mapped: Sequence[Sequence[bool]]
) -> Callable[..., list[Any]]:
    """The same computation, cut along the batch where its operands are.

    Args:
        compute: a function of the operands to a list of at least one result, each of which begins with all
            axes of the batch; of whole operands or of parts along the batch.
        content: 32 bytes that tell the computation from others. XLA sees no more of it than this, and keeps
            what it compiles under what it sees.
        ranks: of every result how many axes it has besides those of the batch.
        mapped: for every operand which axes of the batch it begins with.

    Returns:
        a function of the operands, to be lowered.
    """

    def whole(_: Any, *operands: Any) -> list[Any]:
        return compute(*operands)

    def part(mesh: Any, operands: Sequence[Any], results: Sequence[Any]) -> Any:
        if mesh.empty:  # of shardings without names; they go along the batch, as the rule demands
            return mesh, whole, [x.sharding for x in results], tuple(x.sharding for x in operands)
        along = [*results[0].sharding.spec, *[None] * depth][:depth]

        def sharding(axes: Sequence[Any]) -> NamedSharding:
            return NamedSharding(mesh, PartitionSpec(*axes))

        shared = [sharding(list(itertools.compress(along, flags))) for flags in mapped]
        return mesh, whole, [sharding(along)] * len(ranks), (sharding(()), *shared)

    def along_operands(mesh: Any, operands: Sequence[Any], results: Sequence[Any]) -> Any:
        along: list[Any] = [None] * depth
        for operand, flags in zip(operands[1:], mapped, strict=True):
            # Before it is decided, there is no sharding.
            axes = getattr(operand.sharding, "spec", ())
            for level, axis in zip(np.flatnonzero(flags), axes, strict=False):
                if not {*_names(axis)} & {name for other in along for name in _names(other)}:
                    along[level] = along[level] or axis
        return [NamedSharding(mesh, PartitionSpec(*along))] * len(ranks)

    depth = len(mapped[0])
    found = custom_partitioning(whole)
    found.def_partition(
        partition=part,
        infer_sharding_from_operands=along_operands,
        sharding_rule=lambda _, types, outs: _rule(
            [type.rank for type in types], [type.rank for type in outs], mapped
        ),
    )
    tag = np.frombuffer(content, np.uint32)
    return lambda *operands: found(tag, *operands)


class Several(tuple[core.ClosedJaxpr, None]):
    """Says that there are several devices."""

    def __repr__(self) -> str:
        return "several"


@functools.cache
def devices() -> Several | None:
    """A parameter for primitives that are lowered to something partitioned; None on a single device.

    JAX tells the devices to lowerings of programs only where a primitive that has to know them is found in
    the program, or in the parameters of another.
    """
    if jax.device_count() == 1:
        return None
    same = custom_partitioning(lambda x: x)
    same.def_partition(
        partition=lambda mesh, args, out: (mesh, lambda x: x, out.sharding, (out.sharding,)),
        infer_sharding_from_operands=lambda mesh, args, out: args[0].sharding,
        sharding_rule=" -> ",
    )
    return Several((jax.make_jaxpr(same)(np.float32(0)), None))


def _names(axis: Any) -> tuple[Any, ...]:
    """The axes of a mesh that an axis of an array is cut along."""
    return axis if isinstance(axis, tuple) else () if axis is None else (axis,)


def _rule(operands: Sequence[int], results: Sequence[int], mapped: Sequence[Sequence[bool]]) -> Any:
    """Which axes are the same, of arrays of certain ranks, for Shardy: those of the batch."""
    batch = [f"batch{level}" for level in range(len(mapped[0]))]
    others: list[str] = []

    def factors(first: Sequence[str], rank: int) -> str:
        own = [f"own{len(others) + at}" for at in range(rank - len(first))]
        others.extend(own)
        return " ".join([*first, *own])

    reads = [factors((), operands[0])]
    reads += [
        factors(list(itertools.compress(batch, flags)), rank)
        for flags, rank in zip(mapped, operands[1:], strict=True)
    ]
    writes = [factors(batch, rank) for rank in results]
    return f"{', '.join(reads)} -> {', '.join(writes)}", {"need_replication_factors": tuple(others)}
