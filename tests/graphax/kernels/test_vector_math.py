"""Functions of vectors are within a unit or two in the last place, for every argument, width and target."""

import platform
import re

import numpy as np
import pytest
from llvmlite import ir
from vector_loops import BINARY, DTYPES, Compiled, Reference, loops, machine, optimized, units_off

from graphax.kernels.cpu import _vector_math

KINDS = ("f4", "f8")
#: Units in the last place that results may be off.
ALLOWED = {"f4": 2.0, "f8": 1.0}
WIDEST = {"f4": 16, "f8": 8}
NAMES = sorted(_vector_math.COVERED)
#: Where a function is neither zero nor infinite nor its argument: where most of its digits are decided.
RANGES = {
    "asin": (-1, 1),
    "acos": (-1, 1),
    "atanh": (-1, 1),
    "acosh": (1, 5),
    "log": (0, 5),
    "log1p": (-1, 5),
    "exp": (-20, 20),
    "erf": (-4, 4),
    "erfc": (-4, 28),
    "tanh": (-4, 4),
}
ON_X86 = pytest.mark.skipif(
    platform.machine() != "x86_64" or np.finfo(np.longdouble).nmant < 63, reason="needs numbers of 80 bits"
)


def around(numbers, dtype, distance):
    """Numbers and their neighbours, and the same with the other sign."""
    numbers = np.asarray(numbers, dtype)
    integers = numbers.view(np.int32 if dtype == np.float32 else np.int64)
    near = (integers[:, None] + np.arange(-distance, distance + 1, dtype=integers.dtype)).ravel().view(dtype)
    return np.concatenate([near, -near])


def hard(dtype):
    """Ends of ranges, changes of formulas, and angles next to multiples of an eighth of a turn."""
    info = np.finfo(dtype)
    numbers = [1, 0.5, 2, 3, 0.1716, 0.25, 3.75, 1e-3, np.sqrt(0.5), np.sqrt(2), np.tan(np.pi / 8), 1 / 3]
    tiny = [info.smallest_subnormal * 32, info.smallest_normal, 2.0 ** -(info.nmant + 4)]
    logarithms = [np.log(float(info.max)), -np.log(float(info.smallest_subnormal)), float(info.maxexp)]
    large = [info.max, np.inf, 2.0**16, 2.0**30, 2.0**info.nmant, *np.logspace(3, 30, 28)]
    angles = np.arange(1, 3000) * np.pi / 4
    special = np.array([0.0, -0.0, np.nan, -np.inf], dtype)
    return np.concatenate(
        [special, around([*numbers, *tiny, *logarithms, *large], dtype, 16), around(angles, dtype, 1)]
    )


def random_bits(dtype, size, random):
    integer = np.int32 if dtype == np.float32 else np.int64
    return random.integers(np.iinfo(integer).min, np.iinfo(integer).max, size, integer).view(dtype)


