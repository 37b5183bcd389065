"""Loops: states that keep their structure, outputs by previous states, and branches."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ._case import Collection
from .reasons import START, STEPS

loops = Collection("loops", seed=2)
normal = loops.normal


@loops.case(normal(6))
def six_elementwise(x):
    """Six numbers, each of which goes its own way for five steps."""
    return lax.fori_loop(0, 5, lambda _, y: jnp.sin(y) + 0.1 * y, x)


@loops.case(normal(40))
def forty_elementwise(x):
    """Forty numbers, each of which goes its own way for five steps."""
    return lax.fori_loop(0, 5, lambda _, y: jnp.sin(y) + 0.1 * y, x)


@loops.case(normal(20))
def heat_for_three_steps(u):
    """Three explicit steps of heat on a ring: seven diagonals."""
    return lax.fori_loop(0, 3, lambda _, u: u + 0.1 * (jnp.roll(u, 1) - 2 * u + jnp.roll(u, -1)), u)


@loops.case(normal(20))
def burgers_for_two_steps(u):
    """Two steps of Burgers' equation between fixed ends, in a scan."""

    def step(u, _):
        wide = jnp.pad(u, 1)
        return u + 0.01 * (wide[2:] - 2 * u + wide[:-2]) - 0.1 * u * (wide[2:] - wide[:-2]), None

    return lax.scan(step, u, length=2)[0]


@loops.case(normal(6, 6))
def reaction_on_plane_for_two_steps(u):
    """Two steps of reaction and diffusion on a periodic plane."""

    def step(_, u):
        around = sum(jnp.roll(u, by, axis) for by in (1, -1) for axis in (0, 1))
        return u + 0.05 * (around - 4 * u) + 0.1 * (u - u**3)

    return lax.fori_loop(0, 2, step, u)


@loops.case(normal(12), normal(12))
def masses_on_a_chain(q, p):
    """Two leapfrog steps of masses with springs between them, positions and momenta by positions."""

    def step(carry, _):
        q, p = carry
        stretch = jnp.diff(q)
        force = jnp.pad(stretch + stretch**3, (0, 1)) - jnp.pad(stretch + stretch**3, (1, 0))
        p = p + 0.1 * force
        return (q + 0.1 * p, p), None

    return lax.scan(step, (q, p), length=2)[0]


@loops.case(normal(12), cancelling=1, reason=START)
def outputs_by_inputs_of_steps(x):
    """A scan whose outputs depend on the input of their step alone."""
    return lax.scan(lambda total, x: (total + 1.0, jnp.sin(x) * total), 0.0, x)[1]


@loops.case(normal(12))
def outputs_by_previous_input(x):
    """A scan that carries the last input: two diagonals."""
    return lax.scan(lambda last, x: (x, x * last), jnp.ones(()), x)[1]


@loops.case(normal(12))
def outputs_by_two_previous_inputs(x):
    """A scan that carries the last two inputs: three diagonals."""

    def step(carry, x):
        one, two = carry
        return (x, one), jnp.tanh(x + one * two)

    return lax.scan(step, (jnp.ones(()), jnp.ones(())), x)[1]


@loops.case(normal(10))
def exponential_average(x):
    """A scan whose carry is an average: all inputs up to a step."""

    def step(mean, x):
        mean = 0.9 * mean + 0.1 * jnp.tanh(x)
        return mean, mean

    return lax.scan(step, jnp.zeros(()), x)[1]


@loops.case(normal(10))
def reversed_average(x):
    """The same from the end: all inputs from a step on."""

    def step(mean, x):
        mean = 0.9 * mean + 0.1 * jnp.tanh(x)
        return mean, mean

    return lax.scan(step, jnp.zeros(()), x, reverse=True)[1]


@loops.case(normal(2), normal(8, 1), argnums=(0, 1))
def trajectory(start, controls):
    """All states of a pendulum by its start and by controls."""

    def step(state, control):
        angle, speed = state
        speed = speed + 0.1 * (control[0] - jnp.sin(angle))
        state = jnp.stack([angle + 0.1 * speed, speed])
        return state, state

    return lax.scan(step, start, controls)[1]


