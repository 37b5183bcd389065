"""Random programs depend on their seed alone, waste nothing, and stay finite."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.extend.core import Literal

from alphagrad import tasks

GENERATORS = [tasks.random_scalar, tasks.random_tensor]


def trace(task):
    return jax.make_jaxpr(task.fun)(*task.args).jaxpr


@pytest.mark.parametrize("generate", GENERATORS)
def test_equal_seeds_give_equal_programs_and_others_do_not(generate):
    first, again, other = generate(7), generate(7), generate(8)
    assert str(trace(first)) == str(trace(again)) != str(trace(other))
    assert all((a == b).all() for a, b in zip(first.args, again.args, strict=True))


def test_programs_are_the_same_in_another_process():
    code = (
        "import jax\n"
        "from alphagrad import tasks\n"
        "for task in tasks.random_scalar(5), tasks.random_tensor(5):\n"
        "    print(jax.make_jaxpr(task.fun)(*task.args), flush=True)"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    here = [tasks.random_scalar(5), tasks.random_tensor(5)]
    assert printed == "".join(f"{jax.make_jaxpr(t.fun)(*t.args)}\n" for t in here)


@given(
    seed=st.integers(0, 10_000),
    inputs=st.integers(1, 6),
    operations=st.integers(6, 30),
    outputs=st.integers(1, 6),
    generate=st.sampled_from(GENERATORS),
)
@settings(max_examples=25, deadline=None)
def test_every_input_is_read_and_every_operation_reaches_an_output(
    seed, inputs, operations, outputs, generate
):
    task = generate(seed, inputs, operations, outputs)
    jaxpr = trace(task)
    assert len(jaxpr.invars) == inputs and len(jaxpr.outvars) == outputs
    assert not set(jaxpr.invars) & set(jaxpr.outvars)
    useful = {atom for atom in jaxpr.outvars if not isinstance(atom, Literal)}
    assert len(useful) == outputs
    for equation in reversed(jaxpr.eqns):
        assert useful.intersection(equation.outvars)
        useful.update(atom for atom in equation.invars if not isinstance(atom, Literal))
    assert useful.issuperset(jaxpr.invars)


@pytest.mark.parametrize("seed", range(4))
def test_a_scalar_program_has_one_equation_for_each_operation(seed):
    assert len(trace(tasks.random_scalar(seed, num_operations=57)).eqns) == 57


@pytest.mark.parametrize("generate", GENERATORS)
def test_long_programs_have_moderate_values_and_derivatives(generate):
    task = generate(1, num_operations=80)

    def value_and_jacobian(*args):
        return task.fun(*args), jax.jacfwd(task.fun, task.argnums)(*args)

    points = task.sample(jax.random.key(0), batch=8)
    for leaf in jax.tree.leaves(jax.jit(jax.vmap(value_and_jacobian))(*points)):
        assert (jnp.abs(leaf) < 1e3).all()


@pytest.mark.parametrize("generate", GENERATORS)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1,), "seed=-1"),
        ((0, 0), "num_inputs=0"),
        ((0, 4, 40, 0), "num_outputs=0"),
        ((0, 9, 8), "at least 9"),
    ],
)
def test_impossible_programs_are_refused(generate, arguments, message):
    with pytest.raises(ValueError, match=message):
        generate(*arguments)
