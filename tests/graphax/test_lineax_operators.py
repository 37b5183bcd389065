"""Blocks as operators of Lineax are what their dense matrices are, and are solved by their structure."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from random_blocks import Draw

from graphax import jacve, value_and_jacve
from graphax.sparse import Block, dense_block, diag, eye

lx = pytest.importorskip("lineax")
from graphax.lineax import BlockOperator, BlockSolver  # noqa: E402

X = np.linspace(0.5, 1.5, 6)
AUTO = lx.AutoLinearSolver(well_posed=True)


def tridiagonal(x):
    return x**3 + 4 * x + jnp.sin(jnp.roll(x, 1)).at[0].set(0) * 0.5 + jnp.pad(x[1:] ** 2, (0, 1))


def block_diagonal(x):
    # Three entries each that depend on each other alone, in two dimensions.
    x = x.reshape(2, 3)
    return x * x.sum(1, keepdims=True) + x[:, ::-1]


def cyclic(x):
    return 3 * x + jnp.roll(x, 1) * jnp.roll(x, -1) + x**2


def lower(x):
    return jnp.cumsum(x**2) + x


FUNCTIONS = {
    "diagonal": (lambda x: jnp.sin(x) + x, lx.Diagonal),
    "tridiagonal": (tridiagonal, lx.Tridiagonal),
    "lower triangular": (lower, lx.Triangular),
    "upper triangular": (lambda x: lower(x[::-1])[::-1], lx.Triangular),
    "block-diagonal": (block_diagonal, lx.LU),
    "cyclic": (cyclic, lx.LU),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_fitting_solver_is_taken_and_solves(name):
    fun, expected = FUNCTIONS[name]
    dense = jax.jacrev(fun)(X)
    b = jnp.cos(jnp.arange(6.0)).reshape(dense.shape[:-1])

    def solved(x, solver):
        operator = BlockOperator(jacve(fun, sparse=True)(x))
        return lx.linear_solve(operator, b, solver).value

    assert type(AUTO.select_solver(BlockOperator(jacve(fun, sparse=True)(X)))) is expected
    wanted = np.linalg.solve(dense.reshape(6, 6), b.reshape(-1))
    many = jnp.stack([X, X + 0.1])

    def loss(x, solve):
        return (jnp.cos(solve(x)) * jnp.arange(1.0, 7.0)).sum()

    def densely(x):
        return jnp.linalg.solve(jax.jacrev(fun)(x).reshape(6, 6), b.reshape(-1))

    gradient = jax.jit(jax.grad(lambda x: loss(x, densely)))(X)
    for solver in (AUTO, BlockSolver()):
        solve = jax.jit(lambda x, solver=solver: solved(x, solver))
        np.testing.assert_allclose(solve(X), wanted, rtol=1e-10)
        np.testing.assert_allclose(jax.vmap(solve)(many)[0], wanted, rtol=1e-10)
        np.testing.assert_allclose(jax.jit(jax.grad(lambda x, s=solve: loss(x, s)))(X), gradient, rtol=1e-8)


@pytest.mark.parametrize("seed", range(12))
def test_operators_are_their_dense_matrices(seed):
    draw = Draw(seed)
    out_shape, in_shape = draw.shapes(2)
    block = draw.block(out_shape, in_shape).astype(float)
    operator = BlockOperator(block)
    matrix = np.asarray(block).reshape(block.matrix_shape)
    vector = jnp.asarray(draw.rng.standard_normal(in_shape))
    np.testing.assert_allclose(operator.as_matrix(), matrix)
    np.testing.assert_allclose(operator.mv(vector).ravel(), matrix @ vector.ravel(), atol=1e-12)
    np.testing.assert_allclose(operator.T.as_matrix(), matrix.T)
    assert operator.T.in_structure() == operator.out_structure() == jax.ShapeDtypeStruct(out_shape, float)
    rows, columns = block.pattern()
    square = matrix.shape[0] == matrix.shape[1]
    assert lx.is_diagonal(operator) == (square and bool((rows == columns).all()))
    assert lx.is_tridiagonal(operator) == (square and bool((abs(rows - columns) <= 1).all()))
    assert lx.is_lower_triangular(operator) == (square and bool((rows >= columns).all()))
    assert lx.is_upper_triangular(operator) == (square and bool((rows <= columns).all()))
    np.testing.assert_allclose(lx.diagonal(operator), np.diagonal(matrix))
    for found, k in zip(lx.tridiagonal(operator), (0, -1, 1), strict=True):
        np.testing.assert_allclose(found, np.diagonal(matrix, k))
    assert lx.linearise(operator) is operator is lx.materialise(operator)


def test_operators_pass_through_transformations():
    def product(x, v):
        y, jacobian = value_and_jacve(tridiagonal, sparse=True)(x)
        return y, BlockOperator(jacobian)

    y, operator = jax.jit(product)(X, X)
    assert isinstance(operator, BlockOperator) and operator.block.nnz == 16
    many = jnp.stack([X, 2 * X])
    _, operators = jax.vmap(product)(many, many)
    found = jax.vmap(lambda operator, v: operator.T.mv(v))(operators, many)
    np.testing.assert_allclose(found, jax.vmap(lambda x: jax.vjp(tridiagonal, x)[1](x)[0])(many))
    np.testing.assert_allclose(
        (2.0 * operator + operator.T).mv(X), (2 * operator.block + operator.block.T) @ X
    )
    np.testing.assert_allclose(
        (operator @ operator).as_matrix(), np.linalg.matrix_power(operator.as_matrix(), 2)
    )
    y, inverse = jax.jit(lambda o: (lx.linear_solve(o, X).value, lx.invert(o).mv(X)))(operator)
    np.testing.assert_allclose(y, inverse)


def test_tags_say_what_the_pattern_does_not():
    jacobian = jacve(cyclic, sparse=True)(X)
    normal = jacobian.T @ jacobian + 0.1 * eye(6)
    operator = BlockOperator(normal, lx.positive_semidefinite_tag)
    assert lx.is_symmetric(operator) and operator.T is operator
    assert repr(operator) == f"BlockOperator({normal!r}, positive_semidefinite_tag)"
    assert isinstance(AUTO.select_solver(operator), lx.Cholesky)
    for solver in (AUTO, lx.CG(rtol=1e-12, atol=1e-12), BlockSolver()):
        found = lx.linear_solve(operator, X, solver).value
        np.testing.assert_allclose(found, np.linalg.solve(np.asarray(normal), X), rtol=1e-9)
    assert not lx.is_symmetric(BlockOperator(normal)) and lx.is_symmetric(BlockOperator(diag(X)))
    lower_tag = BlockOperator(jacobian, (lx.lower_triangular_tag, lx.unit_diagonal_tag))
    assert lx.is_upper_triangular(lower_tag.T) and lx.has_unit_diagonal(lower_tag.T)


def test_complex_operators_are_conjugated():
    z = X + 1j * X[::-1]
    operator = BlockOperator(jacve(cyclic, sparse=True)(X) * z)
    np.testing.assert_allclose(lx.conj(operator).as_matrix(), operator.as_matrix().conj())
    for solver in (AUTO, BlockSolver()):
        found = lx.linear_solve(lx.conj(operator), z, solver).value
        np.testing.assert_allclose(operator.as_matrix().conj() @ found, z)


def test_ill_posed_and_rectangular_systems_go_to_the_solvers_of_lineax():
    tall = BlockOperator(jacve(lambda x: jnp.concatenate([x**2, jnp.diff(x)]), sparse=True)(X))
    b = jnp.arange(11.0)
    found = lx.linear_solve(tall, b, lx.AutoLinearSolver(well_posed=None)).value
    np.testing.assert_allclose(found, np.linalg.lstsq(np.asarray(tall.as_matrix()), b)[0], rtol=1e-9)
    with pytest.raises(ValueError, match="only square systems"):
        lx.linear_solve(tall, b, BlockSolver())
    nothing = BlockOperator(Block.zero((6,), (6,), float))
    assert lx.is_diagonal(nothing)
    np.testing.assert_allclose(nothing.mv(X), np.zeros(6))


def test_operators_say_what_is_wrong():
    with pytest.raises(TypeError, match=r"takes a graphax.sparse.Block, got .*Array"):
        BlockOperator(jnp.eye(3))
    many = jax.vmap(jacve(jnp.sin, sparse=True))(jnp.ones((2, 3)))
    with pytest.raises(ValueError, match=r"batch dimensions \(2,\); make the operator"):
        BlockOperator(many)
    with pytest.raises(ValueError, match="matching input and output"):
        BlockOperator(eye(2, 3), lx.symmetric_tag)
    with pytest.raises(ValueError, match="give it one"):
        BlockOperator(dense_block(jnp.ones((2, 3)), (2,), (3,)))
    with pytest.raises(TypeError, match="BlockSolver solves systems of a BlockOperator"):
        lx.linear_solve(lx.DiagonalLinearOperator(X), X, BlockSolver())
    assert BlockOperator(eye(3, dtype=int)).block.dtype == float
