"""Jacobians by kernels are JAX's, at the edges of functions, of dtypes and of what jacve takes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import graphax
from graphax import jacve, value_and_jacve

NAN, INF = np.nan, np.inf
X = np.array([0.3, -0.7, 1.1])
Y = np.array([0.9, 0.2, -1.3])
#: Without numbers below the normal ones, which XLA takes for zeros or not as operations are fused.
EDGES = np.array([0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.0, INF, -INF, NAN, 1e300, -1e300, 1e-200])


def same(found, expected, rtol=1e-12):
    """Equal trees, shapes, dtypes and weak types, and equal values, at the same places not finite."""
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for a, e in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert (a.shape, a.dtype) == (e.shape, e.dtype)
        if a.dtype != jax.dtypes.float0:
            np.testing.assert_allclose(a, e, rtol=rtol, atol=rtol)


def allowed(found, ways, rtol=1e-10):
    """Every entry is that of one of JAX's modes, and finite where one of theirs is."""
    found, ways = np.asarray(found), [np.asarray(way) for way in ways]
    fits = [np.isclose(found, way, rtol=rtol, atol=1e-300, equal_nan=True) for way in ways]
    finite = np.any([np.isfinite(way) for way in ways], axis=0)
    wrong = ~np.any(fits, axis=0) & (finite | ~np.isfinite(found) & ~np.all(~np.isfinite(ways), axis=0))
    assert not wrong.any(), [(place, found[place], [way[place] for way in ways]) for place in _where(wrong)]


def _where(wrong):
    return [tuple(place) for place in np.argwhere(wrong)]


ONE = {
    "sqrt": jnp.sqrt,
    "cbrt": jnp.cbrt,
    "abs": jnp.abs,
    "sign": jnp.sign,
    "square": jnp.square,
    "cube": lambda x: x**3,
    "reciprocal": lambda x: 1 / x,
    "inverse square": lambda x: x**-2,
    "rsqrt": lax.rsqrt,
    "real power": lambda x: x**1.5,
    "sinc": jnp.sinc,
    "relu": jax.nn.relu,
    "softplus": jax.nn.softplus,
    "sigmoid": jax.nn.sigmoid,
    "tanh": jnp.tanh,
    "exp": jnp.exp,
    "expm1": jnp.expm1,
    "log": jnp.log,
    "log1p": jnp.log1p,
    "asin": jnp.arcsin,
    "acosh": jnp.arccosh,
    "atanh": jnp.arctanh,
    "atan": jnp.arctan,
    "floor": jnp.floor,
    "round": jnp.round,
    "clip": lambda x: jnp.clip(x, -1.0, 1.0),
    "nan to num": jnp.nan_to_num,
    "guarded root": lambda x: jnp.where(x > 0, jnp.sqrt(jnp.where(x > 0, x, 1.0)), 0.0),
    "unguarded root": lambda x: jnp.where(x > 0, jnp.sqrt(x), 0.0),
    "unguarded log": lambda x: jnp.where(x > 0, jnp.log(x), x),
    "unguarded quotient": lambda x: jnp.where(x == 0, 1.0, jnp.sin(x) / x),
    "nothing times": lambda x: 0.0 * x,
    "minus itself": lambda x: x - x,
    "whole": lambda x: x.astype(jnp.int32) * x,
    "stopped": lambda x: lax.stop_gradient(x) * x,
}
TWO = {
    "max": jnp.maximum,
    "min": jnp.minimum,
    "quotient": jnp.divide,
    "power": jnp.power,
    "atan2": jnp.arctan2,
    "remainder": lax.rem,
    "product": jnp.multiply,
    "logaddexp": jnp.logaddexp,
    "where equal": lambda x, y: jnp.where(x == y, x * y, x / (x - y)),
    "norm": lambda x, y: jnp.sqrt(x * x + y * y),
    "clip": lambda x, y: jnp.clip(0.5, x, y),
}


JAX_S = (jax.jacfwd, jax.jacrev)


