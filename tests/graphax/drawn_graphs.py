"""Graphs to be drawn: of tasks, odd ones, and one whose texts mean harm."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

import graphax
from alphagrad import tasks

X = np.array([0.3, 1.2, 0.7])
ODD = {
    "nothing to eliminate": lambda x: jnp.sin(x),
    "an output that is an input": lambda x: (x, jnp.sin(x) * 2),
    "nothing but inputs": lambda x: x,
    "no derivative at all": lambda x: jnp.floor(x),
    "an output that others read": lambda x: (jnp.sin(x), jnp.cos(jnp.sin(x))),
    "an output twice": lambda x: [jnp.exp(x * 2)] * 2,
    "sums of shifted diagonals": lambda u: jnp.sin(u) * (jnp.roll(u, -1) - jnp.roll(u, 1)),
    "a loop": lambda x: jax.lax.fori_loop(0, 3, lambda _, c: jnp.sin(c) * 2, x),
}


@functools.cache
def trace(name):
    task = tasks.load(name)
    return graphax.trace(task.fun, task.argnums)(*task.args)


HOSTILE = "</script><script>document.documentElement.dataset.hacked=1</script><b>&\"'\u2028\x01"


def hostile_graph():
    name = '</title></script><img src=x onerror=alert(1)>&"'
    source = "def fun(x):\n    return jnp.sin(x) * x\n"
    scope = {"jnp": jnp}
    exec(compile(source, HOSTILE.replace("/", "") + name.replace("/", "|") + ".py", "exec"), scope)
    return graphax.trace(scope["fun"])(X)
