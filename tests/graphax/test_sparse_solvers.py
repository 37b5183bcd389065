"""The examples of docs/guides/sparse_newton.md run, and solve what they say they solve."""

import re
import sys
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate

DOCUMENT = (Path(__file__).parents[2] / "docs" / "guides" / "sparse_newton.md").read_text()
FIRST, *SECTIONS = re.split(r"^## ", DOCUMENT, flags=re.MULTILINE)
SECTIONS = dict(section.split("\n", 1) for section in SECTIONS if "```python" in section)
SOLVED = {}


def solves(title):
    """Registers what has to hold after the examples of a section."""
    return lambda check: SOLVED.setdefault(title, check)


def run(title):
    """What the names of a section's examples stand for after they have run."""
    names = {}
    for example in re.findall(r"```python\n(.*?)```", FIRST + SECTIONS[title], re.DOTALL):
        exec(example, names)
    return types.SimpleNamespace(**names)


def root_by_dense_newton(fun, x):
    shape = x.shape
    of_vector = jax.jit(lambda x: fun(x.reshape(shape)).ravel())
    jacobian = jax.jit(jax.jacfwd(of_vector))
    x = x.ravel()
    for _ in range(8):
        x = x - np.linalg.solve(jacobian(x), of_vector(x))
    return x.reshape(shape)


def assert_stationary(objective, constraints, x, multipliers):
    """The gradient of the objective is a combination of those of the constraints."""
    jacobian = jax.jacrev(constraints)(x)
    np.testing.assert_allclose(jax.grad(objective)(x) + multipliers @ jacobian, np.zeros(len(x)), atol=1e-5)


@solves("A block is a matrix")
def _(found):
    dense = jax.jacrev(found.f)(found.x)
    np.testing.assert_allclose(found.J, dense, atol=1e-12)
    normal = dense.T @ dense + 0.1 * np.eye(1000)
    assert found.N.nnz == 5 * 1000 == found.A.nnz and found.P.nnz == 3 * 1000
    np.testing.assert_allclose(found.step, np.linalg.solve(normal, -dense.T @ found.f(found.x)), atol=1e-10)


@solves("Newton's method with SuperLU")
def _(found):
    np.testing.assert_allclose(found.u, root_by_dense_newton(found.residual, np.zeros((24, 24))), atol=1e-12)
    assert found.J.nnz == 5 * 24**2 - 4 * 24 and 0.5 < found.u.max() < 0.6


@solves("Newton's method within JAX")
def _(found):
    np.testing.assert_allclose(found.u, root_by_dense_newton(found.residual, np.zeros((24, 24))), atol=1e-10)


@solves("Least squares with SciPy")
def _(found):
    assert found.fit.success and found.fit.jac.nnz == 2 * 99 + 99
    np.testing.assert_allclose(found.fit.x, np.ones(100), atol=1e-6)


@solves("Constrained minimisation with SciPy")
def _(found):
    x, multipliers = found.found.x, found.found.v[0]
    assert found.found.success and (found.constraint(x) < 1e-7).all() and (multipliers > -1e-7).all()
    np.testing.assert_allclose(multipliers * found.constraint(x), np.zeros(39), atol=1e-5)
    assert_stationary(found.objective, found.constraint, x, multipliers)
    assert found.objective_hessian(x).nnz == 3 * 40 - 2 and found.constraint_hessian(x, multipliers).nnz == 40


@solves("Stiff differential equations with SciPy")
def _(found):
    flow = found.flow
    assert flow.success and flow.njev < 60
    densely = integrate.solve_ivp(
        lambda t, u: np.asarray(found.burgers(u)), (0.0, 0.2), flow.y[:, 0], "Radau", rtol=1e-8, atol=1e-10
    )
    np.testing.assert_allclose(flow.y[:, -1], densely.y[:, -1], atol=1e-5)
    assert found.jacobian(flow.y[:, -1]).nnz == 300


@solves("Lineax")
def _(found):
    assert isinstance(found.solver, found.lx.Tridiagonal)
    dense = jax.jacrev(found.reaction_diffusion)(found.u)
    np.testing.assert_allclose(found.step, np.linalg.solve(dense, found.reaction_diffusion(found.u)))
    wanted = np.linalg.solve(jax.jacrev(found.cyclic)(found.u), found.cyclic(found.u))
    np.testing.assert_allclose(found.by_band, wanted, atol=1e-12)
    np.testing.assert_allclose(found.by_gradients, wanted, atol=1e-8)


