"""Derivatives of random programs by kernels, first and second, in double and single, are those of JAX.

    pytest -m slow -n 16 tests/graphax/kernels/test_random_kernels.py

compares 2000 programs, or as many as `GRAPHAX_RANDOM_PROGRAMS` says, and ends with the counts: what came of
the comparisons, and why there was no kernel. What JAX's own modes make of a Jacobian without a kernel they
may make of one by a kernel, too, be it NaN.
"""

import collections
import dataclasses
import os
import re

import jax
import numpy as np
import program_comparison
import pytest
from program_comparison import DERIVATIVES, Derivative, compare, total
from random_programs import random_program

import graphax
from graphax import _ways

pytestmark = pytest.mark.filterwarnings("ignore:Explicitly requested dtype")
PROGRAMS = int(os.environ.get("GRAPHAX_RANDOM_PROGRAMS", "2000"))
CHUNK = 25


def first(kernel):
    def ours(program, order):
        def fun(*args):
            vertices = program_comparison._order(program.fun, program, args, order)
            body_order = program_comparison.BODY_ORDERS.get(order, order)
            return graphax.jacve(
                program.fun, argnums=program.argnums, order=vertices, body_order=body_order, kernel=kernel
            )(*args)

        return fun

    return Derivative(DERIVATIVES["jacobian"].of_jax, ours)


def second(kernel, way):
    """A mode of a Jacobian by a kernel."""

    def ours(program, order):
        inner = graphax.jacve(
            total(program), argnums=program.argnums, order=order, body_order=order, kernel=kernel
        )
        return way(kernel)(inner, program.argnums)

    return Derivative(DERIVATIVES["hessve"].of_jax, ours)


WAYS = {
    "jacfwd of": lambda kernel: jax.jacfwd,
    "jacrev of": lambda kernel: jax.jacrev,
    "jacve of": lambda kernel: lambda fun, argnums: graphax.jacve(fun, argnums, kernel=kernel),
}
FIRST_ORDERS = (("auto", "random"), ("forward", "reverse"))
for kernel in ("auto", False):
    DERIVATIVES[f"kernel {kernel}"] = first(kernel)
    DERIVATIVES.update({f"{name} kernel {kernel}": second(kernel, way) for name, way in WAYS.items()})


def in_single_precision(program):
    """The same program of single numbers, and integers of 32 bits."""
    dtypes = {"float64": "float32", "int64": "int32"}
    point = tuple(np.asarray(x, dtypes.get(str(x.dtype), x.dtype)) for x in program.point)
    return dataclasses.replace(program, point=point, features=program.features | {"float32"})


@pytest.fixture
def reasons(monkeypatch):
    """Why there was no kernel, or that there was one, as often as one was asked for."""
    found = collections.Counter()
    by_kernel = _ways.jacobians_by_kernel

    def counted(*args, **options):
        try:
            result = by_kernel(*args, **options)
        except _ways.NoKernel as error:
            found["no kernel: " + re.sub(r"\d+", "#", error.reason)] += 1
            raise
        found["kernels"] += 1
        return result

    monkeypatch.setattr(_ways, "jacobians_by_kernel", counted)
    return found


def check(seeds, single, reasons):
    """The counts of what came of the comparisons, and a text for every failure."""
    count, failures = collections.Counter(programs=len(seeds)), []
    for seed in seeds:
        program = random_program(seed)
        program = in_single_precision(program) if single else program
        before = reasons["kernels"]
        way = list(WAYS)[seed % 3]
        with jax.enable_x64(not single):
            compare_both(program, "", FIRST_ORDERS[seed % 2], count, failures, seed)
            if reasons["kernels"] == before:
                continue
            count["programs with a kernel"] += 1
            compare_both(program, way + " ", ("auto",), count, failures, seed)
    return count, failures


def compare_both(program, prefix, orders, count, failures, seed):
    """Compare with JAX; what fails, with the same without a kernel, too."""
    outcomes = compare(program, prefix + "kernel auto", orders)
    for order, outcome in outcomes.items():
        kind = outcome.kind
        if outcome.failed:
            without = compare(program, prefix + "kernel False", (order,))[order]
            if without.cause == outcome.cause:
                kind += ", with a kernel or without"
            else:
                failures.append(f"seed {seed} ({prefix}kernel, {order}): {kind} {outcome.detail}\n{program}")
        count[f"{prefix}kernel: {kind}"] += 1


@pytest.mark.slow
@pytest.mark.parametrize("single", [False, True], ids=["double", "single"])
@pytest.mark.parametrize("start", range(0, PROGRAMS, CHUNK))
def test_derivatives_of_random_programs_by_kernels_are_those_of_jax(start, single, reasons, record_property):
    count, failures = check(range(start, min(start + CHUNK, PROGRAMS)), single, reasons)
    record_property("counts", dict(count + reasons))
    jax.clear_caches()
    if failures:
        pytest.fail("\n".join(failures), pytrace=False)


def test_derivatives_of_some_random_programs_by_kernels_are_those_of_jax(reasons):
    for single in (False, True):
        count, failures = check(range(4, 6), single, reasons)
        assert not failures, "\n".join(failures)
        assert count["programs with a kernel"] > 1
