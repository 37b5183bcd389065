"""Roots, fixed points, fits and minima have the Jacobians of JAX, with the solvers of Optimistix."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from agreement import Case, assert_agrees

optx = pytest.importorskip("optimistix")
lx = pytest.importorskip("lineax")

pytestmark = pytest.mark.slow

TOLERANCE = {"rtol": 1e-10, "atol": 1e-10}
PARAMETERS = np.array([0.4, 1.3])
GUESS = np.array([0.8, 0.9])
# A solver may stop anywhere within its tolerance, but at the same place under both libraries.
CLOSE = 1e-7


def equations(y, p):
    return jnp.stack([y[0] + 0.3 * jnp.sin(y[1]) - p[0], y[1] + 0.2 * y[0] ** 2 - p[1]])


def contraction(y, p):
    return y - equations(y, p)


def residuals(y, p):
    """Of an exponential fitted to points that it does not meet."""
    at = jnp.arange(4.0) / 3
    return y[0] * jnp.exp(-y[1] * at) - (p[0] + p[1] * at + 0.1 * at**2)


def objective(y, p):
    return jnp.sum(equations(y, p) ** 2) + 0.1 * jnp.sum((y - p) ** 4)


ROOT_FINDERS = {
    "Newton": lambda: optx.Newton(**TOLERANCE),
    "Newton, linear systems by GMRES": lambda: optx.Newton(**TOLERANCE, linear_solver=lx.GMRES(1e-12, 1e-12)),
    "Chord": lambda: optx.Chord(**TOLERANCE),
    "Dogleg": lambda: optx.Dogleg(**TOLERANCE),
    "LevenbergMarquardt": lambda: optx.LevenbergMarquardt(**TOLERANCE),
    "GaussNewton": lambda: optx.GaussNewton(**TOLERANCE),
    "BFGS": lambda: optx.BFGS(**TOLERANCE),
    "BestSoFarRootFinder": lambda: optx.BestSoFarRootFinder(optx.Newton(**TOLERANCE)),
}
FIXED_POINTS = {
    "FixedPointIteration": lambda: optx.FixedPointIteration(**TOLERANCE),
    "Newton": lambda: optx.Newton(**TOLERANCE),
    "Chord": lambda: optx.Chord(**TOLERANCE),
    "Dogleg": lambda: optx.Dogleg(**TOLERANCE),
    "LevenbergMarquardt": lambda: optx.LevenbergMarquardt(**TOLERANCE),
    "BestSoFarFixedPoint": lambda: optx.BestSoFarFixedPoint(optx.FixedPointIteration(**TOLERANCE)),
}
LEAST_SQUARES = {
    "LevenbergMarquardt": lambda: optx.LevenbergMarquardt(**TOLERANCE),
    "IndirectLevenbergMarquardt": lambda: optx.IndirectLevenbergMarquardt(**TOLERANCE),
    "GaussNewton": lambda: optx.GaussNewton(**TOLERANCE),
    "Dogleg": lambda: optx.Dogleg(**TOLERANCE),
    "BFGS": lambda: optx.BFGS(**TOLERANCE),
    "NonlinearCG": lambda: optx.NonlinearCG(1e-7, 1e-7),
    "BestSoFarLeastSquares": lambda: optx.BestSoFarLeastSquares(optx.LevenbergMarquardt(**TOLERANCE)),
}


def by_optax():
    optax = pytest.importorskip("optax")
    return optx.OptaxMinimiser(optax.adam(0.05), 1e-6, 1e-6)


MINIMISERS = {
    "BFGS": lambda: optx.BFGS(**TOLERANCE),
    "BFGS of the Hessian": lambda: optx.BFGS(**TOLERANCE, use_inverse=False),
    "DFP": lambda: optx.DFP(**TOLERANCE),
    "LBFGS": lambda: optx.LBFGS(**TOLERANCE),
    "NonlinearCG, Polak-Ribiere": lambda: optx.NonlinearCG(1e-7, 1e-7, method=optx.polak_ribiere),
    "NonlinearCG, Fletcher-Reeves": lambda: optx.NonlinearCG(1e-7, 1e-7, method=optx.fletcher_reeves),
    "NonlinearCG, Hestenes-Stiefel": lambda: optx.NonlinearCG(1e-7, 1e-7, method=optx.hestenes_stiefel),
    "NonlinearCG, Dai-Yuan": lambda: optx.NonlinearCG(1e-7, 1e-7, method=optx.dai_yuan),
    "GradientDescent": lambda: optx.GradientDescent(0.1, 1e-9, 1e-9),
    "NelderMead": lambda: optx.NelderMead(1e-7, 1e-7),
    "optax's Adam": by_optax,
    "BestSoFarMinimiser": lambda: optx.BestSoFarMinimiser(optx.BFGS(**TOLERANCE)),
}


def value(search, fun, solver, guess, **how):
    """What is found as a function of the parameters."""
    return lambda p: search(fun, solver, guess, p, max_steps=1024, **how).value


def check(name, fun, hessian=False):
    assert_agrees(name, Case(fun, (PARAMETERS,), rtol=CLOSE, hessian=hessian))


@pytest.mark.parametrize("name", ROOT_FINDERS)
def test_roots_have_the_jacobians_of_jax_with(name):
    fun = value(optx.root_find, equations, ROOT_FINDERS[name](), jnp.asarray(GUESS))
    check(name, fun, hessian=name in ("Newton", "Dogleg"))


@pytest.mark.parametrize("flip", ["detect", False])
def test_bisection_has_the_derivative_of_jax(flip):
    solver = optx.Bisection(**TOLERANCE, flip=flip)

    def fun(p):
        options = {"lower": 0.0, "upper": 3.0}
        cubic = optx.root_find(
            lambda y, p: y**3 + p[0] * y - p[1], solver, jnp.array(0.5), p, options, max_steps=256
        )
        return cubic.value

    check(f"bisection, flip={flip}", fun, hessian=True)


@pytest.mark.parametrize("name", FIXED_POINTS)
def test_fixed_points_have_the_jacobians_of_jax_with(name):
    fun = value(optx.fixed_point, contraction, FIXED_POINTS[name](), jnp.asarray(GUESS))
    check(name, fun, hessian=name == "FixedPointIteration")


@pytest.mark.parametrize("name", LEAST_SQUARES)
def test_fits_have_the_jacobians_of_jax_with(name):
    fun = value(optx.least_squares, residuals, LEAST_SQUARES[name](), jnp.asarray(GUESS))
    check(name, fun, hessian=name == "LevenbergMarquardt")


@pytest.mark.parametrize("name", MINIMISERS)
def test_minima_have_the_jacobians_of_jax_with(name):
    fun = value(optx.minimise, objective, MINIMISERS[name](), jnp.asarray(GUESS))
    check(name, fun, hessian=name == "BFGS")


def test_the_golden_section_has_the_derivative_of_jax():
    solver = optx.GoldenSearch(1e-9, 1e-9)

    def fun(p):
        options = {"lower": -2.0, "upper": 2.0}
        found = optx.minimise(
            lambda y, p: (y - p[0]) ** 2 + 0.1 * p[1] * y**4,
            solver,
            jnp.array(0.1),
            p,
            options,
            max_steps=256,
        )
        return found.value

    check("golden section", fun)


UNROLLED = {
    "a root": lambda: (optx.root_find, equations, optx.Newton(**TOLERANCE)),
    "a root by a chord": lambda: (optx.root_find, equations, optx.Chord(**TOLERANCE)),
    "a fixed point": lambda: (optx.fixed_point, contraction, optx.FixedPointIteration(**TOLERANCE)),
    "a fit": lambda: (optx.least_squares, residuals, optx.GaussNewton(**TOLERANCE)),
    "a fit by trust region": lambda: (optx.least_squares, residuals, optx.LevenbergMarquardt(**TOLERANCE)),
    "a minimum": lambda: (optx.minimise, objective, optx.GradientDescent(0.1, 1e-4, 1e-4)),
}


@pytest.mark.parametrize("name", UNROLLED)
def test_steps_differentiated_one_by_one_have_the_jacobians_of_jax_for(name):
    search, fun, solver = UNROLLED[name]()
    adjoint = optx.RecursiveCheckpointAdjoint()

    def found(p):
        return search(fun, solver, jnp.asarray(GUESS), p, adjoint=adjoint, max_steps=64, throw=False).value

    check(name, found)


def pytree_root(p):
    def fun(y, p):
        return {"first": y["x"] - 0.3 * jnp.cos(y["y"]) * p[0], "second": y["y"] - 0.2 * y["x"] * p[1]}

    guess = {"x": jnp.zeros(2), "y": jnp.ones(2)}
    return optx.root_find(fun, optx.Newton(**TOLERANCE), guess, p).value


def root_and_statistics(p):
    solution = optx.root_find(equations, optx.Newton(**TOLERANCE), jnp.asarray(GUESS), p, throw=False)
    return (
        jnp.where(solution.result == optx.RESULTS.successful, solution.value, 0) * solution.stats["num_steps"]
    )


def root_with_auxiliary_data(p):
    def fun(y, p):
        return equations(y, p), jnp.sum(y * p)

    solution = optx.root_find(fun, optx.Dogleg(**TOLERANCE), jnp.asarray(GUESS), p, has_aux=True)
    return solution.value


def guess_does_not_matter(p):
    return optx.root_find(equations, optx.Newton(**TOLERANCE), p, p).value


def several_roots(p):
    def root(shift):
        return optx.root_find(equations, optx.Newton(**TOLERANCE), jnp.asarray(GUESS), p + shift).value

    return jax.vmap(root)(jnp.array([0.0, 0.1, 0.2]))


def implicit_steps(p):
    """Implicit Euler, a root at every step."""

    def step(y, _):
        def fun(new, y):
            return new - y - 0.1 * jnp.sin(new[::-1] * p)

        y = optx.root_find(fun, optx.Newton(**TOLERANCE), y, y).value
        return y, y

    return jax.lax.scan(step, jnp.asarray(GUESS), length=3)[1]


def equilibrium(p):
    """Deep equilibrium model: a layer applied until nothing moves."""
    weights = jnp.array([[0.2, -0.3], [0.1, 0.25]]) * p[0]

    def layer(z, x):
        return jnp.tanh(weights @ z + x)

    return optx.fixed_point(layer, optx.FixedPointIteration(**TOLERANCE), jnp.zeros(2), p).value


def bounded_fit(p):
    """Of a positive amplitude."""

    def positive(y, p):
        return residuals(jnp.stack([jnp.exp(y[0]), y[1]]), p)

    return optx.least_squares(positive, optx.LevenbergMarquardt(**TOLERANCE), jnp.zeros(2), p).value


def scipy_like(p):
    return optx.compat.minimize(objective, jnp.asarray(GUESS), (p,), method="bfgs", tol=1e-10).x


def symmetric_root(p):
    tags = frozenset({lx.positive_semidefinite_tag})
    solver = optx.Newton(**TOLERANCE, linear_solver=lx.Cholesky())
    adjoint = optx.ImplicitAdjoint(linear_solver=lx.Cholesky())
    fun = jax.grad(objective)
    return optx.root_find(fun, solver, jnp.asarray(GUESS), p, adjoint=adjoint, tags=tags).value


USES = {
    "pytree root": pytree_root,
    "root and statistics": root_and_statistics,
    "root with auxiliary data": root_with_auxiliary_data,
    "guess does not matter": guess_does_not_matter,
    "several roots": several_roots,
    "implicit steps": implicit_steps,
    "equilibrium": equilibrium,
    "bounded fit": bounded_fit,
    "scipy's interface": scipy_like,
    "symmetric root": symmetric_root,
}


@pytest.mark.parametrize("name", USES)
def test_solutions_in_use_have_the_jacobians_of_jax(name):
    check(name, USES[name])
