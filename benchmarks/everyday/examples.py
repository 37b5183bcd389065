"""Functions that were slower than JAX's own modes at some time, or took much longer to trace."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy import linalg, special

from ._case import Collection
from .networks import layers, mlp, weights

examples = Collection()
_rng = np.random.default_rng(7)
_TIMES = np.linspace(0.0, 3.0, 40)
_DECAYS = np.array([1.5, 0.4, 0.8, 2.0, 0.1])


@examples.case(_DECAYS, _TIMES, np.exp(-_TIMES), kind="hessian", batch=(None, 4096), shared=(1, 2))
def two_decays(p, t, y):
    """Physics laboratory: loss of the fit of two decays onto a background."""
    model = p[0] * jnp.exp(-p[1] * t) + p[2] * jnp.exp(-p[3] * t) + p[4]
    return jnp.sum((model - y) ** 2)


def _hat(w):
    zero = jnp.zeros_like(w[0])
    return jnp.stack(
        [
            jnp.stack([zero, -w[2], w[1]]),
            jnp.stack([w[2], zero, -w[0]]),
            jnp.stack([-w[1], w[0], zero]),
        ]
    )


def _rigid(twist):
    v, w = twist[:3], twist[3:]
    angle = jnp.sqrt(w @ w)
    k = _hat(w)
    first = jnp.sin(angle) / angle
    second = (1 - jnp.cos(angle)) / angle**2
    third = (angle - jnp.sin(angle)) / angle**3
    rotation = jnp.eye(3) + first * k + second * (k @ k)
    return rotation, (jnp.eye(3) + second * k + third * (k @ k)) @ v


_TWIST = np.array([0.5, -0.3, 0.8, 0.4, 0.7, -0.2])


@examples.case(_TWIST, batch=4096)
def rigid_exponential(twist):
    """Robotics: the rigid motion of a twist as a matrix of four rows."""
    rotation, shift = _rigid(twist)
    top = jnp.concatenate([rotation, shift[:, None]], axis=1)
    return jnp.concatenate([top, jnp.array([[0.0, 0.0, 0.0, 1.0]])])


@examples.case(_TWIST, batch=1024)
def rigid_adjoint(twist):
    """Robotics: the adjoint of the exponential of a twist, six by six."""
    rotation, shift = _rigid(twist)
    return jnp.block([[rotation, _hat(shift) @ rotation], [jnp.zeros((3, 3)), rotation]])


@examples.case(weights(16, 16, 1), (weights(3, 3, 1, 4), weights(3, 3, 4, 4)))
def two_convolutions(image, kernels):
    """Image processing: two convolutions of three by three by the pixels."""
    x = image[None]
    for kernel in kernels:
        x = jnp.tanh(
            lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        )
    return x[0]


@examples.case(np.array([1.0, 0.5]), np.array([0.8, 1.2, 0.3]), argnums=(0, 1), batch=(None, 4096))
def implicit_step(state, p):
    """Stiff mechanics: an implicit step of an oscillator, four Newton iterations in a fori_loop."""

    def residual(y):
        return (
            y
            - state
            - 0.1 * jnp.stack([y[1], p[0] * (1 - y[0] ** 2) * y[1] - p[1] * y[0] - p[2] * y[0] ** 3])
        )

    def newton(_, y):
        return y - jnp.linalg.solve(jax.jacfwd(residual)(y), residual(y))

    return lax.fori_loop(0, 4, newton, state)


@examples.case(layers(4, 16, 4), weights(4))
def neural_ode(params, start):
    """Neural differential equations: the state after twenty Runge-Kutta steps by the parameters."""

    def step(y, _):
        k1 = mlp(params, y)
        k2 = mlp(params, y + 0.05 * k1)
        k3 = mlp(params, y + 0.05 * k2)
        k4 = mlp(params, y + 0.1 * k3)
        return y + 0.1 / 6 * (k1 + 2 * k2 + 2 * k3 + k4), None

    return lax.scan(step, start, None, length=20)[0]


def _diagonal(decay, inputs):
    return lax.scan(lambda h, x: (jax.nn.sigmoid(decay) * h + x, None), jnp.zeros_like(decay), inputs)[0]


@examples.case(weights(64), weights(100, 64))
def diagonal_recurrence_of_64(decay, inputs):
    """State-space models: a linear recurrence of 64 numbers by their decays."""
    return _diagonal(decay, inputs)


@examples.case(weights(65), weights(100, 65))
def diagonal_recurrence_of_65(decay, inputs):
    """State-space models: a linear recurrence of 65 numbers by their decays."""
    return _diagonal(decay, inputs)


@examples.case((weights(16, 16), weights(4, 16), weights(16)), weights(40, 4))
def recurrent_network(params, inputs):
    """Sequence models: the final state of a recurrent network of sixteen units by its parameters."""
    w, u, b = params
    return lax.scan(lambda h, x: (jnp.tanh(h @ w + x @ u + b), None), jnp.zeros(16), inputs)[0]


@examples.case(_rng.normal(size=30), _rng.normal(size=20), _rng.normal(size=20))
def kernel_residual(p, q, weight):
    """Kernel methods: the residual of a kernel between two sets of numbers, after broadcast subtraction."""
    return jnp.exp(-0.5 * (p[:, None] - q[None]) ** 2) @ weight - jnp.sin(p)


@examples.case(np.array([1.2, 0.7]), _rng.normal(size=10))
def newton_steps(p, start):
    """Implicit functions: the root of ten equations after five Newton steps by two parameters."""

    def residual(y):
        return y + p[0] * jnp.tanh(y + jnp.roll(y, 1)) - p[1] * jnp.arange(10.0)

    y = start
    for _ in range(5):
        y = y - jnp.linalg.solve(jax.jacfwd(residual)(y), residual(y))
    return y


@examples.case(_rng.normal(size=(12, 2)), _rng.normal(size=(10, 2)))
def regularised_transport(x, y):
    """Optimal transport: potentials after thirty logarithmic Sinkhorn iterations, by the points."""
    cost = jnp.sum(x**2, axis=1)[:, None] + jnp.sum(y**2, axis=1) - 2 * x @ y.T
    epsilon = 0.05 * jnp.mean(cost)

    def soften(potentials, axis):
        f, g = potentials
        return -epsilon * special.logsumexp((f[:, None] + g - cost) / epsilon, axis=axis)

    def step(potentials, _):
        f, g = potentials
        g = g + soften((f, g), 0) - epsilon * jnp.log(10.0)
        f = f + soften((f, g), 1) - epsilon * jnp.log(12.0)
        return (f, g), None

    return lax.scan(step, (jnp.zeros(12), jnp.zeros(10)), None, length=30)[0]


@examples.case(np.array([0.4, -0.7, 1.1]), kind="hessian", batch=(None, 4096))
def himmelblau(x):
    """Optimisation: a polynomial with exponential and sine in three variables."""
    a, b, c = x
    return (a**2 + b - 11) ** 2 + (a + b**2 - 7) ** 2 + jnp.exp(-a * c) * jnp.sin(b * c) + c**4


@examples.case(weights(4), layers(4, 8, 1), kind="hessian")
def energy_of_network(x, params):
    """Learned potentials: the energy of four coordinates by a small network."""
    return mlp(params, x)[0] + 0.5 * jnp.sum(x**2)


@examples.case(np.array([1.0, 0.5, 0.1]))
def lindblad(p):
    """Quantum optics: a density matrix of four levels after ten dissipative steps by three rates."""
    lower = jnp.diag(jnp.sqrt(jnp.arange(1.0, 4.0)), 1).astype(complex)
    raised = lower.conj().T
    hamiltonian = p[0] * raised @ lower + p[1] * (lower + raised)
    count = raised @ lower

    def step(rho, _):
        flow = -1j * (hamiltonian @ rho - rho @ hamiltonian)
        loss = p[2] * (lower @ rho @ raised - 0.5 * (count @ rho + rho @ count))
        return rho + 0.02 * (flow + loss), None

    start = jnp.zeros((4, 4), complex).at[0, 0].set(1.0)
    return lax.scan(step, start, None, length=10)[0]


@examples.case(np.array([0.3, 0.5, -0.4, 0.2, 0.8, -0.1]), batch=(None, 4096))
def mass_matrix(q):
    """Robotics: the mass matrix of an arm of six joints by its angles."""
    lengths = (0.3, 0.4, 0.35, 0.2, 0.15, 0.1)
    masses = (4.0, 3.5, 2.5, 1.5, 1.0, 0.5)
    turn, place = jnp.eye(3), jnp.zeros(3)
    axes, joints, centres = [], [], []
    for k in range(6):
        axis = (0, 2, 1)[k % 3]
        c, s = jnp.cos(q[k]), jnp.sin(q[k])
        first, second = [at for at in range(3) if at != axis]
        link = jnp.eye(3).at[first, first].set(c).at[first, second].set(-s).at[second, first].set(s)
        axes.append(turn[:, axis])
        joints.append(place)
        turn = turn @ link.at[second, second].set(c)
        along = turn @ jnp.array([lengths[k], 0.0, 0.1])
        centres.append(place + along / 2)
        place = place + along
    total = jnp.zeros((6, 6))
    for k in range(6):
        columns = [jnp.cross(axes[j], centres[k] - joints[j]) if j <= k else jnp.zeros(3) for j in range(6)]
        spins = [axes[j] if j <= k else jnp.zeros(3) for j in range(6)]
        moving, spinning = jnp.stack(columns, axis=1), jnp.stack(spins, axis=1)
        total = total + masses[k] * moving.T @ moving + 0.02 * masses[k] * spinning.T @ spinning
    return total


@examples.case(
    _rng.uniform(0.1, 0.5, 32),
    _rng.uniform(2, 3, 32),
    _rng.uniform(0.1, 0.5, 32),
    _rng.normal(size=32),
    argnums=(0, 1, 2, 3),
)
def tridiagonal(lower, diagonal, upper, right):
    """Splines: the solution of 32 tridiagonal equations by all coefficients."""
    return lax.linalg.tridiagonal_solve(
        lower.at[0].set(0.0), diagonal, upper.at[-1].set(0.0), right[:, None]
    )[:, 0]


@examples.case(_rng.normal(size=(4, 4)) + 4 * np.eye(4), _rng.normal(size=4), argnums=(0, 1), batch=4096)
def small_solve(a, b):
    """Finite elements: four linear equations at every point."""
    return jnp.linalg.solve(a, b)


@examples.case(0.3 * _rng.normal(size=(5, 5)))
def matrix_exponential(a):
    """Control: transition matrix of a linear system of five states."""
    return linalg.expm(a)


@examples.case(np.linspace(0.05, 0.95, 16))
def normal_quantiles(p):
    """Risk: quantiles of the normal distribution at sixteen probabilities."""
    return special.ndtri(p)


@examples.case(np.linspace(-1, 1, 16))
def horner(x):
    """Approximation: a polynomial of degree twenty at sixteen numbers by a scan over coefficients."""
    coefficients = jnp.asarray(1 / np.arange(1.0, 22.0), x.dtype)
    return lax.scan(lambda y, c: (y * x + c, None), jnp.zeros_like(x), coefficients)[0]


@jax.custom_jvp
def _safe_norm(x):
    return jnp.sqrt(jnp.maximum(jnp.sum(x**2, axis=-1, keepdims=True), 1e-12))


@_safe_norm.defjvp
def _(primals, tangents):
    (x,), (t,) = primals, tangents
    norm = _safe_norm(x)
    return norm, jnp.sum(x * t, axis=-1, keepdims=True) / norm


@examples.case(_rng.normal(size=(10, 3)), weights(9, 4), _rng.integers(0, 10, (2, 40)))
def spherical_messages(positions, weight, edges):
    """Atomistic models: messages by spherical harmonics of the edges between ten atoms, by positions."""
    sender, receiver = edges
    apart = positions[sender] - positions[receiver] + 0.1
    x, y, z = jnp.moveaxis(apart / _safe_norm(apart), -1, 0)
    harmonics = jnp.stack(
        [jnp.ones_like(x), x, y, z, x * y, y * z, 3 * z**2 - 1, x * z, x**2 - y**2], axis=-1
    )
    messages = jnp.tanh(harmonics @ weight) * jnp.exp(-_safe_norm(apart))
    return jax.ops.segment_sum(messages, receiver, 10)


@examples.case(weights(32), weights(32), argnums=(0, 1))
def parallel_recurrence(gate, value):
    """State-space models: a linear recurrence of 32 steps by an associative scan."""

    def combine(left, right):
        return left[0] * right[0], left[1] * right[0] + right[1]

    return lax.associative_scan(combine, (jax.nn.sigmoid(gate), value))[1]
