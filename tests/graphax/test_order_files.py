"""Files of orders, and whatever else may lie in their place."""

import json
import os
import shutil
import socket
import subprocess
import sys
import warnings
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import graphax
from alphagrad import tasks
from alphagrad.orders.train import OrderTrainConfig
from alphagrad.run.folder import read_metrics
from alphagrad.run.settings import ConfigError, named_task, parse
from alphagrad.zero.checkpoint import Position, load_checkpoint, save_checkpoint
from graphax import files, orders
from graphax.choose import _auto, _store

ROOT = Path(__file__).parents[2]


def fun(x, y):
    a = jnp.sin(x) * y
    return jnp.exp(a) * jnp.cos(a) + x, a * y


GRAPH = graphax.trace(fun)(1.0, 2.0)


@pytest.fixture
def path(tmp_path):
    """An order file."""
    graphax.save_order(tmp_path / "order.json", GRAPH, orders.reverse(GRAPH), method="reverse", seconds=0.5)
    return tmp_path / "order.json"


# --- what stands in a file ------------------------------------------------------------------------------


WRONG = {
    "fingerprint": [None, 5, "", "0" * 63, "g" * 64, ["0" * 64]],
    "order": [None, 5, "1234", {"1": 2}, [1, 2.0], [1, True], [1, "2"], [0, 1], [-1, 1], [1, 1], [[1]]],
    "counted": [None, -1, 1.0, True, "7", [7]],
    "free": [None, -1, 1.5, False, "7", float("nan")],
    "method": [None, 5, ["reverse"]],
    "seed": [1.0, "1", True, [1]],
    "seconds": ["1", -1.0, float("nan"), float("inf"), True, [1.0]],
    "task": [5, ["task"], True],
    "version": [None, "2", 2.0, 3, -2, 10**30, [2]],
}


@pytest.mark.parametrize("key", WRONG)
def test_wrong_values_are_refused_with_the_files_name(key, path):
    good = json.loads(path.read_text())
    for value in WRONG[key]:
        path.write_text(json.dumps(good | {key: value}))
        with pytest.raises(ValueError, match=rf"order\.json is not an order file: .*{key}"):
            graphax.load_order(path)
    path.write_text(json.dumps(good))
    assert graphax.load_order(path).order == orders.reverse(GRAPH)


def test_a_file_of_the_first_version_is_refused_with_what_to_do(path):
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": 1}))
    with pytest.raises(ValueError, match=r"order\.json .*version 1 .*search for the order again"):
        graphax.load_order(path)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"[" * 5_000, "(nested too deeply|Expecting value)"),  # Python 3.12 reads deeper than 3.11
        (b'{"a":' * 5_000, "(nested too deeply|Expecting value)"),
        (b'{"order": [' + b"1" * 5_000 + b"]}", "digits"),
        (b"\xff\xfe\x00", "no text in UTF-8"),
        (b'{"task": "\xe9"}', "no text in UTF-8"),
        (b"", "Expecting value"),
        (b"\xef\xbb\xbf{}", "BOM"),
        (b"\x00" * 100, "Expecting value"),
        (b"null", "expected a JSON object"),
        (b"{}", "missing keys"),
        (b" " * (files.LARGEST + 1), "more than"),
    ],
)
def test_what_is_no_order_file_is_refused_with_its_name_and_the_reason(content, why, path):
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"order\.json is not an order file: .*{why}"):
        graphax.load_order(path)


def test_costs_that_a_file_claims_are_counted_where_the_graph_is_at_hand(path):
    good = graphax.load_order(path)
    assert good.priced(GRAPH) == good
    path.write_text(json.dumps(json.loads(path.read_text()) | {"counted": 0, "free": 0}))
    assert graphax.load_order(path).priced(GRAPH) == good
    with pytest.raises(ValueError, match="made for another graph"):
        good.priced(graphax.trace(lambda x: jnp.sin(jnp.cos(jnp.exp(x))))(1.0))


def test_nothing_is_saved_that_could_not_be_loaded(tmp_path):
    for wrong in ({"seed": 1.5}, {"seconds": float("nan")}, {"seconds": -1}, {"task": 5}, {"method": None}):
        with pytest.raises(TypeError, match=next(iter(wrong))):
            graphax.save_order(tmp_path / "o", GRAPH, GRAPH.eliminable, **({"method": "mine"} | wrong))
    assert not list(tmp_path.iterdir())
    seconds = np.float64(0.5)
    graphax.save_order(tmp_path / "o", GRAPH, GRAPH.eliminable, method="mine", seconds=seconds)
    assert graphax.load_order(tmp_path / "o").seconds == 0.5


