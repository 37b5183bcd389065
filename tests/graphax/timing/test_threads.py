"""What is estimated of programs that several threads carry out, and of the kernels that they consist of."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from graphax import jacve
from graphax.timing import constants_for, estimated_seconds, work_of
from graphax.timing._flat import flat
from graphax.timing._fusion import Fusion

CPU = replace(constants_for("cpu"), handover=0.0)


def program(fun, *shapes):
    return jax.make_jaxpr(fun)(*(jax.ShapeDtypeStruct(shape, "float32") for shape in shapes))


def waits(fun, *shapes, constants=CPU):
    """How much of the time to have other threads join a program is estimated to take, from 0 to 1."""
    without = replace(constants, woken=0.0)
    found = program(fun, *shapes)
    seconds = estimated_seconds(found, constants) - estimated_seconds(found, without)
    return round(seconds * 1e9 / constants.woken, 3)


def polynomial(x):
    total = x
    for _ in range(8):
        total = total * x + x
    return total


def side_by_side(count):
    def fun(x):
        start = jnp.tanh(x)
        return sum((jnp.dot(start * k, start + k) for k in range(count)), start)

    return fun


def running(stacked):
    """A loop that returns so many arrays of every step."""
    return lambda x: lax.scan(lambda c, _: (c * 0.9, [c * k for k in range(2, 2 + stacked)]), x, None, 100)


def differences(x):
    for _ in range(6):
        x = x[1:] - x[:-1]
    return x


def test_a_kernel_that_computes_much_is_divided_and_one_that_passes_much():
    assert waits(polynomial, (40, 40)) == 0
    assert waits(polynomial, (50, 60)) == 1
    assert waits(lambda x: x + 1, (50, 60)) == 0  # fewer operations than bytes
    assert waits(lambda x: x + 1, (500, 600)) == 1


def test_kernels_are_shared_out_where_many_are_ready_at_the_same_time():
    assert waits(side_by_side(4), (200,)) == 0
    assert waits(side_by_side(20), (200,)) == 1
    assert waits(side_by_side(20), (20,)) == 0  # all arrays are so small that one thread does it
    assert waits(running(3), (60,)) == 0
    assert waits(running(20), (60,)) == 1


def test_one_that_waits_for_another_is_not_ready():
    def chain(x):
        for k in range(20):
            x = jnp.dot(jnp.tanh(x * k), x) + x
        return x

    assert waits(chain, (200,)) == 0


def test_what_waits_in_a_loop_or_often_waits_once():
    def again(x):
        return lax.fori_loop(0, 50, lambda _, x: polynomial(x) @ x.T @ x, x)

    assert waits(lambda x: polynomial(polynomial(x) @ x.T @ x), (60, 60)) == 1
    assert waits(again, (60, 60)) == 1


def test_steps_with_many_kernels_take_longer_for_every_one_of_them():
    few, more, many = (estimated_seconds(program(running(k), (60,)), CPU) for k in (2, 6, 14))
    assert more > few + 100e-9 * 0.5 * CPU.scheduled
    assert many > more + 100e-9 * CPU.shared


def test_nothing_of_this_is_on_a_gpu():
    gpu = constants_for("cpu")
    gpu = replace(gpu, **dict.fromkeys(("woken", "divided", "scheduled", "shared", "copies"), 0.0))
    found = program(side_by_side(20), (200,))
    assert estimated_seconds(found, gpu) < estimated_seconds(found, constants_for("cpu"))


def test_a_kernel_does_not_compute_a_value_at_too_many_places():
    whole = flat(program(differences, (40,)))
    assert len(Fusion(whole, replace(CPU, copies=0.0)).written) == 1
    fusion = Fusion(whole, CPU)
    last, *others = fusion.written
    assert others and fusion.reads[id(last)] <= set(map(id, others))


def test_what_is_joined_is_written_before_it_is_read_twice():
    def twice(x):
        joined = jnp.concatenate([x * 2, x * 3])
        return joined[1:] * joined[:-1]

    fusion = Fusion(flat(program(twice, (40,))), CPU)
    assert [value.shape for value in fusion.written] == [(79,), (80,)]


def test_expensive_values_and_results_of_kernels_are_read():
    def fun(x):
        root = jnp.exp(x)
        return root * 2, root.sum() + root

    whole = flat(program(fun, (40,)))
    fusion = Fusion(whole, CPU)
    made = {id(value): equation.name for equation in whole.equations for value in equation.outputs}
    read = {made[value] for reads in fusion.reads.values() for value in reads if value in made}
    assert read == {"exp", "reduce_sum"}


def test_operations_are_counted_as_compilers_count_them():
    def fun(x):
        chosen = x[:, None] > jnp.arange(8)
        return chosen.astype("float32") - chosen[::-1]

    found = program(fun, (60,))
    compiled = jax.jit(fun).lower(jax.ShapeDtypeStruct((60,), "float32")).compile()
    flops = (compiled.cost_analysis() or {})["flops"]
    assert work_of(found, CPU).operations == pytest.approx(flops, rel=0.3)


def gaps(x):
    return jnp.log(jnp.diff(jnp.sort(x)) + 1e-2)


@pytest.mark.parametrize("modes", ["modes", ""])
def test_orders_are_judged_by_the_program_that_comes_out(modes, monkeypatch):
    monkeypatch.setenv("GRAPHAX_CANDIDATES", modes)

    def seconds(order):
        return estimated_seconds(program(jacve(gaps, order=order), (64,)), constants_for("cpu"))

    assert seconds("auto") == min(map(seconds, ("auto", "forward", "reverse")))
    x = np.random.default_rng(0).normal(size=64)
    with jax.enable_x64(True):
        wanted = jax.jacfwd(gaps)(x)
        for order in ("auto", "forward", "reverse"):
            np.testing.assert_allclose(jax.jit(jacve(gaps, order=order))(x), wanted, rtol=1e-12)
