"""Kernels go through the transformations of JAX, and are compiled when they are new."""

import functools
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import graphax
from graphax import fuse, hessve, jacve
from graphax.kernels._primitive import kernel_p
from graphax.kernels.cpu import _native

pytestmark = pytest.mark.skipif(_native.available() is not None, reason=str(_native.available()))
#: Part of the name of what a lowered program calls.
CALLED = "graphax_kernel_" if jax.default_backend() == "cpu" else "triton"


def fun(x, p):
    return jnp.stack([jnp.sin(x[0]) * x[1] * p[0], x[2] * jnp.exp(p[1] * x[0]), x[1] * x[2]])


KERNEL, PLAIN, FUSED = jacve(fun, kernel=True), jax.jacrev(fun), fuse(fun)
ROWS = np.random.default_rng(0).uniform(0.1, 0.9, (6, 3))
PARAMETERS = np.random.default_rng(1).uniform(0.1, 0.9, (6, 2))
X, P = ROWS[0], PARAMETERS[0]


def assert_same(found, expected):
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-11, atol=1e-13), found, expected)


def kernels(fun, *args):
    """The batches of the kernels in a program."""
    jaxpr = jax.make_jaxpr(fun)(*args).jaxpr
    return [eqn.params["batch"] for eqn in jaxpr.eqns if eqn.primitive is kernel_p]


BATCHES = {
    "both": (lambda f: jax.vmap(f), ROWS, PARAMETERS),
    "one": (lambda f: jax.vmap(f, (0, None)), ROWS, P),
    "the other": (lambda f: jax.vmap(f, (None, 0)), X, PARAMETERS),
    "other axes": (lambda f: jax.vmap(f, (1, -1), 2), ROWS.T, PARAMETERS.T),
    "nested": (lambda f: jax.vmap(jax.vmap(f, (0, None)), (None, 0)), ROWS, PARAMETERS),
    "nested, out of order": (
        lambda f: jax.vmap(jax.vmap(f, (0, None), 1), (1, 0), -1),
        ROWS.reshape(2, 3, 3),
        PARAMETERS[:3],
    ),
    "by size": (lambda f: jax.vmap(jax.vmap(f, (None, None), axis_size=2), (0, 0)), ROWS, PARAMETERS),
    "three": (
        lambda f: jax.vmap(jax.vmap(jax.vmap(f, (0, None)), (0, 0)), (None, 0)),
        ROWS.reshape(2, 3, 3),
        PARAMETERS.reshape(3, 2, 2),
    ),
    "none of it": (lambda f: jax.vmap(f, (0, None)), ROWS[:0], P),
    "one row": (lambda f: jax.vmap(f), ROWS[:1], PARAMETERS[:1]),
}


@pytest.mark.parametrize("case", BATCHES)
def test_a_batch_is_one_kernel(case):
    batched, *args = BATCHES[case]
    expected = batched(PLAIN)(*args)
    assert len(kernels(batched(KERNEL), *args)) == 1
    assert_same(batched(KERNEL)(*args), expected)
    assert_same(jax.jit(batched(KERNEL))(*args), expected)


def total(f):
    return lambda x, p: jnp.sum(jnp.sin(f(x, p)))


def steps(f):
    return lambda x, p: lax.scan(lambda c, _: (c + 0.1 * f(c, p) @ c, f(c, p)), x, None, 3)


def repeated(f):
    return lambda x, p: lax.while_loop(lambda c: jnp.sum(c) < 5, lambda c: c + jnp.abs(f(c, p) @ c), x)


def by_branch(f):
    return lambda x, p: lax.cond(x[0] > 0.5, f, lambda x, p: 2 * f(x, p), x, p)


def closing_over(f):
    return lambda x, p: jax.vmap(lambda y: f(x * y, p))(ROWS)


doubled = fuse(lambda x: 2 * x + x[0])


