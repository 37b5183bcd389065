"""`alphagrad search`, as a user meets it."""

import dataclasses
import itertools
import json
import os
import shlex
import signal
import threading
import time
from html import unescape

import jax
import numpy as np
import pytest

import graphax
from alphagrad import tasks
from alphagrad.cli import main
from alphagrad.orders.search import OrderSearchConfig
from alphagrad.run.result import load_result
from alphagrad.run.settings import parse
from graphax import orders

MODEL = """
import jax.numpy as jnp

def residual(x, w):
    return jnp.tanh(w @ x) * jnp.sin(x)
"""


@pytest.fixture(autouse=True, scope="module")
def order_store(tmp_path_factory):
    """A store of the tests' own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRAPHAX_ORDER_STORE", str(tmp_path_factory.mktemp("store")))
        yield


def graph_of(name):
    task = tasks.load(name)
    return graphax.trace(task.fun, task.argnums)(*task.args)


def metrics_of(path):
    return [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a short run."""
    path = tmp_path_factory.mktemp("runs") / "run"
    assert main(["search", "task=RobotArm_6DOF", "seed=3", "seconds=20", f"run_dir={path}"]) == 0
    return path


def test_a_run_leaves_everything_in_its_folder(finished):
    assert sorted(path.name for path in finished.iterdir()) == [
        "config.yaml", "elimination.html", "metrics.jsonl", "order.json", "report.html", "result.json",
    ]  # fmt: skip
    metrics = metrics_of(finished)
    assert all(a["best"] >= b["best"] for a, b in itertools.pairwise(metrics))
    assert all(a["evaluations"] <= b["evaluations"] for a, b in itertools.pairwise(metrics))
    assert metrics[-1]["bound"] <= metrics[-1]["best"] and metrics[-1]["evaluations"] > 10


def test_the_saved_order_is_no_worse_than_the_classical_ones_and_costs_what_was_said(finished):
    graph = graph_of("RobotArm_6DOF")
    order = graphax.load_order(finished / "order.json")
    assert (order.method, order.seed, order.task) == ("search", 3, "RobotArm_6DOF")
    assert order.counted == graph.counted().cost(order.order).mults == metrics_of(finished)[-1]["best"]
    for known in (orders.forward, orders.reverse, orders.markowitz, orders.auto):
        assert order.counted <= graph.counted().cost(known(graph)).mults
    page = (finished / "report.html").read_text()
    assert " ".join(map(str, order.order)) in page
    assert f"<td>{order.counted}</td><td>{order.free}</td>" in page and "lower bound" in page


def test_the_report_says_how_to_use_the_order_and_how_to_run_again(finished, capsys):
    result = load_result(finished)
    program, order = result.findings.use, graphax.load_order(finished / "order.json")
    task = tasks.load("RobotArm_6DOF")
    found: dict[str, object] = {}
    exec(program, found)
    ours = found["jacobian"](*task.args)
    np.testing.assert_allclose(
        ours[0], jax.jacrev(task.fun, task.argnums)(*task.args)[0], rtol=2e-4, atol=1e-5
    )
    assert found["order"] == order and f"argnums={task.argnums}" in program
    said = shlex.split(result.again)
    assert said[:2] == ["alphagrad", "search"]
    again, asked = parse(OrderSearchConfig, said[2:]), parse(OrderSearchConfig, [], finished / "config.yaml")
    assert again == dataclasses.replace(asked, run_dir=None)
    assert (result.task, result.seed, result.findings.best) == ("RobotArm_6DOF", 3, order.counted)
    page = unescape((finished / "report.html").read_text())
    assert program in page and result.again in page and "jaxlib" in page


def test_a_run_keeps_to_its_time(tmp_path):
    start = time.perf_counter()
    assert main(["search", "task=RoeFlux_1d", "seconds=6", f"run_dir={tmp_path / 'run'}"]) == 0
    assert time.perf_counter() - start < 9