COMMITTED = sorted((ROOT / "benchmarks/results/orders").rglob("*.json"))
COMMITTED += sorted((ROOT / "benchmarks/results/search").glob("*-*.json"))


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
def test_committed_orders_are_of_their_tasks_and_cost_what_they_say(path):
    order = graphax.load_order(path)
    task = tasks.load(order.task)
    assert order.priced(graphax.trace(task.fun, task.argnums)(*task.args)) == order


# --- what lies in a file's place -------------------------------------------------------------------------


def in_place(kind, path):
    """Put something that is no file in a file's place."""
    path.unlink(missing_ok=True)
    if kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a folder":
        path.mkdir()
    elif kind == "a socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(os.path.relpath(path))  # such names may not be long
    elif kind == "a device":
        path.symlink_to("/dev/zero")
    else:
        path.symlink_to(path.name)


NO_FILES = ["a pipe", "a folder", "a socket", "a device", "round in a circle"]


def read_config(path):
    return parse(OrderTrainConfig, ["task=Hole"], path)


READERS = {
    "order.json": graphax.load_order,
    "config.yaml": read_config,
    "its task": lambda path: named_task([], path),
    "metrics.jsonl": lambda path: read_metrics(path.parent),
    "latest.eqx": lambda path: load_checkpoint(path, None, ""),  # pyright: ignore[reportArgumentType]
}


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pipes in folders")
@pytest.mark.parametrize("name", READERS)
def test_what_is_no_file_is_refused_at_once_with_its_name(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for at, kind in enumerate(NO_FILES):
        path = tmp_path / f"{at}" / name
        path.parent.mkdir()
        in_place(kind, path)
        with pytest.raises(ValueError, match=rf"{name}.*{kind}"):
            READERS[name](path)
    missing = tmp_path / "nowhere" / name
    with pytest.raises((FileNotFoundError, ConfigError), match=rf"No such file.*{name}"):
        READERS[name](missing)


def test_a_name_that_no_file_can_have_is_refused():
    with pytest.raises(ValueError, match="is not an order file: embedded null"):
        graphax.load_order("a\0b")


@pytest.mark.parametrize("kind", NO_FILES)
def test_auto_does_not_wait_for_what_lies_in_the_place_of_a_stored_order(kind, tmp_path, monkeypatch):
    store = tmp_path / "s"
    monkeypatch.setenv("GRAPHAX_ORDER_STORE", str(store))
    monkeypatch.chdir(tmp_path)
    _store.forget()
    graph = graph_of("KerrSen")
    order = orders.auto(graph)
    (path,) = store.iterdir()
    in_place(kind, path)
    _store.forget()
    monkeypatch.setattr(_store, "_warned", True)
    assert orders.auto(graph) == order
    _store.forget()


# --- settings, metrics, checkpoints ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"a: &a [1]\nb: [*a, *a]", "must be a text or a number"),
        (b"[" * 5_000, "nested too deeply"),
        (b"\xff\xfe", "UTF-8"),
        (b"task: \x00", "characters"),
        (b"5", "is not a file of settings"),
        (b"- 1", "expected lines of the form"),
        (b"task: a\ntask: b", "'task' is there twice"),
        (b"task: [Hole]", "line 1: 'task' must be a text"),
        (b"task: a\nagent: {width: {a: 1}}", "line 2: 'width' must be a text or a number"),
        (b"? [a]\n: b", "line 1: expected the name of a setting"),
        (b'seed: 1\ntask: "', "line 2: found unexpected end of stream"),
        (b'task: "\\UFFFFFFFF"', "is not a file of settings"),
        (b"task: *a", "line 1: found undefined alias"),
        (b"task: a\n---\ntask: b", "line 2: but found another document"),
        (b"task: '" + b"x" * 2**16 + b"'", "more than"),
    ],
)
def test_broken_settings_are_refused_with_the_files_name(text, why, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_bytes(text)
    for read in (READERS["config.yaml"], READERS["its task"]):
        with pytest.raises(ConfigError, match=rf"(?s)config\.yaml.*{why}"):
            read(path)


@pytest.mark.parametrize(
    "text",
    ["1: 2", "seed: soon", "agent: 5", "seed: " + "9" * 5_000, "seed:", "agent: {width: ~}", "objective: x"],
)
def test_settings_that_do_not_fit_are_refused_with_the_files_name(text, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"with the settings of .*config\.yaml"):
        read_config(path)


@pytest.mark.parametrize("line", ["", "[1]", "5", "{", "[" * 5_000, '{"a": ' + "1" * 5_000 + "}"])
def test_broken_metrics_are_refused_with_the_files_name_and_line(line, tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"best": NaN}\n' + line + "\n")
    with pytest.raises(ValueError, match=r"metrics\.jsonl, line 2: "):
        read_metrics(tmp_path)
    (tmp_path / "metrics.jsonl").write_text('{"best": -3.0}\n{"best": null}\n')
    assert read_metrics(tmp_path) == [{"best": -3.0}, {"best": None}]


class Kept(NamedTuple):
    """What a checkpoint of a training holds, in small."""

    weights: jax.Array
    iteration: jax.Array


def test_broken_checkpoints_are_refused_with_the_files_name(tmp_path):
    path = tmp_path / "latest.eqx"
    kept = Kept(jnp.arange(3.0), jnp.int32(4))
    save_checkpoint(path, kept, Position(3, 4, 5.0), "game")
    whole = path.read_bytes()
    header, _, leaves = whole.partition(b"\n")
    np.testing.assert_array_equal(load_checkpoint(path, kept, "game")[0].weights, kept.weights)
    with pytest.raises(ValueError, match=r"latest\.eqx.*made for another task"):
        load_checkpoint(path, kept, "another game")
    huge = leaves.replace(b"(3,)", b"(9999999999999,)")
    for content, why in {
        b"": "is not a checkpoint",
        b"\n" + leaves: "is not a checkpoint",
        b"[" * 5_000 + b"\n": "is not a checkpoint",
        b"[]\n": "is not a checkpoint",
        b"x" * 10**6: "is not a checkpoint",
        header.replace(b'"version": 3', b'"version": 1') + b"\n" + leaves: "version 1 .* begin anew",
        header.replace(b"game", b"gone") + b"\n" + leaves: "is damaged",
        whole[:-3]: "is damaged",
        whole + b"\x00": "is damaged",
        header + b"\n" + b"\x00" * 200: "is damaged",
        header + b"\n" + huge: "is damaged",
        header + b"\n" + leaves.replace(b"(3,)", b"(4,)"): "is damaged",
        header + b"\n" + leaves.replace(b"NUMPY", b"PANDA"): "is damaged",
    }.items():
        path.write_bytes(content)
        with pytest.raises(ValueError, match=rf"(?s)latest\.eqx.*{why}"):
            load_checkpoint(path, kept, "game")


@pytest.mark.parametrize("text", [b"def f(:\n", b"\xff\xfe", b"\x00", b"(" * 500])
def test_a_task_file_that_is_no_python_is_refused_with_its_name(text, tmp_path):
    path = tmp_path / "model.py"
    path.write_bytes(text)
    with pytest.raises(ValueError, match=r"model\.py' is not a Python file"):
        tasks.load(f"{path}:f")


# --- the order store ---------------------------------------------------------------------------------------


def graph_of(name):
    task = tasks.load(name)
    return graphax.trace(task.fun, task.argnums)(*task.args)


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAPHAX_ORDER_STORE", str(tmp_path / "orders"))
    _store.forget()
    yield tmp_path / "orders"
    _store.forget()


@pytest.mark.parametrize("name", ["KerrSen", "RoeFlux_1d", "BlackScholes"])
def test_a_stored_order_that_a_classical_one_beats_is_not_taken(name, store):
    graph = graph_of(name)
    found, best = orders.auto(graph), min(map(cost_in(graph), classical(graph)))
    generator = np.random.default_rng(0)
    bad = next(
        order
        for order in (tuple(map(int, generator.permutation(graph.eliminable))) for _ in range(1000))
        if graph.cost(order).mults > best
    )
    path = store / f"{graph.fingerprint}.json"
    graphax.save_order(path, graph, bad, method="chance")
    for claim in (graph.cost(bad).mults, 0, 10**9):  # whatever it says of itself
        path.write_text(json.dumps(json.loads(path.read_text()) | {"free": claim}))
        _store.forget()
        assert orders.auto(graph) == found
        graphax.save_order(path, graph, bad, method="chance")


def test_a_stored_order_is_taken_for_what_it_costs_and_not_for_what_it_says(store):
    graph = graph_of("KerrSen")
    found = orders.auto(graph)
    path = store / f"{graph.fingerprint}.json"
    for claim in (0, 10**9):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"free": claim}))
        _store.forget()
        known = _store.recall(graph)
        assert (known.order, known.cost) == (found, graph.cost(found).mults)


