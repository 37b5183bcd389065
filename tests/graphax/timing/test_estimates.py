"""Estimates of run time: what counts in a program, and what does not."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import graphax
from alphagrad import tasks
from graphax import orders
from graphax.timing import Work, constants_for, estimated_seconds, register_estimate

# Whether a program is handed to another thread depends on its size alone, and has a test of its own.
CPU = replace(constants_for("cpu"), handover=0.0)


def estimate(fun, *args, constants=CPU):
    return estimated_seconds(jax.make_jaxpr(fun)(*args), constants)


def of_size(*shape, dtype="float32"):
    return jax.ShapeDtypeStruct(shape, dtype)


@pytest.mark.parametrize(
    "fun",
    [
        jnp.tanh,
        lambda x: x * 2 + x,
        lambda x: x @ x,
        lambda x: x.sum(0),
        lambda x: jnp.cumsum(x, 0),
        lambda x: jnp.sort(x, 0),
        lambda x: x[jnp.argmax(x, 0)],
        lambda x: x.at[jnp.argmax(x, 0)].add(1.0),
        lambda x: jnp.linalg.solve(x, x),
        lambda x: jnp.linalg.cholesky(x),
        lambda x: jnp.fft.fft(x).real,
        lambda x: lax.conv(x[None, None], x[None, None, :3, :3], (1, 1), "SAME"),
        lambda x: lax.scan(lambda c, row: (c + row, c * row), x[0], x),
        lambda x: lax.while_loop(lambda y: y[0, 0] < 9, lambda y: y @ y, x),
        lambda x: lax.cond(x[0, 0] > 0, jnp.tanh, lambda y: y @ y, x),
        lambda x: jnp.concatenate([x, jnp.pad(x, 1)[1:-1, 1:-1].T]),
    ],
)
def test_what_is_larger_takes_longer(fun):
    small, large, huge = (estimate(fun, of_size(size, size)) for size in (8, 64, 512))
    assert small < large < huge


def test_numbers_of_64_bits_and_complex_ones_take_longer():
    with jax.enable_x64(True):
        for fun in (lambda x: x @ x, jnp.tanh, lambda x: (x * x + x).sum()):
            types = ("float32", "float64", "complex128")
            narrow, wide, complex_ = (estimate(fun, of_size(100, 100, dtype=dtype)) for dtype in types)
            assert narrow < wide < complex_


def test_dozens_of_small_products_take_longer_than_one():
    def many(a, b):
        return sum(a[k] @ b for k in range(40))

    a, b = of_size(40, 40), of_size(40)
    assert estimate(many, a, b) > estimate(lambda a, b: (a @ b).sum(), a, b) + 39e-9 * CPU.kernel


def test_operations_on_entries_are_fused_and_products_are_not():
    x = of_size(4, 4)

    def each(fun):
        return estimate(lambda x: fun(fun(fun(x))), x) - estimate(fun, x)

    assert each(lambda x: x * x) < 0.1e-9 * CPU.kernel < each(lambda x: x @ x)


def test_what_is_not_needed_or_known_or_computed_already_takes_no_time():
    x = of_size(50, 50)
    numbers = np.arange(2500, dtype=np.float32)

    def with_more(x):
        jnp.linalg.inv(x)  # nobody reads it
        known = jnp.sin(jnp.asarray(numbers)).reshape(50, 50)
        y = jnp.tanh(x @ x)
        again = jnp.tanh(x @ x)
        return y + again + known

    def plain(x, known):
        y = jnp.tanh(x @ x)
        return y + y + known

    assert estimate(with_more, x) == estimate(plain, x, of_size(50, 50))


def test_programs_inside_count():
    x = of_size(30, 30)

    def step(y):
        return jnp.tanh(y @ y)

    inline = estimate(step, x)
    assert estimate(jax.jit(step), x) == inline
    assert estimate(jax.checkpoint(step), x) == inline
    custom = jax.custom_jvp(step)
    custom.defjvp(lambda primals, tangents: (step(*primals), tangents[0]))
    assert estimate(custom, x) == inline

    def steps(length):
        return estimate(lambda x: lax.fori_loop(0, length, lambda _, y: step(y), x), x)

    work = inline - estimate(lambda x: x, x)
    assert steps(101) - steps(1) >= 100 * work
    assert steps(101) - steps(1) < 200 * work
    branches = estimate(lambda x, k: lax.switch(k, [lambda x: x, step, lambda x: step(step(x))], x), x, 1)
    assert branches > estimate(lambda x: step(step(x)), x)


def test_what_a_loop_carries_for_nobody_takes_no_time():
    def both(x):
        return lax.fori_loop(0, 10, lambda _, c: (jnp.tanh(c[0]), c[1] @ c[1] @ c[1]), (x, x))

    x = of_size(50, 50)
    alone = estimate(lambda x: lax.fori_loop(0, 10, lambda _, y: jnp.tanh(y), x), x)
    assert estimate(lambda x: both(x)[0], x) == pytest.approx(alone)
    assert estimate(lambda x: both(x)[1], x) > 1.3 * alone


def test_a_program_that_is_handed_over_takes_so_much_longer():
    def polynomial(x):
        for _ in range(20):
            x = x * x + 1
        return x

    constants = replace(CPU, handover=1e6)
    here, there = (estimate(polynomial, of_size(size), constants=constants) for size in (10, 50))
    assert there - here == pytest.approx(1e-3, rel=0.01)


def test_kernels_have_an_estimate():
    def fun(x):
        return jnp.stack([jnp.sin(x[0]) * x[1], x[1] * x[0] + jnp.exp(x[0] * x[1])])

    kernel = jax.vmap(graphax.jacve(fun, kernel=True))
    few, many = (estimate(kernel, of_size(rows, 2)) for rows in (1_000, 100_000))
    assert 1e-6 < few < many / 5
    by_arrays = estimate(jax.vmap(graphax.jacve(fun, kernel=False)), of_size(100_000, 2))
    assert many < by_arrays


def test_primitives_of_other_packages_can_be_told_of():
    register_estimate("reduce_precision_of_a_user", lambda equation, constants: Work(1e6))
    primitive = jax.extend.core.Primitive("reduce_precision_of_a_user")
    primitive.def_abstract_eval(lambda x: x)
    assert estimate(primitive.bind, of_size(3)) > 1e-3


def test_an_estimate_is_linear_in_the_constants():
    x = of_size(200)
    doubled = replace(CPU, function=2 * CPU.function)
    more = estimate(jnp.tanh, x, constants=doubled) - estimate(jnp.tanh, x)
    assert more == pytest.approx(200e-9 * CPU.function)


def layers(x):
    for width in (64, 64):
        x = jnp.tanh(jnp.ones((width, x.size), x.dtype) @ x)
    return x.sum()


def test_the_better_order_has_the_smaller_estimate():
    graph = graphax.trace(layers)(of_size(64))
    forward, reverse = orders.forward(graph), orders.reverse(graph)
    assert orders.estimate(graph, reverse) < orders.estimate(graph, forward)
    assert orders.evaluate(graph, reverse, "time") == orders.estimate(graph, reverse)
    with pytest.raises(ValueError, match="misses"):
        orders.estimate(graph, reverse[1:])


@pytest.mark.parametrize("name", ["RoeFlux_1d", "Encoder", "BlackScholes_Jacobian", "SpikingLIF"])
def test_every_order_of_every_graph_has_an_estimate(name):
    task = tasks.load(name)
    graph = graphax.trace(task.fun, task.argnums)(*task.args)
    for order in (orders.forward(graph), orders.markowitz(graph)):
        assert 0 < orders.estimate(graph, order) < 1


def test_annealing_for_time_returns_what_is_estimated_to_be_fast():
    pytest.importorskip("numba")
    graph = graphax.trace(layers)(of_size(64))
    found = orders.anneal(graph, steps=200, objective="time")
    best = min(orders.estimate(graph, order) for order in (orders.forward(graph), orders.reverse(graph)))
    assert orders.estimate(graph, found) <= best


def test_shapes_without_entries_and_random_keys_are_no_trouble():
    def fun(x, key):
        return x.sum() + jax.random.normal(key, (3,)), jnp.zeros((0, 3)) @ jnp.ones((3, 2)) * x.sum()

    assert estimate(fun, np.zeros((0, 4), np.float32), jax.random.key(0)) > 0
