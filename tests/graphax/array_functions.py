"""Functions of small arrays that together hold all that is expanded into scalars, by family."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

INF = np.inf
RANDOM = np.random.RandomState(0)
LINE = RANDOM.randn(6)
SQUARE = RANDOM.randn(4, 4)
POSITIVE = SQUARE @ SQUARE.T + np.eye(4)
CUBE = RANDOM.randn(3, 2, 4)


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
