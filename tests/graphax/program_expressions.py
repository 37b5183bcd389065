"""Expressions that random programs are made of, by family.

Operands are named by what they have to be: ``{f} {g} {h}`` floating arrays of any shape, ``{s} {r}``
floating scalars, ``{u} {v}`` vectors, ``{M} {N}`` matrices, ``{Q}`` a square matrix, ``{i} {j}`` integer
scalars, ``{I}`` a vector of integers, ``{p} {q}`` predicates of any shape. What does not fit together (shapes
that do not broadcast) is drawn again.

Every floating operand may be taken to have entries in [-2, 2], and every result has to: then programs of any
length and depth stay there, and loops as well. An entry may be zero, and equal to others. Integers are small,
and may be out of bounds as indices, except where JAX's modes do not agree: reading by an array without
a mode, and the maximum with `mode="clip"`.
"""

ELEMENTWISE = """
jnp.sin({f})
jnp.cos(2.0 * {f})
jnp.tanh({f})
jnp.exp({f}) * 0.25
jnp.log1p({f} ** 2)
jnp.sqrt({f} * {f} + 0.2) * 0.8
1.0 / (1.5 + {f} * {f})
nn.softplus({f}) * 0.7
nn.gelu({f})
jnp.expm1(0.5 * {f})
lax.logistic({f})
lax.erf({f})
lax.rsqrt({f} * {f} + 0.5)
{f} ** 3 * 0.2
lax.integer_pow({f}, 4) * 0.1
lax.lgamma({f} * {f} + 1.0) * 0.5
jnp.cbrt({f} * {f} + 0.1)
-{f}
0.5 * (1.0 - {f})
{f} * {g} * 0.5
{f} * {g} * 0.5
{f} * {f} * 0.5
0.5 * ({f} + {g})
0.5 * ({f} - {g})
{f} / (1.5 + {g} * {g})
jnp.arctan2({f}, {g} * {g} + 0.3)
jnp.logaddexp({f}, {g}) * 0.5
jnp.power(jnp.abs({f}) + 0.5, {g}) * 0.3
jnp.sinc({f} + 2.5)
""".strip().splitlines()

SELECTIONS = """
jnp.where({p}, {f}, {g})
jnp.where({p}, {f}, {g})
jnp.where({p}, {f}, 0.0)
jnp.where({p}, {f}, jnp.sin({f}))
jnp.where({f} > 0, {f}, {g})
lax.select_n(jnp.broadcast_to(abs({i}) % 3, jnp.shape({f})), {f}, jnp.sin({f}), {f} * {f} * 0.5)
lax.select_n({f} > 0.2, {f} * 0.5, {f} * {f} * 0.5)
jnp.select([{p}, {q}], [{f}, {g}], {h})
jnp.choose(abs({I}) % 2, [{f}, {g}], mode="clip")
jnp.clip({f}, -0.5, 0.8)
jnp.clip({f}, {s}, 2.0)
lax.clamp(-0.5, {f}, 0.8)
jnp.maximum({f}, {g})
jnp.maximum({f}, 0.0)
jnp.minimum({f}, {g})
jnp.abs({f})
nn.relu({f})
nn.leaky_relu({f})
nn.elu({f})
jnp.piecewise({f}, [{f} < 0, {f} > 1], [lambda t: t * t * 0.5, lambda t: 0.5 * t, 0.5])
jnp.where({p}, {f}, lax.stop_gradient({f}))
jnp.nan_to_num({f})
jnp.heaviside({f}, 0.5) * {g}
jnp.copysign({f}, {g} + 0.3)
jnp.where(jnp.eye(*{M}.shape) > 0, {M}, 0.5 * {M})
jnp.where({v} > jnp.mean({v}), {v}, 0.0)
jnp.sum({f}, where={f} > 0) * 0.2
jnp.mean({f}, where={f} > -5.0)
jnp.max({f}, where={f} > 0, initial=-1.0)
""".strip().splitlines()

