"""Random straight-line programs: tasks drawn from a seed, over scalars or over small arrays.

The operations are those of `_operations`, which see to it that values and derivatives stay tame;
here it is decided which values an operation reads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from . import _operations
from ._operations import Choice, Shape, Value, pick
from ._task import Declaration, Task, Uniform


class Step(NamedTuple):
    """An operation and the numbers of the values it reads, the inputs being numbered first."""

    fun: Callable[..., Any]
    operands: tuple[int, ...]


def random_scalar(seed: int, num_inputs: int = 4, num_operations: int = 40, num_outputs: int = 3) -> Task:
    """Draws a program of unary and binary operations over scalars.

    `alphagrad.tasks.load("random_scalar:seed=3,operations=40,inputs=4,outputs=3")` makes the same task.
    Each operation traces to one equation, every input is read, and every operation reaches an
    output. The program depends on the arguments alone, in every process.

    Args:
        seed: seed of the NumPy generator that draws the program.
        num_inputs: number of scalar inputs.
        num_operations: number of operations, at least `num_inputs` and `num_outputs`.
        num_outputs: number of results. Some may be read by later operations as well.

    Returns:
        the task, with example inputs.

    Raises:
        ValueError: if the numbers cannot be met.

    Example:
        >>> task = tasks.random_scalar(seed=0, num_inputs=2, num_operations=10, num_outputs=1)
        >>> task.name, len(task.args)
        ('random_scalar:seed=0,inputs=2,operations=10,outputs=1', 2)
    """
    return _draw_task(
        f"random_scalar:seed={seed},inputs={num_inputs},operations={num_operations},outputs={num_outputs}",
        *(seed, num_inputs, num_operations, num_outputs),
        draw_shapes=lambda rng: [()],
        unary=_operations.elementwise,
        binary=_operations.arithmetic,
    )


def random_tensor(seed: int, num_inputs: int = 4, num_operations: int = 20, num_outputs: int = 2) -> Task:
    """Draws a program over scalars, vectors and matrices of at most 24 entries.

    Its operations are elementwise ones with broadcasting, matrix and outer products, sums over an
    axis, transposes, reshapes, broadcasts, slices and concatenations; one operation may trace to
    several equations. `alphagrad.tasks.load("random_tensor:seed=3,operations=20")` works as well; all else
    is as for `random_scalar`.

    Args:
        seed: seed of the NumPy generator that draws the program.
        num_inputs: number of inputs.
        num_operations: number of operations, at least `num_inputs` and `num_outputs`.
        num_outputs: number of results.

    Returns:
        the task, with example inputs.

    Raises:
        ValueError: if the numbers cannot be met.

    Example:
        >>> task = tasks.random_tensor(seed=7)
        >>> task.name
        'random_tensor:seed=7,inputs=4,operations=20,outputs=2'
    """
    return _draw_task(
        f"random_tensor:seed={seed},inputs={num_inputs},operations={num_operations},outputs={num_outputs}",
        *(seed, num_inputs, num_operations, num_outputs),
        draw_shapes=_vectors_and_matrices,
        unary=_operations.unary,
        binary=_operations.binary,
    )


def _vectors_and_matrices(rng: np.random.Generator) -> list[Shape]:
    n, m = 2 + int(rng.integers(2)), 2 + int(rng.integers(3))
    return [(n,), (m,), (n, m), (m, n)]


def _draw_task(
    name: str,
    seed: int,
    num_inputs: int,
    num_operations: int,
    num_outputs: int,
    draw_shapes: Callable[[np.random.Generator], list[Shape]],
    unary: Callable[[np.random.Generator, Value], Choice],
    binary: Callable[[np.random.Generator, Value, Value], Choice],
) -> Task:
    if seed < 0:
        raise ValueError(f"seed={seed} must not be negative")
    if min(num_inputs, num_outputs) < 1:
        raise ValueError(f"num_inputs={num_inputs} and num_outputs={num_outputs} must both be positive")
    if num_operations < max(num_inputs, num_outputs):
        raise ValueError(
            f"num_operations={num_operations} is too small to read {num_inputs} inputs and make "
            f"{num_outputs} outputs; ask for at least {max(num_inputs, num_outputs)}"
        )
    rng = np.random.default_rng(seed)
    shapes = draw_shapes(rng)
    intervals = [(-1.0, 1.0), (0.5, 1.5)]
    inputs = [Value(pick(rng, shapes), *pick(rng, intervals)) for _ in range(num_inputs)]
    steps, outputs = _draw_steps(rng, inputs, num_operations, num_outputs, unary, binary)

    def program(*args: jax.Array) -> tuple[jax.Array, ...]:
        values = list(args)
        for fun, operands in steps:
            values.append(fun(*(values[number] for number in operands)))
        return tuple(values[number] for number in outputs)

    return Declaration(
        name=name,
        fun=program,
        inputs=tuple(Uniform(low, high, shape) for shape, low, high in inputs),
        domain="random programs",
        source="drawn here, in the manner of the random functions of arXiv 2406.05027",
    ).task()


def _draw_steps(
    rng: np.random.Generator,
    inputs: list[Value],
    num_operations: int,
    num_outputs: int,
    unary: Callable[[np.random.Generator, Value], Choice],
    binary: Callable[[np.random.Generator, Value, Value], Choice],
) -> tuple[list[Step], list[int]]:
    """Draws the steps, and the numbers of the values that are outputs.

    The values that nothing reads yet must become outputs in the end. An operation lowers their
    number by one at most, so once they are too many for the operations that remain, it has to.
    """
    values, steps = list(inputs), []
    unread = list(range(len(inputs)))
    for remaining in range(num_operations, 0, -1):
        everything = range(len(values))
        slack = remaining - (len(unread) - num_outputs)
        unread_inputs = sum(number < len(inputs) for number in unread)
        if unread_inputs == remaining:
            first = unread[0]
        else:
            first = pick(rng, unread if slack < 2 or rng.random() < 0.75 else everything)
        seconds = [number for number in (unread if slack < 1 else everything) if number != first]
        if seconds and (slack < 1 or rng.random() < 0.6):
            operands = first, pick(rng, seconds)
            if rng.random() < 0.5:
                operands = operands[::-1]
            choice = binary(rng, *(values[number] for number in operands))
        else:
            operands = (first,)
            choice = unary(rng, values[first])
        steps.append(Step(choice.fun, operands))
        unread = [number for number in unread if number not in operands] + [len(values)]
        values.append(choice.result)
    others = [number for number in range(len(inputs), len(values)) if number not in unread]
    extra = rng.permutation(len(others))[: num_outputs - len(unread)]
    return steps, sorted(unread + [others[i] for i in extra])
