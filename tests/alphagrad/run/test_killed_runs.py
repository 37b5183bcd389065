"""Runs that are killed and gone on from play on as if nothing had happened."""

import functools
import itertools
import os
import random
import signal
import time

import pytest
from programs import EAGER, SMALL, Program, lines_of, played, run

import graphax
from alphagrad.matmul import Scheme

PROBLEMS = {"RoeFlux_1d": "order.json", "matmul_2x2x2": "scheme.json"}
TURNS = ["iterations=6", "demonstrations.updates=6"]
LENGTH = 12  # lines of the metrics: so many turns of study, and so many games
KILLS = 20


def command(problem, path, *words):
    return ["train", f"task={problem}", *SMALL, *TURNS, "seed=5", f"run_dir={path}", *words]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The folders of whole runs, by problem."""

    @functools.cache
    def whole(problem):
        path = tmp_path_factory.mktemp("whole") / problem
        status, _, err = run(*command(problem, path), code=EAGER)
        assert status == 0, err
        assert len(lines_of(path)) == LENGTH
        return path

    return whole


def learned(problem, path):
    """What the agent has found, if it has found anything."""
    file = path / "learned.json"
    if not file.exists():
        return None
    return graphax.load_order(file).order if problem == "RoeFlux_1d" else Scheme.load(file).rank


def check(problem, whole, killed, tmp_path):
    """What a killed run left is gone on from, to where the whole run came."""
    said_before = played(killed)
    path = tmp_path / "resumed"
    status, out, err = run("train", f"resume={killed}", f"run_dir={path}", *TURNS[:1], code=EAGER)
    if not (killed / "config.yaml").exists():
        assert status == 2 and "config.yaml" in err
        return
    assert status == 0, err
    assert played(path) == played(whole), f"{len(said_before)} lines before"
    assert said_before == played(whole)[: len(said_before)]
    seconds = [line["seconds"] for line in lines_of(path)]
    assert seconds == sorted(seconds)
    assert learned(problem, path) == learned(problem, whole)
    assert (path / PROBLEMS[problem]).exists() and "to use it" in out
    assert not list(killed.rglob("*.part"))


def kill(program):
    program.send(signal.SIGKILL)
    program.end()


@pytest.mark.parametrize("problem", ["RoeFlux_1d", pytest.param("matmul_2x2x2", marks=pytest.mark.slow)])
def test_a_killed_run_goes_on_bit_for_bit(problem, uninterrupted, tmp_path):
    path = tmp_path / "run"
    with Program(*command(problem, path), code=EAGER) as program:
        assert program.until(lambda: len(lines_of(path)) > LENGTH * 2 // 3)
        kill(program)
    check(problem, uninterrupted(problem), path, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("moment", range(KILLS))
@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_run_that_is_killed_at_any_moment_goes_on_bit_for_bit(problem, moment, uninterrupted, tmp_path):
    whole = uninterrupted(problem)
    chance = random.Random(f"{problem} {moment}")
    path = tmp_path / "run"
    # Half of those that are killed early compile anew.
    more = {"env": os.environ | {"GRAPHAX_COMPILED": "off"}} if moment % 8 == 0 else {}
    with Program(*command(problem, path), code=EAGER, **more) as program:
        match moment % 4:
            case 0:  # loading, compiling
                program.until(lambda: path.exists())
                time.sleep(chance.uniform(0, 8))
            case 1:  # study
                program.until(lambda: len(lines_of(path)) > chance.randrange(LENGTH // 2))
                time.sleep(chance.uniform(0, 0.05))
            case 2:  # play
                program.until(lambda: len(lines_of(path)) > chance.randrange(LENGTH // 2, LENGTH))
                time.sleep(chance.uniform(0, 0.05))
            case 3:  # while a checkpoint is written
                program.until(lambda: len(lines_of(path)) > chance.randrange(LENGTH - 1))
                program.until(lambda: list((path / "checkpoints").glob("next*")), timeout=5)
        kill(program)
    check(problem, whole, path, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_run_that_is_killed_again_and_again_comes_to_the_same_end(problem, uninterrupted, tmp_path):
    whole, chance = uninterrupted(problem), random.Random(problem)
    paths = [tmp_path / str(number) for number in range(6)]
    words = command(problem, paths[0])
    for path, following in itertools.pairwise(paths):
        with Program(*words, code=EAGER) as program:
            program.until((path / "config.yaml").exists)  # from then on the folder is a run's
            more = len(lines_of(path)) + chance.randrange(1, 4)
            program.until(lambda path=path, more=more: len(lines_of(path)) >= more)
            kill(program)
        words = ["train", f"resume={path}", f"run_dir={following}", *TURNS[:1]]
    status, _, err = run(*words, code=EAGER)
    assert status == 0, err
    assert played(paths[-1]) == played(whole)


@pytest.mark.slow
@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_run_that_goes_on_and_is_killed_before_its_first_turn_has_lost_nothing(
    problem, uninterrupted, tmp_path
):
    whole, again = uninterrupted(problem), tmp_path / "again"
    more = f"iterations={2 * LENGTH}"
    with Program("train", f"resume={whole}", f"run_dir={again}", more) as program:
        assert program.until(lambda: (again / "config.yaml").exists())
        kill(program)
    assert lines_of(again) == lines_of(whole)
    path = tmp_path / "resumed"
    status, out, err = run("train", f"resume={again}", f"run_dir={path}", TURNS[0])
    assert status == 0 and "beginning anew" not in out, (out, err)
    assert lines_of(path) == lines_of(whole)
