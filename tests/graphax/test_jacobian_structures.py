"""Patterns of Jacobians without their numbers, and Jacobians checked by products."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import graphax
from graphax.sparse import Pattern


def stencil(u):
    return 0.1 * (jnp.roll(u, -1) - 2 * u) - u * (jnp.roll(u, -1) - jnp.roll(u, 1))


def rosenbrock(x):
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def test_patterns_are_those_of_the_jacobian_and_need_shapes_alone():
    u = jnp.arange(1.0, 9)
    block = graphax.jacve(stencil, sparse=True)(u)
    for given in (u, jax.ShapeDtypeStruct((8,), u.dtype)):
        pattern = graphax.jacobian_structure(stencil)(given)
        assert pattern == Pattern.of(block) and hash(pattern) == hash(Pattern.of(block))
    assert (pattern.nnz, pattern.shape, pattern.matrix_shape) == (24, (8, 8), (8, 8))
    np.testing.assert_array_equal(pattern.todense(), np.asarray(block) != 0)
    np.testing.assert_array_equal(pattern.T.todense(), pattern.todense().T)
    for found, expected in zip(
        (*pattern.csr(), *pattern.csc()), (*block.csr()[:2], *block.csc()[:2]), strict=True
    ):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(pattern.to_scipy().toarray(), pattern.todense())
    np.testing.assert_array_equal(pattern.filled(block.data()).todense(), block.todense())
    assert str(pattern.spy()) == str(block.spy())
    assert (
        pattern != graphax.jacobian_structure(jnp.sin)(u)
        and repr(pattern) == "Pattern((8,) <- (8,), nnz 24, density 0.38)"
    )
    with pytest.raises(ValueError, match="24 entries"):
        pattern.filled(u)


def test_patterns_of_large_functions_take_no_time_of_theirs():
    large = jax.ShapeDtypeStruct((10**5,), jnp.float32)
    assert graphax.jacobian_structure(stencil)(large).nnz == 3 * 10**5
    assert graphax.hessian_structure(rosenbrock)(large).nnz == 3 * 10**5 - 2


def test_patterns_have_the_tree_of_the_jacobian():
    def fun(state, index, scale):
        return {"flux": state["u"][index] * scale, "total": (state["v"] ** 2)}, index

    state = {name: jax.ShapeDtypeStruct((3,), jnp.float32) for name in "uv"}
    found = graphax.jacobian_structure(fun, (0, 2), True)(state, np.array([2, 0]), 2.0)
    assert found["flux"][0]["u"].todense().tolist() == [[False, False, True], [True, False, False]]
    assert found["flux"][0]["v"].nnz == found["total"][1].nnz == 0
    assert found["flux"][1].shape == (2,) and found["flux"][1].nnz == 2


def test_dense_blocks_are_warned_about_with_their_operations():
    weights = jnp.ones((3, 4))
    with pytest.warns(
        graphax.DenseWarning, match=r"the block\['y'\].*'dot_general' \(.*test_jacobian_structures"
    ):
        graphax.jacobian_structure(lambda x: {"y": jnp.sin(weights @ x), "z": x**2})(jnp.ones(4))
    with pytest.warns(graphax.DenseWarning, match="product"):
        graphax.jacobian_structure(lambda x: jnp.ones(2) * x.sum())(jnp.ones(2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert graphax.jacobian_structure(lambda x: (x**2).sum())(jnp.ones(4)).nnz == 4


def test_patterns_are_kept_in_files(tmp_path):
    path = tmp_path / "jacobian.npz"
    for pattern in (
        graphax.jacobian_structure(stencil)(jnp.ones(8)),
        graphax.jacobian_structure(lambda u: u[:, :2].T)(jnp.ones((2, 3))),
        graphax.jacobian_structure(lambda u: jnp.ones(2))(jnp.ones(3)),
        graphax.jacobian_structure(jnp.sin)(1.0),
    ):
        pattern.save(path)
        assert Pattern.load(path) == pattern
    with pytest.raises(ValueError, match=r"\.npz"):
        pattern.save(tmp_path / "jacobian.txt")
    good = {"version": 1, "out_shape": [2], "in_shape": [3], "indptr": [0, 1, 2], "indices": [2, 0]}
    np.savez(path, **good)
    assert Pattern.load(path).nnz == 2
    for wrong in (
        {"version": 7},
        {"indices": [3, 0]},
        {"indices": [1.5, 0]},
        {"indptr": [0, 2, 1]},
        {"indptr": [0, 1]},
        {"in_shape": [-3]},
        {"indptr": [0, 2, 2]},
        {"indices": np.array([None, 1])},
    ):
        np.savez(path, **(good | wrong))
        with pytest.raises(ValueError, match="is not a pattern"):
            Pattern.load(path)
    path.write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(ValueError, match="is not a pattern"):
        Pattern.load(path)
    with pytest.raises(OSError):
        Pattern.load(tmp_path / "none.npz")


def test_right_jacobians_pass_and_wrong_entries_are_found():
    def fun(state, scale):
        return {"flux": stencil(state["u"]) * scale, "total": (state["v"] ** 2).sum() * scale}, "aux"

    args = {"u": jnp.arange(1.0, 9), "v": jnp.ones((2, 3))}, 2.0
    assert graphax.check_jacobian(fun, (0, 1), True)(*args) < 1e-14
    assert graphax.check_jacobian(stencil)(args[0]["u"].astype(jnp.float32)) < 1e-6
    dense = jax.jacrev(fun, (0, 1), True)
    assert graphax.check_jacobian(fun, (0, 1), True, jacobian=dense)(*args) < 1e-14

    def one_is_wrong(u):
        jacobian = graphax.jacve(stencil, sparse=True)(u)
        return jacobian.with_data(jacobian.data().at[5].add(1e-3))

    with pytest.raises(ValueError, match="wrong at the result"):
        graphax.check_jacobian(stencil, jacobian=one_is_wrong)(args[0]["u"])
    with pytest.raises(ValueError, match="wrong"):
        graphax.check_jacobian(stencil, jacobian=lambda u: jnp.full((8, 8), jnp.nan))(args[0]["u"])
    with pytest.raises(ValueError, match="rounds"):
        graphax.check_jacobian(stencil, rounds=0)