@solves("IPOPT")
def _(found):
    problem, x = found.problem, found.x
    assert found.info["status"] == 0
    np.testing.assert_allclose(x[::2] * x[1::2], np.full(15, 1.5), atol=1e-7)
    np.testing.assert_allclose(problem.jacobian(x), np.stack([x[1::2], x[::2]], 1).ravel())
    # The diagonal and what is below it: constraints bind neighbours, as the objective does.
    rows, columns = problem.hessianstructure()
    assert len(rows) == 59 and (rows - columns <= 1).all()

    def objective(x):
        return jnp.sum(jnp.cosh(x - 1)) + 0.5 * jnp.sum(jnp.diff(x) ** 2)

    def constraints(x):
        return x[::2] * x[1::2]

    multipliers = found.info["mult_g"]
    assert_stationary(objective, constraints, x, multipliers)
    full = np.zeros((30, 30))
    full[rows, columns] = problem.hessian(x, multipliers, 2.0)
    wanted = jax.hessian(lambda x: 2 * objective(x) + multipliers @ constraints(x))(x)
    np.testing.assert_allclose(full, np.tril(wanted), atol=1e-12)


@pytest.mark.parametrize("title", SECTIONS)
def test_examples_solve_what_they_say(title, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    if title == "Lineax":
        pytest.importorskip("lineax")
    if title == "IPOPT":
        try:
            import cyipopt  # noqa: F401
        except ModuleNotFoundError:
            monkeypatch.setitem(sys.modules, "cyipopt", types.SimpleNamespace(Problem=EqualityProblem))
    SOLVED[title](run(title))


def test_points_are_evaluated_once(monkeypatch):
    monkeypatch.setitem(sys.modules, "cyipopt", types.SimpleNamespace(Problem=EqualityProblem))
    found = run("IPOPT")
    assert found.problem.evaluations == found.info["points"] > 3


class EqualityProblem:
    """Stands for ``cyipopt.Problem`` where that is not installed: its interface, what it asks of a problem
    and checks, and for equality constraints without bounds Newton's method in the place of IPOPT.

    Whatever a callback returns has to be what IPOPT copies it into: a number, or as many numbers as were
    announced, of float64, none of them infinite or NaN.
    """

    def __init__(self, n, m, problem_obj, lb, ub, cl, cu):
        for callback in ("objective", "gradient", *(("constraints", "jacobian") if m else ())):
            if not callable(getattr(problem_obj, callback, None)):
                raise ValueError(f'Object passed as problem must have a "{callback}" method')
        assert len(lb) == len(ub) == n and len(cl) == len(cu) == m
        assert (cl == cu).all() and (lb < -1e19).all() and (ub > 1e19).all()
        self.n, self.m, self.problem, self.target = n, m, problem_obj, cl
        self.jacobian_places = self.places(problem_obj.jacobianstructure(), m)
        self.hessian_places = self.places(problem_obj.hessianstructure(), n)
        rows, columns = self.hessian_places
        assert (rows >= columns).all(), "of the Hessian, IPOPT takes the lower triangle"

    def places(self, structure, height):
        rows, columns = structure
        assert len(rows) == len(columns) == len(set(zip(rows.tolist(), columns.tolist(), strict=True)))
        assert np.issubdtype(rows.dtype, np.integer) and np.issubdtype(columns.dtype, np.integer)
        assert rows.min() >= 0 and rows.max() < height and columns.min() >= 0 and columns.max() < self.n
        return rows, columns

    def asked(self, callback, *args, size):
        found = getattr(self.problem, callback)(*(np.array(arg) for arg in args))
        assert isinstance(found, np.ndarray) and found.dtype == np.float64 and found.shape == (size,), (
            callback
        )
        assert np.isfinite(found).all()
        return found

    def solve(self, x):
        x, multipliers, points = np.array(x, float), np.zeros(self.m), 0
        for _ in range(50):
            points += 1
            value = self.problem.objective(x)
            assert isinstance(value, float) and np.isfinite(value)
            gradient = self.asked("gradient", x, size=self.n)
            missing = self.asked("constraints", x, size=self.m) - self.target
            jacobian, hessian = np.zeros((self.m, self.n)), np.zeros((self.n, self.n))
            entries = self.asked("jacobian", x, size=len(self.jacobian_places[0]))
            jacobian[self.jacobian_places] = entries
            slope = gradient + multipliers @ jacobian
            if max(abs(slope).max(), abs(missing).max()) < 1e-8:
                break
            factor = np.float64(1.0)
            entries = self.asked("hessian", x, multipliers, factor, size=len(self.hessian_places[0]))
            hessian[self.hessian_places] = entries
            hessian += np.tril(hessian, -1).T
            system = np.block([[hessian, jacobian.T], [jacobian, np.zeros((self.m, self.m))]])
            step = np.linalg.solve(system, -np.concatenate([slope, missing]))
            x, multipliers = x + step[: self.n], multipliers + step[self.n :]
        else:
            return x, {"status": -1, "mult_g": multipliers, "points": points}
        return x, {"status": 0, "mult_g": multipliers, "points": points, "obj_val": value}
