"""A graph's fingerprint is its whole identity: what makes another graph makes another fingerprint."""

import ast
import functools
import itertools
import os
import subprocess
import sys
import time
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import graphax
from graphax._fingerprint import fingerprint
from graphax._numbering import number_vertices
from graphax._trace import trace_program

X = np.linspace(0.5, 1.5, 9).reshape(3, 3)

# Every entry is a list of bodies that differ in one thing; a body makes a new 3 x 3 array of two.
BODIES = {
    "literal": [lambda c, x: c * 2.0 + x, lambda c, x: c * 3.0 + x, lambda c, x: c * 2.00001 + x],
    "unit literal": [lambda c, x: c * 1.0 + x, lambda c, x: c * -1.0 + x, lambda c, x: c * 0.0 + x],
    "primitive": [lambda c, x: jnp.sin(c) * x, lambda c, x: jnp.cos(c) * x, lambda c, x: jnp.tanh(c) * x],
    "wiring": [lambda c, x: x * x + c, lambda c, x: c * c + x, lambda c, x: c * x + x],
    "order of operands": [lambda c, x: c - x, lambda c, x: x - c],
    "exponent": [lambda c, x: c**2 * x, lambda c, x: c**3 * x, lambda c, x: c**-1 * x],
    "axis": [
        lambda c, x: x * jnp.sum(c, 0),
        lambda c, x: x * jnp.sum(c, 1),
        lambda c, x: x * jnp.sum(c),
    ],
    "reduction": [
        lambda c, x: x * jnp.sum(c, 0),
        lambda c, x: x * jnp.max(c, 0),
        lambda c, x: x * jnp.prod(c, 0),
    ],
    "accumulation": [
        lambda c, x: x * lax.cumsum(c),
        lambda c, x: x * lax.cumsum(c, reverse=True),
        lambda c, x: x * lax.cumsum(c, axis=1),
    ],
    "comparison": [
        lambda c, x: jnp.where(x > 1.0, c, x),
        lambda c, x: jnp.where(x < 1.0, c, x),
        lambda c, x: jnp.where(x >= 1.0, c, x),
        lambda c, x: jnp.where(x > 1.0, x, c),
    ],
    "bound": [lambda c, x: jnp.clip(c * x, 0.0, 1.0), lambda c, x: jnp.clip(c * x, 0.0, 2.0)],
    "slice": [
        lambda c, x: c[0] * x,
        lambda c, x: c[1] * x,
        lambda c, x: c[:, :1] * x,
        lambda c, x: c[:, 1:2] * x,
    ],
    "indices": [
        lambda c, x: c[np.array([0, 2, 1])] * x,
        lambda c, x: c[np.array([0, 1, 2])] * x,
        lambda c, x: c[:, np.array([0, 2, 1])] * x,
    ],
    "computed indices": [
        lambda c, x: c[(np.array([0, 2, 1]) * jnp.arange(3)) % 3] * x,
        lambda c, x: c[(np.array([0, 1, 2]) * jnp.arange(3)) % 3] * x,
    ],
    "scattered indices": [
        lambda c, x: c.at[np.array([0, 2])].set(x[:2]),
        lambda c, x: c.at[np.array([0, 1])].set(x[:2]),
        lambda c, x: c.at[np.array([0, 2])].add(x[:2]),
        lambda c, x: c.at[np.array([0, 2])].multiply(x[:2]),
    ],
    "mode": [
        lambda c, x: c.at[jnp.array([0, 5])].get(mode="clip")[:1] * x,
        lambda c, x: c.at[jnp.array([0, 5])].get(mode="fill", fill_value=0.0)[:1] * x,
        lambda c, x: c.at[jnp.array([0, 5])].get(mode="fill", fill_value=1.0)[:1] * x,
    ],
    "selection": [
        lambda c, x: jnp.where(np.array([True, False, True]), c, x),
        lambda c, x: jnp.where(np.array([True, True, False]), c, x),
    ],
    "selection by weights": [
        lambda c, x: jnp.where(np.array([1.0, -1.0, 1.0]) > 0, c, x),
        lambda c, x: jnp.where(np.array([1.0, 1.0, -1.0]) > 0, c, x),
    ],
    "selection by lot": [
        lambda c, x: jnp.where(jax.random.bernoulli(jax.random.key(0), 0.5, (3, 3)), c, x),
        lambda c, x: jnp.where(jax.random.bernoulli(jax.random.key(1), 0.5, (3, 3)), c, x),
    ],
    "rearrangement": [
        lambda c, x: c.T * x,
        lambda c, x: c[::-1] * x,
        lambda c, x: c[:, ::-1] * x,
        lambda c, x: jnp.roll(c, 1, 0) * x,
        lambda c, x: jnp.roll(c, 2, 0) * x,
    ],
    "product": [lambda c, x: c @ x, lambda c, x: c.T @ x, lambda c, x: c @ x.T, lambda c, x: x @ c],
    "convolution": [
        lambda c, x: lax.conv(c[None, None], x[None, None], (1, 1), "SAME")[0, 0],
        lambda c, x: lax.conv(x[None, None], c[None, None], (1, 1), "SAME")[0, 0],
    ],
    "window": [
        lambda c, x: lax.reduce_window(c, 0.0, lax.add, (2, 1), (1, 1), "SAME") * x,
        lambda c, x: lax.reduce_window(c, 0.0, lax.add, (1, 2), (1, 1), "SAME") * x,
    ],
    "sorting": [lambda c, x: jnp.sort(c, 0) * x, lambda c, x: jnp.sort(c, 1) * x],
    "length": [
        lambda c, x: lax.scan(lambda c, _: (c * x, None), c, length=2)[0],
        lambda c, x: lax.scan(lambda c, _: (c * x, None), c, length=3)[0],
    ],
    "direction": [
        lambda c, x: lax.scan(lambda c, a: (c * a, None), c, x)[0],
        lambda c, x: lax.scan(lambda c, a: (c * a, None), c, x, reverse=True)[0],
    ],
    "branches": [
        lambda c, x: lax.cond(x[0, 0] > 1, lambda c: c * 2, jnp.sin, c),
        lambda c, x: lax.cond(x[0, 0] > 1, jnp.sin, lambda c: c * 2, c),
        lambda c, x: lax.cond(x[0, 0] < 1, lambda c: c * 2, jnp.sin, c),
    ],
    "how long": [
        lambda c, x: lax.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1] * x), (0, c))[1],
        lambda c, x: lax.while_loop(lambda s: s[0] < 4, lambda s: (s[0] + 1, s[1] * x), (0, c))[1],
        lambda c, x: lax.while_loop(lambda s: s[0] <= 3, lambda s: (s[0] + 1, s[1] * x), (0, c))[1],
        lambda c, x: lax.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1] * x), (1, c))[1],
    ],
    "conversion": [lambda c, x: c * x, lambda c, x: c * x.astype("int32"), lambda c, x: c * jnp.round(x)],
    "linear algebra": [
        lambda c, x: lax.linalg.triangular_solve(c, x, lower=True, left_side=True),
        lambda c, x: lax.linalg.triangular_solve(c, x, lower=False, left_side=True),
        lambda c, x: lax.linalg.triangular_solve(c, x, lower=True, left_side=False),
    ],
}


