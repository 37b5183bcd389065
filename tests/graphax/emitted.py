"""What is emitted for a function: the equations of its jaxpr, those of programs inside included."""

import jax
from jax.extend import core


def equations(jaxpr):
    for equation in jaxpr.eqns:
        yield equation
        for inner in core.jaxprs_in_params(equation.params):
            yield from equations(inner)


def names_in(fun, *args):
    return [equation.primitive.name for equation in equations(jax.make_jaxpr(fun)(*args).jaxpr)]
