"""Expressions of scalars are what the function computes, and their chain rule is JAX's derivative."""

import jax
import numpy as np
import pytest
from array_functions import FAMILIES
from expanded import Expanded, check_derivatives, check_values, jax_derivatives
from random_programs import random_program

from graphax.kernels import NoKernel

pytestmark = pytest.mark.usefixtures("on_cpu")


def in_float32(args):
    return [arg.astype(np.float32) if arg.dtype == np.float64 else arg for arg in map(np.asarray, args)]


@pytest.mark.parametrize("family", FAMILIES)
def test_expressions_are_the_values_of_the_function(family):
    fun, *args = FAMILIES[family]
    check_values(fun, *args)
    check_values(fun, *in_float32(args))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_chain_rule_through_expressions_gives_the_derivatives_of_jax(family):
    # JAX has no forward mode through jax.custom_vjp, and no reverse mode through lax.while_loop.
    check_derivatives(*FAMILIES[family], mode=jax.jacrev if family == "customized" else jax.jacfwd)


@pytest.mark.slow
@pytest.mark.parametrize("start", range(0, 240, 20))
def test_random_programs_have_the_derivatives_of_jax(start):
    """Wherever those are finite: JAX also multiplies zeros by what is infinite."""
    compared = 0
    for seed in range(start, start + 20):
        program = random_program(seed)
        args = [np.asarray(arg) for arg in program.point]
        try:
            expanded = Expanded(program.fun, *args, limit=20_000)
        except NoKernel:
            continue
        mode = jax.jacrev if "custom_vjp" in program.features else jax.jacfwd
        try:
            wanted = np.asarray(jax_derivatives(program.fun, args, expanded.real, 1, mode))
        except (TypeError, ValueError, NotImplementedError):
            continue  # JAX lacks the mode
        (found,) = expanded.evaluate([expanded.differentiated(1)], ["f8"])
        there = np.isfinite(wanted)
        tolerance = 1e-3 if "float32" in program.features else 1e-8
        scale = np.abs(wanted[there]).max(initial=1.0)
        np.testing.assert_allclose(
            found[there], wanted[there], rtol=tolerance, atol=tolerance * scale, err_msg=str(program)
        )
        compared += 1
    assert compared >= 5
