"""The command line, as a user meets it."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time

import pytest

import graphax
from alphagrad import tasks
from alphagrad.cli import main

# A network and a search that compile quickly and learn nothing much.
SMALL = (
    "agent.width=8 search.simulations=2 search.considered=2 selfplay.games=2 learning.updates=1 "
    "learning.games=2 learning.positions=2 replay.latest=8 replay.best=2 demonstrations.games=3 "
    "demonstrations.updates=2"
).split()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a short run."""
    path = tmp_path_factory.mktemp("runs") / "run"
    assert main(["train", "task=Lighthouse", "seed=3", "seconds=14", f"run_dir={path}", *SMALL]) == 0
    return path


def test_a_run_leaves_everything_in_its_folder(finished):
    names = sorted(path.name for path in finished.iterdir())
    assert [name for name in names if not name.startswith("events.out")] == [
        "checkpoints", "config.yaml", "metrics.jsonl", "order.json", "report.html",
    ]  # fmt: skip
    assert any(name.startswith("events.out.tfevents") for name in names)
    metrics = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    played = [line for line in metrics if line["mean"] is not None]
    assert played and played[-1]["games"] == 2 * played[-1]["iteration"]
    assert all(a["best"] <= b["best"] for a, b in itertools.pairwise(played))


def test_the_saved_order_costs_what_the_run_reported(finished):
    task = tasks.load("Lighthouse")
    graph = graphax.trace(task.fun, task.argnums)(*task.args)
    order = graphax.load_order(finished / "order.json")
    assert (order.method, order.seed, order.task) == ("alphazero", 3, "Lighthouse")
    last = json.loads((finished / "metrics.jsonl").read_text().splitlines()[-1])
    assert graph.counted().cost(order.order).mults == order.counted == -last["best"]
    page = (finished / "report.html").read_text()
    assert " ".join(map(str, order.order)) in page and "data:image/png;base64," in page
    assert f"<td>{order.counted}</td>" in page


def test_a_run_goes_on_from_another(finished, tmp_path, capsys):
    path = tmp_path / "more"
    assert main(["train", f"resume={finished}", f"run_dir={path}", "seconds=4"]) == 0
    first = json.loads((path / "metrics.jsonl").read_text().splitlines()[0])
    before = json.loads((finished / "metrics.jsonl").read_text().splitlines()[-1])
    assert first["iteration"] == before["iteration"] + 1
    assert (path / "order.json").exists()


def test_nothing_is_overwritten(finished, capsys):
    before = {path: path.read_bytes() for path in finished.iterdir() if path.is_file()}
    assert main(["train", "task=Lighthouse", "seconds=1", f"run_dir={finished}"]) == 2
    assert "exists and is not empty" in capsys.readouterr().err
    assert before == {path: path.read_bytes() for path in finished.iterdir() if path.is_file()}


def test_a_checkpoint_of_another_task_or_network_or_a_damaged_one_is_refused(finished, tmp_path, capsys):
    def refused(*words):
        code = main(["train", f"run_dir={tmp_path / 'new'}", *words])
        return capsys.readouterr().err if code == 2 else f"exit status {code}"

    assert "made for another task" in refused(f"resume={finished}", "task=Hole")
    assert "of other settings than these" in refused(f"resume={finished}", "agent.width=16")
    copy = tmp_path / "copy"
    (copy / "checkpoints").mkdir(parents=True)
    (copy / "config.yaml").write_text((finished / "config.yaml").read_text())
    whole = (finished / "checkpoints" / "latest.eqx").read_bytes()
    (copy / "checkpoints" / "latest.eqx").write_bytes(whole[: len(whole) // 2])
    assert "is damaged" in refused(f"resume={copy}")
    (copy / "checkpoints" / "latest.eqx").write_bytes(b"\x80\x04garbage")
    assert "is not a checkpoint" in refused(f"resume={copy}")
    assert "No such file" in refused(f"resume={tmp_path / 'nowhere'}")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trian"], "unknown command 'trian'; did you mean 'train'"),
        (["train"], "say what to work on: task=NAME"),
        (["train", "task=RoeFlux_1"], "did you mean 'RoeFlux_1d'"),
        (["train", "task=Simple", "sead=1"], "unknown setting 'sead'; did you mean 'seed'"),
        (["train", "task=none.py:f"], "none.py"),
        (["show"], "say what to work on: task=NAME"),
        (["show", "task=Roe"], "no task"),
        (["tasks", "x=1"], "takes no settings"),
    ],
)
def test_wrong_use_is_said_in_one_line(words, message, capsys):
    assert main(words) == 2
    err = capsys.readouterr().err
    assert message in err and "Traceback" not in err and len(err.strip().splitlines()) == 1


def test_help_lists_commands_and_settings(capsys):
    assert main(["--help"]) == 0
    assert "show task=NAME" in capsys.readouterr().out
    assert main(["train", "--help"]) == 0
    assert "search.simulations" in capsys.readouterr().out


def test_show_prints_the_graph_and_the_published_figures(capsys):
    assert main(["show", "task=PropaneCombustion"]) == 0
    out = capsys.readouterr().out
    assert "51 eliminable" in out and "111" in out and "published" in out


def test_tasks_lists_them(capsys):
    assert main(["tasks"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in ("RoeFlux_1d", "Encoder", "random_scalar"))


def test_a_task_of_ones_own(tmp_path, capsys):
    path = tmp_path / "mine.py"
    path.write_text(
        "import jax.numpy as jnp\nfrom alphagrad import tasks\n\n"
        "def my_task():\n"
        "    fun = lambda x, y: jnp.sin(jnp.cos(x) * y)\n"
        "    return tasks.Task(name='mine', fun=fun, args=(0.5, 2.0), argnums=(0, 1))\n"
    )
    assert main(["show", f"task={path}:my_task"]) == 0
    assert "mine: multiplications" in capsys.readouterr().out


def test_ctrl_c_ends_a_run_with_the_best_order_saved(tmp_path):
    path = tmp_path / "run"
    command = [sys.executable, "-m", "alphagrad", "train", "task=Lighthouse", "seconds=120", *SMALL]
    process = subprocess.Popen(
        [*command, f"run_dir={path}"],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
    )
    deadline = time.monotonic() + 90
    while not (path / "order.json").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130 and "stopping after this turn" in out and "learned" in out
    assert graphax.load_order(path / "order.json").method == "alphazero"
    assert (path / "report.html").exists() and (path / "checkpoints" / "latest.eqx").exists()
