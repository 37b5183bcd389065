"""`jacve` and `hessve` where `jax.jacrev` and `jax.hessian` stood: calls, trees, dtypes, errors, nesting."""

import dataclasses
import functools

import equinox as eqx
import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from oracle import assert_same_jacobian, together

import graphax
from graphax import hessve, jacve, value_and_hessve, value_and_jacve
from graphax.equinox import filter_jacve

pytestmark = pytest.mark.filterwarnings("error::numpy.exceptions.ComplexWarning")

X = np.array([0.3, -1.2, 0.7])
Z = X + 1j * np.array([0.4, 0.1, -0.8])
M = np.array([[0.5, -0.1, 0.2], [0.3, 0.8, -0.6], [0.1, 0.4, 0.9]])
ORDERS = ("forward", "reverse", "markowitz")


def same(actual, expected, rtol=1e-9):
    """The same Jacobian, and the same weak types."""
    assert_same_jacobian(actual, expected, rtol)
    weak = lambda tree: jax.tree.map(lambda leaf: getattr(leaf, "weak_type", False), tree)  # noqa: E731
    assert weak(actual) == weak(expected)


def all_same(functions, *args, rtol=1e-9):
    """The last function gives what the others give."""
    *actual, expected = together(*functions)(*args)
    for result in actual:
        same(result, expected, rtol)


# Arguments


@pytest.mark.parametrize("argnums", [0, 1, 2, -1, -3, (0,), (1, 2), (2, 0), (-1, 0), (0, 1, 2)])
def test_argnums_choose_the_arguments_and_the_nesting(argnums):
    fun = lambda x, y, z: (x * y + z, jnp.sum(x) * z**2)  # noqa: E731
    args = (X, X + 1, 2.0)
    all_same([jacve(fun, argnums=argnums), jax.jacrev(fun, argnums)], *args)
    all_same([hessve(fun, argnums=argnums), jax.hessian(fun, argnums)], *args)


def test_arguments_that_are_not_differentiated_may_be_anything():
    def fun(x, power, name, flag=False, *, table):
        assert isinstance(power, int) and flag is True and callable(table[name])
        return table[name](x) ** power

    args, kwargs = (X, 3, "sin"), {"flag": True, "table": {"sin": jnp.sin, "scale": X}}
    same(jacve(fun)(*args, **kwargs), jax.jacrev(fun)(*args, **kwargs))
    same(hessve(fun)(*args, **kwargs), jax.hessian(fun)(*args, **kwargs))


def test_arguments_by_keyword_are_passed_on_and_not_differentiated():
    fun = lambda x, y: x * y  # noqa: E731
    same(jacve(fun)(X, y=X), jax.jacrev(fun)(X, y=X))
    with pytest.raises(ValueError, match="passed by position"):
        jacve(fun)(x=X, y=X)


def test_auxiliary_data_is_handed_through():
    def fun(x):
        return {"y": jnp.sin(x)}, (jnp.argmax(x), [x * 2], {"none": None})

    for mine, theirs in ((jacve, jax.jacrev), (hessve, jax.hessian)):
        jacobian, aux = mine(fun, has_aux=True)(X)
        expected, expected_aux = theirs(fun, has_aux=True)(X)
        same(jacobian, expected)
        same(aux, expected_aux)
    (value, aux), jacobian = value_and_jacve(fun, has_aux=True)(X)
    same(((value, aux), jacobian), (fun(X), jax.jacrev(fun, has_aux=True)(X)[0]))


def test_auxiliary_data_may_be_what_was_differentiated():
    fun = lambda x: (x @ x, x)  # noqa: E731
    jacobian, aux = jax.jit(jacve(fun, has_aux=True))(X)
    same((jacobian, aux), (jnp.asarray(2 * X), jnp.asarray(X)))


# Pytrees


@functools.partial(jax.tree_util.register_dataclass, data_fields=["a", "b"], meta_fields=["name"])
@dataclasses.dataclass
class Pair:
    a: object
    b: object
    name: str = "pair"