def with_rule(body, rule):
    @jax.custom_jvp
    def custom(c, x):
        return body(c, x)

    custom.defjvp(lambda primals, tangents: jax.jvp(rule, primals, tangents))
    return custom


def with_backward_rule(body, rule):
    @jax.custom_vjp
    def custom(c, x):
        return body(c, x)

    custom.defvjp(lambda c, x: (body(c, x), (c, x)), lambda kept, g: jax.vjp(rule, *kept)[1](g))
    return custom


def plain(c, x):
    return c * x


# Where a body stands.
PLACES = {
    "bare": lambda body, x: body(jnp.cos(x), x),
    "called": lambda body, x: jax.jit(body)(jnp.cos(x), x),
    "scan": lambda body, x: lax.scan(lambda c, _: (body(c, x), None), jnp.cos(x), length=2)[0],
    "while": lambda body, x: lax.while_loop(
        lambda s: s[0] < 2, lambda s: (s[0] + 1, body(s[1], x)), (0, jnp.cos(x))
    )[1],
    "branch": lambda body, x: lax.cond(x[0, 0] > 0, body, plain, jnp.cos(x), x),
    "scan in a branch": lambda body, x: lax.cond(
        x[0, 0] > 0, lambda c: lax.scan(lambda c, _: (body(c, x), None), c, length=2)[0], jnp.sin, x
    ),
    "custom function": lambda body, x: with_rule(body, plain)(jnp.cos(x), x),
    "custom rule": lambda body, x: with_rule(plain, body)(jnp.cos(x), x),
    "custom backward rule": lambda body, x: with_backward_rule(plain, body)(jnp.cos(x), x),
}
# A while loop has no derivative backwards, so that it makes no backward rule.
NO_RULES = {("how long", "custom backward rule")}


def identity(fun, *args):
    """The fingerprint of a function of one argument's first output, without local Jacobians."""
    program, _ = trace_program(fun, *args)
    return fingerprint(number_vertices(program, [0], 1), (1,))


