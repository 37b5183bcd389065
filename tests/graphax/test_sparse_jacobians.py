"""Jacobians as blocks: what they hold, and that they behave as arrays and pytrees do."""

import math
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.extend import core
from oracle import assert_same_jacobian, together

import graphax
from graphax.sparse import Block

ORDERS = ("forward", "reverse", "markowitz")


def numbers_in(shape, seed=0, dtype=np.float64):
    return jnp.asarray(np.random.default_rng(seed).uniform(0.5, 1.5, shape), dtype)


def burgers_by_roll(u):
    left, right = jnp.roll(u, 1), jnp.roll(u, -1)
    return 0.1 * (right - 2 * u + left) - u * (right - left)


def burgers_by_slices(u):
    wide = jnp.concatenate([u[-1:], u, u[:1]])
    return 0.1 * (wide[2:] - 2 * u + wide[:-2]) - u * (wide[2:] - wide[:-2])


def burgers_by_padding(u):
    wide = jnp.pad(u, 1, constant_values=0.3)
    return 0.1 * (wide[2:] - 2 * u + wide[:-2]) - u * (wide[2:] - wide[:-2])


def reaction_diffusion(u):
    neighbours = sum(jnp.roll(u, step, axis) for step in (1, -1) for axis in (0, 1))
    return neighbours - 4 * u + u * (1 - u**2)


def flattened_reaction_diffusion(v):
    side = math.isqrt(v.size)
    return reaction_diffusion(v.reshape(side, side)).reshape(-1)


def random_edges(nodes, edges, seed=0):
    """Both ends of random edges, of which no two join the same nodes."""
    rng = np.random.default_rng(seed)
    pairs = rng.integers(0, nodes, (2 * edges, 2))
    pairs = np.unique(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], 1), axis=0)
    return rng.permutation(pairs)[:edges].T


def power_flow(start, end, nodes):
    """Active power into every node, by angles and voltages."""

    def residual(angle, voltage):
        flow = voltage[start] * voltage[end] * jnp.sin(angle[start] - angle[end])
        return jnp.zeros(nodes).at[start].add(flow).at[end].add(-flow)

    return residual


def cells(block):
    """The places of the structural nonzeros, as a set of row-major positions."""
    rows, columns = block.pattern()
    return set((rows * math.prod(block.in_shape) + columns).tolist())


def largest_array(fun, *args):
    """How many entries the largest array in the jaxpr of a function has, constants included."""
    closed = jax.make_jaxpr(fun)(*args)
    return max([_largest(closed.jaxpr), *(np.size(const) for const in closed.consts)])


def _largest(jaxpr):
    variables = [*jaxpr.constvars, *jaxpr.invars, *(var for eqn in jaxpr.eqns for var in eqn.outvars)]
    inner = [_largest(one) for eqn in jaxpr.eqns for one in core.jaxprs_in_params(eqn.params)]
    return max([0, *inner, *(math.prod(getattr(var.aval, "shape", ())) for var in variables)])


def assert_blocks_agree(fun, *args, argnums=0, rtol=1e-12):
    """In every order the blocks hold jacrev's numbers; returns the blocks of the last order."""

    @jax.jit
    def by_order(*args):
        return [graphax.jacve(fun, order=order, argnums=argnums, sparse=True)(*args) for order in ORDERS]

    expected = jax.tree.leaves(jax.jit(jax.jacrev(fun, argnums))(*args))
    found = by_order(*args)
    for blocks in found:
        leaves = jax.tree.leaves(blocks, is_leaf=lambda leaf: isinstance(leaf, Block))
        assert all(isinstance(leaf, Block) for leaf in leaves)
        for block, dense in zip(leaves, expected, strict=True):
            assert (block.shape, block.dtype) == (dense.shape, dense.dtype)
            assert_views_agree(block, dense, rtol)
    return found[-1]


@jax.jit
def views(block, vector):
    """What a block can be turned into while tracing."""
    diagonal = block.diagonal() if block.out_shape == block.in_shape else None
    return block.todense(), block.data(), block.to_bcoo().todense(), block @ vector, diagonal