def compared(funs, *args):
    """Values and derivatives of functions of numbers, at many points, beside JAX's."""
    argnums = tuple(range(len(args)))

    def by(way):
        each = [jax.vmap(lambda *x, fun=fun: (fun(*x), way(fun, argnums)(*x))) for fun in funs.values()]
        return jax.jit(lambda *args: [one(*args) for one in each])(*args)

    ours = jax.jit(
        lambda *args: [
            jax.vmap(value_and_jacve(fun, argnums=argnums, kernel=True))(*args) for fun in funs.values()
        ]
    )(*args)
    for name, found, *ways in zip(funs, ours, *map(by, JAX_S), strict=True):
        np.testing.assert_allclose(found[0], ways[0][0], rtol=1e-13, atol=0, err_msg=name)
        for at in argnums:
            try:
                allowed(found[1][at], [way[1][at] for way in ways])
            except AssertionError as error:
                raise AssertionError(f"{name}, by argument {at}") from error


@pytest.mark.parametrize("first", range(4))
def test_functions_of_a_number_at_their_edges(first):
    compared({name: ONE[name] for name in list(ONE)[first::4]}, EDGES)


@pytest.mark.parametrize("first", range(2))
def test_functions_of_two_numbers_at_their_edges(first):
    x, y = np.meshgrid(EDGES, EDGES)
    compared({name: TWO[name] for name in list(TWO)[first::2]}, x.ravel(), y.ravel())


TIED = np.array([1.0, 1.0, -1.0, 0.0, 0.0, 1.0])
OF_TIES = {
    "max": jnp.max,
    "min": lambda x: jnp.min(x) * x,
    "sort": jnp.sort,
    "product": jnp.prod,
    "greatest so far": lax.cummax,
    "product so far": jnp.cumprod,
    "median": jnp.median,
    "norm": lambda x: jnp.linalg.norm(x - x[0]),
    "softmax": jax.nn.softmax,
    "logsumexp": lambda x: jax.nn.logsumexp(1e3 * x),
    "largest of pairs": lambda x: jnp.max(x.reshape(3, 2), axis=1),
    "ordered": lambda x: x[jnp.argsort(x)],
    "one that is largest": lambda x: x[jnp.argmax(x)] ** 2,
    "greatest at places": lambda x: x.at[jnp.array([0, 0, 2])].max(x[3:]),
    "product by zeros": lambda x: x.at[jnp.array([0, 3])].mul(x[3:5], unique_indices=True),
}
if jax.default_backend() == "cpu":  # elsewhere any of those that are put in one place may stay there
    OF_TIES["places"] = lambda x: x.at[jnp.array([0, 0, 2])].set(x[3:])


def test_ties_and_zeros_among_entries():
    def by(way):
        return jax.jit(lambda x: [way(fun)(x) for fun in OF_TIES.values()])(TIED)

    for name, found, *ways in zip(
        OF_TIES, by(functools.partial(jacve, kernel=True)), *map(by, JAX_S), strict=True
    ):
        try:
            allowed(found, ways)
        except AssertionError as error:
            raise AssertionError(name) from error


def test_functions_applied_at_places_of_an_array():
    for index, mode in ((1, None), (np.array([1, 1]), None), (7, "clip"), (7, "drop")):
        times = np.zeros(3, int)
        np.add.at(times, np.minimum(index, 2) if mode != "drop" else np.array([], int), 1)
        expected = [(1.0, np.cos(x), np.cos(np.sin(x)) * np.cos(x))[n] for x, n in zip(X, times, strict=True)]
        found = jacve(lambda x, at=index, mode=mode: x.at[at].apply(jnp.sin, mode=mode), kernel=True)(X)
        same(found, jnp.diag(jnp.asarray(expected)))
    found = jacve(lambda x: x.at[0].apply(jnp.log), kernel=True)(np.array([2.0, 0.0, -1.0]))
    same(found, jnp.diag(jnp.array([0.5, 1.0, 1.0])))