#: What is not selected is inf or NaN, or has such a derivative.
MASKED = """
jnp.where({f} > 0, jnp.sqrt(jnp.where({f} > 0, {f}, 0.0)), 0.0)
jnp.where({f} > 0, jnp.sqrt({f}), 0.0)
jnp.where({f} > 0.1, jnp.log(jnp.where({f} > 0.1, {f}, 0.0)), 0.0) * 0.8
jnp.where({f} > 0.1, jnp.log({f}), 0.0) * 0.8
jnp.where(jnp.abs({f}) > 0.3, 1.0 / jnp.where({f} == 0, 1.0, {f}), 0.0) * 0.5
jnp.where(jnp.abs({f}) > 0.3, 1.0 / {f}, 0.0) * 0.5
jnp.where({f} > 0.3, 3.0 * jnp.sqrt(jnp.where({f} > 0, {f} * 3.0, 0.0)) * {g}, 0.0) * 0.1
(lambda m: jnp.where(m, jnp.sqrt(jnp.where(m, 3.0 * {g} * {f}, 0.0) ** 2 + 0.1 * m), 0.0))({f} > 0) * 0.1
jnp.where({f} > 0.7, jnp.where({f} > 0.7, {f}, 0.0) ** -6, 0.0) * 0.2
jnp.where(jnp.abs({g}) > 0.4, {f} / {g}, 0.0) * 0.4
jnp.where(jnp.abs({f}) < 1.0, jnp.arccos({f}), 0.0) * 0.4
jnp.where({f} > 0.5, jnp.power({f}, {g}), 0.0) * 0.4
jnp.where({p}, 1.0, jnp.where({p}, 0.0, {f}) ** 2 * 0.5)
jnp.exp(-jnp.where({f} > 0.3, 1.0 / jnp.where({f} > 0.3, {f}, 0.0), 0.0))
lax.select_n({f} > 0.2, {f}, jnp.log(jnp.abs({f})) * 0.5 + 1.0)
jax.vmap(lambda t: lax.cond(t > 0.1, jnp.log, lambda t: 0.0 * t, t))({v}) * 0.8
(lambda t: jnp.where(t > 0.1, jnp.sqrt(t), 0.0))(jnp.sum({f} * {f})) * 0.3
(lambda t: jnp.where(t == 0, 0.0, jnp.sqrt(jnp.where(t == 0, 1.0, t))))(jnp.where({p}, 0.0, {f} ** 2 + 0.1))
(lambda t: jnp.where(t > 0.2, t**-3, 0.0))((({v}[:, None] - {v}[None, :]) ** 2)) * 0.01
(lambda e, t: jnp.where(e > 0, 0.0, jnp.sqrt(t + 0.1 - 0.1 * e)))(jnp.eye(3), ({v}[:, None] - {v}) ** 2) * 0.4
jnp.sum(jnp.where({f} > 0.1, jnp.log({f}) * {g}, 0.0)) * 0.05
lax.fori_loop(0, 3, lambda k, t: jnp.where({f} > 0.1, t * 0.5 + jnp.sqrt({f}) * 0.5, t), {f} * 0.5)
jnp.max(jnp.where({p}, {f}, -jnp.inf), initial=-1.0)
nn.softmax(jnp.where({v} > -0.5, {v}, -jnp.inf), where={v} > -9.0)
jnp.where({f} > 0.1, {f}, jnp.nan * {f}).at[...].set(0.0) + 0.5 * {f}
""".strip().splitlines()

CONTRACTIONS = """
{M} @ {v} * 0.25
{v} @ {M} * 0.25
{M} @ {N} * 0.15
{M} @ {N}.T * 0.15
jnp.outer({u}, {v}) * 0.5
{u} @ {v} * 0.15
jnp.einsum("ij,ij->i", {M}, {N}) * 0.15
jnp.einsum("ij,kj->ik", {M}, {N}) * 0.15
jnp.einsum("ij,i,j->", {M}, {u}, {v}) * 0.03
jnp.trace({Q}) * 0.3
jnp.cross({u}, {v}) * 0.2
jnp.convolve({u}, {v}, mode="same") * 0.2
jnp.tensordot({M}, {N}, 2) * 0.05
lax.dot_general({M}, {N}, (((1,), (1,)), ((0,), (0,)))) * 0.15
""".strip().splitlines()