def assert_views_agree(block, dense, rtol=1e-12):
    """All that a block can be turned into is the dense array in another shape."""
    atol = rtol * float(np.abs(dense).max(initial=1))
    flat = np.asarray(dense).reshape(math.prod(block.out_shape), math.prod(block.in_shape))
    vector = numbers_in(block.in_shape, 7)
    array, data, bcoo, product, diagonal = views(block, vector)
    np.testing.assert_allclose(array, dense, rtol=0, atol=atol)
    rows, columns = block.pattern()
    assert len(rows) == len(columns) == block.nnz == len(data)
    assert len(cells(block)) == block.nnz
    scattered = np.zeros_like(flat)
    scattered[rows, columns] = data
    np.testing.assert_allclose(scattered, flat, rtol=0, atol=atol)
    np.testing.assert_allclose(bcoo, dense, rtol=0, atol=atol)
    np.testing.assert_allclose(block.to_scipy().toarray(), flat, rtol=0, atol=atol)
    transposed = block.T
    assert transposed.shape == block.in_shape + block.out_shape
    np.testing.assert_allclose(transposed.to_scipy().toarray(), flat.T, rtol=0, atol=atol)
    np.testing.assert_allclose(np.reshape(product, -1), flat @ np.reshape(vector, -1), rtol=0, atol=8 * atol)
    if diagonal is not None:
        expected = np.diagonal(flat).reshape(block.out_shape)
        np.testing.assert_allclose(diagonal, expected, rtol=0, atol=atol)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("fun", [burgers_by_roll, burgers_by_slices])
def test_a_periodic_stencil_of_4096_points_holds_three_diagonals_and_no_more(fun, order):
    u = numbers_in(4096)
    jacobian = graphax.jacve(fun, order=order, sparse=True)
    block = jacobian(u)
    assert block.structure.numbers == block.nnz == 3 * 4096
    rows = np.arange(4096)
    assert cells(block) == {(i * 4096 + (i + step) % 4096) for i in rows.tolist() for step in (-1, 0, 1)}
    assert largest_array(jacobian, u) <= 4098
    tangent = numbers_in(4096, 1)
    np.testing.assert_allclose(block @ tangent, jax.jvp(fun, (u,), (tangent,))[1], atol=1e-12)


@pytest.mark.parametrize("size", [5, 8])
@pytest.mark.parametrize("fun", [burgers_by_roll, burgers_by_slices])
def test_small_periodic_stencils_hold_three_diagonals_too(fun, size):
    block = assert_blocks_agree(fun, numbers_in(size))
    assert block.structure.numbers == block.nnz == 3 * size


@pytest.mark.parametrize("size", [5, 8, 40])
def test_a_stencil_with_fixed_boundaries_lacks_two_corners(size):
    block = assert_blocks_agree(burgers_by_padding, numbers_in(size))
    assert block.structure.numbers == block.nnz == 3 * size - 2


@pytest.mark.parametrize("fun", [burgers_by_roll, burgers_by_slices])
def test_a_stencil_of_a_million_points_takes_a_moment(fun):
    u = numbers_in(10**6)
    start = time.perf_counter()
    block = graphax.jacve(fun, sparse=True)(u)
    jax.block_until_ready(block)
    assert time.perf_counter() - start < 10
    assert block.structure.numbers == 3 * 10**6
    assert largest_array(graphax.jacve(fun, sparse=True), u) <= 10**6 + 2


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    "fun, shape", [(reaction_diffusion, (256, 256)), (flattened_reaction_diffusion, (256 * 256,))]
)
def test_a_laplacian_in_the_plane_has_five_diagonals(fun, shape, order):
    u = numbers_in(shape)
    jacobian = graphax.jacve(fun, order=order, sparse=True)
    block = jacobian(u)
    assert block.nnz == 5 * u.size
    assert block.structure.numbers <= 5 * u.size
    assert largest_array(jacobian, u) <= 2 * u.size
    tangent = numbers_in(shape, 1)
    np.testing.assert_allclose(block @ tangent, jax.jvp(fun, (u,), (tangent,))[1], atol=1e-12)


@pytest.mark.parametrize("fun, shape", [(reaction_diffusion, (6, 6)), (flattened_reaction_diffusion, (36,))])
def test_a_small_laplacian_agrees_with_its_dense_jacobian(fun, shape):
    assert assert_blocks_agree(fun, numbers_in(shape)).nnz == 5 * 36