def test_what_no_selection_takes_spoils_nothing():
    x = np.array([0.0, 4.0, 2.0, np.inf])
    funs = {
        "sorted": lambda x: jnp.sort(jnp.log(x))[1:3] * x[1],
        "largest": lambda x: lax.top_k(-jnp.sqrt(x), 3)[0][1:] * x[1],
        "at traced places": lambda x: jnp.log(x)[jnp.argsort(x)[1:3]] * x[2],
        "a product of what is taken": lambda x: (lambda y, i: y[i[1]] * y[i[2]])(jnp.log(x), jnp.argsort(x)),
        "overwritten": lambda x: jnp.log(x).at[jnp.argmin(x)].set(1.0)[:3].at[jnp.argmax(x[:3])].set(0.0),
    }
    for name, fun in funs.items():
        forward, reverse = (np.asarray(way(fun)(x)) for way in JAX_S)
        for order in ("forward", "reverse", "auto"):
            found = np.asarray(jax.jit(jacve(fun, order=order, kernel=True))(x))
            finite = np.isfinite(forward) | np.isfinite(reverse)
            expected = np.where(np.isfinite(forward), forward, reverse)
            np.testing.assert_allclose(
                found[finite], expected[finite], rtol=1e-12, err_msg=f"{name}, {order}"
            )


def tree_fun(tree, scale):
    a, (b, c) = tree["a"], tree["b"]
    return {"s": jnp.sum(a) * c, "v": [a * b, jnp.outer(a, b) * scale], "same": b}


TREE = {"a": X, "b": (Y, np.array(2.0))}
TAKEN = {
    "trees": (tree_fun, 0, (TREE, 1.5)),
    "two arguments": (tree_fun, (0, 1), (TREE, 1.5)),
    "in another order": (tree_fun, (1, 0), (TREE, np.array(1.5))),
    "counted from the end": (tree_fun, -1, (TREE, 1.5)),
    "one argument returned": (lambda x, y: (x, y), (0, 1), (X, Y)),
    "the same array twice": (lambda x, y: x * y, (0, 1), (X, X)),
    "no use of an argument": (lambda x, y: jnp.sin(x), (0, 1), (X, Y)),
    "a constant result": (lambda x: (jnp.ones(2), 3.0, jnp.sin(x)), 0, (X,)),
    "nothing but constants": (lambda x: jnp.ones(2), 0, (X,)),
    "a number": (lambda x: x * x, 0, (0.5,)),
    "weakly typed results": (lambda x, y: (x * 2, x + y), (0, 1), (0.5, 2.0)),
    "no entries": (lambda x: x * 2, 0, (np.ones((0, 3)),)),
    "no entries of one argument": (lambda x, y: jnp.sum(x) + y, (0, 1), (np.ones((0, 3)), Y)),
    "no entries of a result": (lambda x: (x[:0], x), 0, (X,)),
    "no leaves": (lambda x: {"a": [], "b": x}, 0, (X,)),
    "integers among results": (lambda x: (x, jnp.int32(3), jnp.argmax(x)), 0, (X,)),
    "integers beside": (lambda x, n: x**n, 0, (X, 3)),
    "truth values beside": (lambda x, p: jnp.where(p, x, -x), 0, (X, np.array([True, False, True]))),
    "closed over": (lambda x: x @ np.diag(Y) + jnp.asarray(Y), 0, (X,)),
    "results of another precision": (lambda x: (x.astype(jnp.float32), jnp.sin(x)), 0, (X,)),
    "arguments of two precisions": (lambda x, y: x * y, (0, 1), (X, Y.astype(np.float32))),
    "wider on the way": (lambda x: jnp.sin(x.astype(jnp.float64) * 1e-60) * 1e60, 0, (X.astype(np.float32),)),
    "selections of another precision": (
        lambda x: jnp.where(x > 0, jnp.log(x), 0.0).astype(jnp.float32) * x[0].astype(jnp.float32),
        0,
        (X,),
    ),
    "another precision on the way": (
        lambda x: jnp.sin(x.astype(jnp.float32) ** 2).astype(jnp.float64) * x,
        0,
        (X,),
    ),
}


@pytest.mark.parametrize("name", TAKEN)
def test_what_jacve_takes_and_gives(name):
    fun, argnums, args = TAKEN[name]
    rtol = 1e-6 if "precision" in name or "wider" in name else 1e-12
    found = jacve(fun, argnums, kernel=True)(*args)
    plain = jacve(fun, argnums)(*args)
    same(found, plain, rtol)
    weak = lambda tree: [jax.typeof(leaf).weak_type for leaf in jax.tree.leaves(tree)]  # noqa: E731
    assert weak(found) == weak(plain)
    value, again = value_and_jacve(fun, argnums, kernel=True)(*args)
    same(again, plain, rtol)
    expected = jax.jit(fun)(*args)
    same(value, expected, rtol)
    assert weak(value) == weak(expected)