def test_a_small_graph_is_proved_and_ends_early(tmp_path, capsys):
    start = time.perf_counter()
    words = ["search", "task=Simple", "seconds=60", "unit_edges=counted", f"run_dir={tmp_path / 'run'}"]
    assert main(words) == 0
    assert time.perf_counter() - start < 20
    graph = graph_of("Simple").counted()
    least = min(graph.cost(order).mults for order in itertools.permutations(graph.eliminable))
    out = capsys.readouterr().out
    assert f"found: {least} multiplications (counted), optimal (proved)" in out
    order = graphax.load_order(tmp_path / "run" / "order.json")
    assert graph.cost(order.order).mults == order.counted == least


def test_the_last_words_are_a_program_that_runs(tmp_path, capsys):
    assert main(["search", "task=Simple", "seconds=5", f"run_dir={tmp_path / 'run'}"]) == 0
    (words,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("to use it: "))
    task = tasks.load("Simple")
    there = {"graphax": graphax, "jacve": graphax.jacve, "f": task.fun}
    jacobian = eval(words.removeprefix("to use it: "), there)(*task.args)
    expected = jax.jacrev(task.fun, task.argnums)(*task.args)
    assert len(task.argnums) > 1
    jax.tree.map(np.testing.assert_allclose, jacobian, expected)


def test_a_search_that_meets_the_bound_ends(tmp_path, capsys, monkeypatch):
    graph = graph_of("RobotArm_6DOF")
    least = graph.cost(orders.auto(graph)).mults - 1
    monkeypatch.setattr(orders, "lower_bound", lambda graph: least)
    start = time.perf_counter()
    path = tmp_path / "run"
    assert main(["search", "task=RobotArm_6DOF", "seconds=60", "unit_edges=free", f"run_dir={path}"]) == 0
    assert time.perf_counter() - start < 40
    assert "optimal (proved)" in capsys.readouterr().out
    assert graphax.load_order(path / "order.json").free <= least


def test_the_found_order_is_remembered_unless_told_otherwise(tmp_path, capsys, monkeypatch):
    remembered = []

    def remember(graph, order, **more):
        remembered.append((order, more))
        return len(remembered) == 1

    monkeypatch.setattr(orders, "remember", remember)
    words = ["search", "task=Simple", "seconds=4"]
    assert main([*words, f"run_dir={tmp_path / 'a'}", "remember=false"]) == 0
    assert main([*words, f"run_dir={tmp_path / 'b'}", "objective=flops"]) == 0
    out = capsys.readouterr().out
    assert not remembered and "remembered" not in out
    assert main([*words, f"run_dir={tmp_path / 'd'}"]) == 0
    ((order, more),) = remembered
    assert order == graphax.load_order(tmp_path / "d" / "order.json").order and more["task"] == "Simple"
    assert more["method"] == "auto" and more["seed"] == 0 and 0 < more["seconds"] < 20
    out = capsys.readouterr().out
    assert "\nremembered: order='auto' takes it from now on" in out and "\nauto\t" in out
    assert main([*words, f"run_dir={tmp_path / 'e'}"]) == 0
    assert "not remembered: order='auto' takes one of no more multiplications" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("objective", "column", "bounded"),
    [
        ("flops", "flops", True),
        ("memory", "numbers held", False),
        ("time", "estimated", False),
        ("runtime", "run time", False),
    ],
)
def test_other_objectives_have_a_column_of_their_own(tmp_path, capsys, objective, column, bounded):
    path = tmp_path / "run"
    words = ["search", "task=Lighthouse", "seconds=4", f"objective={objective}", f"run_dir={path}"]
    assert main(words) == 0
    out = capsys.readouterr().out
    verdict = out[out.index("found: ") :]
    assert column in out and ("no lower bound known" in verdict) == (not bounded)
    graph = graph_of("Lighthouse")
    order = graphax.load_order(path / "order.json").order
    best = metrics_of(path)[-1]["best"]
    if objective != "runtime":
        assert orders.evaluate(graph, order, objective) == best
        for classical in (orders.forward, orders.reverse, orders.markowitz):
            assert best <= orders.evaluate(graph, classical(graph), objective)
    else:
        assert 0 < best < 1 and "fewest flops" in out and "least memory" in out