REDUCTIONS = """
jnp.mean({f})
jnp.sum({M}, axis=0) * 0.3
jnp.mean({M}, axis=1, keepdims=True) * 0.9
jnp.prod({v}) * 0.2
jnp.max({f})
jnp.min({M}, axis=0)
jnp.var({f}) * 0.25
nn.logsumexp({f}) * 0.4
nn.softmax({v})
nn.log_softmax({M}, axis=1) * 0.3
jnp.sqrt(jnp.sum({f} ** 2) + 0.1) * 0.3
jnp.cumsum(jnp.ravel({f})) * 0.2
jnp.cumsum({M}, axis=0) * 0.3
jnp.cumprod({v}) * 0.2
lax.cummax({v})
lax.cummin({M}, axis=1, reverse=True)
lax.cumlogsumexp({v}) * 0.5
lax.associative_scan(lambda a, b: a * b * 0.5, {v})
jnp.sort({v})
jnp.sort({M}, axis=0)
lax.top_k({v}, 2)[0]
{v}[jnp.argsort({u})]
lax.sort_key_val({u}, {v})[1]
jnp.median({v})
jnp.diff({v}) * 0.5
lax.reduce_window({v}, -jnp.inf, lax.max, (2,), (1,), "SAME")
lax.reduce_window({v}, 0.0, lax.add, (2,), (1,), "SAME") * 0.5
jnp.max({M}, axis=1) - jnp.min({M}, axis=1) * 0.0
""".strip().splitlines()

SHAPES = """
{M}.T
{M}.reshape(-1)
jnp.reshape({M}, (3, -1))
jnp.concatenate([{u}, {v}])[:3]
jnp.concatenate([{M}, {N}], axis=0)[1:4]
jnp.stack([{u}, {v}])
jnp.stack([{s}, {r}, 0.5 * {s}])
jnp.pad({v}, (1, 1))[:3]
jnp.pad({v}, 1, mode="edge")[1:]
jnp.pad({v}, (1, 1))[::2]
lax.pad({v}, 0.5, ((1, -1, 1),))[:3]
{v}[::-1]
jnp.roll({v}, 1)
jnp.roll({M}, 1, axis=1)
jnp.tile({v}, 2)[1:4]
jnp.repeat({v}, 2)[:3]
{v}[:, None] * jnp.ones((1, 3))
jnp.broadcast_to({s}, (3,))
jnp.broadcast_to({v}, (2, len({v})))
jnp.tril({M})
jnp.triu({M}, 1)
jnp.diag({v})
jnp.diagonal({Q})
{M}[0]
{M}[:, 1]
{v}[1:]
{v}[-1]
{v}[np.array([1, 0, 0])]
{M}[np.array([1, 0]), np.array([0, 1])]
jnp.flip({M}, 1)
jnp.append({v}, {s})[1:]
jnp.split({v}, [1])[1]
{M}.ravel()[::2]
jnp.squeeze({v}[None, :, None], (0, 2))
lax.rev({M}, (0,))
""".strip().splitlines()

INDEXING = """
{v}[{i}]
{M}[{i}]
{M}[:, {i}]
{M}[{i}, {j}]
{v}[jnp.clip({I}, -2, 1)]
{M}[jnp.clip({I}, -2, 1)]
{M}[{I} % 2, abs({j}) % 2]
{v}.at[{i}].get(mode="fill", fill_value=0.0)
{v}.at[{I}].get(mode="fill", fill_value=0.5)
{v}.at[{I}].get(mode="clip")
{v}.at[abs({i}) % 2].get(mode="promise_in_bounds")
jnp.take({v}, {I}, mode="wrap")
jnp.take({M}, {I}, axis=1, mode="clip")
lax.dynamic_slice({v}, ({i},), (2,))
lax.dynamic_slice({M}, ({i}, {j}), (2, 2))
lax.dynamic_index_in_dim({M}, {i}, 0, keepdims=False)
lax.dynamic_update_slice({v}, {u}[:2], ({i},))
lax.dynamic_update_slice({M}, {N}[:2, :2], ({i}, {j}))
lax.dynamic_update_index_in_dim({M}, {v}, {i}, 0)
jnp.take_along_axis({M}, jnp.argsort({M}, axis=1), axis=1)
jnp.take_along_axis({v}, abs({I}) % 2, axis=0)
{v}[jnp.argmax({u})]
{M}[jnp.argmin({M}[:, 0])]
""".strip().splitlines()

