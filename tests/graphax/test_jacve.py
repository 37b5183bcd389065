"""`jacve` in the place of `jax.jacrev`: values, trees, dtypes and transformations."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.extend.core import Primitive
from oracle import assert_same_jacobian, together

import graphax
from alphagrad import tasks
from graphax import jacve, value_and_jacve
from graphax.sparse import arranged_block

X = np.array([0.3, -1.2, 0.7])
M = np.array([[0.5, -0.1, 0.2], [0.3, 0.8, -0.6], [0.1, 0.4, 0.9]])


@jax.custom_jvp
def clipped(x):
    return jnp.clip(x, -1.0, 1.0)


clipped.defjvp(lambda p, t: (clipped(*p), jnp.where(jnp.abs(p[0]) < 1.0, t[0], 0.1 * t[0])))


@jax.custom_jvp
def summed(x):
    return jnp.sum(x)


summed.defjvp(lambda p, t: (summed(*p), 2.0 * jnp.sum(t[0])))


@jax.custom_vjp
def scaled(x):
    return x


scaled.defvjp(lambda x: (x, jnp.cos(x)), lambda cos, ct: (3.0 * cos * ct,))


@jax.custom_vjp
def reversed_gradient(x):
    return x[::-1]


reversed_gradient.defvjp(lambda x: (x[::-1], None), lambda _, ct: (-ct,))

FUNCTIONS = {
    "elementwise": lambda x: jnp.sin(x) * jnp.exp(x) / (1 + x**2) - jnp.arctan2(x, 2.0),
    "powers": lambda x: x**3 + jnp.square(x) + jnp.abs(x) ** 0.5 + 2.0**x + jnp.sqrt(x * x + 1),
    "the same operand twice": lambda x: x * x + (x - x) + jnp.maximum(x, x),
    "comparison": lambda x: jnp.where(x > 0, jnp.sin(x), x * 2) + jnp.minimum(x, 0.5) + jnp.clip(x, -1, 0.5),
    "broadcast": lambda x: x[:, None] * x[None, :] + 1.0 - x,
    "scalar times vector": lambda x: x[0] * x + jnp.sum(x) / x,
    "reshape": lambda x: jnp.sin(jnp.outer(x, x)).reshape(9) * jnp.cos(jnp.outer(x, x).T.reshape(9)),
    "uneven reshape": lambda x: jnp.sin((x[:, None] * jnp.arange(1.0, 5.0)).reshape(4, 3)).T.reshape(6, 2),
    "transpose": lambda x: (x[:, None] * M).T @ x + jnp.outer(x, x) @ M,
    "reductions": lambda x: jnp.stack([jnp.max(x), jnp.min(x * x), jnp.prod(x), jnp.mean(x), jnp.sum(x)]),
    "reduction with ties": lambda x: jnp.max(jnp.array([x[0], x[0], x[1]])) * x,
    "slices": lambda x: jnp.concatenate([x[1:] * x[:-1], x[::-1], x[:1]]),
    "pad and roll": lambda x: jnp.roll(x, 1) * jnp.pad(x, (1, 2))[1:4] + lax.pad(x, x[0], [(1, 0, 1)])[:3],
    "split": lambda x: jnp.prod(jnp.stack(jnp.split(jnp.tile(x, 2), 3)), axis=0),
    "gather": lambda x: x[jnp.array([2, 0, 2])] * jnp.take(x, 1),
    "scatter": lambda x: jnp.zeros(4).at[jnp.array([0, 2, 2])].add(x * x).at[1].set(x[0]),
    "dynamic slice": lambda x: lax.dynamic_slice(jnp.sin(x), (jnp.argmax(x),), (1,)),
    "matrix products": lambda x: jnp.tanh(M @ jnp.tanh(M @ x)),
    "batched product": lambda x: jnp.stack([M, M * x]) @ (jnp.sin(x) * jnp.stack([M, M])),
    "convolution": lambda x: jnp.convolve(x, jnp.sin(x), mode="full"),
    "cumulative": lambda x: jnp.cumsum(x) * jnp.cumprod(x) + lax.cummax(x),
    "sort": lambda x: jnp.sort(x * x) + lax.top_k(x, 3)[0],
    "softmax": lambda x: jax.nn.softmax(x) + jax.nn.log_softmax(M @ x) + jax.nn.logsumexp(x),
    "activations": lambda x: jax.nn.relu(x) + jax.nn.silu(x) + jax.nn.gelu(x) + jax.nn.softplus(x),
    "linear algebra": lambda x: jnp.linalg.solve(M @ M.T + jnp.diag(x**2 + 1), x),
    "cholesky": lambda x: jnp.linalg.cholesky(M @ M.T + jnp.diag(x**2 + 1)),
    "eigenvalues": lambda x: jnp.linalg.eigvalsh(M + M.T + jnp.diag(x)),
    "scan": lambda x: lax.scan(lambda c, y: (jnp.sin(c * y), c + y), x[0], jnp.stack([x, x]).reshape(6))[1],
    "fori loop": lambda x: lax.fori_loop(0, 3, lambda i, y: jnp.sin(y) * x, x),
    "cond": lambda x: lax.cond(x[0] > 0, jnp.sin, jnp.cos, x) * x,
    "stop gradient": lambda x: lax.stop_gradient(jnp.sin(x)) * x + jnp.floor(x) + jnp.round(x),
    "integers between": lambda x: x * jnp.argmax(x) + (x > 0).astype(float),
    "remat": jax.checkpoint(lambda x: jnp.sin(jnp.sin(x))),
    "jit": jax.jit(lambda x: jax.jit(jnp.sin)(x) * 2),
    "custom jvp": lambda x: clipped(x * 2) * x,
    "custom jvp of a sum": lambda x: summed(jnp.sin(x)) * x,
    "custom vjp": lambda x: scaled(x * 2) * x,
    "custom vjp that is not elementwise": lambda x: reversed_gradient(x * x) + x,
    "linear": lambda x: 3.0 * x - x / 2,
    "constant": lambda x: jnp.ones(2),
    "part constant": lambda x: (jnp.ones(2), x * 2, x),
    "identity": lambda x: x,
    "repeated output": lambda x: (x, jnp.sin(x), jnp.sin(x), x),
    "output that is read": lambda x: (y := jnp.sin(x), jnp.cos(y), y * jnp.cos(y)),
    "dead code": lambda x: (jnp.exp(x), jnp.sin(x))[1],
    "zero size": lambda x: (x[:0] * 2, x),
    "nested vmap": lambda x: jax.vmap(lambda a, b: a * b + jnp.sin(a))(x, x[::-1]),
    "complex modulus": lambda x: jnp.abs(x + 1j * x[::-1]) + jnp.real(jnp.conj(x * 1j) * 1j),
    "complex elementwise": lambda x: jnp.imag(jnp.exp(1j * x) * jnp.sqrt(x + 0.5j) / (x - 1j)),
    "complex re-labelling": lambda x: jnp.real(jnp.stack([x * 1j, -lax.complex(x, x * x)]).T[:2] * 1j),
    "Fourier transform": lambda x: jnp.abs(jnp.fft.fft(x)) ** 2 + jnp.fft.irfft(jnp.fft.rfft(x) * 1j, 3),
    "complex linear algebra": lambda x: jnp.abs(jnp.linalg.solve(M + 1j * jnp.diag(x), x + 0j)),
    "complex product": lambda x: jnp.real((M + 1j * jnp.diag(x)) @ (x + 1j) * jnp.sum(x * 1j)),
    "special functions": lambda x: lax.erf(x) + lax.lgamma(x + 3) + lax.rsqrt(x * x + 1) + lax.logistic(x),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_jacobians_equal_those_of_jacrev_in_every_order(name):
    fun = FUNCTIONS[name]
    orders = ("forward", "reverse", "markowitz")
    expected, *found = together(jax.jacrev(fun), *(jacve(fun, order=order) for order in orders))(X)
    for jacobian in found:
        assert_same_jacobian(jacobian, expected)


@pytest.mark.parametrize("name", list(FUNCTIONS)[::6])
def test_jacobians_outside_compiled_programs_are_the_same(name):
    fun = FUNCTIONS[name]
    assert_same_jacobian(jacve(fun, order="markowitz")(X), jax.jit(jax.jacrev(fun))(X))


def test_while_loops_are_differentiated_as_jacfwd_does():
    def fun(x):
        return lax.while_loop(lambda y: jnp.sum(y) < 50, lambda y: y * y + 1.5, x)

    assert_same_jacobian(jacve(fun)(X), jax.jacfwd(fun)(X))


@pytest.mark.parametrize("argnums", [0, 1, -1, (0, 1), (1, 0), (0, 2), [2, 1], range(3), np.int64(1)])
def test_argnums(argnums):
    def fun(a, b, c):
        return {"sum": a + b["v"] * c, "product": [a * jnp.sum(b["w"])]}

    args = (X, {"v": X * 2, "w": M}, 3.0)
    plain = int(argnums) if np.ndim(argnums) == 0 else tuple(argnums)  # what jacrev takes
    assert_same_jacobian(jacve(fun, argnums=argnums)(*args), jax.jacrev(fun, plain)(*args))


def test_dataclasses_and_empty_pytrees():
    @functools.partial(jax.tree_util.register_dataclass, data_fields=["a", "b"], meta_fields=["n"])
    @dataclasses.dataclass
    class Parameters:
        a: jax.Array
        b: jax.Array
        n: int

    parameters = Parameters(jnp.asarray(X), jnp.asarray(M), 2)
    fun = lambda p: {"y": p.n * p.b @ p.a, "none": None, "empty": ()}  # noqa: E731
    assert_same_jacobian(jacve(fun)(parameters), jax.jacrev(fun)(parameters))


def test_keyword_arguments_and_other_arguments_are_passed_on():
    def fun(x, mode, power=1, *, scale):
        assert mode == "cube" and isinstance(power, int)
        return scale * x**power

    assert_same_jacobian(
        jacve(fun)(X, "cube", power=3, scale=X), jax.jacrev(fun)(X, "cube", power=3, scale=X)
    )


def test_auxiliary_data_and_value():
    def fun(x):
        return jnp.sin(x), {"double": 2 * x, "count": jnp.argmax(x)}

    jacobian, aux = jacve(fun, has_aux=True)(X)
    expected, expected_aux = jax.jacrev(fun, has_aux=True)(X)
    assert_same_jacobian(jacobian, expected)
    assert_same_jacobian(aux, expected_aux)
    (value, aux), jacobian = value_and_jacve(fun, has_aux=True)(X)
    assert_same_jacobian((value, aux, jacobian), (jnp.sin(X), expected_aux, expected))
    value, jacobian = value_and_jacve(jnp.sin)(X)
    assert_same_jacobian((value, jacobian), (jnp.sin(X), jax.jacrev(jnp.sin)(X)))
    with pytest.raises(TypeError, match="must return a pair"):
        jacve(jnp.sin, has_aux=True)(X)


def test_as_a_decorator():
    @jacve(order="markowitz", argnums=1)
    def derivative(a, b):
        """Product."""
        return a * b

    assert derivative.__name__ == "derivative" and derivative.__doc__ == "Product."
    assert_same_jacobian(derivative(X, X), jnp.diag(jnp.asarray(X)))

    @value_and_jacve
    def both(x):
        return x * 2

    assert_same_jacobian(both(X), (jnp.asarray(2 * X), 2 * jnp.eye(3)))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_dtypes_follow_jacrev(dtype):
    x = jnp.asarray(X, dtype)

    def fun(x):
        return jnp.sin(x) * 2, x.astype("float32") * x.astype("float64"), M @ x

    # The result passes through float32, so float64 inputs get its precision.
    tolerance = 4 * max(float(jnp.finfo(kind).eps) for kind in (dtype, "float32"))
    assert_same_jacobian(jacve(fun)(x), jax.jacrev(fun)(x), rtol=tolerance)


def test_scalars_and_weak_types():
    fun = lambda x: x * x + 1.0  # noqa: E731
    assert_same_jacobian(jacve(fun)(2.0), jax.jacrev(fun)(2.0))


def test_under_and_over_every_transformation():
    def fun(x):
        return jnp.tanh(M @ x) * x

    points = jnp.stack([jnp.asarray(X), jnp.asarray(X) * 2])
    mine, theirs = jacve(fun, order="markowitz"), jax.jacrev(fun)
    same = assert_same_jacobian
    same(jax.jit(mine)(X), theirs(X))
    same(jax.vmap(mine)(points), jax.vmap(theirs)(points))
    same(jax.grad(lambda x: jnp.sum(mine(x) ** 2))(X), jax.grad(lambda x: jnp.sum(theirs(x) ** 2))(X))
    same(jax.jvp(mine, (X,), (X,)), jax.jvp(theirs, (X,), (X,)))
    same(jacve(mine)(X), jax.jacrev(theirs)(X))
    same(jax.jacfwd(mine)(X), jax.jacrev(theirs)(X))
    same(jacve(jax.vmap(fun))(points), jax.jacrev(jax.vmap(fun))(points))
    same(jacve(jax.grad(lambda x: jnp.sum(fun(x))))(X), jax.hessian(lambda x: jnp.sum(fun(x)))(X))
    steps = lambda jacobian: lax.scan(lambda c, x: (c, jacobian(x) @ c), X, points)[1]  # noqa: E731
    same(steps(mine), steps(theirs))
    closed = lambda jacobian: jax.jit(lambda s: jacobian(lambda x: s * fun(x))(X))(2.0)  # noqa: E731
    same(closed(lambda f: jacve(f)), closed(jax.jacrev))


def test_nans_stay_where_they_are():
    # A dense 0/1 matrix times NaN would spoil every entry.
    fun = lambda x: jnp.concatenate([jnp.sqrt(x)[1:], x[:1]]) * 2.0  # noqa: E731
    x = np.array([-1.0, 4.0, 9.0])
    for order in ("forward", "reverse"):
        assert_same_jacobian(jacve(fun, order=order)(x), jnp.array([[0, 0.5, 0], [0, 0, 1 / 3], [2.0, 0, 0]]))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: jacve(jnp.sin)(3), TypeError, "argument 0 has dtype int.*allow_int=True"),
        (lambda: jacve(jnp.sin)("x"), TypeError, "argument 0 has type str"),
        (lambda: jacve(lambda d: d["a"])({"a": 1.0, "n": 2}), TypeError, r"argument 0\['n'\] has dtype int"),
        (lambda: jacve(lambda x: x > 0)(X), TypeError, "the result has dtype bool.*has_aux"),
        (lambda: jacve(jnp.sin, argnums=1)(X), ValueError, "argnums names argument 1.*1 positional"),
        (lambda: jacve(jnp.sin, argnums=-2)(X), ValueError, "argnums names argument -2"),
        (lambda: jacve(jnp.add, argnums=(0, -2))(X, X), ValueError, "an argument twice"),
        (lambda: jacve(jnp.sin, argnums="x")(X), TypeError, "argnums must be an integer"),
        (lambda: jacve(jnp.sin, argnums=0.5)(X), TypeError, "argnums must be an integer"),
        (lambda: jacve(3)(X), TypeError, "a function, got int"),
    ],
)
def test_bad_input_is_refused_with_the_mend(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_rule_of_ones_own():
    calls = []

    def rule(call):
        (x,) = call.operands
        calls.append(x.shape)
        diagonal = graphax.sparse.arranged_block([[0]], [[0]], x.shape, 1 - jnp.tanh(x) ** 2, [0])
        return call.evaluate(), [[diagonal]]

    from graphax.rules import find_rule

    tanh = jax.make_jaxpr(jnp.tanh)(X).eqns[0].primitive
    original = find_rule(tanh)
    try:
        graphax.register_rule(tanh)(rule)
        assert_same_jacobian(jacve(jnp.tanh)(X), jax.jacrev(jnp.tanh)(X))
    finally:
        graphax.register_rule(tanh)(original)
    assert calls == [(3,)]


def test_the_worked_example_of_a_rule():
    # The example of docs/guides/rules.md, for a primitive that JAX cannot differentiate.
    def scaled_cumsum(w, x):
        return w[:, None] * jnp.cumsum(x, 1)

    primitive = Primitive("scaled_cumsum")
    primitive.def_impl(scaled_cumsum)
    primitive.def_abstract_eval(lambda w, x: jax.core.ShapedArray(x.shape, x.dtype))

    def fun(w, x):
        return jnp.sin(primitive.bind(jnp.cos(w), x * x))

    w, x = jnp.asarray([0.5, -1.0]), jnp.asarray(M[:2])
    with pytest.raises(TypeError, match=r"'scaled_cumsum'.*graphax.register_rule"):
        jacve(fun, argnums=(0, 1))(w, x)

    @graphax.register_rule(primitive)
    def rule(call):
        w, x = call.operands
        (y,) = call.evaluate()
        batch, time = x.shape
        value = w[:, None, None] * jnp.tri(time, dtype=x.dtype)
        to_x = arranged_block([[0], [1]], [[0], [2]], [batch, time, time], value, [0, 1, 2])
        to_w = arranged_block([[0], [1]], [[0]], [batch, time], jnp.cumsum(x, 1), [0, 1])
        return [y], [[to_w, to_x]]

    expected = jax.jacrev(lambda w, x: jnp.sin(scaled_cumsum(jnp.cos(w), x * x)), (0, 1))(w, x)
    for order in ("forward", "reverse"):
        assert_same_jacobian(jacve(fun, order=order, argnums=(0, 1))(w, x), expected)
    blocks = jacve(fun, argnums=(0, 1), sparse=True)(w, x)
    assert [block.structure.numbers for block in blocks] == [2 * 3, 2 * 3 * 3]


@pytest.mark.parametrize("name", ["TTLayer", "BlockTermAttention"])
def test_tensor_layers_are_differentiated_in_all_classical_orders(name):
    task = tasks.load(name)
    orders = ("forward", "reverse", "markowitz")
    jacobians = [jacve(task.fun, order=order, argnums=task.argnums) for order in orders]
    expected, *found = together(jax.jacrev(task.fun, task.argnums), *jacobians)(*task.args)
    for jacobian in found:
        assert_same_jacobian(jacobian, expected)


@pytest.mark.parametrize(
    "name",
    "RoeFlux_1d RobotArm_6DOF RoeFlux_3d Perceptron Encoder TTLayer BlockTermAttention".split(),
)
def test_rounding_errors_are_no_larger_than_those_of_jacrev(name):
    task = tasks.load(name)
    orders = ("forward", "reverse", "markowitz")
    of_jax = jax.jacrev(task.fun, task.argnums)
    exact = jax.jit(of_jax)(*task.args)
    single = [jnp.asarray(arg, "float32") for arg in task.args]

    def error(jacobian):
        leaves = zip(jax.tree.leaves(jacobian), jax.tree.leaves(exact), strict=True)
        return float(np.sqrt(sum(np.sum((np.asarray(a, float) - e) ** 2) for a, e in leaves)))

    with jax.enable_x64(False):
        jacobians = [jacve(task.fun, order=order, argnums=task.argnums) for order in orders]
        yardstick, *errors = map(error, together(of_jax, *jacobians)(*single))
    assert all(one <= 10 * yardstick for one in errors)
