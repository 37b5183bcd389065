"""The command line, as a user meets it."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import graphax
from alphagrad import tasks
from alphagrad.cli import main
from alphagrad.commands import NAMES
from graphax import orders
from graphax.files import _machine

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
    assert main(["train", "task=Lighthouse", "seed=3", "iterations=5", f"run_dir={path}", *SMALL]) == 0
    return path


def test_a_run_leaves_everything_in_its_folder(finished):
    names = sorted(path.name for path in finished.iterdir())
    assert [name for name in names if not name.startswith("events.out")] == [
        "checkpoints", "config.yaml", "elimination.html", "learned.json", "metrics.jsonl", "order.json",
        "report.html", "result.json",
    ]  # fmt: skip
    assert any(name.startswith("events.out.tfevents") for name in names)
    metrics = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    played = [line for line in metrics if line["mean"] is not None]
    assert [line["iteration"] for line in played] == [1, 2, 3, 4, 5] and played[-1]["games"] == 10
    assert all(a["best"] <= b["best"] for a, b in itertools.pairwise(played))


def test_the_saved_orders_cost_what_the_run_reported(finished):
    task = tasks.load("Lighthouse")
    graph = graphax.trace(task.fun, task.argnums)(*task.args)
    learned = graphax.load_order(finished / "learned.json")
    assert (learned.method, learned.seed, learned.task) == ("alphazero", 3, "Lighthouse")
    last = json.loads((finished / "metrics.jsonl").read_text().splitlines()[-1])
    assert graph.cost(learned.order).mults == learned.free == -last["best"]
    best = graphax.load_order(finished / "order.json")
    assert best.method == "auto" and best.free == graph.cost(orders.auto(graph)).mults
    page = (finished / "report.html").read_text()
    assert " ".join(map(str, best.order)) in page
    assert f"<td>{best.free}</td>" in page and f"<td>{learned.free}</td>" in page
    assert f"the agent itself: {learned.free}" in page and "optimal (proved)" in page


def test_a_run_goes_on_from_another(finished, tmp_path, capsys):
    path = tmp_path / "more"
    assert main(["train", f"resume={finished}", f"run_dir={path}", "iterations=7"]) == 0
    before = (finished / "metrics.jsonl").read_text()
    joined = (path / "metrics.jsonl").read_text()
    assert joined.startswith(before)
    lines = [json.loads(line) for line in joined.splitlines()]
    assert [line["iteration"] for line in lines] == [0, 0, 1, 2, 3, 4, 5, 6, 7]
    assert all(a["seconds"] < b["seconds"] and a["games"] <= b["games"] for a, b in itertools.pairwise(lines))
    assert (path / "order.json").exists() and (path / "learned.json").exists()


def test_what_has_done_its_work_is_not_changed_in_a_run_that_goes_on(finished, tmp_path, capsys):
    for word in (
        "seed=99",
        "unit_edges=counted",
        "objective=time",
        "demonstrations.updates=9",
        "agent.heads=4",
    ):
        assert main(["train", f"resume={finished}", f"run_dir={tmp_path / 'new'}", word]) == 2
        assert f"{word} comes too late" in capsys.readouterr().err
    words = ["--resume", str(finished), "--run-dir", str(tmp_path / "new"), "--seed", "99"]
    assert main(["train", *words]) == 2
    assert "seed=99 comes too late" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_the_older_checkpoint_serves_when_the_latest_is_damaged(finished, tmp_path, capsys):
    folder = tmp_path / "copy"
    shutil.copytree(finished, folder)
    latest, previous = (folder / "checkpoints" / f"{name}.eqx" for name in ("latest", "previous"))
    latest.rename(previous)
    latest.write_bytes(previous.read_bytes()[:-1])
    (folder / "checkpoints" / f"next.eqx.{_machine()}-4194303-0123456789abcdef.part").touch()
    assert main(["train", f"resume={folder}", f"run_dir={tmp_path / 'more'}", "iterations=6"]) == 0
    assert "latest.eqx is damaged" in capsys.readouterr().out
    assert len((tmp_path / "more" / "metrics.jsonl").read_text().splitlines()) == 8
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == ["latest.eqx", "previous.eqx"]


@pytest.mark.slow
def test_lost_or_foreign_metrics_are_told_and_joined_by_time(finished, tmp_path, capsys):
    folder = tmp_path / "copy"
    shutil.copytree(finished, folder)
    lines = (finished / "metrics.jsonl").read_text().splitlines(keepends=True)

    def joined(name, text):
        (folder / "metrics.jsonl").write_text(text)
        assert main(["train", f"resume={folder}", f"run_dir={tmp_path / name}", "iterations=6"]) == 0
        return (tmp_path / name / "metrics.jsonl").read_text().splitlines(keepends=True)

    after = lines[-1].replace('"seconds": ', '"seconds": 1000')
    assert joined("cut", "".join([*lines[2:], after]))[:-1] == lines[2:]
    assert "only 5 of 7 lines" in capsys.readouterr().out
    for name, foreign in (
        ("other", '{"a": 1}\n'),
        ("null", lines[0].replace('"iteration": 0', '"iteration": null')),
    ):
        assert len(joined(name, foreign)) == 1
        assert "line 1: expected numbers named iteration" in capsys.readouterr().out


def test_a_run_that_has_played_all_its_games_says_so(finished, tmp_path, capsys):
    for at, words in enumerate((["seconds=9"], ["iterations=2"])):
        assert main(["train", f"resume={finished}", f"run_dir={tmp_path / str(at)}", *words]) == 0
        assert "5 are played already" in capsys.readouterr().out


def test_a_run_without_a_checkpoint_begins_anew(finished, tmp_path, capsys):
    folder = tmp_path / "begun"
    folder.mkdir()
    shutil.copy(finished / "config.yaml", folder)
    assert main(["train", f"resume={folder}", f"run_dir={tmp_path / 'more'}"]) == 0
    assert "has no checkpoint yet: beginning anew" in capsys.readouterr().out
    again, before = (
        [json.loads(line) | {"seconds": 0} for line in (path / "metrics.jsonl").read_text().splitlines()]
        for path in (tmp_path / "more", finished)
    )
    assert again == before


def test_a_proved_order_ends_training_at_once(tmp_path, capsys):
    start = time.monotonic()
    assert main(["train", "task=HumanHeartDipole", f"run_dir={tmp_path / 'run'}"]) == 0
    assert time.monotonic() - start < 60
    out = capsys.readouterr().out
    assert "by search: 148 multiplications (counted), optimal (proved)" in out
    assert "to use it: jacve(f, order=graphax.load_order(" in out
    assert graphax.load_order(tmp_path / "run" / "order.json").counted == 148


def test_a_file_that_only_a_folder_names_is_not_run(tmp_path, capsys):
    (tmp_path / "trap.py").write_text("raise SystemExit('run')\n")
    (tmp_path / "config.yaml").write_text(f"task: {tmp_path / 'trap.py'}:f\n")
    assert main(["train", f"resume={tmp_path}", f"run_dir={tmp_path / 'run'}"]) == 2
    err = capsys.readouterr().err
    assert "names a file that would be run" in err and "say task=" in err


@pytest.mark.parametrize("task", ["Simple", "matmul_2x2x2"])
def test_nothing_goes_on_from_a_search(task, tmp_path, capsys):
    path = tmp_path / "run"
    assert main(["search", f"task={task}", "seconds=2", f"run_dir={path}"]) == 0
    assert main(["train", f"resume={path}", f"run_dir={tmp_path / 'more'}"]) == 2
    assert "is the folder of a search" in capsys.readouterr().err


def test_what_is_no_folder_is_none_to_write_to(tmp_path, capsys):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for path in (tmp_path / "file", tmp_path / "link", "/dev/null"):
        assert main(["train", "task=Simple", f"run_dir={path}"]) == 2
        assert "is no folder; name another one" in capsys.readouterr().err


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
    assert "of other settings than these" in refused(f"resume={finished}", "selfplay.reopened=0.5")
    copy = tmp_path / "copy"
    (copy / "checkpoints").mkdir(parents=True)
    (copy / "config.yaml").write_text((finished / "config.yaml").read_text())
    whole = (finished / "checkpoints" / "latest.eqx").read_bytes()
    (copy / "checkpoints" / "latest.eqx").write_bytes(whole[: len(whole) // 2])
    assert "is damaged" in refused(f"resume={copy}")
    (copy / "checkpoints" / "latest.eqx").write_bytes(b"\x80\x04garbage")
    assert "is not a checkpoint, or is damaged" in refused(f"resume={copy}")
    for nothing in ("", tmp_path, tmp_path / "nowhere", copy / "config.yaml"):
        assert "is no folder of a run" in refused(f"resume={nothing}")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trian"], "unknown command 'trian'; did you mean 'train'"),
        (["docter"], "unknown command 'docter'; did you mean 'doctor'"),
        (["doctor", "x"], "takes no settings, got 'x'"),
        (["train", "Simple", "--sead", "1"], "unknown setting 'sead'; did you mean 'seed'"),
        (["train", "Simple", "--seed"], "--seed takes a value"),
        (["train", "Simple", "--ring", "Z"], "ring= is a setting for a matrix multiplication"),
        (["train"], "say what to work on: task=NAME"),
        (["train", "task=RoeFlux_1"], "did you mean 'RoeFlux_1d'"),
        (["train", "task=Simple", "sead=1"], "unknown setting 'sead'; did you mean 'seed'"),
        (["train", "task=none.py:f"], "none.py"),
        (["train", "task=matmul_9x9x9"], "more than 64 entries"),
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
    assert "show TASK" in capsys.readouterr().out
    assert main(["train", "--help"]) == 0
    out = capsys.readouterr().out
    assert "run_dir" in out and "search.*" in out and "search.simulations" not in out
    assert main(["train", "Simple", "--help-all"]) == 0
    out = capsys.readouterr().out
    assert "search.simulations" in out and "matrix multiplication" not in out


@pytest.mark.parametrize("columns", [30, 60, 80, 200])
def test_help_fits_the_terminal_and_cuts_no_name(columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main(["--help"]) == 0
    *lines, example = capsys.readouterr().out.splitlines()
    names = [line[2:].partition("  ")[0].split()[0] for line in lines if line[:2] == "  " and line[2] != " "]
    assert sorted(names) == sorted(NAMES)
    assert all(len(line) <= max(columns, 45) for line in lines) and "model.py:residual" in example
    assert "search and train save the best order" in " ".join(" ".join(lines).split())


def test_help_waits_for_no_import():
    program = "import sys; from alphagrad.cli import main; main(['--help']); sys.exit('jax' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(Path(graphax.__file__).parents[1])}
    subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.DEVNULL, env=environment)


def test_help_of_a_command_may_be_asked_for_first(capsys):
    assert main(["help", "show"]) == 0
    asked = capsys.readouterr().out
    assert main(["show", "-h"]) == 0
    assert asked == capsys.readouterr().out and "usage: alphagrad show TASK" in asked


def test_show_prints_the_graph_and_the_published_figures(capsys):
    assert main(["show", "task=PropaneCombustion"]) == 0
    out = capsys.readouterr().out
    assert "51 eliminable" in out and "111" in out and "published" in out


def test_tasks_lists_them(capsys):
    assert main(["tasks"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in ("RoeFlux_1d", "Encoder", "random_scalar"))


def test_rows_are_for_other_programs_where_no_terminal_is(capsys):
    assert main(["tasks"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    assert rows[0] == ["name", "domain", "inputs", "source"] and all(len(row) == 4 for row in rows)
    assert [row[0] for row in rows[1:]] == list(tasks.names())
    assert main(["show", "PropaneCombustion"]) == 0
    out = capsys.readouterr().out
    assert "\nreverse\t" in out and "\x1b" not in out and not any(letter in out for letter in "│┃─")


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
    command = [sys.executable, "-m", "alphagrad", "train", "task=RoeFlux_1d", "seconds=120"]
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
    asked = time.monotonic()
    out, _ = process.communicate(timeout=60)
    assert time.monotonic() - asked < 6
    assert process.returncode == 130 and "stopping; Ctrl-C again" in out and "best known, by" in out
    assert graphax.load_order(path / "order.json").counted <= 364
