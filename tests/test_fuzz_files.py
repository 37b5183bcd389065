"""Damaged files are refused by name or harmless: none is accepted wrong, none hangs or takes the memory.

Each kind of file that is read has a reader here that says what became of a mutant: "refused", with the
documented error and the name of the file in it; or what makes it harmless.
"""

import contextlib
import dataclasses
import hashlib
import importlib.util
import json
import math
import resource
import signal
import sys
import typing
from collections import Counter
from fractions import Fraction
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import mutants
import numpy as np
import pytest

import graphax
from alphagrad import matmul, tasks
from alphagrad.layers import AgentConfig
from alphagrad.orders.game import CompressedVertexGame
from alphagrad.orders.train import OrderTrainConfig
from alphagrad.run.charts import Line, Panel, Series
from alphagrad.run.folder import read_metrics
from alphagrad.run.page import report
from alphagrad.run.result import (
    Cells,
    Factor,
    Factors,
    Findings,
    Result,
    Text,
    load_result,
    save_result,
)
from alphagrad.run.settings import parse, to_yaml
from alphagrad.schemes.train import SchemeTrainConfig
from alphagrad.zero import (
    AlphaZeroConfig,
    DemonstrationConfig,
    LearningConfig,
    ReplayConfig,
    SelfPlayConfig,
    begin,
)
from alphagrad.zero.checkpoint import Position, load_checkpoint, save_checkpoint
from alphagrad.zero.tree import SearchConfig
from graphax.choose import _store

_SECONDS = 10  # that a mutant may take
_BYTES = 1e9  # that a thousand of them may add to the memory of the process

_TEXT = mutants.BYTES + mutants.WORDWISE