@pytest.mark.parametrize("order", ORDERS)
def test_a_network_holds_its_own_sparsity_pattern(order):
    nodes = 2000
    start, end = random_edges(nodes, 6000)
    residual = power_flow(start, end, nodes)
    args = numbers_in(nodes), numbers_in(nodes, 1)
    jacobian = graphax.jacve(residual, order=order, argnums=(0, 1), sparse=True)
    blocks = jacobian(*args)
    joined = np.concatenate([start * nodes + end, end * nodes + start])
    lonely = np.union1d(start, end) * (nodes + 1)
    for block in blocks:
        assert cells(block) == {*joined.tolist(), *lonely.tolist()}
        assert block.structure.numbers <= 4 * 6000
    assert largest_array(jacobian, *args) <= 8 * 6000
    tangents = numbers_in(nodes, 2), numbers_in(nodes, 3)
    product = sum(block @ tangent for block, tangent in zip(blocks, tangents, strict=True))
    np.testing.assert_allclose(product, jax.jvp(residual, args, tangents)[1], atol=1e-11)


def test_a_small_network_agrees_with_its_dense_jacobian():
    start, end = random_edges(9, 14)
    assert_blocks_agree(power_flow(start, end, 9), numbers_in(9), numbers_in(9, 1), argnums=(0, 1))


def test_parallel_edges_of_a_network_are_added_up():
    start, end = np.array([0, 0, 1, 0]), np.array([1, 1, 0, 2])
    blocks = assert_blocks_agree(power_flow(start, end, 4), numbers_in(4), numbers_in(4, 1), argnums=(0, 1))
    assert [block.nnz for block in blocks] == [7, 7]


@pytest.mark.parametrize("order", ORDERS)
def test_an_elementwise_function_holds_its_diagonal(order):
    x = numbers_in((100, 10))
    jacobian = graphax.jacve(lambda x: jnp.sin(x) * jnp.exp(-x) / (1 + x**2), order=order, sparse=True)
    block = jacobian(x)
    assert block.structure.numbers == block.nnz == 1000
    assert len(block.structure.terms) == 1
    assert largest_array(jacobian, x) == 1000


def rotating(state):
    """A system of six variables, each of which depends on all."""
    return jnp.sin(jnp.outer(state, state)).sum(0) + jnp.cumsum(state)


@pytest.mark.parametrize("order", ORDERS)
def test_independent_systems_under_vmap_hold_one_square_each(order):
    x = numbers_in((1000, 6))
    jacobian = graphax.jacve(jax.vmap(rotating), order=order, sparse=True)
    block = jacobian(x)
    assert block.structure.numbers == block.nnz == 36_000
    assert largest_array(jacobian, x) <= 6**3 * 1000


def test_small_independent_systems_agree_with_their_dense_jacobian():
    assert assert_blocks_agree(jax.vmap(rotating), numbers_in((3, 6))).nnz == 3 * 36


