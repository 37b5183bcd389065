"""Small networks, by inputs and by parameters: dense, convolutional, attentive, on graphs."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ._case import Collection

networks = Collection()
_rng = np.random.default_rng(2)


def weights(*shape: int) -> np.ndarray:
    return _rng.normal(size=shape) / np.sqrt(shape[0] if len(shape) > 1 else 4.0)


def layers(*sizes: int) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(weights(a, b), weights(b)) for a, b in itertools.pairwise(sizes)]


def mlp(params, x, activation=jnp.tanh):
    for w, b in params[:-1]:
        x = activation(x @ w + b)
    w, b = params[-1]
    return x @ w + b


@networks.case(layers(16, 64, 64, 8), weights(16), argnums=1)
def mlp_by_inputs(params, x):
    """Sensitivity analysis: a network of two hidden layers by its inputs."""
    return mlp(params, x)


@networks.case(layers(3, 32, 32, 3), weights(3), argnums=1, batch=4096, shared=(0,))
def velocity_field(params, x):
    """Continuous normalising flows: a vector field in space at many points."""
    return mlp(params, x, jax.nn.softplus)


@networks.case(layers(4, 16, 16, 2), weights(16, 4))
def mlp_by_parameters(params, x):
    """Gauss-Newton training: outputs on sixteen samples by 386 parameters."""
    return mlp(params, x)


@networks.case(layers(1, 16, 16, 1), np.linspace(0, 1, 32))
def physics_informed(params, x):
    """Physics-informed networks: residuals of u'' + u = sin at 32 points by parameters."""

    def u(at):
        return mlp(params, at[None])[0]

    return jax.vmap(jax.grad(jax.grad(u)))(x) + jax.vmap(u)(x) - jnp.sin(x)


@networks.case(layers(2, 32, 4), np.array([0.3, -0.5, 0.8, 0.1]), argnums=1, batch=(None, 4096), shared=(0,))
def coupling_layer(params, x):
    """Normalising flows: an affine coupling of four numbers."""
    scale, shift = jnp.split(mlp(params, x[:2], jax.nn.relu), 2)
    return jnp.concatenate([x[:2], x[2:] * jnp.exp(jnp.tanh(scale)) + shift])


@networks.case(layers(12, 48, 12), weights(12), argnums=1)
def residual_block(params, x):
    """Deep equilibrium models: a residual block with layer norm and gelu by its input."""
    y = (x - jnp.mean(x)) / jnp.sqrt(jnp.var(x) + 1e-5)
    return x + mlp(params, y, jax.nn.gelu)


def _conv(image, kernel, stride=1):
    return lax.conv_general_dilated(
        image[None], kernel, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )[0]


def _pool(image, combine, start):
    return lax.reduce_window(image, start, combine, (2, 2, 1), (2, 2, 1), "VALID")


@networks.case(
    (0.5 * weights(3, 3, 1, 4), 0.5 * weights(3, 3, 4, 8), weights(128, 10)), weights(16, 16, 1), argnums=1
)
def convolutional_classifier(params, image):
    """Saliency maps: ten logits of two convolutions and max pooling by the pixels."""
    first, second, last = params
    x = _pool(jax.nn.relu(_conv(image, first)), lax.max, -jnp.inf)
    x = _pool(jax.nn.relu(_conv(x, second)), lax.max, -jnp.inf)
    return x.reshape(-1) @ last


@networks.case(weights(3, 3, 3, 4), weights(8, 8, 3))
def convolution_by_kernel(kernel, image):
    """Filter design: a convolution and a nonlinearity by the weights of the kernel."""
    return jnp.tanh(_conv(image, kernel))


@networks.case(weights(16, 16, 2))
def average_pooling(image):
    """Image statistics: local means and spreads."""
    mean = _pool(image, lax.add, 0.0) / 4
    return mean, jnp.sqrt(_pool(image**2, lax.add, 0.0) / 4 - mean**2 + 1e-3)


def _attention(q, k, v):
    logits = jnp.einsum("qhd,khd->hqk", q, k) / np.sqrt(q.shape[-1])
    return jnp.einsum("hqk,khd->qhd", jax.nn.softmax(logits, axis=-1), v)


@networks.case(weights(8, 16), (weights(16, 16), weights(16, 16), weights(16, 16)))
def self_attention(x, params):
    """Transformers: one head on eight tokens by the tokens."""
    q, k, v = (x @ w for w in params)
    return jax.nn.softmax(q @ k.T / 4.0) @ v


@networks.case(weights(12, 32), weights(32, 3, 4, 8), weights(32, 32))
def multihead_attention(x, project, out):
    """Transformers: four heads on twelve tokens of width 32 by the tokens."""
    q, k, v = jnp.moveaxis(jnp.einsum("td,dchk->tchk", x, project), 1, 0)
    return _attention(q, k, v).reshape(12, 32) @ out


@networks.case((weights(8, 8), weights(8, 8)), weights(6, 8))
def attention_by_parameters(params, x):
    """Transformers: eight outputs of pooled attention by the weights of queries and keys."""
    q, k = (x @ w for w in params)
    return jnp.mean(jax.nn.softmax(q @ k.T) @ x, axis=0)


_EDGES = _rng.integers(0, 20, (2, 60))


@networks.case(weights(20, 8), weights(16, 8), _EDGES)
def graph_network(nodes, weight, edges):
    """Molecules: a message-passing step on twenty nodes and sixty edges by the nodes' features."""
    sender, receiver = edges
    messages = jnp.tanh(jnp.concatenate([nodes[sender], nodes[receiver]], axis=1) @ weight)
    return nodes + jax.ops.segment_sum(messages, receiver, 20)


@networks.case(layers(4, 24, 1), np.array([0.5, -0.2, 0.3, 0.8]), argnums=1, batch=(None, 4096), shared=(0,))
def hamiltonian_network(params, x):
    """Learned mechanics: the vector field of a learned Hamiltonian by the state."""
    slope = jax.grad(lambda z: mlp(params, z)[0])(x)
    return jnp.concatenate([slope[2:], -slope[:2]])
