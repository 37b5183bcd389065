"""Programs of scalars as machine code: what XLA gets from it is what NumPy computes."""

import functools
import platform
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from graphax.kernels._program import Operand, ScalarProgram
from graphax.kernels._scalars import ARITHMETIC, COMPARISONS, FUNCTIONS, KINDS, Loop, Scalars
from graphax.kernels.cpu import _native

pytestmark = [
    pytest.mark.skipif(_native.available() is not None, reason=str(_native.available())),
    pytest.mark.usefixtures("on_cpu"),
]

TOLERANCE = {"f4": 3e-6, "f8": 1e-14}
SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 0.5, -1.5, 2.5, 1.0, -1.0])


def call(program, arrays, batched=None, single=False):
    batched = batched or (True,) * len(arrays)
    batch = next((len(x) for x, rows in zip(arrays, batched, strict=True) if rows), 5)
    name = _native.target(program, batched, single=single)
    shapes = [jax.ShapeDtypeStruct((batch, *r.shape), KINDS[r.kind]) for r in program.results]
    return [np.asarray(x) for x in jax.ffi.ffi_call(name, shapes)(*arrays)]


def check(program, arrays, batched=None, single=False):
    batched = batched or (True,) * len(arrays)
    got = call(program, arrays, batched, single)
    batch = len(got[0])
    if not batch:
        return
    rows = [x if b else np.broadcast_to(x, (batch, *x.shape)) for x, b in zip(arrays, batched, strict=True)]
    for result, expected in zip(got, program.evaluate(rows), strict=True):
        assert result.dtype == expected.dtype
        kind = "f4" if result.dtype == np.float32 else "f8"
        np.testing.assert_allclose(result, expected, rtol=TOLERANCE[kind], atol=TOLERANCE[kind])


def numbers(kind, batch, columns, seed=0):
    """Ordinary numbers, and in the first rows special ones."""
    x = np.random.default_rng(seed).uniform(0.1, 0.9, (batch, columns)).astype(KINDS[kind])
    for column in range(columns):
        count = min(batch, len(SPECIAL))
        x[:count, column] = np.roll(SPECIAL, 3 * column)[:count]
    return x


def small_jacobian(kind, operands=((4,), (3,)), columns=13):
    """A program like a Jacobian: products and sums, some entries constant, some equal."""
    s = Scalars()
    shapes = [Operand(shape, kind) for shape in operands]
    x = [s.input(k, i, kind) for k, operand in enumerate(shapes) for i in range(operand.size)]
    y = [s.add(s.mul(a, b), s.function("sin", a)) for a, b in zip(x, x[1:] + x[:1], strict=True)]
    z = [s.sub(s.mul(a, b), c) for a, b, c in zip(y, x[2:] + x[:2], y[1:] + y[:1], strict=True)]
    entries = [(y + z)[i % (2 * len(x))] for i in range(columns)]
    entries[1], entries[5], entries[-1] = s.zero(kind), s.const(2.5, kind), entries[0]
    first = ((columns,), entries)
    return ScalarProgram(
        s, shapes, [first, ((), y[:1]), ((2,), [s.compare("lt", y[0], z[0]), s.compare("eq", x[0], x[0])])]
    )


@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_every_operation_on_real_numbers_is_numpys_also_on_special_ones(kind):
    s = Scalars()
    x, y = s.input(0, 0, kind), s.input(0, 1, kind)
    real = [s.function(op, x) for op in (*FUNCTIONS, "neg", "sign") if op != "is_finite"]
    real += [s.binary(op, x, y) for op in ARITHMETIC if op not in ("and", "or", "xor")]
    real += [
        s.select(s.compare("lt", x, y), x, y),
        s.convert(s.convert(x, "f8" if kind == "f4" else "f4"), kind),
    ]
    truths = [s.function("is_finite", x), *(s.compare(op, x, y) for op in COMPARISONS)]
    truths += [
        s.function("not", truths[0]),
        *(s.binary(op, truths[1], truths[2]) for op in ("and", "or", "xor")),
    ]
    program = ScalarProgram(s, [Operand((2,), kind)], [((len(real),), real), ((len(truths),), truths)])
    for single in (False, True):
        check(program, [numbers(kind, 33, 2)], single=single)
    signs = call(program, [numbers(kind, 33, 2)])[0][:2, list(FUNCTIONS).index("is_finite") + 1]
    assert list(np.signbit(signs)) == [False, True]  # of the sign of 0 and -0


