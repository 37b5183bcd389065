"""Layers of Equinox have the Jacobians and Hessians of JAX, in their inputs and in their weights."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from agreement import Case, assert_agrees

from graphax.equinox import filter_jacve

pytestmark = pytest.mark.slow

nn = eqx.nn
KEY = jax.random.PRNGKey(0)
DATA = np.random.RandomState(0).randn(64)


def data(*shape):
    return DATA[: int(np.prod(shape))].reshape(shape)


def attention(**how):
    return lambda: nn.MultiheadAttention(2, 4, **how, key=KEY)


def itself(layer, x):
    return layer(x, x, x)


def causal(layer, x):
    return layer(x, x, x, mask=jnp.tril(jnp.ones((3, 3), bool)))


def across(layer, x):
    return layer(x, x[:2] ** 2, jnp.sin(x[:2]))


def rotated(layer, x):
    rotate = nn.RotaryPositionalEmbedding(2)

    def heads(query, key, value):
        return jax.vmap(rotate, 1, 1)(query), jax.vmap(rotate, 1, 1)(key), value

    return layer(x, x, x, process_heads=heads)


def unrolled(cell, xs):
    """A recurrent network's last state."""
    start = jnp.zeros(cell.hidden_size)
    start = (start, start) if isinstance(cell, nn.LSTMCell) else start
    return jax.lax.scan(lambda state, x: (cell(x, state), None), start, xs)[0]


def states(cell, xs):
    """A recurrent network's states."""

    def step(state, x):
        state = cell(x, state)
        return state, state

    return jax.lax.scan(step, jnp.zeros(cell.hidden_size), xs)[1]


def one_step(cell, x):
    start = jnp.linspace(-1.0, 1.0, cell.hidden_size)
    return cell(x, (start, start**2) if isinstance(cell, nn.LSTMCell) else start)


def of_batch(layer, xs):
    return jax.vmap(layer)(xs)


def dropped(layer, x):
    return layer(x, key=jax.random.PRNGKey(3))


def with_state(mode, inference):
    """Batch normalisation, whose statistics are a state of the layer."""

    def make():
        layer, state = nn.make_with_state(nn.BatchNorm)(3, "batch", mode=mode)
        warm = jax.vmap(layer, axis_name="batch", in_axes=(0, None), out_axes=(0, None))
        if mode != "batch" or inference:
            _, state = warm(jnp.asarray(data(4, 3)) + 1, state)
        return nn.inference_mode(layer, inference), state

    def call(both, xs):
        layer, state = both
        mapped = jax.vmap(layer, axis_name="batch", in_axes=(0, None), out_axes=(0, None))
        return mapped(xs, state)[0]

    return make, data(4, 3), call


def spectral(both, x):
    layer, state = both
    return layer(x, jax.tree.map(lambda array: array, state))[0]  # a state is read once


def call(layer, x):
    return layer(x)