@loops.case(normal(5, 2))
def independent_pendulums(states):
    """Five pendulums in one loop that do not feel each other."""

    def step(_, states):
        angle, speed = states.T
        return states + 0.1 * jnp.stack([speed, -jnp.sin(angle)], 1)

    return lax.fori_loop(0, 4, step, states)


@loops.case(normal(5, 2))
def mapped_pendulums(states):
    """The same, each in a scan of its own under vmap."""

    def rollout(state):
        def step(state, _):
            state = state + 0.1 * jnp.stack([state[1], -jnp.sin(state[0])])
            return state, state

        return lax.scan(step, state, length=3)[1]

    return jax.vmap(rollout)(states)


@loops.case(normal(7, 3))
def row_by_row(x):
    """A function of every row, by lax.map."""
    return lax.map(lambda row: jnp.sin(row) * row.sum(), x)


@loops.case(normal(8))
def entry_by_entry(x):
    """A function of every entry, by lax.map."""
    return lax.map(lambda entry: entry**2 + jnp.sin(entry), x)


@loops.case(normal(8), normal(8))
def map_over_pairs(x, y):
    """A function of pairs, by lax.map, in batches of four."""
    return lax.map(lambda pair: pair[0] * jnp.cos(pair[1]), (x, y), batch_size=4)


@loops.case(normal(12))
def filled_in_a_loop(x):
    """Entries set one after another: products of neighbours."""
    return lax.fori_loop(1, 12, lambda i, y: y.at[i].set(x[i] * x[i - 1]), jnp.zeros(12))


@loops.case(normal(10))
def filled_by_squares(x):
    """Entries set one after another: each by its own."""
    return lax.fori_loop(0, 10, lambda i, y: y.at[i].set(x[i] ** 2), jnp.zeros(10))


@loops.case(normal(10))
def recurrence_in_place(x):
    """Entries set by those before them: a triangle."""
    return lax.fori_loop(1, 10, lambda i, y: y.at[i].set(0.5 * y[i - 1] + x[i] ** 2), x)


@loops.case(normal(9))
def stencil_in_a_python_loop(u):
    """A stencil written entry by entry in Python."""
    out = jnp.zeros(9)
    for i in range(1, 8):
        out = out.at[i].set(u[i - 1] * u[i + 1] - u[i] ** 2)
    return out


@loops.case(normal(12))
def slices_in_a_loop(x):
    """Sums over windows that a loop takes out."""

    def step(i, y):
        return lax.dynamic_update_slice(y, jnp.sum(lax.dynamic_slice(x, (i,), (3,)) ** 2)[None], (i,))

    return lax.fori_loop(0, 10, step, jnp.zeros(10))


@loops.case(1.5 + normal(6) ** 2)
def newton_for_square_roots(a):
    """Square roots of six numbers by a loop that stops when all are found."""

    def unfinished(carry):
        root, step = carry
        return (jnp.max(abs(root**2 - a)) > 1e-10) & (step < 30)

    def improve(carry):
        root, step = carry
        return (root + a / root) / 2, step + 1

    return lax.while_loop(unfinished, improve, (a, 0))[0]


@loops.case(0.3 * normal(8), reason=STEPS)
def relaxation_until_done(u):
    """Smoothing on a ring until a counter has run out."""

    def step(carry):
        u, count = carry
        return 0.5 * u + 0.25 * (jnp.roll(u, 1) + jnp.roll(u, -1)), count + 1

    return lax.while_loop(lambda carry: carry[1] < 2, step, (u, 0))[0]


@loops.case(1 + normal(6) ** 2)
def mapped_while_loops(x):
    """Loops of different lengths under vmap."""

    def halve(x):
        return lax.while_loop(lambda y: y > 0.5, lambda y: 0.5 * y, x)

    return jax.vmap(halve)(x)


