"""Functions as expressions of scalars, evaluated and differentiated beside JAX."""

import jax
import jax.numpy as jnp
import numpy as np

from graphax._trace import trace_program
from graphax.kernels._eliminate import jacobian
from graphax.kernels._program import Operand, ScalarProgram
from graphax.kernels._scalars import Scalars
from graphax.kernels.expand import expand
from graphax.kernels.expand._expansion import kind_of


class Expanded:
    """A function as expressions."""

    def __init__(self, fun, *args, limit=50_000, order=1):
        self.args = [np.asarray(arg) for arg in args]
        program, _ = trace_program(fun, *self.args)
        self.scalars = Scalars()
        self.inputs, self.operands = [], []
        for number, variable in enumerate(program.inputs):
            shape, kind = variable.aval.shape, kind_of(variable.aval)
            operand = Operand(shape, kind)
            entries = [self.scalars.input(number, offset, kind) for offset in range(operand.size)]
            self.inputs.append(np.array(entries, np.int64).reshape(shape))
            self.operands.append(operand)
        self.results = expand(program, self.scalars, self.inputs, limit=limit, order=order)
        self.kinds = [kind_of(atom.aval) for atom in program.outputs]

    def evaluate(self, results, kinds):
        arrays = [(a.shape, a.ravel().tolist() or kind) for a, kind in zip(results, kinds, strict=True)]
        program = ScalarProgram(self.scalars, self.operands, arrays)
        return [result[0] for result in program.evaluate([arg[None] for arg in self.args])]

    def values(self):
        return self.evaluate(self.results, self.kinds)

    @property
    def real(self):
        return [at for at, arg in enumerate(self.args) if arg.dtype.kind == "f"]

    def differentiated(self, times):
        """The derivatives of all real results by all real arguments in one row, as expressions."""
        roots = [
            x for a, kind in zip(self.results, self.kinds, strict=True) if kind[0] == "f" for x in a.flat
        ]
        inputs = [x for at in self.real for x in self.inputs[at].flat]
        for _ in range(times):
            rows = jacobian(self.scalars, list(map(int, roots)), list(map(int, inputs)), "forward")
            roots = [x for row in rows for x in row]
        return np.array(roots, np.int64)


def jax_derivatives(fun, args, real, times, mode):
    """The same by JAX."""

    def flat(x):
        remaining, parts = list(args), np.cumsum([args[at].size for at in real])[:-1]
        for at, part in zip(real, jnp.split(x, parts), strict=True):
            remaining[at] = part.reshape(args[at].shape)
        leaves = [jnp.ravel(y) for y in jax.tree.leaves(fun(*remaining)) if jnp.result_type(y).kind == "f"]
        return jnp.concatenate(leaves)

    for _ in range(times):
        flat = mode(flat)
    return jax.jit(flat)(jnp.concatenate([args[at].ravel() for at in real])).ravel()


def check_values(fun, *args):
    args = [np.asarray(arg) for arg in args]
    wanted = jax.tree.leaves(jax.jit(fun)(*args))
    for found, want in zip(Expanded(fun, *args).values(), wanted, strict=True):
        assert found.shape == want.shape and found.dtype == want.dtype
        tolerance = 1e-4 if want.dtype == np.float32 else 1e-10
        np.testing.assert_allclose(found, want, rtol=tolerance, atol=tolerance)


def check_derivatives(fun, *args, times=1, mode=jax.jacfwd):
    args = [np.asarray(arg) for arg in args]
    expanded = Expanded(fun, *args, order=times)
    (found,) = expanded.evaluate([expanded.differentiated(times)], ["f8"])
    np.testing.assert_allclose(
        found, jax_derivatives(fun, args, expanded.real, times, mode), rtol=1e-8, atol=1e-8
    )