# A layer, where it is evaluated, and how it is called.
LAYERS = {
    "linear": (lambda: nn.Linear(3, 2, key=KEY), data(3), call),
    "linear of a number": (lambda: nn.Linear("scalar", 2, key=KEY), data(), call),
    "MLP, tanh": (lambda: nn.MLP(3, 2, 4, 2, jnp.tanh, key=KEY), data(3), call),
    "MLP, relu": (lambda: nn.MLP(3, 2, 4, 2, key=KEY), data(3), call),
    "MLP, gelu": (lambda: nn.MLP(3, 2, 4, 1, jax.nn.gelu, key=KEY), data(3), call),
    "MLP, silu and sigmoid": (
        lambda: nn.MLP(3, 3, 4, 1, jax.nn.silu, jax.nn.sigmoid, key=KEY),
        data(3),
        call,
    ),
    "MLP, softplus, a number": (
        lambda: nn.MLP(3, "scalar", 4, 1, jax.nn.softplus, key=KEY),
        data(3),
        call,
    ),
    "MLP scanned": (lambda: nn.MLP(3, 2, 4, 3, jnp.tanh, scan=True, key=KEY), data(3), call),
    "MLP of a batch": (lambda: nn.MLP(3, 2, 4, 1, jnp.tanh, key=KEY), data(2, 3), of_batch),
    "PReLU": (nn.PReLU, data(4), call),
    "lambda in sequence": (
        lambda: nn.Sequential([nn.Linear(3, 4, key=KEY), nn.Lambda(jax.nn.elu), nn.Identity()]),
        data(3),
        call,
    ),
    "convolution, 1d": (lambda: nn.Conv1d(2, 3, 3, key=KEY), data(2, 5), call),
    "convolution, 2d": (lambda: nn.Conv2d(2, 2, 2, stride=2, padding=1, key=KEY), data(2, 3, 4), call),
    "convolution, same": (lambda: nn.Conv2d(1, 2, 3, padding="SAME", key=KEY), data(1, 3, 3), call),
    "convolution, circular": (
        lambda: nn.Conv1d(2, 2, 3, padding=1, padding_mode="CIRCULAR", key=KEY),
        data(2, 4),
        call,
    ),
    "convolution, dilated by group": (
        lambda: nn.Conv1d(2, 4, 2, dilation=2, groups=2, use_bias=False, key=KEY),
        data(2, 5),
        call,
    ),
    "convolution, 3d": (lambda: nn.Conv3d(1, 2, 2, key=KEY), data(1, 2, 3, 2), call),
    "transposed convolution": (lambda: nn.ConvTranspose2d(2, 1, 2, stride=2, key=KEY), data(2, 2, 2), call),
    "average pooling": (lambda: nn.AvgPool2d(2, 1), data(2, 3, 3), call),
    "maximum pooling": (lambda: nn.MaxPool2d(2, 1, padding=1, use_ceil=True), data(1, 3, 3), call),
    "adaptive pooling": (lambda: nn.AdaptiveAvgPool2d((2, 3)), data(1, 4, 5), call),
    "adaptive maximum pooling": (lambda: nn.AdaptiveMaxPool1d(2), data(2, 5), call),
    "small convolutional network": (
        lambda: nn.Sequential(
            [
                nn.Conv2d(1, 2, 2, key=KEY),
                nn.Lambda(jax.nn.relu),
                nn.MaxPool2d(2, 2),
                nn.Lambda(jnp.ravel),
                nn.Linear(8, 2, key=KEY),
                nn.Lambda(jax.nn.log_softmax),
            ]
        ),
        data(1, 5, 5),
        call,
    ),
    "GRU cell": (lambda: nn.GRUCell(2, 3, key=KEY), data(2), one_step),
    "GRU": (lambda: nn.GRUCell(2, 3, key=KEY), data(4, 2), unrolled),
    "states of a GRU": (lambda: nn.GRUCell(2, 3, key=KEY), data(4, 2), states),
    "LSTM cell": (lambda: nn.LSTMCell(2, 3, key=KEY), data(2), one_step),
    "LSTM": (lambda: nn.LSTMCell(2, 3, key=KEY), data(4, 2), unrolled),
    "attention": (attention(), data(3, 4), itself),
    "attention, causal": (attention(use_query_bias=True, use_output_bias=True), data(3, 4), causal),
    "attention, across": (attention(), data(3, 4), across),
    "attention, rotated": (attention(), data(3, 4), rotated),
    "layer norm": (lambda: nn.LayerNorm(4), data(4), call),
    "layer norm of a matrix": (lambda: nn.LayerNorm((2, 3), use_bias=False), data(2, 3), call),
    "root mean square norm": (lambda: nn.RMSNorm(4), data(4), call),
    "group norm": (lambda: nn.GroupNorm(2, 4), data(4, 3), call),
    "weight norm": (lambda: nn.WeightNorm(nn.Linear(3, 2, key=KEY)), data(3), call),
    "spectral norm": (
        lambda: nn.make_with_state(nn.SpectralNorm)(nn.Linear(3, 2, key=KEY), "weight", key=KEY),
        data(3),
        spectral,
    ),
    "batch norm, ema": with_state("ema", False),
    "batch norm, batch": with_state("batch", False),
    "batch norm, inference": with_state("ema", True),
    "dropout": (lambda: nn.Dropout(0.4), data(6), dropped),
    "embedding": (
        lambda: nn.Embedding(5, 3, key=KEY),
        data(2),
        lambda layer, x: jax.vmap(layer)(jnp.array([3, 1])) * x[:, None],
    ),
}
SECOND = (
    "MLP, tanh",
    "MLP, gelu",
    "MLP scanned",
    "convolution, 2d",
    "GRU",
    "attention, causal",
    "layer norm",
    "root mean square norm",
    "group norm",
    "weight norm",
    "spectral norm",
)


def weights_and_the_rest(layer):
    """States, and all that is no array, are not differentiated."""
    if isinstance(layer, tuple):
        moving, still = eqx.partition(layer[0], eqx.is_inexact_array)
        return moving, (still, layer[1])
    return eqx.partition(layer, eqx.is_inexact_array)


def whole(moving, still):
    if isinstance(still, tuple) and not isinstance(still, eqx.Module):
        return eqx.combine(moving, still[0]), still[1]
    return eqx.combine(moving, still)


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_has_the_jacobian_of_jax(name):
    make, x, evaluate = LAYERS[name]
    moving, still = weights_and_the_rest(make())
    wrt = (0, 1) if jax.tree.leaves(moving) else 1
    case = Case(lambda moving, x: evaluate(whole(moving, still), x), (moving, x), wrt, hessian=name in SECOND)
    assert_agrees(name, case)


FILTERED = [name for name in LAYERS if name in SECOND or "norm" in name or "attention" in name]


@pytest.mark.parametrize("name", FILTERED)
def test_filter_jacve_is_filter_jacrev_of(name):
    make, x, evaluate = LAYERS[name]
    layer, x = make(), jnp.asarray(x)
    still = None
    if isinstance(layer, tuple):
        layer, still = layer

    def fun(layer, x):
        return evaluate(layer if still is None else (layer, still), x)

    expected = eqx.filter_jit(eqx.filter_jacrev(fun))(layer, x)
    for found in (filter_jacve(fun)(layer, x), eqx.filter_jit(filter_jacve(fun, order="reverse"))(layer, x)):
        assert jax.tree.structure(found) == jax.tree.structure(expected)
        for a, e in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            assert (a.shape, a.dtype) == (e.shape, e.dtype)
            np.testing.assert_allclose(a, e, rtol=1e-9, atol=1e-10)