TREES = {
    "dict to dict": (lambda d: {"c": d["a"] ** d["b"]}, {"a": X**2 + 1, "b": X}),
    "tuple to tuple": (lambda t: (t[0] * t[1][0], t[1][0] + 1), (X, [X * 2])),
    "array to nested": (lambda x: [{"p": x @ x}, (x, (x * 2, None)), ()], X),
    "dataclass": (lambda p: Pair(p.b @ p.a, jnp.sum(p.a), p.name), Pair(X, M)),
    "scalar leaves": (lambda t: {"s": t["u"] * t["v"] ** 2, "v": t["v"]}, {"u": 2.0, "v": 3.0}),
    "zero-size leaves": (lambda t: (t["none"] * 2, t["x"] * jnp.sum(t["none"])), {"none": X[:0], "x": X}),
    "different ranks": (lambda t: (t[0] * t[1] @ t[2], t[0]), (1.5, M, X)),
    "no leaf used": (lambda t: jnp.ones(2), (X, {"a": M})),
}


@pytest.mark.parametrize("name", TREES)
def test_pytrees_in_and_out(name):
    fun, arg = TREES[name]
    all_same([*(jacve(fun, order=order) for order in ORDERS), jax.jacrev(fun)], arg)
    all_same([hessve(fun), jax.hessian(fun)], arg)


def test_a_pytree_and_its_flat_array_have_the_same_hessian():
    tree = {"a": X, "b": M}
    flat, unravel = jax.flatten_util.ravel_pytree(tree)
    fun = lambda t: jnp.sum(jnp.tanh(t["b"] @ t["a"]) ** 2)  # noqa: E731
    blocks = hessve(fun)(tree)
    rows = [
        jnp.concatenate([blocks[p][q].reshape(tree[p].size, tree[q].size) for q in tree], 1) for p in tree
    ]
    same(jnp.concatenate(rows), jax.hessian(lambda x: fun(unravel(x)))(flat))


# Hessians


HESSIANS = {
    "quadratic form": lambda x: x @ M @ x,
    "cubes": lambda x: jnp.sum(x**3),
    "network": lambda x: jnp.sum(jnp.tanh(M @ jnp.tanh(M @ x)) ** 2),
    "several scalars": lambda x: (x @ x, {"b": jnp.sum(jnp.sin(x))}),
    "vector": lambda x: jnp.sin(M @ x) * x,
    "matrix": lambda x: jnp.outer(x, jnp.exp(x)) @ M,
    "linear": lambda x: M @ x,
    "constant": lambda x: jnp.ones(()),
    "identity": lambda x: x,
    "scalar and vector": lambda x: (x @ x, x * x),
    "log-sum-exp": jax.nn.logsumexp,
    "determinant": lambda x: jnp.linalg.slogdet(M @ M.T + jnp.diag(x**2 + 1))[1],
    "loop": lambda x: lax.fori_loop(0, 3, lambda i, y: jnp.sin(y) * x, x).sum(),
    "condition": lambda x: lax.cond(x[0] > 0, lambda y: jnp.sum(y**3), jnp.sum, x),
}


@pytest.mark.parametrize("name", HESSIANS)
def test_hessians_equal_those_of_jax(name):
    fun = HESSIANS[name]
    all_same([hessve(fun, order="forward"), hessve(fun, order="reverse"), jax.hessian(fun)], X)


def test_hessians_as_a_decorator_and_with_an_order_of_the_gradients_graph():
    @hessve(order="markowitz")
    def curvature(x):
        """Cubes."""
        return jnp.sum(x**3)

    assert curvature.__name__ == "curvature" and curvature.__doc__ == "Cubes."
    same(curvature(X), jnp.diag(6 * jnp.asarray(X)))
    fun = HESSIANS["network"]
    order = graphax.trace(graphax.gradient(fun))(X).eliminable
    same(hessve(fun, order=order[::-1])(X), jax.hessian(fun)(X))


@pytest.mark.parametrize("sparse", (False, True))
@pytest.mark.parametrize("name", TREES)
def test_value_gradient_and_hessian_come_together(name, sparse):
    fun, arg = TREES[name]
    value, gradient, hessian = value_and_hessve(fun, sparse=sparse)(arg)
    assert_same_jacobian((value, gradient), (jax.tree.map(jnp.asarray, fun(arg)), jax.jacrev(fun)(arg)))
    expected = hessve(fun, sparse=sparse)(arg)
    assert jax.tree.structure(hessian) == jax.tree.structure(expected)
    jax.tree.map(np.testing.assert_array_equal, hessian, expected)