TRANSFORMATIONS = {
    "grad": lambda f: jax.grad(total(f), (0, 1)),
    "jvp": lambda f: lambda x, p: jax.jvp(f, (x, p), (p[0] * x, p)),
    "vjp": lambda f: lambda x, p: jax.vjp(f, x, p)[1](jnp.ones((3, 3))),
    "linearize": lambda f: lambda x, p: jax.linearize(f, x, p)[1](x, p),
    "jacfwd": jax.jacfwd,
    "jacrev": lambda f: jax.jacrev(f, 1),
    "hessian": lambda f: jax.hessian(total(f)),
    "jacfwd of vmap": lambda f: lambda x, p: jax.jacfwd(jax.vmap(f, (0, None)), 1)(ROWS, p),
    "scan": steps,
    "grad of scan": lambda f: jax.grad(lambda x, p: jnp.sum(steps(f)(x, p)[0])),
    "while": repeated,
    "cond": by_branch,
    "vmap of cond": lambda f: lambda x, p: jax.vmap(by_branch(f), (0, None))(ROWS, p),
    "remat": lambda f: jax.jacrev(jax.checkpoint(lambda x, p: jnp.sin(f(x, p) @ x))),
    "closure": closing_over,
    "linear_transpose": lambda f: lambda x, p: jax.linear_transpose(lambda y: f(x, p) @ doubled(y), x)(x),
    "map": lambda f: lambda x, p: lax.map(lambda y: f(y, p), ROWS, batch_size=4),
}


@pytest.mark.parametrize("name", TRANSFORMATIONS)
def test_transformations_apply_to_kernels(name):
    transformed = TRANSFORMATIONS[name]
    assert_same(jax.jit(transformed(KERNEL))(X, P), transformed(PLAIN)(X, P))


@pytest.mark.parametrize("kernel", [False, True])
def test_a_jacobian_sees_what_a_kernel_comes_from(kernel):
    second = jax.jacfwd(PLAIN)(X, P)
    assert_same(jacve(KERNEL, kernel=kernel)(X, P), second)
    assert_same(jacve(FUSED, 1, kernel=kernel)(X, P), jax.jacrev(fun, 1)(X, P))
    newton = lambda j: lambda x, p: x - jnp.linalg.solve(j(x, p), fun(x, p))  # noqa: E731
    assert_same(jacve(newton(KERNEL), kernel=kernel)(X, P), jax.jacfwd(newton(PLAIN))(X, P))
    assert_same(
        jacve(lambda x, p: steps(KERNEL)(x, p)[0], kernel=kernel)(X, P), jax.jacfwd(steps(PLAIN))(X, P)[0]
    )


def test_the_graph_of_a_kernel_is_that_of_its_function():
    assert graphax.count_ops(FUSED)(X, P) == graphax.count_ops(fun)(X, P)
    vertices = graphax.trace(FUSED)(X, P).eliminable
    assert_same(jacve(FUSED, order=vertices[::-1])(X, P), PLAIN(X, P))


def test_custom_rules_around_kernels():
    @jax.custom_jvp
    def seven(x):
        return FUSED(x, P)

    seven.defjvp(lambda x, dx: (seven(*x), 7 * KERNEL(*x, P) @ dx[0]))
    assert_same(jax.jit(jax.jacfwd(seven))(X), 7 * PLAIN(X, P))
    assert_same(jacve(seven, kernel=True)(X), 7 * PLAIN(X, P))

    @jax.custom_vjp
    def pulled(x):
        return FUSED(x, P)

    pulled.defvjp(lambda x: (FUSED(x, P), KERNEL(x, P)), lambda jacobian, ct: (3 * ct @ jacobian,))
    assert_same(jax.vmap(jax.jacrev(pulled))(ROWS), 3 * jax.vmap(PLAIN, (0, None))(ROWS, P))


def test_hessians_are_kernels_too():
    assert_same(hessve(total(fun), kernel=True)(X, P), jax.hessian(total(fun))(X, P))
    assert kernels(hessve(total(fun), kernel=True), X, P) == [()]


def test_modules_have_jacobians_by_kernels():
    eqx = pytest.importorskip("equinox")
    from graphax.equinox import filter_jacve

    found = filter_jacve(lambda xp, n: fun(*xp) * n, kernel=True)((jnp.array(X), jnp.array(P)), 2)
    assert_same(found, eqx.filter_jacrev(lambda xp, n: fun(*xp) * n)((jnp.array(X), jnp.array(P)), 2))