def classical(graph):
    return orders.forward(graph), orders.reverse(graph), orders.markowitz(graph)


def cost_in(graph):
    return lambda order: graph.cost(order).mults


def test_remembering_in_a_folder_that_cannot_be_written_to_warns_each_time(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("text")
    graph = graph_of("KerrSen")
    order, dear = _auto.search_briefly(graph).order, orders.forward(graph)
    monkeypatch.setattr(_auto, "search_briefly", lambda graph: _auto.Found(dear, 1e9, "forward"))
    for environment in (
        {"GRAPHAX_ORDER_STORE": str(tmp_path / "file")},
        {"XDG_CACHE_HOME": str(tmp_path / "file")},
    ):
        for key in ("GRAPHAX_ORDER_STORE", "XDG_CACHE_HOME"):
            monkeypatch.delenv(key, raising=False)
        for key, value in environment.items():
            monkeypatch.setenv(key, value)
        monkeypatch.setattr(sys, "platform", "linux")
        for _ in range(2):
            _store.forget()
            with pytest.warns(UserWarning, match="cannot keep orders in .* this process alone") as record:
                assert orders.remember(graph, order, method="mine")
            assert record[0].filename == __file__
            assert orders.auto(graph) == order
    _store.forget()


def test_remembering_without_a_store_warns_unless_it_is_switched_off(monkeypatch):
    graph = graph_of("KerrSen")
    order, dear = _auto.search_briefly(graph).order, orders.forward(graph)
    monkeypatch.setattr(_auto, "search_briefly", lambda graph: _auto.Found(dear, 1e9, "forward"))
    _store.forget()
    monkeypatch.setenv("GRAPHAX_ORDER_STORE", "off")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert orders.remember(graph, order, method="mine")
    _store.forget()
    monkeypatch.delenv("GRAPHAX_ORDER_STORE")
    monkeypatch.setattr(_store, "store_folder", lambda: None)  # there is no home
    with pytest.warns(UserWarning, match="no folder to keep orders in"):
        assert orders.remember(graph, order, method="mine")
    _store.forget()


# --- machine code that is kept -------------------------------------------------------------------------


def test_machine_code_of_another_version_of_a_source_is_no_obstacle(tmp_path):
    source = tmp_path / "versions.py"
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "kept")}
    for name, then in (("Old", 1_000_000_000), ("New", 2_000_000_000)):
        source.write_text(
            "from typing import NamedTuple\nfrom graphax.compiled import compiled\n"
            f"class {name}(NamedTuple):\n    number: int\n"
            "@compiled\ndef double(state):\n    return 2 * state.number\n"
            f"print(double({name}(21)))\n"
        )
        os.utime(source, (then, then))
        command = [sys.executable, "-c", "import versions"]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.stdout == "42\n", done.stderr
    assert len(list((tmp_path / "kept").rglob("*.nbi"))) == 1