UPDATES = """
{f}.at[0].set({s})
{f}.at[{i}].set({s})
{f}.at[{i}].set({s}, mode="drop")
{f}.at[{i}].set({s}, mode="clip")
{f}.at[abs({i}) % 2].set({s}, mode="promise_in_bounds")
{f}.at[1:].set({g})
{f}.at[::2].set({s})
{f}.at[np.array([1, 0])].set({s})
{M}.at[{i}].set({v})
{M}.at[:, {i}].set({s})
{M}.at[{i}, {j}].set({s})
{M}.at[{i}, {j}].set({s}, mode="clip")
{v}.at[{I}].set({s})
{v}.at[{I}].add({u}) * 0.3
0.5 * {f}.at[0].add({s})
0.5 * {f}.at[{i}].add({s})
0.5 * {f}.at[{i}].add({s}, mode="clip")
0.5 * {f}.at[{i}].add({s}, mode="drop")
0.5 * {f}.at[1:].add({g})
0.3 * {f}.at[np.array([0, 1, 0])].add({s})
0.3 * {M}.at[{I}].add({v})
0.5 * {f}.at[0].subtract({s})
0.5 * {f}.at[0].multiply({s})
0.5 * {f}.at[{i}].multiply({s}, unique_indices=True)
0.5 * {f}.at[{i}].multiply({s}, mode="clip", unique_indices=True)
0.5 * {f}.at[1:].multiply({g}, unique_indices=True)
{f}.at[0].max({s})
{f}.at[{i}].max({s})
{f}.at[abs({i}) % 2].max({s}, mode="clip")
{f}.at[1:].max({g})
{v}.at[{I}].max({s}, mode="drop")
{f}.at[0].min({s})
{f}.at[{i}].min({s}, mode="drop")
{f}.at[::2].min({g})
{v}.at[np.array([0, 0, 1])].min({s})
{f}.at[0].set(0.0)
{f}.at[{i}].set(1.0)
jnp.zeros_like({f}).at[{i}].set({s})
jnp.zeros(3).at[{I}].add({v}) * 0.3
jnp.fill_diagonal({Q}, {s}, inplace=False)
jax.ops.segment_sum({v}, abs({I}) % 2, 2) * 0.3
""".strip().splitlines()

STOPPED = """
lax.stop_gradient({f})
{f} * lax.stop_gradient({g}) * 0.5
0.5 * ({f} - lax.stop_gradient({f}))
jnp.floor({f} + 0.3)
jnp.round({f} * 0.9 + 0.1)
jnp.sign({f})
jnp.ceil({f} * 0.5 - 0.1)
jnp.trunc({f} + 0.1)
{f} - jnp.floor({f} + 0.3)
{f} + lax.stop_gradient(jnp.round({f} * 0.9) - {f})
({f} + 3.1) % 0.7
lax.rem({f}, {g} * {g} + 0.6)
({f} + 0.1) // 0.5 * 0.4
{f} * jnp.sign({g})
jnp.nextafter(lax.stop_gradient({f}), 2.0)
{f} * lax.stop_gradient(jnp.max({f})) * 0.5
{f} * (lax.stop_gradient({g}) > 0)
""".strip().splitlines()

MIXED = """
jnp.asarray({f}, jnp.float32)
jnp.asarray({f}, jnp.float32).astype(jnp.float64)
jnp.asarray(lax.stop_gradient({f}), jnp.float32) * jnp.asarray({g}, jnp.float32) * 0.5
jnp.float32(0.5) * {f}
{f} * jnp.asarray({p}, jnp.float32)
{f} * {i} * 0.2
{f} * {I} * 0.2
0.5 * ({f} + {p})
{f} * ({g} > 0)
{f} * jnp.where({p}, 1, 0)
jnp.where({p}, {f}, 1)
jnp.sum({p}) * {f} * 0.1
{f} ** (abs({i}) % 4) * 0.12
jnp.asarray({I} % 3, jnp.float64) * {f} * 0.4
{f} * jax.random.uniform(jax.random.key(3), jnp.shape({f}))
{f} * jnp.arange(3) * 0.3
""".strip().splitlines()