def test_what_is_called_again_is_not_compiled_again():
    compiled = []

    def listen(event, duration, **_):
        if "backend_compile" in event:
            compiled.append(duration)

    jax.monitoring.register_event_duration_secs_listener(listen)

    def again():
        return jacve(lambda x: jnp.cos(x) * x[0] * 1.25, kernel=True)

    expected = again()(X)
    seen = len(compiled)
    assert seen
    for _ in range(3):
        np.testing.assert_array_equal(again()(X), expected)
    assert len(compiled) == seen


def test_functions_of_equal_values_keep_derivatives_of_their_own():
    stopped = fuse(lambda x: lax.stop_gradient(x) * 2)
    moving = fuse(lambda x: x * 2)
    np.testing.assert_array_equal(stopped(X), moving(X))
    assert not np.any(jax.jacfwd(stopped)(X))
    assert_same(jax.jacfwd(moving)(X), 2 * np.eye(3))


def test_integers_beside_numbers_have_no_derivatives():
    power = lambda n, x: (n + 1, x * n, x > 0)  # noqa: E731
    for one in (power, fuse(power)):
        assert_same(jax.jvp(functools.partial(one, 3), (X,), (X,))[1][1], 3 * X)
        assert_same(jax.grad(lambda x, one=one: jnp.sum(one(3, x)[1]))(X), np.full(3, 3.0))


def test_without_jit_a_kernel_is_called_all_the_same():
    with jax.disable_jit():
        assert_same(jax.vmap(KERNEL, (0, None))(ROWS, P), jax.vmap(PLAIN, (0, None))(ROWS, P))


def test_kernels_are_printed_in_short():
    printed = str(jax.make_jaxpr(jax.vmap(KERNEL, (0, None)))(ROWS, P))
    assert "instructions" in printed
    assert len(printed) < 400


def test_lowered_programs_are_compiled_ahead_of_time():
    types = jax.ShapeDtypeStruct(ROWS.shape, float), jax.ShapeDtypeStruct(P.shape, float)
    lowered = jax.jit(jax.vmap(KERNEL, (0, None))).lower(*types)
    assert CALLED in lowered.as_text()
    assert_same(lowered.compile()(ROWS, P), jax.vmap(PLAIN, (0, None))(ROWS, P))
    again = jax.jit(jax.vmap(jacve(fun, kernel=True), (0, None))).lower(*types)
    assert again.as_text() == lowered.as_text()


def test_exported_programs_hold_operations_for_every_platform():
    batched = jax.vmap(KERNEL, (0, None))
    exported = jax.export.export(jax.jit(batched), platforms=("cpu", "cuda"))(ROWS, P)
    assert "custom_call" not in str(exported.mlir_module())
    assert_same(exported.call(ROWS, P), jax.vmap(PLAIN, (0, None))(ROWS, P))
    (size,) = jax.export.symbolic_shape("b")
    rows = jax.ShapeDtypeStruct((size, 3), float)
    some = jax.export.export(jax.jit(batched))(rows, jax.ShapeDtypeStruct((2,), float))
    assert_same(some.call(ROWS, P), jax.vmap(PLAIN, (0, None))(ROWS, P))


def test_exported_programs_are_read_again():
    pytest.importorskip("flatbuffers")
    exported = jax.export.export(jax.jit(jax.vmap(KERNEL, (0, None))))(ROWS, P)
    assert_same(
        jax.export.deserialize(exported.serialize()).call(ROWS, P), jax.vmap(PLAIN, (0, None))(ROWS, P)
    )


def test_fused_functions_take_and_give_what_the_function_does():
    @fuse
    def named(tree, *, scale):
        return {"a": tree["x"] * scale, "b": (tree["n"] + 1, 3.0, ())}

    def like(values):
        return jax.tree.map(lambda leaf: (jax.typeof(leaf), leaf.weak_type), values)

    tree = {"x": X, "n": 2}
    expected = jax.jit(named.__wrapped__)(tree, scale=2.0)
    found = named(tree, scale=2.0)
    assert_same(found, expected)
    assert like(found) == like(expected)
    assert like(fuse(lambda x: x * 2.0)(1.0)) == like(jax.jit(lambda x: x * 2.0)(1.0))
    assert fuse(lambda x: x)(X[:0]).shape == (0,)
    assert named.__name__ == "named"


