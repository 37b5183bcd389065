"""Expressions of scalars are what the function computes, and their chain rule is JAX's derivative."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from random_programs import random_program

import graphax
import graphax.kernels
from graphax._trace import trace_program
from graphax.kernels._eliminate import jacobian
from graphax.kernels._expand import NoKernel, expand
from graphax.kernels._expansion import kind_of
from graphax.kernels._program import Operand, ScalarProgram
from graphax.kernels._scalars import Scalars

NAN, INF = np.nan, np.inf
RANDOM = np.random.RandomState(0)
LINE = RANDOM.randn(6)
SQUARE = RANDOM.randn(4, 4)
POSITIVE = SQUARE @ SQUARE.T + np.eye(4)
CUBE = RANDOM.randn(3, 2, 4)


class Expanded:
    """A function as expressions."""

    def __init__(self, fun, *args, limit=50_000, order=1):
        self.args = [np.asarray(arg) for arg in args]
        program, _ = trace_program(fun, *self.args)
        self.scalars = Scalars()
        self.inputs, self.operands = [], []
        for number, variable in enumerate(program.inputs):
            shape, kind = variable.aval.shape, kind_of(variable.aval)
            operand = Operand(shape, kind)
            entries = [self.scalars.input(number, offset, kind) for offset in range(operand.size)]
            self.inputs.append(np.array(entries, np.int64).reshape(shape))
            self.operands.append(operand)
        self.results = expand(program, self.scalars, self.inputs, limit=limit, order=order)
        self.kinds = [kind_of(atom.aval) for atom in program.outputs]

    def evaluate(self, results, kinds):
        arrays = [(a.shape, a.ravel().tolist() or kind) for a, kind in zip(results, kinds, strict=True)]
        program = ScalarProgram(self.scalars, self.operands, arrays)
        return [result[0] for result in program.evaluate([arg[None] for arg in self.args])]

    def values(self):
        return self.evaluate(self.results, self.kinds)

    @property
    def real(self):
        return [at for at, arg in enumerate(self.args) if arg.dtype.kind == "f"]

    def differentiated(self, times):
        """The derivatives of all real results by all real arguments in one row, as expressions."""
        roots = [
            x for a, kind in zip(self.results, self.kinds, strict=True) if kind[0] == "f" for x in a.flat
        ]
        inputs = [x for at in self.real for x in self.inputs[at].flat]
        for _ in range(times):
            rows = jacobian(self.scalars, list(map(int, roots)), list(map(int, inputs)), "forward")
            roots = [x for row in rows for x in row]
        return np.array(roots, np.int64)


def jax_derivatives(fun, args, real, times, mode):
    """The same by JAX."""

    def flat(x):
        remaining, parts = list(args), np.cumsum([args[at].size for at in real])[:-1]
        for at, part in zip(real, jnp.split(x, parts), strict=True):
            remaining[at] = part.reshape(args[at].shape)
        leaves = [jnp.ravel(y) for y in jax.tree.leaves(fun(*remaining)) if jnp.result_type(y).kind == "f"]
        return jnp.concatenate(leaves)

    for _ in range(times):
        flat = mode(flat)
    return jax.jit(flat)(jnp.concatenate([args[at].ravel() for at in real])).ravel()


def check_values(fun, *args):
    args = [np.asarray(arg) for arg in args]
    wanted = jax.tree.leaves(jax.jit(fun)(*args))
    for found, want in zip(Expanded(fun, *args).values(), wanted, strict=True):
        assert found.shape == want.shape and found.dtype == want.dtype
        tolerance = 1e-4 if want.dtype == np.float32 else 1e-10
        np.testing.assert_allclose(found, want, rtol=tolerance, atol=tolerance)


def check_derivatives(fun, *args, times=1, mode=jax.jacfwd):
    args = [np.asarray(arg) for arg in args]
    expanded = Expanded(fun, *args, order=times)
    (found,) = expanded.evaluate([expanded.differentiated(times)], ["f8"])
    np.testing.assert_allclose(
        found, jax_derivatives(fun, args, expanded.real, times, mode), rtol=1e-8, atol=1e-8
    )


def in_float32(args):
    return [arg.astype(np.float32) if arg.dtype == np.float64 else arg for arg in map(np.asarray, args)]


def table(x, y=2.5):
    """Elementwise functions of numbers between 0 and 1."""
    return (
        [getattr(lax, name)(x) for name in FUNCTIONS]
        + [lax.acosh(x + 1), lax.integer_pow(x, -3), x**5, x**0, x**-1, x**-2, lax.square(x)]
        + [
            x**y,
            lax.pow(x, 3),
            lax.atan2(x, 1 - x),
            lax.rem(jnp.exp(x), x + 0.2),
            jnp.maximum(x, 1 - x),
            jnp.minimum(x, 0.4),
        ]
        + [jnp.clip(x, 0.2, 0.6), jnp.where(x > 0.5, x, -x), lax.select_n(jnp.int32(2), x, -x, 3 * x)]
        + [x >= 0.5, x != x, lax.stop_gradient(x) * x, jnp.logaddexp(x, -x), jnp.hypot(x, y), jnp.sinc(x)]
    )


FUNCTIONS = """sqrt cbrt rsqrt sin cos tan asin acos atan sinh cosh tanh asinh atanh exp exp2 expm1 log log1p
    erf erfc abs floor ceil round is_finite logistic sign neg""".split()


def activations(x):
    names = (
        "relu relu6 elu celu selu gelu silu softplus sigmoid log_sigmoid leaky_relu hard_tanh mish".split()
    )
    return [getattr(jax.nn, name)(x) for name in names] + [jax.nn.softmax(x), jax.nn.logsumexp(x)]


def relabelled(x):
    a, half = x.reshape(2, 3), jnp.array(0.5, x.dtype)
    return [
        a.T[::-1, 1:],
        a[:, None, ::2],
        jnp.concatenate([a, a]),
        jnp.stack([a, -a], 1),
        jnp.tile(a, (2, 1)),
        lax.pad(x, half, ((2, 1, 1),)),
        lax.pad(x, half, ((-2, -1, 0),)),
        lax.pad(a, half, ((-1, 2, 2), (1, -2, 1))),
        lax.pad(x, half, ((-1, -3, 1),)),
        jnp.split(x, [1, 3]),
        jnp.roll(x, 2),
        jnp.tril(a),
        jnp.repeat(x, 2),
        lax.broadcast_in_dim(a, (2, 4, 3), (0, 2)),
        jnp.squeeze(a[:1]),
        jnp.zeros((0, 3)),
        a[:, :0],
        lax.rev(a, (1,)),
        jnp.arange(6.0) * x,
        jnp.eye(2) @ a,
        jnp.diag(x[:2]),
        jnp.block([[a, a], [a, -a]]),
        x[np.array([3, 0, 3])],
    ]


def reduced(a):
    b = a[:, 0]
    return [
        a.sum(),
        a.sum(0),
        a.prod((1, 2)),
        a.max(1),
        a.max(),
        a.min((0, 2)),
        a.mean(),
        a.std(),
        jnp.ptp(a, 2),
        a.argmax(1),
        a.argmin(2),
        (a > 0).any(1),
        (a > 0).all(),
        (a > -9).all((0, 1)),
        a[:0].sum(),
        a[:0].prod(0),
        lax.reduce(a, jnp.ones((), a.dtype), lambda x, y: x * y, (0, 2)),
        jnp.linalg.norm(a),
        jnp.count_nonzero(a > 0),
        jnp.median(b),
        jnp.quantile(b, 0.3),
        jnp.var(b, 0, ddof=1),
    ]


def cumulated(a):
    operations = lax.cumsum, lax.cumprod, lax.cummax, lax.cummin, lax.cumlogsumexp
    return [of(a, axis, reverse) for of in operations for axis in (0, 2) for reverse in (False, True)]


def products(a, b):
    c = a[0]
    return [
        c @ b,
        b @ b.T,
        jnp.einsum("ijk,kl,j->li", a, b, c[:, 0]),
        jnp.einsum("ijk,ijl->ikl", a, a),
        jnp.vdot(b, b),
        jnp.outer(c, c),
        jnp.kron(c, c),
        jnp.cross(b[:, :3], b[:, 1:]),
        jnp.trace(b),
        jnp.linalg.matrix_power(b, 3),
        jnp.vecdot(b, b),
        jnp.polyval(b[0], b),
        jnp.tensordot(a, a, 3),
        np.array([[1.0, 0, 0, 0], [0, 0, 2, 0]]) @ b,
        np.ones((2, 2)) @ np.ones((2, 2)) + b[0, 0],
        lax.dot(c.astype(jnp.float32), b.astype(jnp.float32), preferred_element_type=jnp.float64),
    ]


def windowed(a, k):
    """Windows of all kinds: entries apart, positions apart, around the array and cut short."""
    sizes = (2, 1, 3), (1, 1, 2), ((1, 0), (0, 0), (0, 2)), (1, 1, 2), (2, 1, 1)
    plain = (1, 1), "VALID"
    image = jnp.concatenate([a, a * a], 2)[None, :2].transpose(0, 1, 3, 2)
    return (
        [
            lax.reduce_window(a, start, of, *sizes)
            for start, of in ((-INF, lax.max), (INF, lax.min), (0.0, lax.add))
        ]
        + [jnp.convolve(k[0], k[1]), jnp.correlate(k[0], k[1], "same")]
        + [lax.conv_general_dilated(image, k.reshape(4, 2, 2, 1), (2, 1), [(1, 2), (0, -1)], (1, 2), (2, 1))]
        + [lax.conv_general_dilated(image, k[:, :2].reshape(4, 1, 2, 1), *plain, feature_group_count=2)]
        + [
            lax.conv_general_dilated(
                image.reshape(2, 1, 8, -1), k.reshape(4, 1, 4, 1), *plain, batch_group_count=2
            )
        ]
    )


def picked(x, a, i):
    """Indices may be anything."""
    j = i[0]
    return [
        x[j],
        x[i],
        a[j],
        a[:, j],
        a[i, i[::-1]],
        a[i, :, None],
        jnp.take_along_axis(a, i[:, None], 1),
        jnp.take(x, i, mode="fill"),
        jnp.take(x, i, mode="clip"),
        jnp.take(a, i, axis=1, mode="wrap"),
        lax.dynamic_slice(a, (j, i[1]), (2, 3)),
        lax.dynamic_slice(a, (j, 1), (4, 2)),
        x.at[i].get(mode="fill"),
        lax.dynamic_update_slice(a, x.reshape(2, 3), (j, i[1])),
        lax.dynamic_update_slice(x, x[:4] * 2, (j,)),
        jax.vmap(lambda row, k: row[k])(a, i),
        jax.vmap(lambda row, k: row.at[k].set(7.0))(a, i),
        x.at[i].set(x[:4], mode="clip", unique_indices=True),
        a.at[:, i[:2]].add(a[:, :2]),
        x.at[j].multiply(2.0),
        jax.ops.segment_sum(x, jnp.tile(i, 2)[:6], 3),
        x.at[i].add(x[:4]),
        a.at[i, 1].subtract(x[:4]),
    ]


def ordered(x):
    a = x.reshape(3, 2)
    return [
        jnp.sort(x),
        jnp.argsort(x),
        jnp.sort(a, 0),
        lax.top_k(x, 3),
        jnp.sort(x, descending=True),
        jnp.interp(x, np.array([-1.0, 0, 1]), np.array([2.0, 1, 5])),
        jnp.searchsorted(jnp.sort(x), x),
        lax.sort((a, jnp.sin(a)), dimension=0, num_keys=2),
        jnp.lexsort((jnp.sin(x), jnp.sign(x))),
    ]


def systems(a, s, b):
    linalg, scipy = jnp.linalg, jax.scipy.linalg
    factor = scipy.cho_factor(s)
    return (
        [
            linalg.solve(a, b),
            linalg.solve(a, s[:, :2]),
            linalg.inv(a),
            linalg.slogdet(a),
            scipy.lu_factor(a)[0],
        ]
        + [linalg.det(a[:n, :n]) for n in range(1, 5)]
        + [linalg.cholesky(s), scipy.cho_solve(factor, b), lax.linalg.lu(a[:, :2]), lax.linalg.lu(a[:2])]
        + [jax.vmap(linalg.solve)(jnp.stack([a, s]), jnp.stack([b, b])), scipy.solve(a, b, assume_a="pos")]
        + [
            scipy.solve_triangular(a, b, lower=lo, trans=t, unit_diagonal=u)
            for lo in (0, 1)
            for t in (0, 1)
            for u in (0, 1)
        ]
        + [
            lax.linalg.triangular_solve(a, s[:2], left_side=False, lower=True, transpose_a=t)
            for t in (False, True)
        ]
    )


def until(count, x):
    return lax.while_loop(lambda c: c[0] < count, lambda c: (c[0] + 1, c[1] * jnp.sin(c[1])), (0, x))[1]


def controlled(x, i):
    def step(carry, y):
        return carry * y + 1, (carry - y, jnp.sin(carry))

    return (
        lax.cond(x[0] > 0, jnp.sin, lambda x: 2 * x, x),
        lax.cond(i > 1, lambda x: x[0], lambda x: x.sum(), x),
        lax.switch(i, [lambda x: 2 * x, jnp.sin, lambda x: x[::-1]], x),
        lax.scan(step, x[0], x),
        lax.scan(step, x[0], x, reverse=True),
        lax.fori_loop(0, 4, lambda k, c: c.at[k].add(jnp.sin(c[k + 1])), x),
        lax.while_loop(lambda c: c[0] < 4, lambda c: (c[0] + 1, c[1] * x[0]), (0, x))[1],
        jax.vmap(until, (0, None))(np.array([1, 3, 2]), x),
        lax.map(jnp.sin, x),
        jax.checkpoint(lambda x: x * jnp.sin(x))(x),
        lax.scan(step, x[0], x[:0]),
    )


@jax.custom_jvp
def power_of_norm(x, y):
    return jnp.sum(x**2) * y


@power_of_norm.defjvp
def _(primals, tangents):
    x, y = primals
    dx, dy = tangents
    # Not the derivative, to be told from it.
    return power_of_norm(x, y), 3 * y * jnp.sum(x * dx) + jnp.where(y > 0, dy, -dy) / 2


@jax.custom_vjp
def scaled(x, k, y):
    return {"a": x * y[0], "b": jnp.sin(y) * k}


scaled.defvjp(
    lambda x, k, y: (scaled(x, k, y), (x, k, y)),
    lambda kept, ct: (5 * ct["a"] * kept[2][0], None, ct["b"] * kept[1] + jnp.sum(ct["a"] * kept[0])),
)


@jax.custom_jvp
def counted(x):
    return jnp.sin(x), jnp.int32(3)


@counted.defjvp
def _(primals, tangents):
    (x,), (dx,) = primals, tangents
    return counted(x), (7 * dx, np.zeros((), jax.dtypes.float0))


@jax.custom_jvp
def repeated(x):
    return x


@repeated.defjvp
def _(primals, tangents):
    (x,), (dx,) = primals, tangents
    return x, lax.fori_loop(0, 20, lambda _, t: 0.9 * t + dx, dx)


@jax.custom_jvp
def forgetful(x):
    return lax.full_like(x, 0)


forgetful.defjvp(lambda primals, tangents: (lax.full_like(primals[0], 0), 2 * tangents[0]))


def customized(x, y):
    twice = x[0], x[0]
    known = power_of_norm(x, y[0]), power_of_norm(*twice), scaled(x, 3, y), jax.nn.relu(y)
    return known, counted(x[0]), repeated(x), forgetful(y[1])


UNIT = np.array([0.1, 0.3, 0.6, 0.9])
FAMILIES = {
    "elementwise": (table, UNIT),
    "activations": (activations, LINE * 3),
    "relabelled": (relabelled, LINE),
    "reduced": (reduced, CUBE),
    "cumulated": (cumulated, CUBE),
    "products": (products, CUBE, SQUARE),
    "windowed": (windowed, CUBE, SQUARE),
    "picked": (picked, LINE, SQUARE, np.array([1, 0, 3, 2])),
    "ordered": (ordered, LINE),
    "systems": (systems, SQUARE, POSITIVE, LINE[:4]),
    "controlled": (controlled, LINE, 1),
    "customized": (customized, LINE, SQUARE[0]),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_expressions_are_the_values_of_the_function(family):
    fun, *args = FAMILIES[family]
    check_values(fun, *args)
    check_values(fun, *in_float32(args))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_chain_rule_through_expressions_gives_the_derivatives_of_jax(family):
    # JAX has no forward mode through jax.custom_vjp, and no reverse mode through lax.while_loop.
    check_derivatives(*FAMILIES[family], mode=jax.jacrev if family == "customized" else jax.jacfwd)


# ---- edges


SPECIAL = np.array([1.5, -2.5, 0.5, -0.5, 0.0, -0.0, NAN, INF, -INF, 3e9, -3e9, 1e20, 0.49999999999999994])


EXPONENTS = -3.5, -3.0, -2.0, -1.5, -1.0, -0.5, 0.5, 1.0, 1.5, 2.0, 2.5, 4.0, 5.0


def special(x):
    y = x[::-1]
    return (
        [lax.pow(x, jnp.array(exponent, x.dtype)) for exponent in EXPONENTS]
        + [x.astype(kind) for kind in (jnp.int32, jnp.uint32, jnp.int64, bool, jnp.float32, jnp.float64)]
        + [lax.round(x, method) for method in lax.RoundingMethod]
        + [jnp.sign(x), jnp.trunc(x), x // 2, x % 2, jnp.fmod(x, 2), jnp.maximum(x, y), jnp.minimum(x, y)]
        + [lax.clamp(-1.0, x, 1.0), x > y, x <= y, x == y, x != y, jnp.sqrt(x), jnp.log1p(x), 0 * x]
        + [jnp.logaddexp(x, y), lax.cumlogsumexp(x), lax.cummax(x), lax.cummin(x), jnp.isfinite(x)]
        + [
            jax.nn.sigmoid(x),
            x**2,
            x**-3,
            lax.rsqrt(x),
            jnp.power(x, y),
            jnp.arctan2(x, y),
            jnp.nan_to_num(x),
        ]
        + [x.max(), x.min(), x.argmax(), x.argmin(), jnp.nanmax(x), x[:5].max(), x[:7].argmin(), x.sum()]
        + [jnp.sort(x), jnp.argsort(x), lax.top_k(x, 5), lax.sort((y, x), num_keys=2), jnp.median(x)]
        + [jnp.sort(x > 0), jnp.argmax(x > 0), (x > y) < (y > 1), (x > y) >= (y > 1), jnp.max(x > 0)]
    )


def test_values_are_those_of_jax_at_nan_infinity_and_signed_zeros():
    check_values(special, SPECIAL)
    expanded = Expanded(lambda x: (jnp.sort(x), -x, jnp.sign(x), jnp.round(x)), SPECIAL)
    wanted = jnp.sort(SPECIAL), -SPECIAL, lax.sign(SPECIAL), jnp.round(SPECIAL)
    for found, want in zip(expanded.values(), wanted, strict=True):
        signs = ~np.isnan(want)
        np.testing.assert_array_equal(np.signbit(found)[signs], np.signbit(want)[signs])


def integers(a, b):
    # Sums of unsigned numbers are of 64 bits.
    signed = [-a, abs(a), jnp.sign(a), a.sum(), jnp.cumsum(a)] if a.dtype != jnp.uint32 else []
    return [
        a << 3,
        a >> 2,
        lax.shift_right_logical(a, jnp.array(5, a.dtype)) if a.dtype != jnp.int64 else a,
        a // b,
        a % b,
        lax.div(a, b),
        lax.rem(a, b),
        a & b,
        a | b,
        a ^ b,
        ~a,
        a + b,
        a - b,
        a * b,
        a**3,
        a < b,
        a == b,
        jnp.maximum(a, b),
        jnp.minimum(a, b),
        lax.clamp(b[0], a, b[1]),
        jnp.where(a > b, a, b),
        a.max(),
        a.argmin(),
        jnp.sort(a),
        a @ b,
        a.astype(float),
        a.astype(bool),
        *signed,
        lax.reduce_and(a, (0,)),
        lax.reduce_xor(a, (0,)),
        jnp.take(a, jnp.array([1, 9]), mode="fill"),
    ]


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint32])
def test_integers_wrap_around_and_are_divided_as_in_jax(dtype):
    limits = np.iinfo(dtype)
    a = np.array([7, limits.max, 5, limits.min, limits.min, limits.max - 7], dtype)
    check_values(integers, a, np.array([2, 3, 0, limits.max, 0 if limits.min == 0 else -1, 1], dtype))


@pytest.mark.parametrize("i", [[5, -1, 3, 3], [-9, 9, 0, 2], [2, 2, -4, 6]])
def test_indices_known_at_run_time_are_clamped_dropped_and_filled_as_in_jax(i):
    check_values(picked, LINE, SQUARE, np.array(i))
    check_values(lambda x, a: picked(x, a, np.array(i)), LINE, SQUARE)


@pytest.mark.parametrize("i", [-1, 0, 2, 3])
def test_of_branches_the_nearest_is_taken(i):
    check_values(controlled, -LINE, i)


def tied(x):
    return [
        x.max(),
        x.min(),
        x[:2].max(),
        lax.cummax(x),
        lax.cummin(x),
        jnp.sort(x),
        lax.top_k(x, 3),
        x.prod(),
        jnp.maximum(x, 1),
        jnp.minimum(x, 1),
        lax.clamp(1.0, x, 2.0),
        lax.clamp(x[0], x[1], x[2]),
        jnp.abs(x - 1),
        jnp.median(x),
        jax.nn.relu(x - 1),
        x**3,
        (x - 1) ** 4,
        lax.cumprod(x - 1),
        jnp.linalg.norm(x),
        lax.sort((x, x**2), num_keys=1),
        jax.nn.sigmoid(-1000 * x),
        jax.nn.sigmoid(1000 * x),
    ]


def test_what_is_tied_shares_derivatives_as_in_jax():
    check_derivatives(tied, np.array([1.0, 1, 2, 1, 2]))


def test_derivatives_are_infinite_where_those_of_jax_are():
    check_derivatives(lambda x: (x**-2, x**-1, x**3, jnp.sqrt(x), lax.rsqrt(x), jnp.cbrt(x)), np.zeros(2))
    check_derivatives(lambda x, i: lax.pow(x, i), np.zeros(4), np.arange(-1, 3))
    check_derivatives(lambda x: [x**exponent for exponent in EXPONENTS], np.array([0.0, 0.7]))


def curved(x, a, s, i):
    return [
        jnp.linalg.solve(a, x[:2]),
        jnp.linalg.inv(a),
        jnp.linalg.det(a),
        jax.scipy.linalg.cholesky(s),
        jax.nn.sigmoid(x),
        jax.nn.silu(x),
        jax.nn.softplus(x),
        jax.nn.logsumexp(x),
        lax.rsqrt(x**2 + 1),
        x**4,
        x ** (-3),
        lax.clamp(-1.0, x, 1.0) ** 2,
        x.max() ** 2,
        lax.cumlogsumexp(x),
        jnp.sort(x) ** 2,
        lax.cummax(x) ** 2,
        x.prod(),
        jnp.linalg.norm(x),
        jnp.logaddexp(x, 1.0),
        jnp.linalg.cholesky(s),
        lax.pow(x, i),
    ]


def test_second_derivatives_are_those_of_jax_when_they_are_asked_for():
    a = SQUARE[:2, :2]
    check_derivatives(curved, LINE[:3], a, a @ a.T + np.eye(2), np.arange(3), times=2)


def test_second_derivatives_of_rules_are_those_of_the_rules():
    check_derivatives(customized, LINE[:2], SQUARE[0, :2], times=2, mode=jax.jacrev)


# ---- what is left out


def operations(fun, *args, **kwargs):
    expanded = Expanded(fun, *args, **kwargs)
    arrays = [(a.shape, a.ravel().tolist()) for a in expanded.results]
    return [
        op
        for op in ScalarProgram(expanded.scalars, expanded.operands, arrays).ops
        if op not in ("input", "const")
    ]


def test_zeros_of_a_matrix_are_no_terms_where_the_others_are_finite():
    matrix = np.array([[1.0, 0, 0], [0, 2, 0], [0, 0, 0]])
    assert operations(lambda x: matrix @ x, LINE[:3]) == ["mul"]
    assert operations(lambda x: matrix @ jnp.sin(x), LINE[:3]) == ["sin", "sin", "mul"]
    assert "mul" in operations(lambda x: matrix[2] @ (1 / x), LINE[:3])


def test_zeros_that_derivatives_are_added_to_take_no_operation():
    assert operations(jax.grad(lambda x: x[0] * x[1] + x[0] * x[2]), LINE[:3]).count("add") == 1
    assert operations(jax.grad(lambda x: jnp.sum(x[np.array([0, 0, 1])] * x)), LINE[:3]).count("add") == 3
    assert operations(lambda x: jnp.sum(jnp.pad(x, 3)), LINE[:2]) == ["add"]


def test_known_exponents_are_products_and_roots():
    assert operations(lambda x: x**2.0, LINE[0]) == ["mul"]
    assert operations(lambda x: (x * x) ** 1.5, LINE[0]) == ["mul", "sqrt", "mul"]
    assert operations(lambda x: jnp.exp(x) ** -0.5, LINE[0]) == ["exp", "sqrt", "div"]
    assert "pow" not in operations(lambda x: x**0.5, LINE[0])


def test_what_no_result_needs_is_not_expanded():
    assert operations(lambda x: (lax.lgamma(x), jnp.sin(x))[1], LINE[0]) == ["sin"]


def test_a_known_index_or_predicate_selects_nothing():
    assert operations(lambda x: x[jnp.array(2)] + lax.dynamic_slice(x, (1,), (1,))[0], LINE) == ["add"]
    assert operations(lambda x: lax.cond(jnp.array(True), jnp.sin, jnp.cos, x), LINE[0]) == ["sin"]
    assert operations(lambda x: lax.cond(x > 0, jnp.sin, jnp.cos, x), LINE[0]).count("select") == 1


def test_values_alone_hold_no_derivatives():
    for fun in (jax.nn.sigmoid, jax.nn.relu, jnp.max, jnp.linalg.norm, lambda x: x**5):
        expanded = Expanded(fun, LINE, order=0)
        assert "given" not in expanded.scalars.ops


@jax.jit
def root(x):
    """A step of Newton's method, with the derivative by a kernel."""
    return x - jnp.linalg.solve(graphax.jacve(curve, kernel=True)(x), graphax.kernels.fuse(curve)(x))