SLICING = {
    "strided slices": (lambda x: x[1::3] * x[::3][: len(x[1::3])], (11,), 8),
    "differences of even and odd places": (lambda x: x[::2] - x[1::2] ** 2, (12,), 12),
    "reversal": (lambda x: x[::-1] * x, (7,), 13),
    "reversed strides": (lambda x: jnp.sin(x[::-2]), (9,), 5),
    "reshape without common factors": (lambda x: jnp.sin(x).reshape(5, 4) * 2, (4, 5), 20),
    "reshape and transpose": (lambda x: (x.reshape(4, 3).T * jnp.arange(4.0)).reshape(6, 2) ** 2, (12,), 9),
    "a diagonal": (lambda x: jnp.diagonal(x, 1) ** 2, (4, 4), 3),
    "a diagonal matrix": (lambda x: jnp.zeros((4, 4)).at[np.diag_indices(4)].set(jnp.sin(x)), (4,), 4),
    "a matrix from its diagonal": (lambda x: jnp.diag(jnp.sin(x)), (4,), 4),
    "a choice of few": (lambda x: jnp.where(np.arange(12) % 5 == 1, x**2, 3.0), (12,), 3),
    "a choice of few and many": (lambda x: jnp.where(np.arange(9) == 3, x**2, x[::-1]), (9,), 9),
    "a choice of none": (lambda x: jnp.where(np.zeros(4, bool), x**2, 3.0), (4,), 0),
    "upper triangles": (lambda x: x[jnp.triu_indices(4)] ** 2, (4, 4), 10),
    "take": (lambda x: jnp.take(x, np.array([3, 0, 3, 2]), axis=0) ** 2, (4, 2), 8),
    "at[].set": (lambda x: x.at[np.array([1, 3])].set(x[:2] ** 2), (5,), 5),
    "at[].add of one place twice": (lambda x: x.at[np.array([1, 1])].add(x[:2] ** 2), (5,), 6),
    "at[].mul": (lambda x: x.at[np.array([1, 3])].mul(jnp.sin(x[2:4]), unique_indices=True), (5,), 6),
    "dynamic_update_slice": (lambda x: lax.dynamic_update_slice(x, x[:2, :2] ** 2, (1, 2)), (4, 5), 20),
    "dynamic_slice": (lambda x: lax.dynamic_slice(x, (2, 9), (2, 3)) ** 2, (4, 5), 6),
    "places out of bounds filled": (lambda x: x.at[np.array([1, 9, 4])].get(mode="fill") ** 2, (5,), 2),
    "places out of bounds dropped": (lambda x: x.at[np.array([1, 9])].set(x[:2] ** 2, mode="drop"), (5,), 5),
    "places out of bounds clipped": (lambda x: x.at[np.array([1, 9, 4])].get(mode="clip") ** 2, (5,), 3),
    "edge padding": (lambda x: jnp.pad(x, 2, mode="edge") ** 2, (4,), 8),
    "reflecting padding": (lambda x: jnp.pad(x, 2, mode="reflect") ** 2, (4,), 8),
    "interior padding": (lambda x: lax.pad(x, 0.0, [(-1, 2, 1)]) ** 2, (4,), 3),
    "concatenation": (lambda x: jnp.concatenate([x[2:], x, x[:1] ** 2]), (5,), 9),
    "broadcasting": (lambda x: x[:, None] * x[None, :], (4,), 28),
    "cumsum": (lambda x: jnp.cumsum(jnp.sin(x)), (6,), 21),
    "cumsum along one axis": (lambda x: jnp.cumsum(jnp.sin(x), 1), (3, 4), 30),
    "sums of rows": (lambda x: (x**2).sum(1), (3, 4), 12),
    "a chosen branch": (lambda x: jnp.where(np.arange(6) < 2, x**2, jnp.sin(x)), (6,), 6),
    "a kept identity": (lambda x: x, (3, 2), 6),
    "a convolution": (lambda x: jnp.convolve(x, jnp.array([1.0, -2.0, 1.0]), "valid") ** 2, (9,), None),
    "a product with a matrix": (lambda x: x @ jnp.arange(8.0).reshape(4, 2), (3, 4), 21),
}


@pytest.mark.parametrize("name", SLICING)
def test_selections_and_arrangements_are_exact_and_sparse(name):
    fun, shape, nonzeros = SLICING[name]
    block = assert_blocks_agree(fun, numbers_in(shape))
    assert nonzeros is None or block.nnz == nonzeros


def test_blocks_pass_through_jit():
    u = numbers_in(8)
    jacobian = graphax.jacve(burgers_by_roll, sparse=True)
    expected = jax.jacrev(burgers_by_roll)(u)
    block = jax.jit(jacobian)(u)
    assert isinstance(block, Block)
    assert_views_agree(block, expected)
    np.testing.assert_allclose(jax.jit(lambda u: jacobian(u).todense())(u), expected, atol=1e-13)
    np.testing.assert_allclose(jax.jit(lambda u: jacobian(u).to_bcoo())(u).todense(), expected, atol=1e-13)
    np.testing.assert_allclose(jax.jit(lambda block, v: block.T @ v)(block, u), expected.T @ u, atol=1e-13)
    doubled = jax.tree.map(lambda array: 2 * array, block)
    np.testing.assert_allclose(doubled.todense(), 2 * expected, atol=1e-13)


