"""Rows of results in which constants stand among what is computed are whole, past the cache or not."""

import functools
import platform

import jax
import numpy as np
import pytest

from graphax.kernels._program import Operand, ScalarProgram
from graphax.kernels._scalars import KINDS, Scalars
from graphax.kernels.cpu import _handler, _native
from graphax.kernels.cpu._rows import piece_of, split

pytestmark = [
    pytest.mark.skipif(_native.available() is not None, reason=str(_native.available())),
    pytest.mark.usefixtures("on_cpu"),
]


def check(columns, kind="f8", part=0.3, constants=(0, 1), batches=(1, 8, 21, 50)):
    """A result of so many columns, of which a part is computed; each number stands in some of them twice."""
    s, random = Scalars(), np.random.default_rng(columns)
    x = [s.input(0, i, kind) for i in range(5)]
    made = [s.compare("eq", a, b) if kind == "b1" else s.add(a, b) for a in x for b in x]
    entries = [s.const(constants[i % 2], kind) for i in range(columns)]
    for place in random.choice(columns, max(1, round(part * columns)), replace=False):
        entries[place] = made[random.integers(len(made))]
    program = ScalarProgram(s, [Operand((5,), kind)], [((columns,), entries), ((), [x[2]])])
    name = _native.target(program, (True,))
    for batch in batches:
        points = np.asarray(random.integers(-9, 9, (batch, 5)), KINDS[kind])
        shapes = [jax.ShapeDtypeStruct((batch, *r.shape), KINDS[r.kind]) for r in program.results]
        found = jax.ffi.ffi_call(name, shapes)(points)
        for result, expected in zip(found, program.evaluate([points]), strict=True):
            np.testing.assert_array_equal(result, expected)


@pytest.fixture(params=[False, True], ids=["in the cache", "past the cache"])
def streamed(request, monkeypatch):
    if request.param:
        monkeypatch.setattr(_handler, "_STREAMED_BYTES", 1)
        monkeypatch.setattr(_native, "_EMITTER", "streamed")


# Of eight bytes: shorter than a piece, of whole pieces or not, too long for the nearest cache, for a buffer.
@pytest.mark.parametrize("columns", [3, 7, 16, 33, 130, 264, 260, 261, 1101])
def test_rows_with_constants_are_whole(columns, streamed):
    check(columns)


@pytest.mark.parametrize("kind", ["f4", "i4", "u4", "i8", "b1"])
def test_rows_with_constants_of_any_kind_are_whole(kind, streamed):
    with jax.enable_x64(True):
        for columns in (21, 64):
            check(columns, kind)


@pytest.mark.parametrize("part", [0.02, 0.6, 0.9])
def test_rows_with_few_and_with_many_constants_are_whole(part, streamed):
    check(72, part=part)


def test_constants_are_whatever_numbers_they_are():
    check(40, constants=(np.nan, -0.0))
    check(40, "f4", constants=(np.inf, 1 / 3))


def test_results_of_constants_alone_are_whole(streamed):
    s = Scalars()
    entries = [s.const(i % 3, "f8") for i in range(50)]
    program = ScalarProgram(s, [Operand((1,), "f8")], [((50,), entries)])
    name = _native.target(program, (True,))
    shape = jax.ShapeDtypeStruct((21, 50), np.float64)
    (found,) = jax.ffi.ffi_call(name, [shape])(np.zeros((21, 1)))
    np.testing.assert_array_equal(found, np.tile(np.arange(50.0) % 3, (21, 1)))


@pytest.mark.skipif(platform.machine() != "x86_64", reason="for x86 alone")
@pytest.mark.parametrize("cpu, features", [("haswell", "+avx2,+fma"), ("x86-64", "")])
def test_machines_with_smaller_registers_write_the_same(cpu, features, streamed, monkeypatch):
    older = _native.host()._replace(cpu=cpu, features=features)
    monkeypatch.setattr(_native, "host", lambda: older)
    for name in ("_part", "_linker"):
        monkeypatch.setattr(_native, name, functools.cache(getattr(_native, name).__wrapped__))
    for columns in (33, 264):
        check(columns, batches=(1, 21))


def test_pieces_are_whole_registers_where_rows_consist_of_them_and_half_cache_lines_else():
    assert piece_of(16, 8, 64) == 8
    assert piece_of(15, 8, 64) == 4
    assert piece_of(16, 4, 32) == piece_of(15, 4, 32) == 8
    assert piece_of(9, 8, 16) == 2


@pytest.mark.parametrize("near", [1, 4])
def test_every_column_is_in_one_part_of_a_result_and_every_computed_one_in_one_run(near):
    computed = np.random.default_rng(0).random(1000) < 0.3
    parts = list(split(computed.tolist(), 8, near))
    assert [part.first for part in parts] == [0, *(part.end for part in parts[:-1])]
    assert parts[-1].end == 1000 and all(part.first % 8 == 0 for part in parts)
    beside = [column for part in parts for column in part.beside]
    assert len(set(beside)) == len(beside) and set(np.flatnonzero(computed)) <= set(beside)
    assert near > 1 or len(beside) == computed.sum()