@functools.cache
def identities(places=tuple(PLACES)):
    """The fingerprint of every body at every place."""
    return {
        (kind, place): [identity(functools.partial(PLACES[place], body), X) for body in bodies]
        for kind, bodies in BODIES.items()
        for place in places
        if (kind, place) not in NO_RULES
    }


@pytest.mark.parametrize("kind", BODIES)
def test_programs_that_differ_in_one_thing_have_other_fingerprints_wherever_it_stands(kind):
    for place in PLACES:
        found = identities().get((kind, place), [])
        assert len(set(found)) == len(found), place


def test_hundreds_of_pairs_are_compared():
    pairs = [pair for found in identities().values() for pair in itertools.combinations(found, 2)]
    assert len(pairs) > 700 and all(one != two for one, two in pairs)


def test_a_program_has_the_same_fingerprint_whenever_it_is_traced():
    before = identities()
    for key, found in identities.__wrapped__(("bare", "scan in a branch", "custom backward rule")).items():
        assert found == before[key]
    for kind in BODIES:
        assert before[kind, "bare"] == before[kind, "called"]  # calls are inlined


PROGRAM = """
import sys, jax
sys.path.insert(0, sys.argv[1])
import test_identity
with jax.enable_x64(True):
    wide = test_identity.identities()
test_identity.identities.cache_clear()
with jax.enable_x64(False):
    narrow = test_identity.identities(("bare", "scan", "custom rule"))
print([wide, narrow])
"""
# In double precision, JAX converts indices and draws longer words: these are other programs.
OF_A_PRECISION = ("indices", "computed indices", "scattered indices", "mode", "selection by lot")