def test_value_gradient_and_hessian_go_with_auxiliary_data_and_several_arguments():
    def fun(x, y, *, scale):
        value = scale * jnp.sum(jnp.sin(x) * y["w"])
        return value, {"twice": 2 * value, "kind": "energy"}

    args = X, {"w": 2 * X}
    (value, aux), gradient, hessian = value_and_hessve(fun, (0, 1), has_aux=True)(*args, scale=3.0)
    of_value = lambda x, y: fun(x, y, scale=3.0)[0]  # noqa: E731
    assert aux["kind"] == "energy"
    same(aux["twice"], 2 * value)
    same((value, gradient), jax.value_and_grad(of_value, (0, 1))(*args))
    same(hessian, jax.hessian(of_value, (0, 1))(*args))
    with pytest.raises(TypeError, match="must return a pair"):
        value_and_hessve(of_value, has_aux=True)(*args)
    with pytest.raises(TypeError, match="got int"):
        value_and_hessve(3)


def test_one_program_evaluates_value_gradient_and_hessian():
    program = jax.make_jaxpr(value_and_hessve(lambda x: jnp.sum(jnp.exp(x) * x), kernel=False))(X)
    assert str(program).count(" exp ") == 1


def test_hessians_of_holomorphic_functions():
    fun = lambda z: jnp.sum(jnp.sin(z) * z**2)  # noqa: E731
    all_same([hessve(fun, holomorphic=True), jax.hessian(fun, holomorphic=True)], Z)
    vector = lambda z: jnp.exp(z) * z[0]  # noqa: E731
    all_same([hessve(vector, holomorphic=True), jax.hessian(vector, holomorphic=True)], Z)
    with pytest.raises(TypeError, match="holomorphic=True"):
        hessve(lambda z: jnp.sum(jnp.abs(z)))(Z)


# Dtypes


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(), (1,), (0,), (2, 0), (2, 3)])
def test_every_real_dtype_and_shape(dtype, shape):
    x = jnp.asarray(np.linspace(0.2, 0.9, int(np.prod(shape))).reshape(shape), dtype)
    fun = lambda x: (jnp.sin(x) * x, x.astype("float32") * 2, jnp.sum(x))  # noqa: E731
    tolerance = max(4 * float(jnp.finfo(dtype).eps), 1e-6)
    all_same([jacve(fun), jax.jacrev(fun)], x, rtol=tolerance)
    all_same([hessve(fun), jax.hessian(fun)], x, rtol=tolerance)


def test_python_numbers_give_weakly_typed_derivatives():
    for fun in (
        lambda x: x * x + 1.0,
        lambda x: x * jnp.ones(2, "bfloat16"),
        lambda x: 3.0 * x,
        lambda x: x,
        lambda x: 2.0,
    ):
        same(jacve(fun)(2.0), jax.jacrev(fun)(2.0), 1e-2)
    mixed = (jnp.asarray(X, "float32"), M, 2.0)
    product = lambda t: jnp.sum(t[0] * t[2] @ t[1]) ** 2  # noqa: E731
    all_same([hessve(product), jax.hessian(product)], mixed, rtol=1e-6)
    all_same([hessve(lambda x: x**3), jax.hessian(lambda x: x**3)], 2.0)
    product = jacve(lambda x: x**2)(2.0) * jnp.ones(2, "bfloat16")
    assert product.dtype == "bfloat16"


def test_constants_of_any_kind_may_be_returned():
    fun = lambda x: (2.0, np.ones(2), x, x, np.float32(1))  # noqa: E731
    same(jacve(fun)(X), jax.jacrev(fun)(X))


# Integers


def test_integers_have_no_derivative():
    fun = lambda x, n: (x * n, jnp.sum(x))  # noqa: E731
    n = jnp.arange(3)
    for argnums in (0, 1, (0, 1)):
        actual = jacve(fun, argnums=argnums, allow_int=True)(X, n)
        same(actual, jax.jacrev(fun, argnums, allow_int=True)(X, n))
    tree = {"a": 3, "b": 2.0}
    both = lambda t: t["a"] * t["b"]  # noqa: E731
    same(jacve(both, allow_int=True)(tree), jax.jacrev(both, allow_int=True)(tree))
    same(jacve(lambda n: n * 2.5, allow_int=True)(3), jax.jacrev(lambda n: n * 2.5, allow_int=True)(3))
    same(jax.jit(jacve(both, allow_int=True))(tree), jax.jit(jax.jacrev(both, allow_int=True))(tree))


