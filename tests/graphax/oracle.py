"""What Jacobians and their emission are compared with."""

import math

import jax
import numpy as np
from jax.extend import core


def assert_same_jacobian(actual, expected, rtol=1e-9):
    """Equal tree structures, shapes and dtypes, and values up to ``rtol`` of the largest entry."""
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    leaves = list(zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True))
    scale = max((float(np.max(np.abs(e))) for _, e in leaves if e.size), default=0.0)
    for a, e in leaves:
        assert (a.shape, a.dtype) == (e.shape, e.dtype)
        np.testing.assert_allclose(a, e, rtol=0, atol=rtol * scale)


def together(*functions):
    """Their results in one program. Run by itself, each would compile its operations one by one."""
    return jax.jit(lambda *args: [function(*args) for function in functions])


def multiplications(jaxpr, scope):
    """Multiplications in the equations of a jaxpr that stand in a named scope."""
    count = 0
    for eqn in jaxpr.eqns:
        count += sum(multiplications(inner, scope) for inner in core.jaxprs_in_params(eqn.params))
        scopes = str(eqn.source_info.name_stack)
        if scope not in scopes or "spoilt" in scopes:  # what selections leave out is kept out for free
            continue
        if eqn.primitive.name == "mul":
            count += math.prod(eqn.outvars[0].aval.shape)
        elif eqn.primitive.name == "dot_general":
            ((contracted, _), _) = eqn.params["dimension_numbers"]
            summed = math.prod(eqn.invars[0].aval.shape[axis] for axis in contracted)
            count += math.prod(eqn.outvars[0].aval.shape) * summed
        else:
            assert eqn.primitive.name not in ("div", "integer_pow", "square", "scan", "while")
    return count