@pytest.mark.parametrize("kind", ["i4", "i8", "u4"])
def test_integers_are_computed_as_xla_computes_them(kind):
    dtype, s = KINDS[kind], Scalars()
    x, y = s.input(0, 0, kind), s.input(0, 1, kind)
    binary = {
        "add": lax.add, "sub": lax.sub, "mul": lax.mul, "div": lax.div, "rem": lax.rem, "min": lax.min,
        "max": lax.max, "and": lax.bitwise_and, "or": lax.bitwise_or, "xor": lax.bitwise_xor,
    }  # fmt: skip
    unary = {"neg": lax.neg, "abs": lax.abs, "sign": lax.sign, "not": lax.bitwise_not}
    compared = {"eq": lax.eq, "ne": lax.ne, "lt": lax.lt, "le": lax.le}
    if kind == "u4":
        del unary["abs"]
    entries = [s.binary(op, x, y) for op in binary] + [s.function(op, x) for op in unary]
    truths = [s.compare(op, x, y) for op in compared]
    real = [s.convert(x, "f4"), s.convert(x, "f8")]
    results = [((len(part),), part) for part in (entries, truths, real[:1], real[1:])]
    program = ScalarProgram(s, [Operand((2,), kind)], results)
    least, most = np.iinfo(dtype).min, np.iinfo(dtype).max
    pairs = [
        (7, 2),
        (7, 0),
        (least, -1 % (1 << 32) if kind == "u4" else -1),
        (most, 3),
        (5, 5),
        (0, 0),
        (most, most),
    ]
    if kind != "u4":
        pairs += [(-7, 2), (7, -2), (-7, 0), (least, least)]
    a, b = np.array(pairs * 2, dtype).T
    expected = [np.stack([f(a, b) for f in binary.values()] + [f(a) for f in unary.values()], 1)]
    expected += [np.stack([f(a, b) for f in compared.values()], 1), a[:, None], a[:, None]]
    for got, wanted in zip(call(program, [np.stack([a, b], 1)]), expected, strict=True):
        np.testing.assert_array_equal(got, wanted.astype(got.dtype))


@pytest.mark.parametrize(
    "source, kind",
    [("f4", "i4"), ("f8", "i4"), ("f8", "i8"), ("f4", "u4"), ("f8", "f4"), ("i8", "i4"), ("b1", "f4")],
)
def test_conversions_are_xlas_beyond_the_range_too(source, kind):
    s = Scalars()
    program = ScalarProgram(s, [Operand((1,), source)], [((1,), [s.convert(s.input(0, 0, source), kind)])])
    x = np.array([0.0, -0.7, 2.5, 1e6, 3e9, -3e9, 1e30, -1e30, np.nan, np.inf, -np.inf])
    if source[0] != "f":
        x = np.array([0, 1, 2**33 + 5, -3])
    x = x.astype(KINDS[source])[:, None]
    by_xla = jax.jit(lambda x: lax.convert_element_type(x, KINDS[kind]))
    np.testing.assert_array_equal(call(program, [x])[0], by_xla(x))


@pytest.mark.parametrize("kind", ["f4", "f8"])
@pytest.mark.parametrize("single", [False, True])
def test_batches_of_any_size_are_whole(kind, single):
    program = small_jacobian(kind)
    for batch in (0, 1, 7, 16, 33, 10_007):
        check(program, [numbers(kind, batch, 4), numbers(kind, batch, 3, 1)], single=single)


@pytest.mark.parametrize("batched", [(True, False), (False, True), (False, False)])
def test_operands_without_rows_are_the_same_for_all(batched):
    program = small_jacobian("f8")
    arrays = [numbers("f8", 21, 4), numbers("f8", 21, 3, 1)]
    arrays = [x if rows else x[-1] for x, rows in zip(arrays, batched, strict=True)]
    for single in (False, True):
        check(program, arrays, batched, single)


@pytest.mark.parametrize("columns", [*range(1, 20), 67])
def test_rows_of_any_width_are_read_and_written_whole(columns):
    s = Scalars()
    x = [s.input(0, i, "f4") for i in range(columns)]
    t = [s.input(1, i, "b1") for i in range(columns)]
    doubled = [s.mul(a, s.const(2, "f4")) for a in x]
    program = ScalarProgram(
        s,
        [Operand((columns,), "f4"), Operand((columns,), "b1")],
        [((columns,), doubled[::-1]), ((columns,), [s.function("not", a) for a in t])],
    )
    random = np.random.default_rng(columns)
    check(program, [random.normal(size=(37, columns)).astype(np.float32), random.random((37, columns)) < 0.5])