def test_ctrl_c_ends_a_run_with_the_best_order_saved(tmp_path, capsys):
    path = tmp_path / "run"

    def interrupt():
        deadline = time.monotonic() + 40
        while time.monotonic() < deadline and not any(line["evaluations"] for line in metrics()):
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    def metrics():
        return metrics_of(path) if (path / "metrics.jsonl").exists() else []

    start = time.monotonic()
    thread = threading.Thread(target=interrupt)
    thread.start()
    assert main(["search", "task=RoeFlux_3d", "seconds=100", f"run_dir={path}"]) == 130
    thread.join()
    assert time.monotonic() - start < 60
    out = capsys.readouterr().out
    assert "stopping" in out and "found" in out and "lower bound" in out
    assert graphax.load_order(path / "order.json").counted <= 979
    assert (path / "report.html").exists()


def test_a_function_of_ones_own_is_searched_shown_and_named(tmp_path, capsys):
    model = tmp_path / "model.py"
    model.write_text(MODEL)
    words = [f"task={model}:residual", "args=f32[3],f32[3,3]", "argnums=0,1"]
    path = tmp_path / "run"
    assert main(["search", *words, "seconds=4", f"run_dir={path}"]) == 0
    assert "residual: multiplications" in capsys.readouterr().out
    task = tasks.load(f"{model}:residual", "f32[3],f32[3,3]")
    order = graphax.load_order(path / "order.json")
    jacobian = graphax.jacve(task.fun, order=order, argnums=(0, 1))(*task.args)
    assert [leaf.shape for leaf in jacobian] == [(3, 3), (3, 3, 3)]
    assert main(["show", *words]) == 0
    assert "residual: multiplications" in capsys.readouterr().out


def test_nothing_is_overwritten(finished, capsys):
    before = {path: path.read_bytes() for path in finished.iterdir()}
    assert main(["search", "task=Lighthouse", "seconds=1", f"run_dir={finished}"]) == 2
    err = capsys.readouterr().err
    assert "exists and is not empty" in err and "resume" not in err
    assert before == {path: path.read_bytes() for path in finished.iterdir()}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["search"], "say what to work on: task=NAME"),
        (["serch", "task=Simple"], "did you mean 'search'"),
        (["search", "task=RoeFlux_1"], "did you mean 'RoeFlux_1d'"),
        (["search", "task=Simple", "objectiv=mults"], "did you mean 'objective'"),
        (["search", "task=Simple", "objective=multz"], "unknown objective 'multz'; did you mean 'mults'"),
        (["search", "task=Simple", "objective=qqq"], "known are mults, flops, memory, time, runtime"),
        (["search", "task=Simple", "unit_edges=none"], "must be 'counted' or 'free'"),
        (["search", "task=Simple", "seconds=-1"], "seconds=-1.0 must be positive"),
        (["search", "task=Simple", "workers=0"], "workers=0 must be at least 1"),
        (["search", "task=Simple", "remember=maybe"], "remember=maybe must be true or false"),
        (["search", "task=Simple", "resume=x"], "unknown setting 'resume'"),
        (["search", "task=Simple", "args=f32[]"], "args= describes a function of your own"),
        (["search", "task=random_scalar:operations=1,inputs=1,outputs=1"], "nothing to search for"),
    ],
)
def test_wrong_use_is_said_in_one_line(words, message, capsys):
    assert main(words) == 2
    err = capsys.readouterr().err
    assert message in err and "Traceback" not in err and len(err.strip().splitlines()) == 1


def test_help_lists_the_settings(capsys):
    assert main(["search", "--help"]) == 0
    out = capsys.readouterr().out
    assert all(key in out for key in ("objective", "unit_edges", "workers", "remember", "args"))
    assert main(["--help"]) == 0
    assert "search TASK" in capsys.readouterr().out