def test_booleans_and_keys_have_a_trivial_derivative():
    fun = lambda x, flag: jnp.where(flag, x, 2 * x)  # noqa: E731
    by_x, by_flag = jacve(fun, argnums=(0, 1), allow_int=True)(X, np.array([True, False, True]))
    same(by_x, jnp.diag(jnp.array([1.0, 2.0, 1.0])))
    assert by_flag.shape == (3, 3) and by_flag.dtype == jax.dtypes.float0
    noisy = lambda key, x: x * jax.random.normal(key, (3,))  # noqa: E731
    by_key, by_x = jacve(noisy, argnums=(0, 1), allow_int=True)(jax.random.key(0), X)
    assert by_key.shape == (3,) and by_key.dtype == jax.dtypes.float0
    same(by_x, jnp.diag(jax.random.normal(jax.random.key(0), (3,))))


def test_graphs_and_counts_of_functions_of_integers():
    fun = lambda t: jnp.sin(t["x"] * t["n"])  # noqa: E731
    arg = {"n": 3, "x": X}
    graph = graphax.trace(fun, allow_int=True)(arg)
    assert graph.inputs == (-1,)
    same(jacve(fun, order=graph.eliminable, allow_int=True)(arg), jax.jacrev(fun, allow_int=True)(arg))
    assert graphax.count_ops(fun, allow_int=True)(arg).mults == 3


# Complex numbers

HOLOMORPHIC = {
    "elementwise": lambda z: jnp.sin(z) * jnp.exp(z) / (z + 2) ** 3 - jnp.log(z + 3j),
    "linear": lambda z: (M + 2j * M.T) @ z,
    "identity": lambda z: z,
    "constant": lambda z: jnp.ones(2, "complex128"),
    "product": lambda z: jnp.outer(z, z) @ z * jnp.sum(z),
    "solution": lambda z: jnp.linalg.solve(M + jnp.diag(z), z),
    "Fourier transform": lambda z: jnp.fft.fft(z * z),
    "through real numbers": lambda z: lax.complex(z.real, z.imag) * z,
    "re-labelling": lambda z: jnp.concatenate([z[::-1], z[:1] * 2]).reshape(2, 2).T,
    "scan": lambda z: lax.scan(lambda c, x: (c * x + 1j, c), z[0], z)[1],
    "tree": lambda z: {"a": z * z, "b": (z, z[0])},
}


@pytest.mark.parametrize("name", HOLOMORPHIC)
def test_holomorphic_functions(name):
    fun = HOLOMORPHIC[name]
    mine = [jacve(fun, order=order, holomorphic=True) for order in ORDERS]
    with_value = value_and_jacve(fun, holomorphic=True)
    all_same([*mine, lambda z: with_value(z)[1], jax.jacrev(fun, holomorphic=True)], Z)
    all_same([lambda z: with_value(z)[0], fun], jnp.asarray(Z))


@jax.custom_vjp
def with_pullback(z):
    return z * jnp.abs(z)


with_pullback.defvjp(lambda z: (with_pullback(z), z), lambda z, ct: (2.0 * jnp.conj(z) * ct,))


@jax.custom_jvp
def with_pushforward(z):
    return jnp.sin(z)


with_pushforward.defjvp(lambda p, t: (with_pushforward(*p), jnp.conj(t[0]) * p[0]))


