"""Jacobians inside and outside of `shard_map`, on meshes of devices, and where constant ones live."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import functools, sys, warnings
import jax, jax.numpy as jnp, numpy as np
from jax import lax
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
import graphax
from graphax import hessve, jacve

jax.config.update("jax_enable_x64", True)
mesh = jax.make_mesh((4,), ("i",), axis_types=(AxisType.Auto,))
shards = functools.partial(jax.shard_map, mesh=mesh, in_specs=P("i"), out_specs=P("i"))
x = jnp.linspace(0.2, 1.7, 12).reshape(4, 3)
w = jnp.linspace(0.1, 0.5, 3)
ORDERS = [functools.partial(jacve, order=order) for order in ("forward", "reverse")]


def spd(v):
    return jnp.outer(v, v) + 3 * jnp.eye(3)


def same(found, expected, name):
    for a, e in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert (a.shape, a.dtype) == (e.shape, e.dtype), name
        np.testing.assert_allclose(a, e, rtol=1e-9, atol=1e-12, err_msg=name)
    assert jax.tree.structure(found) == jax.tree.structure(expected), name


large = lambda v: jnp.outer(jnp.tile(v, 4), jnp.tile(v, 4))
step = lambda c, _: (jnp.sin(c @ c), None)
LOCAL = {
    "constant": lambda v: jnp.ones(3), "linear": lambda v: 2 * v[::-1], "softmax": jax.nn.softmax,
    "where": lambda v: jnp.where(v > 0.5, jnp.sin(v), v**2), "clip": lambda v: jnp.clip(v, 0.3, 1.0) * v,
    "tril": lambda v: jnp.tril(jnp.outer(v, v)), "cholesky": lambda v: jnp.linalg.cholesky(spd(v)),
    "silu": jax.nn.silu, "norm": jnp.linalg.norm, "cumprod": jnp.cumprod, "sort": lambda v: jnp.sort(v) * v,
    "set": lambda v: v.at[1].set(v[0] ** 2), "add at": lambda v: v.at[jnp.array([1, 2])].add(v[:2] ** 2),
    "scan": lambda v: lax.scan(lambda c, a: (jnp.sin(c) * a, c * a), v[0], v)[1],
    "two carries": lambda v: lax.scan(lambda c, a: ((c[0] + 1, c[1] * c[0]), c[1]), (0.0, v), None, 3)[1],
    "large scan": lambda v: lax.scan(step, large(v), None, 3)[0][:3],
    "pulled scan": lambda v: jnp.sum(lax.scan(step, large(v), None, 3)[0]),
    "fori": lambda v: lax.fori_loop(0, 3, lambda i, c: jnp.sin(c) * v, v),
    "while": lambda v: lax.while_loop(lambda c: c[1] < 3, lambda c: (jnp.sin(c[0]), c[1] + 1), (v, 0))[0],
    "cond": lambda v: lax.cond(v[0] > 0.5, jnp.sin, jnp.cos, v), "relu": jax.nn.relu,
    "pvary": lambda v: lax.pcast(jnp.ones(3) * 2, ("i",), to="varying") * v,
    "solve": lambda v: jnp.linalg.solve(spd(v), v), "logsumexp": jax.nn.logsumexp,
    "pad": lambda v: jnp.pad(v * v, (1, 2)), "concatenate": lambda v: jnp.concatenate([v, jnp.ones(2), v**2]),
    "complex": lambda v: jnp.abs(jnp.fft.fft(v + 1j * v**2)) ** 2,
    "device": lambda v: v * lax.axis_index("i").astype(float),
}
COLLECTIVE = {
    "psum": lambda v: v * lax.psum(v, "i"), "pmean": lambda v: jnp.sin(v - lax.pmean(v, "i")),
    "all_gather": lambda v: lax.all_gather(v, "i").sum(0) * v,
    "ppermute": lambda v: lax.ppermute(v, "i", [(k, (k + 1) % 4) for k in range(4)]) * v,
}


def inside(derivative, f):
    return shards(lambda v: jax.tree.map(lambda leaf: leaf[None], derivative(f)(v[0])))


def outside(derivative, f):
    return derivative(lambda z: shards(lambda v: f(v[0])[None])(z))


def local():
    warnings.simplefilter("error", graphax.FallbackWarning)
    for name, f in LOCAL.items():
        where = (inside, outside) if name in ("softmax", "where", "set", "scan") else (inside,)
        ways = lambda z: [[at(d, f)(z) for d in (jax.jacfwd, *ORDERS)] for at in where]
        for expected, *found in jax.jit(ways)(x):
            for one in found:
                same(one, expected, name)
    f = lambda v: jnp.sum(LOCAL["where"](v) * jax.nn.softmax(v))
    same(*jax.jit(lambda z: [inside(d, f)(z) for d in (hessve, jax.hessian)])(x), "second derivatives")
    f = lambda w, v: jnp.tanh(w * v[0]) @ v[0] * w
    both = lambda d: jax.jit(jax.shard_map(
        lambda w, v: jax.tree.map(lambda leaf: leaf[None], d(lambda u: f(u, v))(w)),
        mesh=mesh, in_specs=(P(), P("i")), out_specs=P("i")))(w, x)
    same(both(jacve), both(jax.jacfwd), "an argument that is the same on all devices")
    free = functools.partial(shards, check_vma=False)
    unchecked = lambda d: free(lambda v: d(LOCAL["where"])(v[0])[None])(x)
    same(unchecked(jacve), jax.jit(lambda: unchecked(jax.jacfwd))(), "unchecked")


def collective():
    for name, f in COLLECTIVE.items():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = jax.jit(inside(jacve, f))(x)
        assert [w.category for w in caught] == [graphax.FallbackWarning], name
        same(found, jax.jit(inside(jax.jacrev, f))(x), name)
        same(jax.jit(outside(jacve, f))(x), jax.jit(outside(jax.jacrev, f))(x), name)


def devices():
    there = jax.device_put(w, jax.devices()[1])
    spread = jax.device_put(x, NamedSharding(mesh, P("i")))
    for f in (lambda v: 2 * v, lambda v: jnp.ones(2), lambda v: v, lambda v: -v[::-1], jnp.sin):
        expected = jax.jit(jax.jacfwd(f))(x)
        for order in ORDERS:
            assert order(f)(there).devices() == {jax.devices()[1]}
            assert order(f)(spread).devices() == set(jax.devices())
            same(order(f)(spread), expected, "spread")
        (hessve(lambda v: jnp.sum(v**2))(there) + there).block_until_ready()


def explicit():
    named = jax.make_mesh((4,), ("j",), axis_types=(AxisType.Explicit,))
    with jax.set_mesh(named):
        z = jax.device_put(x, NamedSharding(named, P("j")))
        for name, f in {
            "sin": jnp.sin, "linear": lambda v: 2 * v, "sum": lambda v: jnp.sum(v * v, 1),
            "softmax": jax.nn.softmax, "where": lambda v: jnp.where(v > 0.5, v, jnp.sin(v)),
            "slice": lambda v: v[:, 1:] ** 2, "relu": jax.nn.relu,
            "scan": lambda v: lax.scan(lambda c, _: (jnp.sin(c) * v, None), v, None, 2)[0],
        }.items():
            same(jax.jit(jacve(f))(z), jax.jit(jax.jacfwd(f))(z), name)


globals()[sys.argv[1]]()
print("done")
"""


@pytest.mark.parametrize("part", ["local", "collective", "devices", "explicit"])
def test_on_four_devices(part):
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=4"
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, part],
        env={**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    assert run.stdout.endswith("done\n"), run.stderr[-4000:]
