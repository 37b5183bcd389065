"""Kernels on several devices, and in processes of their own: caches, what is missing, what is forbidden."""

import os
import subprocess
import sys

import pytest

from graphax.kernels.cpu import _native

pytestmark = pytest.mark.skipif(_native.available() is not None, reason=str(_native.available()))

BEGIN = """
import os, sys
import jax, jax.numpy as jnp, numpy as np
from graphax import fuse, jacve

jax.config.update("jax_enable_x64", True)

def fun(x, p):
    return jnp.stack([jnp.sin(x[0]) * x[1] * p[0], x[2] * jnp.exp(p[1] * x[0]), x[1] * x[2]])

KERNEL, PLAIN = jacve(fun, kernel=True), jax.jacrev(fun)
ROWS = np.random.default_rng(0).uniform(0.1, 0.9, (16, 3))
PARAMETERS = np.random.default_rng(1).uniform(0.1, 0.9, (16, 2))

def check(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-13)
"""


def run(program, *args, **environment):
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + program, *args],
        env={**os.environ, "JAX_PLATFORMS": "cpu", **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


DEVICES = """
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec as P

MESH = Mesh(np.array(jax.devices()), ("d",))
FLAT = Mesh(np.array(jax.devices()).reshape(4, 2), ("a", "b"))
COLLECTIVES = "all-gather", "all-reduce", "all-to-all", "collective-permute"

def put(array, *axes, mesh=MESH):
    return jax.device_put(array, NamedSharding(mesh, P(*axes)))

def cut(fun, *args):
    compiled = fun.lower(*args).compile().as_text()
    assert "graphax_kernel" in compiled
    assert not [name for name in COLLECTIVES if name in compiled]
    return fun(*args)

# Both operands along the batch, and one of them whole.
both = cut(jax.jit(jax.vmap(KERNEL)), put(ROWS, "d"), put(PARAMETERS, "d"))
check(both, jax.vmap(PLAIN)(ROWS, PARAMETERS))
assert both.sharding.spec[0] == "d"
one = jax.vmap(KERNEL, (0, None))
expected = jax.vmap(PLAIN, (0, None))(ROWS, PARAMETERS[0])
found = cut(jax.jit(one), put(ROWS, "d"), put(PARAMETERS[0]))
check(found, expected)
assert found.sharding.spec[0] == "d"

# Axes of the batch along different axes of devices; and both along the same one, or on one device.
nested = lambda f: jax.vmap(jax.vmap(f, (0, None)), (None, 0))
grid = nested(PLAIN)(ROWS, PARAMETERS)
found = cut(jax.jit(nested(KERNEL)), put(ROWS, "a", mesh=FLAT), put(PARAMETERS, "b", mesh=FLAT))
check(found, grid)
assert found.sharding.spec[:2] == ("b", "a")
check(jax.jit(nested(KERNEL))(put(ROWS, "d"), put(PARAMETERS, "d")), grid)
check(jax.jit(nested(KERNEL))(ROWS, PARAMETERS), grid)

# Entries of rows apart; rows that do not come out even; results that are asked for elsewhere.
wide = np.random.default_rng(2).uniform(0.1, 0.9, (16, 8))
sine = jax.vmap(jax.jacrev(jnp.sin))(wide)
check(jax.jit(jax.vmap(jacve(jnp.sin, kernel=True)))(put(wide, None, "d")), sine)
check(jax.jit(lambda x: one(x[:11], PARAMETERS[0]))(put(ROWS, "d")), expected[:11])
placed = jax.jit(one, out_shardings=NamedSharding(MESH, P()))(put(ROWS, "d"), PARAMETERS[0])
check(placed, expected)

# Several results, and kernels in loops.
values = jax.jit(jax.vmap(fuse(lambda x: (jnp.sin(x), x[0]))))
found = cut(values, put(ROWS, "d"))
check(found[1], ROWS[:, 0])
steps = lambda f: lambda x: lax.scan(lambda c, _: (jax.vmap(f)(c), None), x, None, 3)[0]
found = cut(jax.jit(steps(fuse(jnp.sin))), put(ROWS, "d"))
check(found, np.sin(np.sin(np.sin(ROWS))))

# Devices by hand, all of them and some.
for types in True, False:
    mapped = jax.shard_map(one, mesh=MESH, in_specs=(P("d"), P()), out_specs=P("d"), check_vma=types)
    check(cut(jax.jit(mapped), ROWS, PARAMETERS[0]), expected)
    check(mapped(ROWS, PARAMETERS[0]), expected)
summed = lambda f: jax.shard_map(
    lambda x, p: lax.psum(jnp.sum(jax.vmap(f, (0, None))(x, p), 0), "d"),
    mesh=MESH, in_specs=(P("d"), P()), out_specs=P(),
)
check(jax.jit(summed(KERNEL))(ROWS, PARAMETERS[0]), expected.sum(0))
gradient = lambda f: jax.grad(lambda x, p: jnp.sum(summed(f)(x, p)), (0, 1))(ROWS, PARAMETERS[0])
jax.tree.map(check, gradient(KERNEL), gradient(PLAIN))
some = jax.make_mesh((4, 2), ("a", "b"), axis_types=(AxisType.Auto,) * 2)
mapped = jax.shard_map(one, mesh=some, in_specs=(P("a"), P()), out_specs=P("a"), axis_names={"a"})
check(cut(jax.jit(mapped), put(ROWS, ("a", "b"), mesh=some), PARAMETERS[0]), expected)
check(jax.pmap(KERNEL, in_axes=(0, None))(ROWS[:8], PARAMETERS[0]), expected[:8])
check(jax.pmap(one, in_axes=(0, None))(ROWS.reshape(8, 2, 3), PARAMETERS[0]), expected.reshape(8, 2, 3, 3))

# Shardings that are parts of types.
explicit = jax.make_mesh((8,), ("d",), axis_types=(AxisType.Explicit,))
with jax.set_mesh(explicit):
    found = jax.jit(one)(put(ROWS, "d", mesh=explicit), PARAMETERS[0])
    assert jax.typeof(found).sharding.spec[0] == "d"
    check(found, expected)

assert len(str(jax.make_jaxpr(one)(ROWS, PARAMETERS[0]))) < 400
print("done")
"""


@pytest.mark.slow
def test_rows_stay_on_the_devices_that_hold_them():
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    assert run(DEVICES, XLA_FLAGS=flags).endswith("done\n")


CACHED = """
jax.config.update("jax_compilation_cache_dir", sys.argv[1])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
events = []
jax.monitoring.register_event_listener(lambda name, **_: events.append(name.split("/")[-1]))
if len(jax.devices()) > 1:
    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("d",))
    ROWS = jax.device_put(ROWS, jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("d")))
scale = float(sys.argv[2])
fun = lambda x: jnp.sin(scale * x) * x[0]
compute = jax.jit(jax.vmap(jacve(fun, kernel=True)))
compiled = compute.lower(ROWS).compile()
hits = events.count("cache_hits")
check(compiled(ROWS), jax.vmap(jax.jacrev(fun))(ROWS))
print(hits)
"""


@pytest.mark.parametrize("devices", [1, 2])
def test_another_process_finds_what_is_compiled_and_no_other_kernel(tmp_path, devices):
    # What is cut among devices has an address in the key, unless JAX is asked to leave it out.
    environment = {
        "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}",
        "JAX_REMOVE_CUSTOM_PARTITIONING_PTR_FROM_CACHE_KEY": "1",
    }
    hits = [run(CACHED, str(tmp_path), scale, **environment).strip() for scale in ("1", "1", "2", "1")]
    assert hits == ["0", "1", "0", "1"]


BARE = """
assert not os.access(os.environ["HOME"], os.W_OK) or os.geteuid() == 0
check(jax.jit(jax.vmap(KERNEL))(ROWS, PARAMETERS), jax.vmap(PLAIN)(ROWS, PARAMETERS))
print("done")
"""


def test_no_compiler_and_no_place_to_write_are_needed(tmp_path):
    tmp_path.chmod(0o500)
    environment = dict.fromkeys(("HOME", "TMPDIR", "XDG_CACHE_HOME"), str(tmp_path))
    found = run(BARE, PATH="", PYTHONDONTWRITEBYTECODE="1", JAX_ENABLE_COMPILATION_CACHE="0", **environment)
    assert found == "done\n"
    tmp_path.chmod(0o700)
    assert not list(tmp_path.iterdir())


WITHOUT = """
import graphax

sys.modules["llvmlite"] = None

def message(call):
    try:
        call()
    except TypeError as error:
        return str(error)

assert "llvmlite" in message(lambda: KERNEL(ROWS[0], PARAMETERS[0]))
assert "llvmlite" in message(lambda: fuse(fun)(ROWS[0], PARAMETERS[0]))
assert "llvmlite" in message(lambda: graphax.show_kernel(fun, ROWS[0], PARAMETERS[0]))
auto = jax.vmap(jacve(fun, kernel="auto"))
assert "graphax_kernel" not in str(jax.make_jaxpr(auto)(ROWS, PARAMETERS))
check(auto(ROWS, PARAMETERS), jax.vmap(PLAIN)(ROWS, PARAMETERS))
print("done")
"""


def test_without_llvmlite_there_are_operations_and_a_reason():
    assert run(WITHOUT) == "done\n"


SPAWNED = """
import multiprocessing

def rows(count):
    return np.asarray(jax.jit(jax.vmap(KERNEL))(ROWS[:count], PARAMETERS[:count]))

if __name__ == "__main__":
    expected = rows(16)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        for count, found in zip((16, 5), pool.map(rows, (16, 5))):
            np.testing.assert_array_equal(found, expected[:count])
    print("done")
"""


def test_processes_that_are_spawned_have_kernels_of_their_own(tmp_path):
    path = tmp_path / "spawned.py"
    path.write_text(BEGIN + SPAWNED)
    assert run(f"import runpy; runpy.run_path({str(path)!r}, run_name='__main__')") == "done\n"


MANY = """
batches = [jax.vmap(jacve(lambda x, k=k: jnp.sin(x * (k + 1)) * x[0], kernel=True)) for k in range(32)]
many = jax.jit(lambda rows: [f(rows) for f in batches])
rows = np.random.default_rng(0).uniform(0.1, 0.9, (60_000, 3))
for _ in range(5):
    found = jax.block_until_ready(many(rows))
check(found[7][:50], jax.vmap(jax.jacfwd(lambda x: jnp.sin(x * 8) * x[0]))(rows[:50]))
print("done")
"""


def test_many_kernels_that_wait_for_none_of_each_other():
    assert run(MANY) == "done\n"


SIZES = """
rows = np.random.default_rng(0).uniform(0.1, 0.9, (1_000_001, 3)).astype(np.float32)
batched = jax.jit(jax.vmap(KERNEL, (0, None)))
for count in 0, 1, 7, len(rows):
    found = batched(rows[:count], PARAMETERS[0].astype(np.float32))
    assert found.shape == (count, 3, 3) and found.dtype == np.float32
    expected = jax.vmap(PLAIN, (0, None))(rows[-100:], PARAMETERS[0].astype(np.float32))
np.testing.assert_allclose(found[-100:], expected, rtol=1e-5, atol=1e-6)
strided = jax.jit(lambda x: jax.vmap(KERNEL, (0, None))(x[::2, ::-1], PARAMETERS[0]))
check(strided(ROWS), jax.vmap(PLAIN, (0, None))(ROWS[::2, ::-1], PARAMETERS[0]))
given = jnp.array(ROWS)
check(jax.jit(jax.vmap(fuse(jnp.sin)), donate_argnums=0)(given), np.sin(ROWS))
assert given.is_deleted()
print("done")
"""


def test_batches_of_any_size_in_any_layout():
    assert run(SIZES) == "done\n"


MEMORY = """
import gc
from graphax.kernels.cpu import _native

def program(k):
    fun = lambda x: jnp.stack([jnp.sin(x[0] * (k + 1)) * x[1], x[2] * jnp.exp(-x[0]) + k, x[1] * x[2]])
    return jax.make_jaxpr(jacve(fun, kernel=True))(ROWS[0]).eqns[0].params["kernel"].program

def resident():
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

programs = [program(k) for k in range(1100)]
for one in programs[:100]:
    _native.target(one, (True,))
before = resident()
for one in programs[100:]:
    _native.target(one, (True,))
print((resident() - before) / 1000)
"""


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="the system does not say")
def test_a_thousand_kernels_take_less_than_a_hundred_kilobytes_each():
    assert float(run(MEMORY)) < 100_000


