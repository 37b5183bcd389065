"""Random programs with everything that code has: selections, loops, branches, custom rules, index updates.

A program depends on its seed alone. It is drawn statement by statement; what the operands are is decided by
their types, which `jax.eval_shape` tells.
"""

from __future__ import annotations

import jax
import numpy as np
from program_constructs import CONSTRUCTS, LOOPS_WITHOUT_END
from program_drawing import Draw, Scope, pick
from program_text import Block, Program, Type

#: Shapes of arguments; few, so that XLA's compilations can be used again.
_SHAPES = [(), (2,), (3,), (3,), (2, 3), (3, 3)]


def random_program(seed: int) -> Program:
    """Draws a program.

    Args:
        seed: seed of the NumPy generator that draws it.
    """
    rng = np.random.default_rng(seed)
    # JAX has no reverse mode of `while`, and no forward mode of `custom_vjp`: they are not drawn together.
    draw = Draw(rng, CONSTRUCTS, without=set(pick(rng, [LOOPS_WITHOUT_END, ("custom_vjp",)])))
    point = _point(rng)
    floats = [at for at, value in enumerate(point) if value.dtype == np.float64]
    constant = pick(rng, floats) if len(floats) > 2 and rng.random() < 0.5 else None
    argnums = tuple(at for at in floats if at != constant)
    scope = Scope()
    for at, value in enumerate(point):
        scope.add(draw.name("x"), Type(value.shape, str(value.dtype)), at in argnums)
    arguments = ", ".join(scope.types)
    with jax.enable_x64(True):
        statements = draw.statements(scope, int(rng.integers(4, 9)))
    unread = scope.unread(lambda kind: kind.is_float)
    active = [name for name in unread if name in scope.active]
    results = active[-3:] or unread[-1:] or scope.names(lambda kind: kind.is_float)[-1:]
    block = Block("f0", arguments, tuple(statements), ", ".join(results) + ",").without_dead_code()
    return Program(block, point, argnums, frozenset(draw.features))


def _point(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Two to four floating arguments, some with zeros and equal entries; integers and flags besides."""
    singular = rng.random() < 0.4
    point = []
    for shape in [*(pick(rng, _SHAPES) for _ in range(rng.integers(1, 4))), (3,)]:
        values = rng.uniform(-1.6, 1.6, shape)
        if singular:
            values = np.where(rng.random(shape) < 0.4, rng.choice([0.0, 0.0, 0.5, 1.0], shape), values)
        point.append(np.asarray(values))
    point.append(np.asarray(rng.integers(-2, 4)))
    if rng.random() < 0.5:
        point.append(rng.integers(-1, 3, 3))
    if rng.random() < 0.5:
        point.append(rng.random(3) < 0.5)
    return tuple(point)