def curve(x):
    return jnp.stack([x[0] ** 3 * x[1], jnp.sin(x[1]) + x[0]])


def test_kernels_within_a_program_are_expanded_with_it():
    check_values(root, LINE[:2])
    check_derivatives(root, LINE[:2])
    check_values(jax.vmap(root), SQUARE[:, :2])
    check_derivatives(jax.vmap(root), SQUARE[:2, :2])


def test_a_number_has_a_derivative_by_a_number():
    np.testing.assert_allclose(graphax.jacve(jnp.sin, kernel=True)(0.3), np.cos(0.3))


# ---- refusals


REFUSED = {
    "lgamma": (lax.lgamma, LINE),
    "svd": (lambda a: jnp.linalg.svd(a, compute_uv=False), SQUARE),
    "eigh": (lambda a: jnp.linalg.eigh(a)[0], SQUARE),
    "qr|householder_product|geqrf": (lambda a: jnp.linalg.qr(a)[1], SQUARE),
    "while": (lambda x: lax.while_loop(lambda x: x < 9, lambda x: 2 * x, x), 1.0),
    "sort.*17": (jnp.sort, np.zeros(17)),
    "lu.*7 x 7": (jnp.linalg.inv, np.eye(7)),
    "float16": (lambda x: x.astype(jnp.float16), LINE),
    "complex128": (lambda x: jnp.abs(x * 1j), LINE),
    "callback": (lambda x: (jax.debug.callback(lambda x: None, x), x)[1], LINE),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_expanded_is_named_with_the_line_that_asks_for_it(name):
    fun, arg = REFUSED[name]
    with pytest.raises(NoKernel, match=rf"({name}).*test_expand\.py:"):
        Expanded(lambda x: fun(x), arg)


LARGE = {
    "elementwise": (lambda x: jnp.sin(x) + 1, np.zeros(2000)),
    "product": (lambda x: x @ x, np.zeros((30, 30))),
    "loop": (lambda x: lax.scan(lambda c, _: (jnp.sin(c), c), x, length=10**9)[0], np.zeros(5)),
    "indices": (lambda x: x.reshape(2, -1)[:, x[:20].astype(int)], np.zeros(600)),
    "constants": (lambda x: x + jnp.arange(2000.0)[x.astype(int)], np.float64(0)),
    "in a branch": (
        lambda x: lax.cond(
            x > 0, lambda x: jnp.ones((40, 40)) @ jnp.ones((40, 40)) * x, lambda x: x * jnp.ones((40, 40)), x
        ),
        np.float64(0),
    ),
}


@pytest.mark.parametrize("case", LARGE)
def test_what_is_too_long_is_given_up_after_little_work(case):
    fun, arg = LARGE[case]
    scalars = Scalars()
    program, _ = trace_program(fun, arg)
    inputs = [np.array([scalars.input(0, k, "f8") for k in range(arg.size)], np.int64).reshape(arg.shape)]
    with pytest.raises(NoKernel, match=r"more than 1000 scalars.*test_expand\.py:"):
        expand(program, scalars, inputs, limit=1000)
    assert len(scalars) < 4000


# ---- random programs


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