def test_what_has_nothing_to_compute_needs_no_kernel():
    assert_same(jacve(lambda x: jnp.ones(2), kernel=True)(X), np.zeros((2, 3)))
    assert_same(jax.vmap(jacve(jnp.sin, kernel=True))(X[:, None])[:, 0, 0], np.cos(X))
    assert jacve(lambda x: x, kernel=True)(X[:0]).shape == (0, 0)
    assert fuse(lambda x: ())(X) == ()


def unknown(x):
    return lax.lgamma(x)


REFUSED = {
    "a number": (lambda: jacve(fun, kernel=1), ValueError, "True, False or 'auto', got 1"),
    "a word": (lambda: hessve(fun, kernel="yes"), ValueError, "True, False or 'auto', got 'yes'"),
    "an array": (lambda: jacve(fun, kernel=X), ValueError, "True, False or 'auto'"),
    "blocks": (lambda: jacve(fun, kernel=True, sparse=True), ValueError, "leave one of them out"),
    "an operation": (lambda: jacve(unknown, kernel=True)(X), TypeError, "'lgamma' .*test_primitive.*'auto'"),
    "an operation of fuse": (lambda: fuse(unknown)(X), TypeError, "'lgamma' .*test_primitive"),
    "a dtype": (lambda: fuse(jnp.sin)(jnp.ones(2, jnp.bfloat16)), TypeError, "bfloat16"),
    "complex numbers": (
        lambda: jacve(jnp.sin, holomorphic=True, kernel=True)(X + 1j), TypeError, "complex128",
    ),
    "many numbers": (lambda: jacve(jnp.sin, kernel=True)(jnp.ones(30_000)), TypeError, "30000 entries"),
    "branches": (lambda: jacve(lambda x: x if x > 0 else -x, kernel=True)(1.0), TypeError, "jax.lax.cond"),
    "no array": (lambda: fuse(lambda x: x)("words"), TypeError, "str"),
    "no function": (lambda: fuse(3), TypeError, "function"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_said_and_why(case):
    wrong, error, message = REFUSED[case]
    with pytest.raises(error, match=message):
        wrong()


def test_auto_does_without_a_kernel_where_there_is_none():
    assert_same(jacve(unknown, kernel="auto")(X), jax.jacrev(unknown)(X))
    assert_same(jacve(fun, kernel="auto", sparse=True)(X, P).todense(), PLAIN(X, P))
    assert kernels(jacve(fun, kernel="auto"), X, P) == [()]


def test_numbers_are_moved_by_a_kernel_only_where_it_is_asked_for():
    for kernel in (True, "auto"):
        text = jax.jit(jax.vmap(jacve(lambda x: 2 * x, kernel=kernel))).lower(ROWS).as_text()
        assert (CALLED in text) == (kernel is True)


def test_threads_trace_and_call_at_once():
    functions = [lambda x, k=k: jnp.sin(x * (k + 1)) * x[0] for k in range(3)]
    expected = [jax.vmap(jax.jacfwd(f))(ROWS) for f in functions]
    found, begin = {}, threading.Barrier(16)

    def work(k):
        f = functions[k % 3]
        with jax.enable_x64(True):
            begin.wait(60)
            found[k] = jax.jit(jax.vmap(jacve(f, kernel=True)))(ROWS), jacve(f, kernel=True)(X)

    threads = [threading.Thread(target=work, args=(k,), daemon=True) for k in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(found) == 16
    for k, (rows, one) in found.items():
        assert_same(rows, expected[k % 3])
        assert_same(one, expected[k % 3][0])


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="vectors are of CPUs")
def test_single_rows_of_long_loops_are_left_to_xla():
    def long(x):
        return lax.fori_loop(0, 1000, lambda i, s: jnp.sin(s * x), x)

    for rows, kernel, called in ((1, "auto", False), (1, True, True), (16, "auto", True)):
        lowered = jax.jit(jax.vmap(jacve(long, kernel=kernel))).trace(ROWS[:1].repeat(rows, 0)).lower()
        assert (CALLED in lowered.as_text()) == called