def made(make):
    """Weights are constants of a traced function, not a part of it."""
    with jax.ensure_compile_time_eval():
        return make()


def three(make):
    """Three of a layer, in one with an axis more."""
    return made(lambda: eqx.filter_vmap(make)(jax.random.split(KEY, 3)))


def model():
    return made(lambda: nn.MLP(2, 2, 4, 1, jnp.tanh, key=KEY))


def per_layer(moving, x):
    """Layers of one shape held in one array, applied by a scan: the usual way to keep compiling short."""
    layers = three(lambda key: nn.Linear(2, 2, key=key))
    arrays, still = eqx.partition(layers, eqx.is_array)
    arrays = jax.tree.map(lambda array: array * moving, arrays)

    def step(x, arrays):
        return jnp.tanh(eqx.combine(arrays, still)(x)), None

    return jax.lax.scan(step, x, arrays)[0]


def checkpointed(moving, x):
    return eqx.filter_checkpoint(lambda x: jnp.sin(model()(x * moving)))(x)


def guarded(moving, x):
    x = eqx.error_if(x, jnp.any(x > 100), "too large")
    return model()(x) * moving


def closed_over(moving, x):
    fun = eqx.filter_closure_convert(lambda x: jnp.sin(x * moving), x)
    return fun(x) + fun(x**2)


def with_own_rule(moving, x):
    @eqx.filter_custom_jvp
    def doubled(x):
        return x * 2

    @doubled.def_jvp
    def rule(primals, tangents):
        return doubled(*primals), tangents[0] * 3

    return doubled(x) * moving


def with_own_pullback(moving, x):
    @eqx.filter_custom_vjp
    def clipped(x):
        return jnp.sin(x)

    @clipped.def_fwd
    def forward(perturbed, x):
        return jnp.sin(x), x

    @clipped.def_bwd
    def backward(residuals, g, perturbed, x):
        return g * jnp.cos(residuals) * 2

    return clipped(x) * moving


def ensemble(moving, x):
    models = three(lambda key: nn.MLP(2, 1, 3, 1, key=key))
    return eqx.filter_vmap(lambda model, x: model(x), in_axes=(eqx.if_array(0), None))(models, x) * moving


def gradient_step(moving, x):
    """A step of training, differentiated in the learning rate and in the data."""

    def loss(model):
        return jnp.mean(model(x) ** 2)

    start = model()
    stepped = eqx.apply_updates(start, jax.tree.map(lambda g: -moving * g, eqx.filter_grad(loss)(start)))
    return stepped(x)


def tree_replaced(moving, x):
    changed = eqx.tree_at(lambda m: m.layers[0].weight, model(), replace_fn=lambda w: w * moving)
    return changed(x)


def loop_of_kind(kind):
    def fun(moving, x):
        def step(carry):
            count, y = carry
            return count + 1, jnp.sin(y) * moving

        loop = eqx.internal.while_loop(
            lambda carry: carry[0] < 3,
            step,
            (0, x),
            max_steps=4,
            kind=kind,
            checkpoints=2 if kind == "checkpointed" else None,
        )
        return loop[1]

    return fun


def loop_until(moving, x):
    """A while loop with a bound, as Diffrax and Optimistix use it, which ends by its values."""
    return eqx.internal.while_loop(
        lambda y: jnp.sum(y**2) > 0.1, lambda y: y * moving, x, max_steps=16, kind="bounded", base=4
    )


def loop_filling_a_buffer(moving, x):
    def step(carry):
        count, buffer = carry
        return count + 1, buffer.at[count + 1].set(buffer[count] * moving)

    start = jnp.zeros((4, 2)).at[0].set(x)
    return eqx.internal.while_loop(
        lambda carry: carry[0] < 3,
        step,
        (0, start),
        buffers=lambda carry: carry[1],
        max_steps=3,
        kind="checkpointed",
    )[1]


USES = {
    "layers in one array": per_layer,
    "checkpoint": checkpointed,
    "error_if": guarded,
    "closure_convert": closed_over,
    "custom_jvp": with_own_rule,
    "custom_vjp": with_own_pullback,
    "ensemble": ensemble,
    "gradient step": gradient_step,
    "tree_at": tree_replaced,
    "loop, bounded": loop_of_kind("bounded"),
    "loop, checkpointed": loop_of_kind("checkpointed"),
    "loop, forward": loop_of_kind("lax"),
    "loop until": loop_until,
    "loop filling a buffer": loop_filling_a_buffer,
}


@pytest.mark.parametrize("name", USES)
def test_the_tools_of_equinox_have_the_jacobians_of_jax(name):
    assert_agrees(name, Case(USES[name], (np.array(0.7), data(2)), (0, 1), hessian=name == "gradient step"))