def test_a_program_has_the_same_fingerprint_in_every_process_and_precision():
    command = [sys.executable, "-c", PROGRAM, os.path.dirname(__file__)]
    environment = os.environ | {"PYTHONHASHSEED": "7"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    wide, narrow = ast.literal_eval(done.stdout)
    assert wide == identities()
    assert len(narrow) == 3 * len(BODIES)
    for (kind, place), found in narrow.items():
        if kind not in OF_A_PRECISION:
            assert found == wide[kind, place], (kind, place)


def of(fun, *args):
    return graphax.trace(fun)(*(args or (X,))).fingerprint


def closing_over(value):
    """Functions that use a closed-over value, not all of which it makes others."""
    table, numbers = np.asarray(value), jnp.asarray(value, float)
    return {
        "a factor": lambda x: numbers * x,
        "a matrix": lambda x: jnp.sin(x) @ jnp.outer(numbers, numbers),
        "a factor in a loop": lambda x: lax.scan(lambda c, a: (c * numbers + a, None), x[0], x)[0],
        "labels": lambda x: x * (table[:, None] == np.arange(3)),
        "exponents": lambda x: jnp.tanh(x) ** numbers,
        "what is added to a predicate of x": lambda x: jnp.where(x + numbers > 1, x, 0.0),
        "indices": lambda x: x[table] * x,
        "indices of indices": lambda x: x[jnp.arange(2, -1, -1)[table]] * x,
        "updates": lambda x: x.at[table[:2]].mul(2.0),
        "a selection": lambda x: jnp.where(numbers > 1, x, 0.0) * x,
        "a start": lambda x: lax.dynamic_slice(x, (table[0], 0), (1, 3)) * x,
        "scanned indices": lambda x: lax.scan(lambda c, at: (c * x[at], None), x[0], table)[0],
        "indices by a counter": lambda x: lax.fori_loop(0, 3, lambda i, c: c * x[numbers.astype(int)[i]], x),
        "a walk along indices": lambda x: lax.scan(
            lambda s, _: ((jnp.asarray(table)[s[0]], s[1] * x[s[0]]), None), (table[0], x[0]), length=3
        )[0][1],
        "indices in a branch": lambda x: lax.cond(x[0, 0] > 1, lambda x: x[table] * x, jnp.sin, x),
    }


SAME = (
    "a factor",
    "a matrix",
    "a factor in a loop",
    "labels",
    "exponents",
    "what is added to a predicate of x",
)


@pytest.mark.parametrize("use", closing_over([0, 1, 2]))
def test_of_closed_over_arrays_those_that_decide_which_entries_meet_belong_to_a_graph(use):
    one, other = of(closing_over([0, 1, 2])[use]), of(closing_over([2, 1, 0])[use])
    assert (one == other) is (use in SAME)
    assert one == of(closing_over([0, 1, 2])[use], X + 1)


def test_values_of_arguments_names_and_places_do_not_belong_to_a_graph():
    def fun(x):
        return jnp.sin(x) @ x

    fingerprint = of(fun)
    assert fingerprint == of(fun, 2 * X) == of(fun, jax.ShapeDtypeStruct((3, 3), "float32"))
    assert fingerprint == of(jax.jit(lambda y: jax.named_call(fun, name="other")(y)))
    assert fingerprint == of(jax.checkpoint(fun)) == of(fun, jax.device_put(X, jax.devices()[-1]))
    with jax.default_matmul_precision("float32"), jax.named_scope("somewhere"):
        assert fingerprint == of(fun)


def test_what_is_differentiated_and_returned_belongs_to_a_graph():
    def fun(x, y):
        return jnp.sin(x) * y, x * y

    found = {graphax.trace(fun, argnums=argnums)(X, X).fingerprint for argnums in (0, 1, (0, 1), (1, 0))} | {
        graphax.trace(lambda x, y, at=at: fun(x, y)[at])(X, X).fingerprint for at in (0, 1)
    }
    assert len(found) == 6


def test_objects_that_parameters_hold_do_not_tell_traces_apart():
    def fun(scale):
        def call(x):
            kind = jax.ShapeDtypeStruct((3, 3), x.dtype)
            return x * jax.pure_callback(lambda y: scale * y, kind, jnp.ones((3, 3)))

        return call

    assert of(fun(1.0)) == of(fun(2.0))


def test_records_that_parameters_hold_belong_to_a_graph():
    def fun(contracted):
        dims = (((1,), (contracted,)), ((), ()))
        numbers = lax.RaggedDotDimensionNumbers(dims, lhs_ragged_dimensions=(0,), rhs_group_dimensions=(0,))
        return lambda x: lax.ragged_dot_general(x, jnp.stack([x, x]), jnp.array([1, 2]), numbers)

    assert identity(fun(1), X) == identity(fun(1), X) != identity(fun(2), X)


def test_numbers_beyond_single_precision_are_spelt_without_a_warning():
    with warnings.catch_warnings(action="error"):
        found = {of(lambda x, n=n: x * n) for n in (1e300, 1e301, -1.7e308)}
    assert len(found) == 3


def test_a_rule_that_calls_its_own_function_has_an_end():
    def root(slope):
        @jax.custom_jvp
        def root(x):
            return jnp.sqrt(x)

        root.defjvp(lambda x, t: (root(*x), t[0] * slope / root(*x)))
        return lambda x: root(root(x)) * x

    assert of(root(0.5)) == of(root(0.5)) != of(root(0.7))


def test_a_rule_that_cannot_be_traced_does_no_harm():
    @jax.custom_vjp
    def fun(x):
        return x * 2.0

    def fail(kept, cotangent):
        raise RuntimeError("not today")

    fun.defvjp(lambda x: (fun(x), x), fail)
    assert identity(lambda x: fun(x) * x, X) == identity(lambda x: fun(x) * x, X)


def test_fingerprints_take_a_small_part_of_tracing():
    def fun(x):
        for at in range(60):
            x = jnp.sin(x) @ x + x[::-1] * (at + 0.5)
        return lax.scan(lambda c, a: (jax.nn.softplus(c) * a, None), x[0], x)[0]

    def seconds(work):
        start = time.perf_counter()
        found = work()
        return time.perf_counter() - start, found

    tracing, graphs = zip(*[seconds(lambda: graphax.trace(fun)(X)) for _ in range(3)], strict=True)
    hashing = [seconds(lambda graph=graph: graph.fingerprint)[0] for graph in graphs]
    assert min(hashing) < 0.15 * min(tracing)


def test_long_programs_have_fingerprints():
    def fun(x):
        for _ in range(3000):
            x = jnp.sin(x)
        return x

    assert len(identity(fun, 1.0)) == 64


def test_an_order_of_another_graph_is_refused_however_alike_it_is(tmp_path):
    def loop(body):
        return lambda x: lax.scan(lambda c, a: (body(c, a), None), jnp.sin(x[0]), jnp.cos(x))[0]

    one, other = loop(lambda c, x: x * x + c), loop(lambda c, x: c * c + x)
    graph = graphax.trace(one)(X)
    graphax.save_order(tmp_path / "order", graph, graph.eliminable, method="mine")
    order = graphax.load_order(tmp_path / "order")
    np.testing.assert_allclose(graphax.jacve(one, order=order)(X), jax.jacrev(one)(X), rtol=1e-12)
    with pytest.raises(ValueError, match="made for another graph"):
        graphax.jacve(other, order=order)(X)
