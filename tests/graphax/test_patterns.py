"""Sparse Jacobians and Hessians of the functions of `benchmarks/patterns/`, against those of JAX."""

from __future__ import annotations

import importlib
from pathlib import Path

import jax
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
#: Of every subject some that are quickly compiled.
EXACT = (
    "smoothed_signal",
    "average_pooling",
    "banded_product",
    "diagonals_of_matrix",
    "masked_weights",
    "scaled_rows",
    "local_attention",
    "weights_in_blocks",
    "masked_convolution",
    "forty_elementwise",
    "row_by_row",
    "exponential_average",
    "running_sum",
    "gathered_entries",
    "overwritten_entries",
    "rectified_differences",
    "sorted_entries",
    "warped_image",
    "rolled_by_argument",
    "interpolated_where_asked",
    "lagrangian",
    "chained_rosenbrock",
    "custom_units_under_vmap",
    "burgers",
    "power_flow",
    "rigid_motions",
)
CONTAINED = ("causal_attention", "relaxation_until_done", "largest_of_rows", "shallow_water")


@pytest.fixture(scope="module")
def sparsity():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        yield importlib.import_module("sparsity")


@pytest.fixture(autouse=True)
def in_double_precision():
    with jax.enable_x64(True):
        yield


def row(sparsity, name):
    (found,) = [
        sparsity.examined(case, part.subject)
        for part in sparsity.COLLECTIONS
        for case in part.cases
        if case.name == name
    ]
    return found


@pytest.mark.parametrize("name", EXACT)
def test_the_pattern_is_where_the_derivative_is_nonzero(sparsity, name):
    found = row(sparsity, name)
    assert (found["verdict"], found["entries"]) == ("exact", found["nonzeros"])


@pytest.mark.parametrize("name", CONTAINED)
def test_the_pattern_holds_all_nonzeros_and_the_values_are_those_of_jax(sparsity, name):
    assert row(sparsity, name)["verdict"] in ("exact", "cancels", "loose")


def test_a_nonzero_outside_of_the_pattern_is_missing_and_other_values_are_wrong(sparsity, monkeypatch):
    blocks, seconds = sparsity.our_blocks(case := sparsity.COLLECTIONS[-1].cases[0])
    assert case.name == "burgers"
    part = sparsity.COLLECTIONS[-1].subject
    monkeypatch.setattr(sparsity, "our_blocks", lambda _: ([-block for block in blocks], seconds))
    assert sparsity.examined(case, part)["verdict"] == "wrong"
    (block,) = blocks
    zero = type(block).zero(block.out_shape, block.in_shape, block.dtype)
    monkeypatch.setattr(sparsity, "our_blocks", lambda _: ([zero], seconds))
    assert sparsity.examined(case, part)["verdict"] == "missing"


def test_every_pattern_has_a_name_of_its_own(sparsity):
    names = [case.name for part in sparsity.COLLECTIONS for case in part.cases]
    assert len(names) == len(set(names)) >= 150


def test_the_table_is_kept_and_rows_of_others_stay(sparsity, tmp_path, capsys):
    out = tmp_path / "new" / "cpu.json"
    assert sparsity.main(["--only", "^burgers$", "--out", str(out)]) == 0
    assert sparsity.main(["--only", "^separable$", "--out", str(out)]) == 0
    assert list(sparsity.json.loads(out.read_text())["rows"]) == ["burgers", "separable"]
    assert "1 functions: 1 exact" in capsys.readouterr().out