@loops.case(normal(8), np.array(0.5), wide=True)
def condition_by_value(x, threshold):
    """One of two branches by an argument: the union of a diagonal and a reversal."""
    return lax.cond(threshold > 0, jnp.sin, lambda y: y[::-1] ** 2, x)


@loops.case(normal(6), np.array(1), wide=True)
def switch_by_argument(x, which):
    """One of three branches by an integer argument."""
    branches = (jnp.sin, lambda y: jnp.roll(y, 1), lambda y: y * y[::-1])
    return lax.switch(which, branches, x)


@loops.case(normal(8))
def conditions_in_a_loop(x):
    """Entries by one of two formulas, as their place says, in a map."""

    def formula(item):
        place, entry = item
        return lax.cond(place % 2 == 0, lambda e: e**2, jnp.sin, entry)

    return lax.map(formula, (jnp.arange(8), x))


@loops.case(normal(4, 3), cancelling=4, reason=START)
def nested_scans(x):
    """A scan over rows in which a scan over columns runs: every row by itself."""

    def over_row(_, row):
        return None, lax.scan(lambda total, entry: (total + entry**2, total * entry), 0.0, row)[1]

    return lax.scan(over_row, None, x)[1]


@loops.case(normal(3, 5))
def columns_carried_down(x):
    """A scan over rows that carries every column by itself."""

    def step(carry, row):
        carry = jnp.tanh(carry + row)
        return carry, carry

    return lax.scan(step, jnp.zeros(5), x)[1]


@loops.case({"a": normal(6), "b": normal(6)})
def tree_of_states(state):
    """A tree of states, of which one drives the other entry by entry."""

    def step(_, state):
        return {"a": jnp.sin(state["a"]), "b": state["b"] + 0.1 * state["a"] ** 2}

    return lax.fori_loop(0, 4, step, state)


@loops.case(normal(6), np.array([0.1, 0.5, 0.3]), argnums=(0, 1))
def parameters_of_states(x, p):
    """Six states that go their own ways by three parameters that all share."""
    return lax.fori_loop(0, 4, lambda _, y: y + p[0] * jnp.sin(p[1] * y) - p[2], x)


@loops.case(normal(10))
def tridiagonal_elimination(d):
    """Thomas' algorithm forwards: factors by the diagonal."""

    def step(previous, d):
        factor = 4.0 + d - 1.0 / previous
        return factor, factor

    return lax.scan(step, jnp.array(4.0), d)[1]


@loops.case(normal(6))
def sum_in_a_loop(x):
    """One number that a loop adds up."""
    return lax.fori_loop(0, 6, lambda i, total: total + jnp.sin(x[i]), 0.0)


@loops.case(normal(8))
def alternating_sweeps(u):
    """Entries changed in place at even, then at odd places, in a loop."""

    def sweep(_, u):
        u = u.at[::2].set(0.5 * (u[::2] + jnp.roll(u, -1)[::2]))
        return u.at[1::2].set(0.5 * (u[1::2] + jnp.roll(u, 1)[1::2]))

    return lax.fori_loop(0, 1, sweep, u)


@loops.case(normal(16))
def rotating_buffer(x):
    """A buffer that is shifted at every step: every input at one place of the result."""
    return lax.scan(lambda buffer, x: (jnp.concatenate([buffer[1:], x[None]]), None), jnp.zeros(5), x)[0]


@loops.case(normal(6), kind="hessian")
def loss_through_a_loop(x):
    """A sum over entries that went their own ways through a loop."""
    return jnp.sum(lax.fori_loop(0, 3, lambda _, y: jnp.sin(y), x) ** 2)


@loops.case(normal(8), kind="hessian")
def loss_of_outputs(x):
    """A sum over products of neighbours that a scan makes: three diagonals."""
    return jnp.sum(lax.scan(lambda last, x: (x, jnp.sin(x * last)), jnp.ones(()), x)[1])