INTEGERS = {
    "an array": (lambda x, n: (x * n, jnp.sum(x)), (0, 1), (X, np.arange(3))),
    "nothing else": (lambda n: n * 2.5, 0, (3,)),
    "in a tree": (lambda t: t["a"] * t["b"], 0, ({"a": 3, "b": 2.0},)),
    "truth values": (lambda x, p: jnp.where(p, x, 2 * x), (0, 1), (X, np.array([True, False, True]))),
    "integers from integers": (lambda n: n * 2, 0, (3,)),
    "integers and numbers": (lambda x, n: (n * 2, x), (0, 1), (X, 3)),
}


@pytest.mark.parametrize("name", INTEGERS)
def test_integers_are_differentiated_as_without_a_kernel(name):
    fun, argnums, args = INTEGERS[name]
    try:
        plain = jacve(fun, argnums, allow_int=True)(*args)
    except TypeError as error:
        with pytest.raises(TypeError, match=str(error)[:30]):
            jacve(fun, argnums, allow_int=True, kernel=True)(*args)
        return
    same(jacve(fun, argnums, allow_int=True, kernel=True)(*args), plain)
    same(jax.jit(jacve(fun, argnums, allow_int=True, kernel=True))(*args), plain)


def test_auxiliary_data_follow():
    fun = lambda x: (jnp.sin(x), {"n": 3, "y": x * 2, "word": "as it is"})  # noqa: E731
    (value, aux), found = value_and_jacve(fun, has_aux=True, kernel=True)(X)
    same([value, aux["y"], found], [jnp.sin(X), jnp.asarray(2 * X), jnp.diag(jnp.cos(X))])
    assert aux["n"] == 3 and aux["word"] == "as it is"
    found, aux = jacve(fun, has_aux=True, kernel=True)(X)
    same([aux["y"], found], [jnp.asarray(2 * X), jnp.diag(jnp.cos(X))])


AROUND = {
    "jit": lambda inner: jax.jit(inner),
    "vmap": lambda inner: lambda y: jax.vmap(inner)(jnp.stack([y, 2 * y])),
    "two vmaps": lambda inner: lambda y: jax.vmap(jax.vmap(inner))(jnp.stack([y, 2 * y])[:, None]),
    "jacfwd": lambda inner: jax.jacfwd(inner),
    "jacrev": lambda inner: jax.jacrev(inner),
    "jacfwd of jacrev": lambda inner: jax.jacfwd(jax.jacrev(inner)),
    "jacve": lambda inner: jacve(inner, kernel=inner.kernel),
    "scan": lambda inner: lambda y: lax.scan(lambda c, _: (jnp.tanh(inner(c)[0]), c), y, None, 3),
    "cond": lambda inner: lambda y: lax.cond(y[0] > 0, inner, lambda y: 0 * inner(y), y),
    "while": lambda inner: lambda y: lax.fori_loop(0, 3, lambda _, c: jnp.tanh(inner(c)[1]), y),
    "grad of vmap": lambda inner: jax.grad(lambda y: jnp.sum(jax.vmap(inner)(jnp.stack([y, y * y])))),
    "remat": lambda inner: jax.jacrev(jax.checkpoint(inner)),
}


@pytest.mark.parametrize("name", AROUND)
def test_what_surrounds_a_jacobian_may_trace_what_its_function_closes_over(name):
    def with_kernel(kernel):
        def inner(y):
            return jacve(lambda x: jnp.sin(x * y) * jnp.sum(jnp.exp(x)) + jnp.asarray(Y), kernel=kernel)(X)

        inner.kernel = kernel
        return jax.jit(AROUND[name](inner))(jnp.asarray(Y))

    same(with_kernel(True), with_kernel(False), 1e-11)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.complex128])
def test_dtypes_without_scalars_have_no_kernel_and_are_named(dtype):
    x = jnp.asarray(X, dtype)
    fun = lambda x: jnp.sin(x) * x  # noqa: E731
    holomorphic = dtype == jnp.complex128
    with pytest.raises(TypeError, match=f"no kernel.*{jnp.dtype(dtype).name}"):
        jacve(fun, holomorphic=holomorphic, kernel=True)(x)
    same(jacve(fun, holomorphic=holomorphic, kernel="auto")(x), jacve(fun, holomorphic=holomorphic)(x))