@pytest.mark.parametrize("filling", [0.0, 3.0])
def test_wide_rows_that_are_mostly_constant_are_whole(filling):
    s = Scalars()
    x = [s.input(0, i, "f8") for i in range(3)]
    entries = [s.const(filling, "f8")] * 130
    for place in (0, 17, 18, 40, 99, 100, 102, 129):
        entries[place] = s.mul(x[place % 3], x[1])
    program = ScalarProgram(s, [Operand((3,), "f8")], [((10, 13), entries), ((), [x[2]])])
    for batch in (1, 50):
        check(program, [np.random.default_rng(0).normal(size=(batch, 3))])


def test_results_larger_than_the_cache_are_whole():
    program = small_jacobian("f4", columns=48)
    check(program, [numbers("f4", 40_003, 4), numbers("f4", 40_003, 3, 1)])


def test_entries_that_nobody_needs_and_results_without_entries():
    s = Scalars()
    shapes = [Operand((90,), "f4"), Operand((2, 0), "f4")]
    program = ScalarProgram(s, shapes, [((0, 3), "f4"), ((2,), [s.input(0, 3, "f4"), s.input(0, 77, "f4")])])
    name = _native.target(program, (True, True))
    x, nothing = (
        np.random.default_rng(0).normal(size=(20, 90)).astype(np.float32),
        np.zeros((20, 2, 0), np.float32),
    )
    shapes = [jax.ShapeDtypeStruct((20, *r.shape), np.float32) for r in program.results]
    got = jax.ffi.ffi_call(name, shapes)(x, nothing)
    assert got[0].shape == (20, 0, 3)
    np.testing.assert_array_equal(got[1], x[:, [3, 77]])
    assert call(ScalarProgram(s, [], [((0,), "f4")]), [])[0].shape == (5, 0)


def loops(kind, length):
    """A loop in a loop, which hand on numbers of each kind."""
    s = Scalars()
    x, y = s.input(0, 0, kind), s.input(1, 0, kind)
    s.loops.append(Loop(length, [x, s.const(0, "i4"), s.const(False, "b1"), y]))
    position, count, above, speed = (s.carry(0, place) for place in range(4))
    s.loops.append(Loop(3, [position, speed]))
    inner = [s.carry(1, place) for place in range(2)]
    step = s.mul(s.const(0.125, kind), s.function("cos", inner[0]))
    s.loops[1].after = [
        s.add(inner[0], s.mul(step, inner[1])),
        s.sub(inner[1], s.mul(step, s.function("sin", inner[0]))),
    ]
    now = s.add(s.last(1, 0), s.mul(y, s.convert(count, kind)))
    s.loops[0].after = [
        now,
        s.binary("add", count, s.const(1, "i4")),
        s.binary("xor", above, s.compare("lt", position, y)),
        s.select(above, s.last(1, 1), speed),
    ]
    numbers = [s.last(0, 0), s.mul(s.last(0, 3), x)]
    results = [((2,), numbers), ((1,), [s.last(0, 1)]), ((1,), [s.last(0, 2)])]
    return ScalarProgram(s, [Operand((1,), kind), Operand((1,), kind)], results)


@pytest.mark.parametrize("kind", ["f4", "f8"])
@pytest.mark.parametrize("batched", [(True, True), (True, False), (False, False)])
def test_loops_hand_on_what_their_steps_compute(kind, batched):
    arrays = [np.random.default_rng(k).uniform(0.1, 0.3, (21, 1)).astype(KINDS[kind]) for k in range(2)]
    arrays = [x if rows else x[0] for x, rows in zip(arrays, batched, strict=True)]
    for length in (1, 6):
        for single in (False, True):
            check(loops(kind, length), arrays, batched, single)


def test_long_loops_cost_no_more_to_compile():
    lines = {
        len(_native.assembly(loops("f8", length), (True, True)).split("\n")) for length in (2, 1_000_000)
    }
    assert len(lines) == 1


def test_a_name_says_what_the_code_depends_on():
    program, other = small_jacobian("f4"), small_jacobian("f4", columns=12)
    names = [
        _native.target(program, (True, True)),
        _native.target(program, (True, False)),
        _native.target(program, (True, True), single=True),
        _native.target(other, (True, True)),
    ]
    assert len(set(names)) == 4
    assert _native.target(small_jacobian("f4"), (True, True)) == names[0]


def test_other_arrays_than_a_kernels_are_an_error():
    name = _native.target(small_jacobian("f4"), (True, True))
    with pytest.raises(Exception, match="other arrays than it was compiled for"):
        jax.block_until_ready(
            jax.ffi.ffi_call(name, [jax.ShapeDtypeStruct((4, 13), np.float32)])(jnp.zeros((4, 4), np.float32))
        )


