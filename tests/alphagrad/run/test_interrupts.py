"""Ctrl-C ends a command within seconds, with the best so far saved."""

import contextlib
import signal
import time

import pytest
from programs import Program, lines_of, slowness, turns_kept

import graphax
from alphagrad.matmul import Scheme

SOON, AT_ONCE = 5.0, 1.0  # seconds
INTERRUPTED = 130
# None of them comes to an end by itself.
COMMANDS = {
    "search orders": ["search", "task=RoeFlux_1d", "seconds=300", "remember=false"],
    "search schemes": ["search", "task=matmul_2x2x2", "target=1", "seconds=300"],
    "train orders": ["train", "task=RoeFlux_1d", "seconds=300"],
    "train schemes": ["train", "task=matmul_2x2x2", "target=1", "seconds=300"],
}


def interrupted(program, *, twice=False):
    """Press Ctrl-C; returns the seconds until the end, and how it ended."""
    sent = program.send(signal.SIGINT)
    if twice:
        time.sleep(0.05)
        sent = program.send(signal.SIGINT)
    ended = program.end()
    return time.monotonic() - sent, *ended


def check_saved(name, path):
    """The best so far is there, and what found it."""
    if "orders" in name:
        order = graphax.load_order(path / "order.json")
        assert order.task == "RoeFlux_1d" and order.method
    else:
        assert Scheme.load(path / "scheme.json").rank <= 8


def check(name, path, wait):
    with Program(*COMMANDS[name], f"run_dir={path}") as program:
        wait(program)
        took, status, out, err = interrupted(program)
    assert status == INTERRUPTED, (status, out, err)
    assert took < SOON * slowness(), (took, out, err)
    assert "Traceback" not in err
    # Where others take the time, a command may be ended before it has been loaded.
    if slowness() < 2 or (path / "config.yaml").exists():
        check_saved(name, path)
    assert not list(path.rglob("*.part"))
    assert (turns_kept(path) or 0) == ("train" in name) * len(lines_of(path))


@pytest.mark.parametrize("name", COMMANDS)
def test_ctrl_c_while_a_command_is_loading_ends_it_with_something_saved(name, tmp_path):
    check(name, tmp_path / "run", lambda program: program.work(0.5))


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [5, 20, 60])
@pytest.mark.parametrize("name", COMMANDS)
def test_ctrl_c_at_any_time_ends_a_command_with_the_best_saved(name, seconds, tmp_path):
    check(name, tmp_path / "run", lambda program: program.until(lambda: False, timeout=seconds))


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.5, 3, 10])
@pytest.mark.parametrize("name", COMMANDS)
def test_ctrl_c_twice_ends_a_command_at_once(name, seconds, tmp_path):
    with Program(*COMMANDS[name], f"run_dir={tmp_path / 'run'}") as program:
        program.work(seconds)
        took, status, _, err = interrupted(program, twice=True)
    assert status == INTERRUPTED and took < AT_ONCE * slowness(), (took, err)
    assert "Traceback" not in err


@pytest.mark.slow
@pytest.mark.parametrize("milliseconds", [20, 60, 120, 200, 300])
def test_ctrl_c_before_anything_has_begun_ends_it_as_well(milliseconds, tmp_path):
    with Program(*COMMANDS["search orders"], f"run_dir={tmp_path / 'run'}") as program:
        program.work(milliseconds / 1000)
        took, status, _, _ = interrupted(program)
    # Python itself may not have begun.
    assert status in (INTERRUPTED, -signal.SIGINT, 1) and took < SOON * slowness()
    with contextlib.suppress(FileNotFoundError):
        check_saved("search orders", tmp_path / "run")