COMPLEX = """
jnp.real(jnp.exp(1j * {f}) * (0.5 + 0.5j))
jnp.abs(lax.complex({f}, {f} + 0.5)) * 0.4
jnp.imag(lax.complex({f}, jnp.sin({f})) ** 2) * 0.25
jnp.angle(lax.complex({f} * {f} + 0.5, {f})) * 0.5
jnp.fft.fft({v}).real * 0.3
jnp.fft.irfft(jnp.fft.rfft({v}) * (1 + 0.5j), len({v})) * 0.5
jnp.abs(jnp.fft.fft({v})[0] + 3j) * 0.2
jnp.real(jnp.linalg.solve({Q} * (0.1 + 0.2j) + 3 * jnp.eye(len({Q})), {v})) * 0.5
jnp.real(jnp.conj(lax.complex({f}, {g})) * lax.complex({g}, {f})) * 0.25
jnp.where({p}, jnp.exp(1j * {f}), 0.5j).real
jnp.sum(({f} + 0.5j) * ({g} - 1j)).real * 0.05
""".strip().splitlines()

LINEAR_ALGEBRA = """
jnp.linalg.solve({Q} * 0.2 + 2 * jnp.eye(len({Q})), {v})
jnp.linalg.inv({Q} * 0.2 + 2 * jnp.eye(len({Q})))
jnp.linalg.cholesky({Q} @ {Q}.T * 0.1 + jnp.eye(len({Q}))) * 0.5
jnp.linalg.eigh({Q} + jnp.diag(9.0 * jnp.arange(len({Q}))))[0] * 0.08
jnp.linalg.det({Q} * 0.2 + jnp.eye(len({Q}))) * 0.3
jnp.linalg.slogdet({Q} * 0.1 + jnp.eye(len({Q})))[1]
jnp.linalg.qr({Q} * 0.3 + 2 * jnp.eye(len({Q})))[1] * 0.4
jnp.linalg.svd({Q} + jnp.diag(9.0 * jnp.arange(len({Q})) + 9), compute_uv=False) * 0.05
jax.scipy.linalg.solve_triangular({Q} * 0.2 + 2 * jnp.eye(len({Q})), {v}, lower=True)
jax.scipy.linalg.cho_solve((jnp.tril({Q}) * 0.2 + 2 * jnp.eye(len({Q})), True), {v})
jax.scipy.linalg.lu({Q} * 0.3 + 2 * jnp.eye(len({Q})))[2] * 0.4
jnp.linalg.matrix_power({Q}, 3) * 0.01
jax.scipy.linalg.expm({Q} * 0.1) * 0.4
""".strip().splitlines()

INTEGERS = """
jnp.argmax({f})
jnp.argsort({v})
jnp.sum({p})
jnp.asarray({f} * 2.0 + 0.1, int)
({i} + 1) % 3
{I} - 1
jnp.arange(3) - 1
abs({I}) % 2
jnp.where({p}, {i}, 1)
jnp.searchsorted(jnp.sort({v}), {s})
jnp.digitize({v}, np.array([-0.5, 0.1, 0.9]))
""".strip().splitlines()

PREDICATES = """
{f} > {g}
{f} > 0
{f} <= 0.2
{p} & {q}
{p} | {q}
~{p}
{i} == {j}
{I} > 0
jnp.any({p})
jnp.isfinite({f})
{f} == {g}
""".strip().splitlines()

FAMILIES = {
    "elementwise": ELEMENTWISE,
    "selections": SELECTIONS,
    "masked": MASKED,
    "contractions": CONTRACTIONS,
    "reductions": REDUCTIONS,
    "shapes": SHAPES,
    "indexing": INDEXING,
    "updates": UPDATES,
    "stopped": STOPPED,
    "mixed": MIXED,
    "complex": COMPLEX,
    "linear algebra": LINEAR_ALGEBRA,
    "integers": INTEGERS,
    "predicates": PREDICATES,
}