# --- a read-only installation ------------------------------------------------------------------------------


NOWHERE = """
import numba.core.caching
numba.core.caching.CacheImpl._locator_classes = []
import graphax.search._branch, graphax.search._walk, alphagrad.matmul._flips
from graphax.compiled import compiled
assert compiled(lambda x: x + 1)(2) == 3
"""


def test_without_a_place_for_machine_code_everything_can_be_imported():
    subprocess.run([sys.executable, "-c", NOWHERE], check=True, cwd=ROOT)


SEARCHES = """
import sys, numba, graphax, alphagrad.matmul._flips
from alphagrad.cli import main
from graphax.search import _branch, _engine, _walk
assert not numba.config.CACHE_DIR
status = main(["search", "task=Simple", "seconds=2", "run_dir=" + sys.argv[1] + "/run"])
proof = graphax.orders.exact(graphax.trace(lambda x: x * x * x * x * x)(1.0), seconds=1)
sys.exit(status)
"""


def without_privileges():
    """Words before a command that make folders read-only for administrators, too; None if there are none."""
    if os.name != "posix":
        return None
    if os.geteuid():
        return []
    command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    works = shutil.which("setpriv") and not subprocess.run([*command, "true"], capture_output=True).returncode
    return command if works else None


@pytest.mark.slow
def test_a_read_only_installation_without_a_home_searches(tmp_path):
    prefix = without_privileges()
    if prefix is None:
        pytest.skip("what is read-only cannot be told here")
    site, home, out = (tmp_path / name for name in ("site", "home", "out"))
    for package in ("graphax", "alphagrad"):
        shutil.copytree(ROOT / package, site / package, ignore=shutil.ignore_patterns("__pycache__"))
    home.mkdir()
    out.mkdir()
    folders = [home, *(path for path in (site, *site.rglob("*")) if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    drop = ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "GRAPHAX_ORDER_STORE", "PYTHONDONTWRITEBYTECODE")
    environment = {key: value for key, value in os.environ.items() if key not in drop}
    environment |= {"HOME": str(home), "PYTHONPATH": str(site), "MPLCONFIGDIR": str(out)}
    try:
        done = subprocess.run(
            [*prefix, sys.executable, "-c", SEARCHES, str(out)],
            cwd=out,
            env=environment,
            capture_output=True,
            text=True,
        )
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert done.returncode == 0, done.stderr
    assert graphax.load_order(out / "run" / "order.json").task == "Simple"
    assert not list(site.rglob("*.nbi")) and not list(home.iterdir())
