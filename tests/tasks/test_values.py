"""Every task has finite values and derivatives, and the formulas mean what their fields mean."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from alphagrad import tasks
from alphagrad.tasks import fluid


def all_finite(tree):
    return all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(tree))


def call(name, *args):
    return tasks.load(name).fun(*(jnp.asarray(arg) for arg in args))


@pytest.mark.parametrize("name", tasks.names())
def test_values_and_jacobians_are_finite_at_the_example_and_at_samples(name):
    task = tasks.load(name)
    assert all_finite(task.args)
    samples = task.sample(jax.random.key(1), batch=8)
    points = jax.tree.map(lambda x, xs: np.concatenate([x[None], xs]), task.args, samples)

    def value_and_jacobian(*args):
        return task.fun(*args), jax.jacrev(task.fun, task.argnums)(*args)

    assert all_finite(jax.jit(jax.vmap(value_and_jacobian))(*points))


@pytest.mark.parametrize("name", tasks.names())
def test_samples_are_deterministic_and_have_the_structure_of_the_example(name):
    task = tasks.load(name)
    key = jax.random.key(0)
    single, batch = task.sample(key), task.sample(key, batch=8)
    for arg, one, many, again in zip(task.args, single, batch, task.sample(key, 8), strict=True):
        assert one.shape == arg.shape and many.shape == (8, *arg.shape)
        assert one.dtype == many.dtype == arg.dtype
        assert (many == again).all()
        assert len({x.tobytes() for x in np.asarray(many)}) == 8


def test_roe_flux_between_equal_cells_is_the_flux_of_either():
    task = tasks.load("RoeFlux_1d")
    rho, m, e, *_ = task.args
    flux = task.fun(rho, m, e, rho, m, e)
    pressure = (fluid.GAMMA - 1) * (e - m**2 / rho / 2)
    assert_allclose(flux, [m, pressure + m**2 / rho, m / rho * (pressure + e)], rtol=1e-5)


def test_roe_flux_in_three_dimensions_conserves_between_equal_cells():
    task = tasks.load("RoeFlux_3d")
    rho, m, e, *_ = task.args
    mass, _, energy = task.fun(rho, m, e, rho, m, e)
    pressure = (fluid.GAMMA - 1) * (e - jnp.sum(m**2) / rho / 2)
    assert_allclose(mass, m[:1], rtol=1e-5)
    assert_allclose(energy, m[:1] / rho * (pressure + e), rtol=1e-5)


def test_the_hand_of_the_arm_turns_with_its_base():
    x, y, z, *_ = call("RobotArm_6DOF", 0.2, 0.4, 0.3, 0.0, 0.2, 0.1)
    x_turned, y_turned, z_turned, *_ = call("RobotArm_6DOF", 0.5, 0.4, 0.3, 0.0, 0.2, 0.1)
    assert_allclose(z_turned, z, rtol=1e-5)
    assert_allclose(jnp.hypot(x_turned, y_turned), jnp.hypot(x, y), rtol=1e-5)


def test_a_call_option_has_the_price_of_the_textbook_and_obeys_the_forward_limit():
    assert_allclose(call("BlackScholes", 100.0, 100.0, 0.05, 0.2, 1.0), 10.4506, rtol=1e-4)
    deep = call("BlackScholes", 100.0, 1.0, 0.05, 0.2, 1.0)
    assert_allclose(deep, 100.0 - np.exp(-0.05), rtol=1e-4)


def test_the_greeks_are_the_gradient_of_the_price():
    price, greeks = tasks.load("BlackScholes"), tasks.load("BlackScholes_Jacobian")
    expected = jax.grad(price.fun, argnums=(0, 1, 2, 3, 4))(*price.args)
    assert_allclose(greeks.fun(*greeks.args), expected, rtol=1e-4)


def test_the_perceptron_agrees_with_jax_nn():
    x, y, w1, b1, w2, b2, gamma, beta = tasks.load("Perceptron").args
    hidden = jax.nn.standardize(jnp.tanh(w1 @ x + b1), epsilon=1e-6) * gamma + beta
    expected = -jnp.dot(y, jax.nn.log_softmax(jnp.tanh(w2 @ hidden + b2)))
    task = tasks.load("Perceptron")
    assert_allclose(task.fun(*task.args), expected, rtol=1e-5)


def test_the_encoder_agrees_with_jax_nn():
    task = tasks.load("Encoder")
    x, y, *weights = task.args
    for wq, wk, wv, w, b, gamma, beta in (weights[:7], weights[7:]):
        x = x + jax.nn.softmax((wq @ x).T @ (wk @ x), axis=1) @ (wv @ x)
        x = jax.nn.silu(w @ (jax.nn.standardize(x, epsilon=1e-6) * gamma + beta) + b)
    expected = -jnp.sum(y * jax.nn.log_softmax(x, axis=1), axis=1)
    assert_allclose(task.fun(*task.args), expected, rtol=1e-4)


def test_the_tensor_train_layer_applies_the_matrix_of_its_cores():
    x, g1, g2, g3, b = tasks.load("TTLayer").args
    cores = g1.reshape(2, 3, 2), g2.reshape(2, 3, 3, 2), g3.reshape(2, 3, 2)
    matrix = jnp.einsum("iax,jbay,kbz->ijkxyz", *cores).reshape(8, 8)
    assert_allclose(call("TTLayer", x, g1, g2, g3, b), jnp.tanh(matrix @ x + b), rtol=1e-4)


def test_block_term_attention_maps_the_mean_of_tensors_over_triples_of_tokens():
    x, wq, wk, wv, g, w = tasks.load("BlockTermAttention").args
    tensors = jnp.einsum("br,ir,jr,mr->bijm", jax.nn.softmax(g, axis=1), x @ wq, x @ wk, x @ wv)
    expected = x + tensors.mean(axis=0).reshape(4, 16) @ w
    assert_allclose(call("BlockTermAttention", x, wq, wk, wv, g, w), expected, rtol=1e-4)


def test_without_charge_and_spin_the_kerr_sen_metric_is_that_of_schwarzschild():
    metric = call("KerrSen", 5.0, 0.7, 1.0, 0.0, 0.0)
    expected = [-0.6, 0.0, 1 / 0.6, 25.0, 25.0 * np.sin(0.7) ** 2]
    assert_allclose(metric, expected, rtol=1e-5)


def test_the_kerr_sen_metric_has_the_determinant_of_rotation():
    r, theta, mass, spin, charge = tasks.load("KerrSen").args
    g_tt, g_tphi, _, _, g_phph = tasks.load("KerrSen").fun(r, theta, mass, spin, charge)
    delta = r * (r + charge**2 / mass) - 2 * mass * r + spin**2
    assert_allclose(g_tt * g_phph - g_tphi**2, -delta * jnp.sin(theta) ** 2, rtol=1e-4)


def test_clouds_conserve_water_and_moist_enthalpy():
    task = tasks.load("CloudMicrophysics")
    args = task.sample(jax.random.key(2), batch=16)
    new = jax.jit(jax.vmap(task.fun))(*args)
    temperature, vapour, cloud, rain, above, _, density, step, depth = args
    gained = step * (above - new[4]) / (density * depth)
    assert_allclose(sum(new[1:4]), vapour + cloud + rain + gained, atol=1e-7)
    heating = 2.5e6 / 1004.0 * (vapour - new[1])
    assert_allclose(new[0] - temperature, heating, atol=1e-3)
    assert all((water >= 0).all() for water in new[1:4])


def test_neurons_spike_above_the_threshold_and_learn_through_the_surrogate():
    from alphagrad.tasks.spiking import spike

    excess = jnp.array([-0.1, 0.1])
    assert_allclose(spike(excess), [0.0, 1.0])
    assert_allclose(jax.grad(lambda x: spike(x).sum())(excess), [0.25, 0.25], rtol=1e-6)


@pytest.mark.parametrize("enabled", [True, False])
def test_example_inputs_have_the_default_dtype_of_the_moment(enabled):
    with jax.enable_x64(enabled):
        args = tasks.load("RoeFlux_3d").args
        assert {arg.dtype for arg in args} == {jnp.asarray(0.5).dtype}
        assert not any(arg.weak_type for arg in args)