TO_REAL = {
    "modulus": jnp.abs,
    "squared modulus": lambda z: jnp.sum((z * jnp.conj(z)).real),
    "parts": lambda z: (z.real * z.imag, jnp.angle(z)),
    "product": lambda z: jnp.abs((M + 1j) @ (z * z)) ** 2,
    "spectrum": lambda z: jnp.abs(jnp.fft.fft(z)),
    "constant": lambda z: jnp.ones(2),
    "condition": lambda z: jnp.abs(lax.cond(z[0].real > 0, lambda y: jnp.conj(y) * 2, lambda y: y, z)),
    "scan": lambda z: jnp.abs(lax.scan(lambda c, x: (jnp.conj(c) * x, c.real), z[0], z)[0]),
    "custom vjp": lambda z: jnp.abs(with_pullback(2 * z)),
    "custom jvp": lambda z: jnp.abs(with_pushforward(2j * z)),
    "selection": lambda z: jnp.where(jnp.abs(z) > 0.8, z.real, (z * z).imag),
    "gather and scatter": lambda z: jnp.abs(z[jnp.array([0, 2, 2])] * z.at[1].set(z[0]).at[0].add(2j)),
    "eigenvalues": lambda z: jnp.linalg.eigvalsh(M + M.T + jnp.diag(jnp.abs(z)) + 1j * (M - M.T)),
    "powers": lambda z: jnp.abs(z ** (0.5 + 1j) + z**3 + 2.0**z),
    "conjugate transpose": lambda z: jnp.abs(jnp.linalg.solve(jnp.conj(M + jnp.diag(z)).T, z)),
}


@pytest.mark.parametrize("name", TO_REAL)
def test_real_functions_of_complex_arguments_follow_jacrev(name):
    fun = TO_REAL[name]
    all_same([*(jacve(fun, order=order) for order in ORDERS), jax.jacrev(fun)], Z)


TO_COMPLEX = {
    "wave": lambda x: jnp.exp(1j * x),
    "product": lambda x: (M + 1j * jnp.diag(x)) @ (x + 2j),
    "spectrum": jnp.fft.rfft,
    "both": lambda x: (x * 1j, x * x),
    "power": lambda x: (x + 0j) ** 1.5,
    "constant": lambda x: 1j * jnp.ones(2),
}


@pytest.mark.parametrize("name", TO_COMPLEX)
def test_complex_functions_of_real_arguments_follow_jacfwd(name):
    fun = TO_COMPLEX[name]
    all_same([*(jacve(fun, order=order) for order in ORDERS), jax.jacfwd(fun)], X)


def test_real_and_complex_arguments_side_by_side():
    fun = lambda t: {"y": jnp.abs(t["z"] * t["x"]) ** 2, "s": t["s"] * jnp.imag(t["z"])}  # noqa: E731
    tree = {"z": Z, "x": X, "s": 2.0}
    all_same([jacve(fun), jax.jacrev(fun)], tree)
    single = {"z": jnp.asarray(Z, "complex64"), "x": jnp.asarray(X, "float32"), "s": 2.0}
    all_same([jacve(fun), jax.jacrev(fun)], single, rtol=1e-6)


def test_complex_arguments_under_transformations():
    derivative, expected = (d(HOLOMORPHIC["product"], holomorphic=True) for d in (jacve, jax.jacrev))
    points = jnp.stack([Z, 2 * Z])
    all_same([jax.vmap(derivative), jax.vmap(expected)], points)
    norm = lambda jacobian: lambda z: jnp.sum(jnp.abs(jacobian(z)) ** 2)  # noqa: E731
    all_same([jax.grad(norm(derivative)), jacve(norm(derivative)), jax.grad(norm(expected))], Z)
    mine, theirs = (functools.partial(d, holomorphic=True) for d in (jacve, jax.jacrev))
    all_same([mine(mine(jnp.sin)), theirs(theirs(jnp.sin))], Z)


# Errors


@pytest.mark.parametrize("derivative", [jacve, value_and_jacve, hessve])
@pytest.mark.parametrize(
    ("fun", "arg", "options", "message"),
    [
        (
            jnp.sin,
            3,
            {},
            r"argument 0 has dtype int\d+; convert it, leave it out of argnums, or pass allow_int",
        ),
        (jnp.sum, np.array([True]), {}, "argument 0 has dtype bool"),
        (lambda t: t["a"][0], {"a": [1.0, 2]}, {}, r"argument 0\['a'\]\[1\] has dtype int"),
        (lambda x: x, None, {"argnums": "x"}, "argnums must be an integer"),
        (lambda x: x, object(), {}, "argument 0 has type object; convert it, or leave it out"),
        (lambda x: x > 0, X, {}, r"the result has dtype bool; convert it, or return it as aux"),
        (lambda x: {"a": x, "n": x > 0}, X, {}, r"the result\['n'\] has dtype bool"),
        (jnp.sin, Z, {}, "argument 0 has dtype complex128 .* pass holomorphic=True"),
        (lambda z: (z.real, z), Z, {}, r"the result\[1\] has dtype complex128; pass holomorphic=True"),
        (jnp.sin, X, {"holomorphic": True}, "holomorphic=True takes .* argument 0 has dtype float64"),
        (jnp.abs, Z, {"holomorphic": True}, "holomorphic=True takes .* the result has dtype float64"),
        (jnp.sin, X, {"has_aux": True}, "has_aux=True .* pair .*, got"),
    ],
)
def test_what_cannot_be_differentiated_is_named_with_the_mend(derivative, fun, arg, options, message):
    with pytest.raises(TypeError, match=message):
        derivative(fun, **options)(arg)