def test_to_scipy_under_jit_says_what_to_do():
    jacobian = graphax.jacve(burgers_by_roll, sparse=True)
    with pytest.raises(TypeError, match="outside"):
        jax.jit(lambda u: jacobian(u).data() @ jacobian(u).to_scipy())(numbers_in(8))


def test_blocks_are_made_under_vmap():
    u = numbers_in((3, 8))
    jacobian = graphax.jacve(burgers_by_roll, sparse=True)
    found = jax.vmap(lambda u: jacobian(u).todense())(u)
    np.testing.assert_allclose(found, jax.vmap(jax.jacrev(burgers_by_roll))(u), atol=1e-13)
    data = jax.vmap(lambda u: jacobian(u).data())(u)
    np.testing.assert_allclose(data[1], jacobian(u[1]).data(), atol=1e-13)


def test_blocks_are_differentiated():
    u = numbers_in(8)
    jacobian = graphax.jacve(burgers_by_roll, sparse=True)

    def norm(u):
        return (jax.jacrev(burgers_by_roll)(u) ** 2).sum()

    expected = jax.jit(jax.grad(norm))(u)
    for squares in (
        lambda u: (jacobian(u).data() ** 2).sum(),
        lambda u: (jacobian(u).todense() ** 2).sum(),
        lambda u: (jacobian(u).to_bcoo().data ** 2).sum(),
    ):
        found, block = together(jax.grad(squares), graphax.jacve(squares, sparse=True))(u)
        np.testing.assert_allclose(found, expected, atol=1e-12)
        np.testing.assert_allclose(block.todense(), expected, atol=1e-12)


def test_implicit_steps_in_a_scan_use_blocks():
    def step(solve_matrix):
        def one(u, _):
            return u - 0.1 * jnp.linalg.solve(jnp.eye(8) - 0.1 * solve_matrix(u), burgers_by_roll(u)), None

        return lambda u: lax.scan(one, u, None, 3)[0]

    u = numbers_in(8)
    by_blocks = step(lambda u: graphax.jacve(burgers_by_roll, sparse=True)(u).todense())
    np.testing.assert_allclose(by_blocks(u), step(jax.jacrev(burgers_by_roll))(u), atol=1e-12)


def test_blocks_may_be_carried_by_a_scan():
    u = numbers_in(8)
    jacobian = graphax.jacve(burgers_by_roll, sparse=True)
    carry, _ = lax.scan(lambda block, _: (jacobian(block.diagonal()), None), jacobian(u), None, 2)
    expected = jacobian(jacobian(jacobian(u).diagonal()).diagonal())
    np.testing.assert_allclose(carry.todense(), expected.todense(), atol=1e-12)


def test_the_hessian_of_a_separable_function_is_a_diagonal():
    x = numbers_in(100)

    def energy(x):
        return (jnp.sin(x) * x**2).sum()

    hessians = [graphax.hessve(energy, order=order, sparse=True) for order in ORDERS]
    expected, *blocks = together(jax.hessian(energy), *hessians)(x)
    for block in blocks:
        assert block.structure.numbers == block.nnz == 100
        assert_views_agree(block, expected)


def test_the_hessian_of_a_chain_is_banded():
    x = numbers_in(20)

    def rosenbrock(x):
        return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()

    hessians = [graphax.hessve(rosenbrock, order=order, sparse=True) for order in ORDERS]
    expected, *blocks = together(jax.hessian(rosenbrock), *hessians)(x)
    for block in blocks:
        assert block.nnz == 20 + 2 * 19
        assert_views_agree(block, expected)
    large = graphax.hessve(rosenbrock, sparse=True)
    assert largest_array(large, numbers_in(1000)) <= 1000


def test_arguments_and_results_may_be_pytrees():
    def fun(state, scale):
        return {"flux": jnp.roll(state["u"], 1) * state["v"] * scale, "total": (state["u"] ** 2).sum()}

    args = {"u": numbers_in(6), "v": numbers_in(6, 1)}, numbers_in(())
    expected = jax.jacrev(fun, (0, 1))(*args)
    found = graphax.jacve(fun, argnums=(0, 1), sparse=True)(*args)
    is_block = lambda leaf: isinstance(leaf, Block)  # noqa: E731
    assert_same_jacobian(jax.tree.map(Block.todense, found, is_leaf=is_block), expected)
    assert_blocks_agree(fun, *args, argnums=(0, 1))
    assert found["total"][0]["v"].nnz == 0
    value, again = graphax.value_and_jacve(fun, argnums=(0, 1), sparse=True)(*args)
    assert jax.tree.structure(again) == jax.tree.structure(found)
    np.testing.assert_allclose(value["flux"], fun(*args)["flux"])