FAR = """
import ctypes, mmap

LIBC = ctypes.CDLL(None)
LIBC.mmap.restype = ctypes.c_void_p
LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *3 * [ctypes.c_int], ctypes.c_long]
LIBC.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
NO_RESERVE = 0x4000
LARGE = 2**24

def reserve(size):
    return LIBC.mmap(None, size, 0, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | NO_RESERVE, -1, 0)

def fun(x):
    return sum((x + 0.1 * k) * x[::-1] ** (k % 3) * (x[1] - 0.2 * k) for k in range(60))

rows = jnp.asarray(ROWS)
expected = jax.vmap(jax.jacrev(fun))(rows)
kernel = jax.jit(jax.vmap(jacve(fun, kernel=True))).trace(rows)
# Single pages are free, and the next larger piece of memory is 3 GiB away from them.
pages = [reserve(2 * mmap.PAGESIZE) for _ in range(12_000)]
for page in pages:
    LIBC.munmap(page, mmap.PAGESIZE)
lowest = low = min(pages)
while low > lowest - (3 << 30):
    low = min(low, reserve(LARGE))
for number in (64, 16, 4, 2):
    for _ in range(1_000):
        reserve(number * mmap.PAGESIZE)
check(kernel.lower().compile()(rows), expected)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is laid out by Linux")
def test_code_and_its_constants_are_near_each_other_wherever_memory_is_free():
    run(FAR)