@pytest.mark.parametrize("derivative", [jacve, value_and_jacve, hessve, filter_jacve, graphax.trace])
def test_only_functions_are_differentiated(derivative):
    with pytest.raises(TypeError, match="differentiates a function, got ndarray"):
        derivative(X)


def test_a_primitive_without_a_derivative_is_named():
    with pytest.raises(TypeError, match=r"'nextafter'.*register_rule"):
        jacve(lambda x: jnp.nextafter(x, 1.0) * x)(X)


def test_what_a_named_axis_combines_is_differentiated_inside_and_outside():
    fun = lambda x: lax.psum(jnp.sin(x), "rows") * x  # noqa: E731
    points = jnp.asarray(M)
    with pytest.warns(graphax.FallbackWarning, match=r"'psum'.*outside of the vmap"):
        inside = jax.vmap(jacve(fun), axis_name="rows")(points)
    same(inside, jax.vmap(jax.jacrev(fun), axis_name="rows")(points))
    mapped = jax.vmap(fun, axis_name="rows")
    same(jacve(mapped)(points), jax.jacrev(mapped)(points))
    summed = lambda x: jax.vmap(lambda a: jnp.sum(jnp.abs(a * x)))(x)  # noqa: E731
    same(jacve(summed)(X), jax.jacrev(summed)(X))
    still = lambda jacobian: jax.vmap(  # noqa: E731
        lambda x: jacobian(lambda y: y * lax.psum(x, "rows"))(x), axis_name="rows"
    )
    same(still(jacve)(points), still(jax.jacrev)(points))


# Nesting


def fun(x):
    return jnp.tanh(M @ x) * x


def scalar(x):
    return jnp.sum(fun(x) ** 2)


def push(f):
    return lambda x: jax.jvp(f, (x,), (jnp.cos(x),))


def pull(f):
    def pulled(x):
        y, back = jax.vjp(f, x)
        return y, back(jnp.cos(y))

    return pulled


def scan(f):
    return lambda x: lax.scan(lambda c, _: (c + 0.1 * jnp.sum(f(c)), f(c)), x, None, length=2)