def test_what_does_not_depend_on_an_argument_has_a_block_of_nothing():
    block = assert_blocks_agree(lambda x, y: jnp.sin(y), numbers_in(4), numbers_in((2, 3)))
    assert block.nnz == block.structure.numbers == len(block.structure.terms) == 0
    assert block.to_bcoo().nse == block.to_scipy().nnz == 0
    assert not any(leaf.size for leaf in jax.tree.leaves(block))
    square = assert_blocks_agree(lambda x: jnp.sign(x), numbers_in(4))
    assert square.nnz == 0


def test_integer_arguments_have_dense_zeros():
    def fun(at, x):
        return x * at

    args = jnp.arange(4), numbers_in(4)
    along, block = graphax.jacve(fun, argnums=(0, 1), allow_int=True, sparse=True)(*args)
    assert along.dtype == args[0].dtype and not along.any()
    np.testing.assert_allclose(block.todense(), jnp.diag(jnp.arange(4.0)))
    with pytest.raises(TypeError, match="allow_int"):
        graphax.jacve(fun, sparse=True)(*args)


@pytest.mark.parametrize("dtype, rtol", [(jnp.float32, 1e-6), (jnp.bfloat16, 2e-2)])
def test_blocks_have_the_dtype_of_the_argument(dtype, rtol):
    u = numbers_in(8, dtype=dtype)
    for fun in (burgers_by_roll, burgers_by_slices):
        block = graphax.jacve(fun, sparse=True)(u)
        for array in (block.data(), block.todense(), block.diagonal(), block @ u, *jax.tree.leaves(block)):
            assert array.dtype == dtype
        expected = jax.jacrev(fun)(u.astype(jnp.float64))
        np.testing.assert_allclose(block.todense().astype(float), expected, atol=8 * rtol)


def test_filter_jacve_returns_blocks():
    equinox = pytest.importorskip("equinox")
    from graphax.equinox import filter_jacve

    class Stencil(equinox.Module):
        weights: jax.Array
        steps: int

        def __call__(self, u):
            return self.weights * jnp.roll(u, self.steps)

    model, u = Stencil(numbers_in(8), 1), numbers_in(8, 1)
    found = filter_jacve(lambda model: jnp.sin(model(u)), sparse=True)(model)
    assert found.steps is None
    assert found.weights.nnz == found.weights.structure.numbers == 8
    assert_views_agree(found.weights, jax.jacrev(lambda w: jnp.sin(w * jnp.roll(u, 1)))(model.weights))


def test_vectors_of_another_shape_and_rectangular_diagonals_are_refused():
    block = graphax.jacve(lambda x: x[1:], sparse=True)(numbers_in(4))
    with pytest.raises(ValueError, match="shape"):
        block @ numbers_in(3)
    with pytest.raises(ValueError, match="square"):
        block.diagonal()


def test_indices_that_random_keys_or_sorting_fix_are_known():
    key = jax.random.key(0)
    x = jnp.arange(1.0, 6.0)
    functions = [
        lambda x: (x * jax.random.normal(key, (5,)))[jax.random.permutation(key, 5)],
        lambda x: (x * x)[jnp.argsort(jnp.array([3.0, 1.0, 2.0, 0.0, 7.0]))],
    ]
    for fun in functions:
        block = graphax.jacve(fun, sparse=True)(x)
        assert block.nnz == 5
        assert_same_jacobian(block.todense(), jax.jacrev(fun)(x))
    under_jit = jax.jit(lambda key, x: graphax.jacve(lambda y: (y * y)[jax.random.permutation(key, 5)])(x))
    expected = jax.jacrev(lambda y: (y * y)[jax.random.permutation(key, 5)])(x)
    assert_same_jacobian(under_jit(key, x), expected)
