"""Commands take the seconds that they are given, compiling included, idle and beside a busy process."""

import contextlib

import pytest
from programs import Program, busy, lines_of, slowness, turns_kept

import graphax
from alphagrad.matmul import Scheme

# None of them comes to an end by itself.
COMMANDS = {
    "search RoeFlux_1d": ["search", "task=RoeFlux_1d", "remember=false"],
    "search RoeFlux_3d": ["search", "task=RoeFlux_3d", "remember=false"],
    "search Encoder": ["search", "task=Encoder", "objective=runtime", "remember=false"],
    "search schemes": ["search", "task=matmul_3x3x4", "target=1"],
    "train RoeFlux_1d": ["train", "task=RoeFlux_1d"],
    "train Encoder": ["train", "task=Encoder"],
    "train schemes": ["train", "task=matmul_2x2x2", "target=1"],
}
BUDGETS = [
    ("search RoeFlux_1d", 3),
    ("search RoeFlux_1d", 60),
    ("search RoeFlux_3d", 8),
    ("search Encoder", 30),
    ("search schemes", 5),
    ("search schemes", 20),
    ("train RoeFlux_1d", 4),
    ("train RoeFlux_1d", 30),
    ("train RoeFlux_1d", 240),
    ("train Encoder", 15),
    ("train schemes", 10),
    ("train schemes", 120),
]


def check(name, seconds, path):
    with Program(*COMMANDS[name], f"seconds={seconds}", f"run_dir={path}") as program:
        status, out, err = program.end()
        took = program.seconds
    assert status == 0, err
    # Other processes may slow down what is outside of our hands: loading, and the end.
    tolerance = max(10, 0.1 * seconds) * slowness()
    assert seconds - tolerance < took < seconds + tolerance, (took, out)
    assert (turns_kept(path) or 0) == ("train" in name) * len(lines_of(path))
    if "schemes" in name:
        Scheme.load(path / "scheme.json")
    else:
        graphax.load_order(path / "order.json")
    assert (path / "report.html").exists() and "to use it" in out


@pytest.mark.parametrize("name", ["search RoeFlux_1d", "train RoeFlux_1d"])
def test_three_seconds_are_about_three_seconds(name, tmp_path):
    check(name, 3, tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("beside", [contextlib.nullcontext, busy], ids=["idle", "busy"])
@pytest.mark.parametrize(("name", "seconds"), BUDGETS)
def test_budgets_are_kept(name, seconds, beside, tmp_path):
    with beside():
        check(name, seconds, tmp_path / "run")
