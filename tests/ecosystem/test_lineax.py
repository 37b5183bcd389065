"""Solutions of linear systems have the Jacobians of JAX, with every solver and operator of Lineax."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from agreement import Case, assert_agrees

lx = pytest.importorskip("lineax")

pytestmark = pytest.mark.slow

RANDOM = np.random.RandomState(0)
SQUARE = RANDOM.randn(3, 3) + 4 * np.eye(3)
DEFINITE = SQUARE @ SQUARE.T
TALL = RANDOM.randn(4, 3)
RIGHT = RANDOM.randn(4)
KRYLOV = {"rtol": 1e-13, "atol": 1e-13}

SOLVERS = {
    "LU": (lx.LU, SQUARE, ()),
    "QR": (lx.QR, SQUARE, ()),
    "QR of a tall matrix": (lx.QR, TALL, ()),
    "QR of a wide matrix": (lx.QR, TALL.T, ()),
    "SVD": (lx.SVD, SQUARE, ()),
    "SVD of a tall matrix": (lx.SVD, TALL, ()),
    "SVD of a wide matrix": (lx.SVD, TALL.T, ()),
    "Cholesky": (lx.Cholesky, DEFINITE, lx.positive_semidefinite_tag),
    "Cholesky of a negative matrix": (lx.Cholesky, -DEFINITE, lx.negative_semidefinite_tag),
    "Diagonal": (lx.Diagonal, np.diag(np.diag(SQUARE)), lx.diagonal_tag),
    "Triangular, lower": (lx.Triangular, np.tril(SQUARE), lx.lower_triangular_tag),
    "Triangular, upper": (lx.Triangular, np.triu(SQUARE), lx.upper_triangular_tag),
    "Triangular, unit": (
        lx.Triangular,
        np.tril(SQUARE, -1) + np.eye(3),
        (lx.lower_triangular_tag, lx.unit_diagonal_tag),
    ),
    "Tridiagonal": (lx.Tridiagonal, np.triu(np.tril(SQUARE, 1), -1), lx.tridiagonal_tag),
    "CG": (lambda: lx.CG(**KRYLOV), DEFINITE, lx.positive_semidefinite_tag),
    "CG of a negative matrix": (lambda: lx.CG(**KRYLOV), -DEFINITE, lx.negative_semidefinite_tag),
    "GMRES": (lambda: lx.GMRES(**KRYLOV), SQUARE, ()),
    "BiCGStab": (lambda: lx.BiCGStab(**KRYLOV), SQUARE, ()),
    "LSMR": (lambda: lx.LSMR(**KRYLOV), TALL, ()),
    "LSMR of a square matrix": (lambda: lx.LSMR(**KRYLOV), SQUARE, ()),
    "normal equations by CG": (lambda: lx.Normal(lx.CG(**KRYLOV)), TALL, ()),
    "normal equations by Cholesky": (lambda: lx.Normal(lx.Cholesky()), TALL, ()),
    "normal equations by Cholesky, wide": (lambda: lx.Normal(lx.Cholesky()), TALL.T, ()),
    "Auto": (lambda: lx.AutoLinearSolver(well_posed=True), SQUARE, ()),
    "Auto, definite": (lambda: lx.AutoLinearSolver(well_posed=True), DEFINITE, lx.positive_semidefinite_tag),
    "Auto, lower triangular": (
        lambda: lx.AutoLinearSolver(well_posed=True),
        np.tril(SQUARE),
        lx.lower_triangular_tag,
    ),
    "Auto, well or ill posed": (lambda: lx.AutoLinearSolver(well_posed=None), TALL, ()),
    "Auto, ill posed": (lambda: lx.AutoLinearSolver(well_posed=False), TALL.T, ()),
    "Auto, symmetric": (lambda: lx.AutoLinearSolver(well_posed=True), DEFINITE, lx.symmetric_tag),
}


@pytest.mark.parametrize("name", SOLVERS)
def test_solving_has_the_jacobians_of_jax_with(name):
    make_solver, matrix, tags = SOLVERS[name]
    solver = make_solver()

    def solve(matrix, vector):
        return lx.linear_solve(lx.MatrixLinearOperator(matrix, tags), vector, solver).value

    args = (matrix, RIGHT[: matrix.shape[0]])
    assert_agrees(name, Case(solve, args, (0, 1), hessian=matrix.shape == (3, 3)))


def tree_operator(matrix, vector):
    """A matrix by blocks, between pytrees."""
    blocks = {
        "a": {"x": matrix[:1, :2], "y": matrix[:1, 2]},
        "b": {"x": matrix[1:, :2], "y": matrix[1:, 2]},
    }
    structure = {"a": jax.ShapeDtypeStruct((1,), vector.dtype), "b": jax.ShapeDtypeStruct((2,), vector.dtype)}
    return lx.PyTreeLinearOperator(blocks, structure), {"a": vector[:1], "b": vector[1:]}


def nonlinear(y, args):
    return args @ jnp.tanh(y) + y**3


def function_operator(matrix, vector):
    return lx.FunctionLinearOperator(lambda x: matrix @ x, jax.eval_shape(lambda: vector))


def tridiagonal(matrix):
    return lx.TridiagonalLinearOperator(jnp.diag(matrix), jnp.diag(matrix, -1), jnp.diag(matrix, 1))


OPERATORS = {
    "diagonal": lambda a, b: (lx.DiagonalLinearOperator(jnp.diag(a)), b),
    "diagonal of a pytree": lambda a, b: (
        lx.DiagonalLinearOperator({"x": a[0, 0], "y": a[1, :2]}),
        {"x": b[0], "y": b[1:]},
    ),
    "tridiagonal": lambda a, b: (tridiagonal(a), b),
    "pytree": tree_operator,
    "identity": lambda a, b: (lx.IdentityLinearOperator(jax.eval_shape(lambda: b)), a @ b),
    "function": lambda a, b: (function_operator(a, b), b),
    "function, symmetric": lambda a, b: (
        lx.FunctionLinearOperator(
            lambda x: a @ (a.T @ x), jax.eval_shape(lambda: b), lx.positive_semidefinite_tag
        ),
        b,
    ),
    "Jacobian": lambda a, b: (lx.JacobianLinearOperator(nonlinear, b, a), b),
    "Jacobian, forward": lambda a, b: (lx.JacobianLinearOperator(nonlinear, b, a, jac="fwd"), b),
    "Jacobian, reverse": lambda a, b: (lx.JacobianLinearOperator(nonlinear, b, a, jac="bwd"), b),
    "sum": lambda a, b: (lx.MatrixLinearOperator(a) + lx.DiagonalLinearOperator(b), b),
    "difference": lambda a, b: (function_operator(a, b) - lx.DiagonalLinearOperator(b), b),
    "product with a number": lambda a, b: (lx.MatrixLinearOperator(a) * b[0], b),
    "quotient by a number": lambda a, b: (lx.MatrixLinearOperator(a) / b[1], b),
    "negative": lambda a, b: (-lx.MatrixLinearOperator(a), b),
    "composition": lambda a, b: (lx.MatrixLinearOperator(a) @ tridiagonal(a), b),
    "transpose": lambda a, b: (lx.MatrixLinearOperator(a).T, b),
    "tagged": lambda a, b: (
        lx.TaggedLinearOperator(lx.MatrixLinearOperator(a @ a.T), lx.positive_semidefinite_tag),
        b,
    ),
    "linearised": lambda a, b: (lx.linearise(lx.JacobianLinearOperator(nonlinear, b, a)), b),
    "materialised": lambda a, b: (lx.materialise(lx.JacobianLinearOperator(nonlinear, b, a)), b),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_solving_has_the_jacobians_of_jax_with_the_operator(name):
    def solve(matrix, vector):
        return lx.linear_solve(*OPERATORS[name](matrix, vector)).value

    assert_agrees(name, Case(solve, (SQUARE, RIGHT[:3]), (0, 1)))


@pytest.mark.parametrize("name", OPERATORS)
def test_products_matrices_and_diagonals_have_the_jacobians_of_jax_with_the_operator(name):
    def products(matrix, vector):
        operator, vector = OPERATORS[name](matrix, vector)
        return operator.T.mv(operator.mv(same_structure(operator, vector))), operator.as_matrix()

    args = (SQUARE, RIGHT[:3])
    assert_agrees(name, Case(products, args, (0, 1), ways=("bare", "vmap")))


def same_structure(operator, vector):
    """The numbers of a vector as the operator takes them."""
    leaves, tree = jax.tree.flatten(operator.in_structure())
    numbers = jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(vector)])
    ends = np.cumsum([leaf.size for leaf in leaves])
    parts = [numbers[end - leaf.size : end] for leaf, end in zip(leaves, ends, strict=True)]
    return jax.tree.unflatten(
        tree, [part.reshape(leaf.shape) for leaf, part in zip(leaves, parts, strict=True)]
    )


def several_right_hand_sides(matrix, vectors):
    operator = lx.MatrixLinearOperator(matrix)
    return jax.vmap(lambda vector: lx.linear_solve(operator, vector).value)(vectors)


def several_matrices(matrices, vector):
    return jax.vmap(lambda matrix: lx.linear_solve(lx.MatrixLinearOperator(matrix), vector).value)(matrices)


def kept_factors(matrix, vectors):
    operator, solver = lx.MatrixLinearOperator(matrix), lx.LU()
    state = solver.init(jax.lax.stop_gradient(operator), {})
    first = lx.linear_solve(operator, vectors[0], solver, state=state).value
    return lx.linear_solve(operator, first * vectors[1], solver, state=state).value


def preconditioned(matrix, vectors):
    operator = lx.MatrixLinearOperator(matrix @ matrix.T, lx.positive_semidefinite_tag)
    diagonal = lx.DiagonalLinearOperator(1 / jnp.diag(matrix @ matrix.T))
    preconditioner = lx.TaggedLinearOperator(diagonal, lx.positive_semidefinite_tag)
    options = jax.lax.stop_gradient({"preconditioner": preconditioner, "y0": vectors[1]})
    return lx.linear_solve(operator, vectors[0], lx.CG(**KRYLOV), options=options).value


def without_errors(matrix, vectors):
    solution = lx.linear_solve(lx.MatrixLinearOperator(matrix), vectors[0], throw=False)
    return jnp.where(solution.result == lx.RESULTS.successful, solution.value, 0)


def inverse(matrix, vectors):
    operator = lx.invert(lx.MatrixLinearOperator(matrix), lx.LU())
    return operator.mv(vectors[0])


def log_likelihood(matrix, vectors):
    """Of a Gaussian process, with its solution and the determinant from one matrix."""
    covariance = jnp.exp(-jnp.square(matrix[:, 0][:, None] - matrix[:, 1][None])) + 4 * jnp.eye(3)
    covariance = covariance @ covariance.T
    operator = lx.MatrixLinearOperator(covariance, lx.positive_semidefinite_tag)
    fit = vectors[0] @ lx.linear_solve(operator, vectors[0], lx.Cholesky()).value
    return fit + jnp.linalg.slogdet(covariance)[1]


def complex_system(matrix, vectors):
    found = lx.linear_solve(
        lx.MatrixLinearOperator(matrix + 1j * matrix.T @ matrix), vectors[0] + 0j, lx.LU()
    )
    return jnp.real(found.value), jnp.imag(found.value)


def newton_by_hand(matrix, vectors):
    def residual(y, _):
        return nonlinear(y, matrix) - vectors[0]

    def step(at, _):
        jacobian = lx.JacobianLinearOperator(residual, at)
        return at - lx.linear_solve(jacobian, residual(at, None), lx.LU()).value, None

    return jax.lax.scan(step, vectors[1] * 0.1, length=3)[0]


USES = {
    "several right-hand sides": several_right_hand_sides,
    "kept factors": kept_factors,
    "preconditioned": preconditioned,
    "without errors": without_errors,
    "inverse": inverse,
    "log likelihood": log_likelihood,
    "complex system": complex_system,
    "Newton by hand": newton_by_hand,
}


@pytest.mark.parametrize("name", USES)
def test_solutions_in_use_have_the_jacobians_of_jax(name):
    args = (SQUARE, TALL[:2])
    assert_agrees(name, Case(USES[name], args, (0, 1), hessian=True))


def test_solutions_of_several_systems_have_the_jacobians_of_jax():
    args = (np.stack([SQUARE, DEFINITE]), RIGHT[:3])
    assert_agrees("several matrices", Case(several_matrices, args, (0, 1)))