@contextlib.contextmanager
def _at_once():
    def late(*_):
        raise AssertionError(f"a mutant took more than {_SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, _SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _refused(read, path, errors=(ValueError,)):
    """What a reader returns; None, if it refuses the file with a documented error and its name."""
    try:
        return read()
    except errors as error:
        assert isinstance(error, errors) and str(path) in str(error), error
        return None


# --- schemes ---


def _scheme_of(table):
    """The tensor that a table of factors stands for, in exact arithmetic; None where it is no such table."""
    scale = math.prod(table["denominators"])
    u, v, w = (np.array(table[name], object) for name in "uvw")
    tensor = np.einsum("ri,rj,rk->ijk", u, v, w)
    prime = int(table["ring"][1:] or 0)
    right = np.array(matmul.matmul_tensor(*table["format"]), object)
    difference = np.vectorize(lambda one, other: Fraction(int(one), scale) - int(other))(tensor, right)
    return not np.any(difference % prime if prime else difference)


class Scheme:
    """A scheme file: what is accepted is verified again from what the file says, in exact arithmetic."""

    def __init__(self, folder, suffix, stem="scheme"):
        self.path = folder / f"{stem}{suffix}"
        self.changes = mutants.BYTES + (
            _TEXT[-3:] + mutants.SAID * 2 if suffix == ".json" else mutants.ARRAYS * 2
        )
        half = matmul.change_basis(matmul.strassen(), *[[[2, 1], [1, 1]]] * 3)
        rational = matmul.Scheme((2, 2, 2), half.u, half.v * 3, half.w * 2, "Q", (2, 3, 1))
        self.originals = []
        for scheme in (half, rational, matmul.reduce_modulo(half, 2), matmul.standard(1, 2, 1, "Z3")):
            scheme.save(self.path)
            self.originals.append(self.path.read_bytes())

    def read(self):
        loaded = _refused(lambda: matmul.Scheme.load(self.path), self.path, (matmul.SchemeError,))
        if loaded is None:
            return "refused"
        head = {"format": loaded.format, "ring": loaded.ring, "denominators": loaded.denominators}
        assert _scheme_of(head | {name: getattr(loaded, name).tolist() for name in "uvw"})
        said = _said_by_npz(self.path) if self.path.suffix == ".npz" else json.loads(self.path.read_bytes())
        assert said is None or (
            _scheme_of(said) and said["rank"] == loaded.rank and type(said["rank"]) is int
        )
        return "verified"


def _said_by_npz(path):
    """What numpy reads; None where it complains of what is around the arrays."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name].tolist() for name in arrays.files}
    except Exception:
        return None


# --- orders ---


def _some_graph():
    def fun(x):
        y = jnp.sin(x[0] * x[1]) + x[2]
        return jnp.stack([y * x[0], jnp.exp(y) * x[2], y / x[1]])

    return graphax.trace(fun)(jnp.array([1.0, 2.0, 3.0]))


class Order:
    """An order file: what is accepted belongs to another graph, or is an order of this one."""

    changes = _TEXT + mutants.SAID * 2

    def __init__(self, folder):
        self.path, self.graph = folder / "order.json", _some_graph()
        self.originals = []
        for method in (graphax.orders.forward, graphax.orders.reverse):
            extra = {"seed": 3, "seconds": 1.5, "task": "mine"} if self.originals else {}
            graphax.save_order(self.path, self.graph, method(self.graph), method=method.__name__, **extra)
            self.originals.append(self.path.read_bytes())

    def read(self):
        loaded = _refused(lambda: graphax.load_order(self.path), self.path)
        if loaded is None:
            return "refused"
        assert all(
            type(value) is int for value in (loaded.counted, loaded.free, loaded.version, *loaded.order)
        )
        try:
            order = loaded.for_graph(self.graph)
        except ValueError:
            return "of another graph"
        assert sorted(order) == sorted(self.graph.eliminable)
        priced = loaded.priced(self.graph)
        assert (priced.counted, priced.free) == tuple(
            graph.cost(order).mults for graph in (self.graph.counted(), self.graph)
        )
        return "an order of the graph"


class Stored(Order):
    """An order file in the order store: nothing is said of a damaged one, and nothing wrong recalled."""

    def __init__(self, folder):
        super().__init__(folder)
        self.patch = pytest.MonkeyPatch()
        self.patch.setenv("GRAPHAX_ORDER_STORE", str(folder / "store"))
        (folder / "store").mkdir()
        self.path = _store._path(self.graph.fingerprint)

    def read(self):
        _store.forget()
        known = _store.recall(self.graph)
        if known is None:
            return "refused"
        assert sorted(known.order) == sorted(self.graph.eliminable)
        assert known.cost == self.graph.cost(known.order).mults
        return "an order of the graph"

    def close(self):
        self.patch.undo()
        _store.forget()


# --- runs ---


class Settings:
    """`config.yaml`: what is accepted has the types and ranges of its fields, and is written as it reads."""

    changes = _TEXT + mutants.WORDWISE * 2 + mutants.LINEWISE * 2 + (mutants.expand,)

    def __init__(self, folder):
        self.path = folder / "config.yaml"
        orders = parse(OrderTrainConfig, ["task=Simple", "seed=7", "run_dir=x"])
        schemes = parse(SchemeTrainConfig, ["task=matmul_2x2x2", "target=7"])
        self.originals = [to_yaml(config).encode() for config in (orders, schemes)]
        self.kinds = (OrderTrainConfig, SchemeTrainConfig)

    def read(self):
        kind = self.kinds[self.original]
        config = _refused(lambda: parse(kind, [], self.path), self.path)
        if config is None:
            return "refused"
        _check_fields(config)
        again = self.path.with_name("again.yaml")
        again.write_text(to_yaml(config))
        assert parse(kind, [], again) == config
        same = config == parse(kind, [], self._whole())
        return "the same settings" if same else "other settings"

    def _whole(self):
        path = self.path.with_name("whole.yaml")
        path.write_bytes(self.originals[self.original])
        return path


def _check_fields(config):
    kinds = typing.get_type_hints(type(config))
    for entry in dataclasses.fields(config):
        name, kind = entry.name, kinds[entry.name]
        value = getattr(config, name)
        if dataclasses.is_dataclass(value):
            _check_fields(value)
            continue
        assert type(value) in (typing.get_args(kind) or (kind,)), (name, value)
        assert not isinstance(value, float) or math.isfinite(value) or name == "seconds", (name, value)
        assert not isinstance(value, int) or abs(value) < 2**31, (name, value)


class Results:
    """`result.json`: of what is accepted a report can be made, and it reads as it is written again."""

    changes = _TEXT + mutants.WORDWISE * 2

    def __init__(self, folder):
        self.folder, self.path = folder, folder / "result.json"
        best, line = Series("best", "best", steps=True), Line("auto", 9.5)
        panel = Panel("Cost", "flops", (best,), ("seconds",), (line,))
        findings = Findings(
            best=7,
            quantity="flops",
            method="search",
            bound=5.5,
            verdict="found: 7",
            use="print(7)",
            on_jax=False,
            panels=(panel,),
            tables=(Cells("Costs", (("order", "cost"), ("found", "7")), ("a remark",)),),
            factors=(Factors("Factors", (Factor("u", ("a11", "a12"), ((1, -1), (0, 2)), 2),)),),
            texts=(Text("Graph", "1 a = sin b  # x.py:1:2 (f)", places=True, folded=True),),
        )
        result = Result(
            task="Simple", command="search", again="alphagrad search", settings="task: Simple", seed=3,
            seconds=1.5, ended="2026-01-02T03:04:05", device="a processor", versions={"jax": "0.10.2"},
            findings=findings,
        )  # fmt: skip
        save_result(folder, result)
        self.originals = [self.path.read_bytes()]

    def read(self):
        result = _refused(lambda: load_result(self.folder), self.path)
        if result is None:
            return "refused"
        assert report(result, [{"seconds": 1.0, "best": 7}]).endswith("</html>\n")
        save_result(self.folder, result)
        assert load_result(self.folder) == result
        return "a report"


class Metrics:
    """`metrics.jsonl`: what is accepted is a table of numbers."""

    changes = _TEXT + mutants.LINEWISE

    def __init__(self, folder):
        self.folder, self.path = folder, folder / "metrics.jsonl"
        rows = [
            {
                "iteration": i,
                "games": 4 * i,
                "seconds": i / 3,
                "best": -9.0 if i else None,
                "mean": -9.5,
                "loss": 1e-3,
            }
            for i in range(5)
        ]
        texts = [{"seconds": i, "format": "2x2x2", "rank": 8 - i, "lifted": None} for i in range(3)]
        self.originals = [
            "".join(json.dumps(row) + "\n" for row in lines).encode() for lines in (rows, texts)
        ]

    def read(self):
        lines = _refused(lambda: read_metrics(self.folder), self.path)
        if lines is None:
            return "refused"
        for line in lines:
            assert line.keys() == lines[0].keys()
            assert len({isinstance(line[name], str) == isinstance(lines[0][name], str) for name in line}) < 2
        return "a table"


class Checkpoint:
    """A checkpoint: what is accepted holds every bit that was written."""

    changes = mutants.BYTES

    def __init__(self, folder):
        config = AlphaZeroConfig(
            AgentConfig(width=8, heads=2, layers=1),
            SearchConfig(simulations=2, considered=2),
            SelfPlayConfig(games=2),
            ReplayConfig(latest=4, best=2),
            LearningConfig(updates=1, games=2, positions=2),
            DemonstrationConfig(games=2, updates=1),
        )
        task = tasks.load("Simple")
        game = CompressedVertexGame(graphax.trace(task.fun, task.argnums)(*task.args).counted())
        self.training = begin(game, config, jnp.int32(0))
        self.path = folder / "latest.eqx"
        save_checkpoint(self.path, self.training, Position(3, 4, 5.0), "fingerprint")
        self.originals = [self.path.read_bytes()]

    def change(self, content, rng):
        """Some of the damage to the header, or to the arrays under a digest of its own."""
        header, leaves = content.split(b"\n", 1)
        kind = rng.integers(4)
        if kind == 0:
            return mutants.mutate(header, _TEXT + mutants.SAID, rng) + b"\n" + leaves
        if kind == 1:
            arrays = leaves[:-32].replace(*_LIES[int(rng.integers(len(_LIES)))], int(rng.integers(1, 9)))
            lying = header + b"\n" + arrays
            return lying + hashlib.sha256(lying).digest()
        return mutants.mutate(content, self.changes, rng)

    def read(self):
        loaded = _refused(lambda: load_checkpoint(self.path, self.training, "fingerprint"), self.path)
        if loaded is None:
            return "refused"
        training, position = loaded
        assert eqx.tree_equal(training, self.training) and position == Position(3, 4, 5.0)
        return "the same training"


# Heads of arrays that say something else, as long as they were.
_LIES = (
    (b"'<f4'", b"'<i4'"), (b"'<f4'", b"'<f8'"), (b"'<f4'", b"'|O4'"), (b"(8,)", b"(9,)"),
    (b"(8, 8)", b"(4,16)"),
    (b"(8, 8)", b"(9**9)"), (b"NUMPY\x01", b"NUMPY\x09"), (b"fortran", b"fortram"), (b"False", b"Fals "),
)  # fmt: skip


class Run:
    """The folder of a run, read as a whole: what is accepted ends with a scheme that is right."""

    def __init__(self, folder):
        place = Path(__file__).parent.parent / "benchmarks" / "played.py"
        if str(place.parent) not in sys.path:
            sys.path.append(str(place.parent))  # its neighbours, as when it is run
        spec = importlib.util.spec_from_file_location("played", place)
        self.played = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.played)
        self.folder, parts = folder, (Settings(folder), Metrics(folder), Scheme(folder, ".json", "learned"))
        best = [{"seconds": i, "games": i, "best": -8 + i, "mean": None} for i in range(2)]
        metrics = "".join(json.dumps(line) + "\n" for line in best).encode()
        self.files = {
            part.path: (content, part.changes)
            for part, content in zip(
                parts, (parts[0].originals[1], metrics, parts[2].originals[0]), strict=True
            )
        }
        self.path, self.originals = folder, [b""]

    def write(self, rng):
        damaged = int(rng.integers(len(self.files)))
        for at, (path, (content, changes)) in enumerate(self.files.items()):
            path.write_bytes(mutants.mutate(content, changes, rng) if at == damaged else content)

    def read(self):
        run = _refused(lambda: self.played.read_run(self.folder), self.folder)
        if run is None:
            return "refused"
        assert run["rank_seconds_games"][-1][0] == 7
        return "a run of that rank"


KINDS = {
    "scheme.json": (lambda folder: Scheme(folder, ".json"), 900),
    "scheme.npz": (lambda folder: Scheme(folder, ".npz"), 900),
    "order.json": (Order, 900),
    "order in the store": (Stored, 400),
    "config.yaml": (Settings, 600),
    "metrics.jsonl": (Metrics, 500),
    "result.json": (Results, 400),
    "checkpoint": (Checkpoint, 300),
    "folder of a run": (Run, 100),
}


def _fuzz(kind, count, folder, monkeypatch):
    """How many mutants had which end."""
    monkeypatch.chdir(folder)  # where what is unpickled would make a folder
    case = KINDS[kind][0](folder)
    ends = Counter()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(count):
        rng = np.random.default_rng([*kind.encode(), number])
        case.original = int(rng.integers(len(case.originals)))
        if isinstance(case, Run):
            case.write(rng)
        else:
            original = case.originals[case.original]
            change = getattr(case, "change", None) or (
                lambda content, rng: mutants.mutate(content, case.changes, rng)
            )
            case.path.write_bytes(change(original, rng))
        try:
            with _at_once():
                ends[case.read()] += 1
        except BaseException as error:
            error.add_note(
                f"mutant {number} of {kind}: {'' if case.path.is_dir() else case.path.read_bytes()[:3000]!r}"
            )
            raise
    assert not (folder / "unpickled").exists()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < _BYTES / 1024
    getattr(case, "close", lambda: None)()
    return ends


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_refused_by_name_or_harmless(kind, tmp_path, monkeypatch):
    assert _fuzz(kind, 12, tmp_path, monkeypatch)["refused"]


@pytest.mark.slow
def test_of_five_thousand_damaged_files_none_is_accepted_wrong(tmp_path, monkeypatch):
    total = Counter()
    for kind, (_, count) in KINDS.items():
        folder = tmp_path / kind
        folder.mkdir()
        ends = _fuzz(kind, count, folder, monkeypatch)
        total += ends
        print(f"{kind}: {count} mutants: {', '.join(f'{n} {end}' for end, n in ends.most_common())}")
        jax.clear_caches()
    assert sum(total.values()) == 5000