OUTSIDE = {
    "jit": jax.jit,
    "vmap": lambda f: lambda x: jax.vmap(f)(jnp.stack([x, 2 * x])),
    "grad": lambda f: jax.grad(lambda x: jnp.sum(f(x) ** 2)),
    "jvp": push,
    "vjp": pull,
    "scan": scan,
    "jacfwd": jax.jacfwd,
    "jacrev": jax.jacrev,
    "linearize": lambda f: lambda x: jax.linearize(f, x)[1](x),
    "checkpoint": lambda f: jax.grad(jax.checkpoint(lambda x: jnp.sum(f(x) ** 2))),
    "cond": lambda f: lambda x: lax.cond(x[0] > 0, f, lambda y: 2 * f(y), x),
    "while": lambda f: lambda x: lax.fori_loop(0, jnp.int32(2), lambda i, c: c + 0.1 * jnp.sum(f(c)), x),
    "jit of vmap of grad": lambda f: jax.jit(OUTSIDE["vmap"](OUTSIDE["grad"](f))),
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_jacobians_inside_other_transformations(name):
    outside = OUTSIDE[name]
    all_same([outside(jacve(fun)), outside(jax.jacrev(fun))], X)
    if name in ("jit", "vmap", "grad", "scan"):
        all_same([outside(hessve(scalar)), outside(jax.hessian(scalar))], X)


@pytest.mark.parametrize("name", [name for name in OUTSIDE if name != "while"])
def test_jacobians_of_transformed_functions(name):
    transformed = OUTSIDE[name](fun)
    mine = [jacve(transformed, order=order) for order in ("forward", "reverse")]
    all_same([*mine, jax.jacrev(transformed)], X)


def test_jacobians_of_jacobians():
    all_same([jacve(jacve(fun, order="forward"), order="reverse"), jax.hessian(fun)], X)
    all_same([jacve(jacve(jacve(jnp.sin))), jax.jacfwd(jax.jacfwd(jax.jacrev(jnp.sin)))], X)
    all_same([jacve(hessve(scalar)), jax.jacfwd(jax.hessian(scalar))], X)
    perturbed = lambda d: d(lambda x: d(lambda y: x * y)(2.0) * x)(3.0)  # noqa: E731
    same(perturbed(jacve), perturbed(jax.jacrev))


@pytest.mark.parametrize("outer", [jax.jit, jax.grad, jax.vmap, jax.jacfwd, jacve])
def test_functions_that_close_over_tracers(outer):
    def closed(jacobian):
        return lambda s: jnp.sum(jacobian(lambda x: s * fun(s * x))(X))

    s = jnp.array([0.5, 2.0]) if outer is jax.vmap else 0.5
    all_same([outer(closed(jacve)), outer(closed(jax.jacrev))], s)


def test_jacobians_trace_once_under_jit():
    traces = []

    def counted(x):
        traces.append(x)
        return x * x

    compiled = jax.jit(jacve(counted))
    same(compiled(X), compiled(2 * X) / 2)
    assert len(traces) == 1


# Equinox


class Network(eqx.Module):
    layers: list
    scale: float
    steps: jax.Array
    activation: object

    def __init__(self, key):
        keys = jax.random.split(key)
        self.layers = [eqx.nn.Linear(3, 4, key=keys[0]), eqx.nn.Linear(4, 2, key=keys[1])]
        self.scale = 2.0
        self.steps = jnp.arange(2)
        self.activation = jnp.tanh

    def __call__(self, x):
        x = self.activation(self.layers[0](x) * self.scale)
        return self.layers[1](x) * self.steps


def test_filtered_jacobians_of_modules_follow_equinox():
    network = Network(jax.random.key(0))
    call = lambda network, x, *, shift: {"y": network(x) + shift}  # noqa: E731
    expected = eqx.filter_jit(eqx.filter_jacrev(call))(network, X, shift=1.0)
    for order in ORDERS:
        actual = filter_jacve(call, order=order)(network, X, shift=1.0)
        same(actual, expected)
    assert actual["y"].steps is None and actual["y"].layers[0].weight.shape == (2, 4, 3)
    compiled = eqx.filter_jit(filter_jacve(call))(network, X, shift=1.0)
    same(compiled, expected)
    same(filter_jacve(network)(jnp.asarray(X)), eqx.filter_jit(eqx.filter_jacrev(network))(jnp.asarray(X)))


def test_filtered_jacobians_of_functions_that_return_modules_and_anything_else():
    def doubled(network):
        return jax.tree.map(lambda leaf: 2 * leaf if eqx.is_inexact_array(leaf) else leaf, network)

    linear = eqx.nn.Linear(2, 1, key=jax.random.key(0))
    jacobian = filter_jacve(doubled)(Network(jax.random.key(0)))
    assert jacobian.steps is None and jacobian.activation is None
    jacobian, aux = filter_jacve(lambda m: (doubled(m), ("text", m.bias, jnp.tanh)), has_aux=True)(linear)
    expected = eqx.filter_jacrev(doubled)(linear)
    same(jacobian, expected)
    assert aux[0] == "text" and aux[2] is jnp.tanh
    same(aux[1], linear.bias)


def test_filtered_jacobians_say_what_is_wrong():
    with pytest.raises(TypeError, match="first argument: pass it by position"):
        filter_jacve(jnp.sin)(x=X)
    with pytest.raises(TypeError, match="there are none"):
        filter_jacve(lambda x: jnp.argmax(x))(X)
    with pytest.raises(TypeError, match="must return a pair"):
        filter_jacve(jnp.sin, has_aux=True)(X)


def test_graphax_does_without_equinox():
    import subprocess
    import sys

    script = "import sys; sys.modules['equinox'] = None; import graphax; print('equinox' in graphax.__dict__)"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert found.stdout.strip() == "False", found.stderr
