"""First and second derivatives of random programs are those of JAX, in every order.

    pytest -m slow -n 16 tests/graphax/test_random_programs.py

compares 2000 programs, or as many as `GRAPHAX_RANDOM_PROGRAMS` says, and ends with the counts. A failure
prints the seed, and the least program found that fails in the same way; what it prints can be run.
"""

import collections
import os

import jax
import program_comparison
import pytest
from program_comparison import ORDERS, Outcome, compare
from random_programs import random_program

PROGRAMS = int(os.environ.get("GRAPHAX_RANDOM_PROGRAMS", "2000"))
CHUNK = 25
SHRUNK = 2  # of the failures of a chunk, one of each cause


def derivatives_of(seed):
    return "jacobian", "jacve of jacve" if seed % 3 == 0 else "hessve"


def check(seeds, orders=ORDERS):
    """The counts of what came of the comparisons, and a text for every cause of failure."""
    count, failures = collections.Counter(programs=len(seeds)), {}
    for seed in seeds:
        program = random_program(seed)
        for derivative in derivatives_of(seed):
            for order, outcome in compare(program, derivative, orders).items():
                count[f"{derivative}: {outcome.kind}"] += 1
                if outcome.failed:
                    failures.setdefault(outcome.cause, []).append((seed, derivative, order, outcome.detail))
    texts = []
    for cause, found in failures.items():
        seed, derivative, order, detail = found[0]
        program = random_program(seed)
        if len(texts) < SHRUNK:
            program, _ = program_comparison.shrink(program, derivative, order)
        places = ", ".join(f"{seed} ({derivative}, {order})" for seed, derivative, order, _ in found[:8])
        texts.append(f"{len(found)} x {cause}\nseeds: {places}\n{detail}\n{program}\n")
    return count, texts


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, PROGRAMS, CHUNK))
def test_derivatives_of_random_programs_are_those_of_jax(first, record_property):
    count, failures = check(range(first, min(first + CHUNK, PROGRAMS)))
    record_property("counts", dict(count))
    jax.clear_caches()
    if failures:
        pytest.fail("\n".join(failures), pytrace=False)


@pytest.mark.slow
def test_derivatives_of_a_dozen_random_programs_are_those_of_jax():
    _, failures = check(range(12), ("reverse", "random"))
    if failures:
        pytest.fail("\n".join(failures), pytrace=False)


@pytest.mark.parametrize("seed", range(0, 40, 8))
def test_a_program_depends_on_its_seed_alone(seed):
    assert str(random_program(seed)) == str(random_program(seed)) != str(random_program(seed + 1))


def test_a_failing_program_is_brought_down_to_what_fails(monkeypatch):
    seed = next(seed for seed in range(100) if "jnp.floor(" in random_program(seed).text)

    def fails_with_floor(program, derivative, orders):
        return {order: Outcome("different" if "jnp.floor(" in program.text else "equal") for order in orders}

    monkeypatch.setattr(program_comparison, "compare", fails_with_floor)
    program = random_program(seed)
    least, _ = program_comparison.shrink(program, "jacobian", "reverse")
    assert "jnp.floor(" in least.text
    assert len(least.text) < len(program.text)
    assert not any("jnp.floor(" in simpler.text for simpler in least.simpler())