def test_a_program_without_results_is_refused():
    with pytest.raises(ValueError, match="needs a result"):
        _native.target(ScalarProgram(Scalars(), [], []), ())


def test_threads_compile_and_call_at_once():
    x = [numbers("f4", 9_001, 4), numbers("f4", 9_001, 3, 1)]

    def run(k):
        with jax.default_device(jax.devices("cpu")[0]):  # of every thread its own
            check(small_jacobian("f4", columns=7 + k % 4), x)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(run, range(32)))


def test_many_kernels_in_one_program_never_wait_for_threads_that_they_keep_busy():
    script = """
        import jax, numpy as np, threading
        jax.config.update("jax_platforms", "cpu")
        from graphax.kernels.cpu import _native
        from graphax.kernels._program import Operand, ScalarProgram
        from graphax.kernels._scalars import Scalars

        def kernel(k):
            s = Scalars()
            x = [s.input(0, i, "f4") for i in range(3)]
            y = s.mul(x[0], s.const(k, "f4"))
            for _ in range(60):
                y = s.add(s.mul(y, x[1]), x[2])
            program = ScalarProgram(s, [Operand((3,), "f4")], [((4,), [y, x[0], s.const(k, "f4"), x[2]])])
            return _native.target(program, (True,))

        names = [kernel(k) for k in range(32)]
        shape = jax.ShapeDtypeStruct((50_000, 4), np.float32)
        f = jax.jit(lambda x: [jax.ffi.ffi_call(name, [shape])(x)[0] for name in names])
        x = np.random.default_rng(0).uniform(-1, 1, (50_000, 3)).astype(np.float32)

        def repeat():
            for _ in range(5):
                jax.block_until_ready(f(x))

        threads = [threading.Thread(target=repeat) for _ in range(16)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        for k, y in enumerate(f(x)):
            np.testing.assert_array_equal(y[:, 1:], np.stack([x[:, 0], np.full(50_000, k), x[:, 2]], 1))
        print(names[3])
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    names = {
        subprocess.run(command, check=True, timeout=120, capture_output=True, text=True).stdout.strip()
        for _ in range(2)
    }
    assert len(names) == 1  # the content's hash, whatever the process


def test_code_for_other_machines_uses_their_registers():
    program = small_jacobian("f4")
    old = _native.assembly(program, (True, True), cpu="nehalem", triple="x86_64-unknown-linux-gnu")
    assert "mulps" in old
    assert "ymm" not in old and "zmm" not in old
    for cpu, register in (("haswell", "ymm"), ("skylake-avx512", "zmm")):
        features = "+avx2,+fma" if register == "ymm" else "+avx512f,+avx512vl,+avx2,+fma"
        assert register in _native.assembly(program, (True, True), cpu=cpu, features=features)
    neon = _native.assembly(program, (True, True), triple="aarch64-unknown-linux-gnu")
    assert "fmla\tv" in neon and ".4s" in neon


@pytest.mark.skipif(platform.machine() != "x86_64", reason="for x86 alone")
@pytest.mark.parametrize("cpu, features", [("haswell", "+avx2,+fma"), ("x86-64", "")])
def test_machines_with_smaller_registers_compute_the_same(cpu, features, monkeypatch):
    older = _native.host()._replace(cpu=cpu, features=features)
    monkeypatch.setattr(_native, "host", lambda: older)
    for name in ("_part", "_linker"):
        monkeypatch.setattr(_native, name, functools.cache(getattr(_native, name).__wrapped__))
    test_every_operation_on_real_numbers_is_numpys_also_on_special_ones("f4")
    test_every_operation_on_real_numbers_is_numpys_also_on_special_ones("f8")
    test_rows_of_any_width_are_read_and_written_whole(19)
    test_rows_of_any_width_are_read_and_written_whole(3)
    test_batches_of_any_size_are_whole("f8", False)


def test_without_llvmlite_the_reason_is_told(monkeypatch):
    for function in (_native.available, _native.host):
        function.cache_clear()
    monkeypatch.setitem(sys.modules, "llvmlite.binding", None)
    try:
        assert "llvmlite" in str(_native.available())
        with pytest.raises(RuntimeError, match="llvmlite"):
            _native.target(small_jacobian("f4"), (True, True))
    finally:
        monkeypatch.undo()
        for function in (_native.available, _native.host):
            function.cache_clear()