def arguments(name, dtype, size, random):
    """Operands of a function: hard ones, any bits, and those that a result depends on most."""
    if name in BINARY:
        small = [0, 0.5, 1, 2, 3, 0.999999, np.inf, np.nan, 1e-40, 1e10, 1e38]
        whole = [2.0**23 + 1, 2.0**24 - 1, 2.0**52 + 1, 2.0**53 - 1]
        edges = np.array([*small, *whole], dtype)
        edges = np.concatenate([edges, -edges])
        pairs = [(x.ravel(), y.ravel()) for x, y in [np.meshgrid(edges, edges)]]
        pairs.append((random_bits(dtype, size, random), random_bits(dtype, size, random)))
        base = np.concatenate([random.uniform(0, 10, size), 1 + random.uniform(-1e-3, 1e-3, size)])
        bound = np.log(float(np.finfo(dtype).max)) * 1.1
        pairs.append((base, random.uniform(-bound, bound, 2 * size) / np.log(base)))
        base = random.uniform(0.5, 3, size)
        pairs.append((base, random.choice([-0.9, 0.9], size) * bound / np.log(base)))
        pairs.append((random.uniform(-10, 10, size), random.integers(-30, 30, size)))
        with np.errstate(all="ignore"):
            return [np.concatenate(parts).astype(dtype) for parts in zip(*pairs, strict=True)]
    low, high = RANGES.get(name, (-10, 10))
    usual = random.uniform(low, high, size)
    ends = random.uniform(-1.1, 1.1, size // 4) * np.log(float(np.finfo(dtype).max))
    numbers = [hard(dtype), random_bits(dtype, size, random), usual.astype(dtype), ends.astype(dtype)]
    return [np.concatenate(numbers)]


@pytest.fixture(scope="module")
def compiled():
    """All functions, by kind, in the widest vectors."""
    return {kind: Compiled([*NAMES, "sincos"], kind, WIDEST[kind]) for kind in KINDS}


@pytest.fixture(scope="module")
def reference():
    return {kind: Reference(kind) for kind in KINDS}


@ON_X86
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", KINDS)
def test_results_are_within_the_allowed_units_in_the_last_place(compiled, reference, kind, name):
    operands = arguments(name, DTYPES[kind], 10_000, np.random.default_rng(0))
    off = units_off(compiled[kind](name, *operands), reference[kind](name, *operands))
    worst = np.argmax(off)
    assert off[worst] <= ALLOWED[kind], [x[worst] for x in operands]


@pytest.mark.parametrize("kind", KINDS)
def test_the_width_of_vectors_does_not_change_a_bit(compiled, kind):
    random = np.random.default_rng(1)
    for width in (1, 4):
        other = Compiled(NAMES, kind, width)
        for name in NAMES:
            operands = arguments(name, DTYPES[kind], 1_000, random)
            np.testing.assert_array_equal(other(name, *operands), compiled[kind](name, *operands), name)


@pytest.mark.parametrize("kind", KINDS)
def test_sine_and_cosine_together_are_those_alone(compiled, kind):
    (x,) = arguments("sin", DTYPES[kind], 1_000, np.random.default_rng(2))
    sine, cosine = compiled[kind]("sincos", x)
    np.testing.assert_array_equal(sine, compiled[kind]("sin", x))
    np.testing.assert_array_equal(cosine, compiled[kind]("cos", x))


@pytest.mark.parametrize("kind", KINDS)
def test_a_huge_angle_leaves_the_other_lanes_alone(compiled, kind):
    x = np.linspace(-3, 3, 64, dtype=DTYPES[kind])
    for name in ("sin", "cos", "tan"):
        alone = compiled[kind](name, x)
        mixed = x.copy()
        mixed[::5] = 1e30
        together = compiled[kind](name, mixed)
        keep = mixed == x
        np.testing.assert_array_equal(together[keep], alone[keep])
        np.testing.assert_allclose(together[~keep], getattr(np, name)(np.float64(mixed[~keep])), rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_edges_of_powers_and_angles_are_those_of_the_c_standard(compiled, kind):
    inf, nan, pi = np.inf, np.nan, np.pi
    powers = [
        *(
            (0.0, -3, inf),
            (-0.0, -3, -inf),
            (-0.0, -2, inf),
            (0.0, -inf, inf),
            (0.0, 3, 0.0),
            (-0.0, 3, -0.0),
        ),
        *((-0.0, 0.5, 0.0), (-1, inf, 1), (-1, -inf, 1), (1, nan, 1), (nan, 0.0, 1), (nan, -0.0, 1)),
        *((0.5, -inf, inf), (2, -inf, 0.0), (0.5, inf, 0.0), (2, inf, inf), (-8, 1 / 3, nan), (2, nan, nan)),
        *((-inf, -3, -0.0), (-inf, -2, 0.0), (-inf, 3, -inf), (-inf, 2, inf), (inf, -1, 0.0), (inf, 1, inf)),
        *((-2, 3, -8), (-2, 1e30, inf)),
    ]
    angles = [
        *(
            (0.0, -0.0, pi),
            (-0.0, -0.0, -pi),
            (0.0, 0.0, 0.0),
            (-0.0, 0.0, -0.0),
            (0.0, -1, pi),
            (-0.0, -1, -pi),
        ),
        *(
            (1, 0.0, pi / 2),
            (-1, -0.0, -pi / 2),
            (1, -inf, pi),
            (-1, -inf, -pi),
            (1, inf, 0.0),
            (-1, inf, -0.0),
        ),
        *(
            (inf, 1, pi / 2),
            (-inf, -1, -pi / 2),
            (inf, -inf, 3 * pi / 4),
            (-inf, inf, -pi / 4),
            (nan, 1, nan),
        ),
    ]
    for name, rows in (("pow", powers), ("atan2", angles)):
        first, second, right = np.array(rows, DTYPES[kind]).T
        got = compiled[kind](name, first, second)
        np.testing.assert_array_equal(got, right, name)
        np.testing.assert_array_equal(np.signbit(got[right == 0]), np.signbit(right[right == 0]), name)


@ON_X86
@pytest.mark.parametrize("kind", KINDS)
def test_hardware_without_fused_products_gives_right_results(reference, kind):
    names = ["sin", "exp", "log", "tanh", "pow", "erfc", "atan2", "cbrt"]
    plain = Compiled(names, kind, 4, machine(cpu="x86-64"))
    for name in names:
        operands = arguments(name, DTYPES[kind], 1_000, np.random.default_rng(3))
        off = units_off(plain(name, *operands), reference[kind](name, *operands))
        assert np.max(off) <= ALLOWED[kind], name


@pytest.mark.parametrize(
    ("triple", "cpu", "vector"),
    [
        ("aarch64-unknown-linux-gnu", "generic", r"fmla\s+v\d+\.2d"),
        ("x86_64-unknown-linux-gnu", "x86-64", "mulpd"),
    ],
)
def test_other_targets_get_vector_instructions(triple, cpu, vector):
    names = ["sin", "exp", "log", "tanh", "pow"]
    target = machine(cpu=cpu, triple=triple)
    assembly = target.emit_assembly(optimized(loops(names, "f8", 2), target))
    assert re.search(vector, assembly)
    assert not re.search(r"(\bbl\s+|\$)(exp|log|tanh|pow)\b", assembly)


def test_a_function_is_defined_once_in_a_module():
    module = ir.Module()
    first = _vector_math.define(module, "sin", "f8", 4)
    assert _vector_math.define(module, "sin", "f8", 4) is first
    assert _vector_math.define(module, "sin", "f4", 4) is not first
    assert first.linkage == "internal"


def test_functions_are_short():
    for kind in KINDS:
        for name in [*NAMES, "sincos"]:
            function = _vector_math.define(ir.Module(), name, kind, 4)
            length = sum(len(block.instructions) for block in function.blocks)
            assert length < 220, (name, kind, length)


@ON_X86
@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_results_are_within_the_allowed_units_over_the_whole_range(compiled, reference, kind):
    dtype = DTYPES[kind]
    random = np.random.default_rng(4)
    spread = np.arange(-(2**31), 2**31, 256).astype(np.int32).view(np.float32)
    for name in NAMES:
        if kind == "f4" and name not in BINARY:
            batches = [[part] for part in np.split(spread, 16)]
            batches.append(arguments(name, dtype, 1_000_000, random))
        else:
            batches = [arguments(name, dtype, 1_000_000, random)]
        worst, where = 0.0, None
        for operands in batches:
            off = units_off(compiled[kind](name, *operands), reference[kind](name, *operands))
            at = np.argmax(off)
            if off[at] > worst:
                worst, where = off[at], [float(x[at]) for x in operands]
        print(f"{kind} {name:6s} {worst:.3f} at {where}")
        assert worst <= ALLOWED[kind], (name, where)