def test_what_has_no_kernel_is_named():
    for fun, word in (
        (lambda x: jax.scipy.special.gammaln(x), "lgamma"),
        (lambda x: jnp.abs(jnp.fft.fft(x)), "fft|abs"),
        (lambda x: lax.while_loop(lambda c: c[0] < 5, lambda c: 2 * c + 1, jnp.abs(x)), "while"),
    ):
        with pytest.raises(TypeError, match=word):
            jacve(fun, kernel=True)(X)
        same(jacve(fun, kernel="auto")(X), jacve(fun)(X))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_order_gives_the_same(dtype):
    def fun(x, y):
        a = jnp.sin(x) * y[0]
        b = jnp.dot(a, jnp.exp(y)) * a
        return jnp.stack([jnp.sum(b), jnp.prod(a + b)]), jnp.where(b > 0, jnp.sqrt(jnp.abs(b)), a * b)

    x, y = X.astype(dtype), Y.astype(dtype)
    vertices = list(graphax.trace(fun, (0, 1))(x, y).eliminable)
    random = np.random.default_rng(0)
    orders = ["auto", "fwd", "rev", "markowitz", *(random.permutation(vertices).tolist() for _ in range(4))]
    expected = jax.jacrev(fun, (0, 1))(x, y)
    ways = [jacve(fun, (0, 1), order=order, kernel=True) for order in orders]
    for one in jax.jit(lambda x, y: [way(x, y) for way in ways])(x, y):
        same(one, expected, 1e-5 if dtype == np.float32 else 1e-12)


def test_orders_that_do_not_fit_are_refused():
    fun = lambda x: jnp.sin(jnp.exp(x) * x)  # noqa: E731
    for wrong in ([7], "revers", [1, 1]):
        with pytest.raises(ValueError):
            jacve(fun, order=wrong, kernel=True)(X)
    with pytest.raises(ValueError, match="did you mean 'markowitz'"):
        jacve(fun, body_order="markovitz", kernel=True)(X)


def test_nans_are_looked_for_in_what_a_kernel_comes_from():
    fun = jacve(lambda x: jnp.log(x), kernel=True)
    with jax.debug_nans(True):
        same(fun(jnp.abs(X)), jnp.diag(1 / jnp.abs(X)))
        with pytest.raises(FloatingPointError):
            jax.jit(lambda x: fun(x) * jnp.log(x))(X)


def test_batches_without_entries():
    fun = lambda x, y: (x * y, jnp.sum(x))  # noqa: E731
    for shapes, axes in (
        (((2, 0), (2,)), [(0, 0)]),
        (((2, 3, 0), (2, 3)), [(0, 0), (0, 0)]),
        (((2, 3, 0), (2,)), [(0, 0), (0, None)]),
        (((0, 2, 3), (0, 2)), [(0, 0), (0, 0)]),
    ):
        args = [jnp.ones(shape) for shape in shapes]

        def by(way, args=args, axes=axes):
            one = way(fun, (0, 1))
            for axis in reversed(axes):
                one = jax.vmap(one, axis)
            return jax.jit(one)(*args)

        same(by(functools.partial(jacve, kernel=True)), by(jax.jacrev))


def test_where_products_overflow_or_vanish_jacobians_are_right_or_as_by_the_mode():
    small, large = np.float32(1e-25), np.float32(1e25)
    x = np.array([1e-25, -2e-25], np.float32)
    for fun in (
        lambda x: large * jnp.exp(small * (large * x)) * jnp.sin(x[::-1] * large) * small,
        lambda x: small * (small / (x * jnp.exp(x))),
        lambda x: small * jnp.exp(small * (large * jnp.sin(large * x))),
    ):
        right = np.asarray(jax.jacfwd(fun)(x.astype(np.float64)))
        for order, way in (("forward", jax.jacfwd), ("reverse", jax.jacrev)):
            found, by_jax = np.asarray(jacve(fun, order=order, kernel=True)(x)), np.asarray(way(fun)(x))
            close = [
                np.isclose(found, other, rtol=1e-5, atol=1e-20, equal_nan=True) for other in (by_jax, right)
            ]
            assert np.any(close, axis=0).all(), (order, found, by_jax, right)
