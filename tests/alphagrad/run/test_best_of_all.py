"""What `train` prints and keeps is the best of all that is known, and says what found it."""

import pytest
from programs import EAGER, SMALL, run

import graphax
from alphagrad import tasks
from alphagrad.matmul import Scheme

TINY = ["iterations=1", "demonstrations.updates=1"]
QUICK = ["Lighthouse"]
SCHEMES = ["matmul_2x2x2", "matmul_1x2x2+matmul_2x2x2"]


def table(out):
    """The cells of the printed table, by the name of the row and the column."""
    rows = [line.split("\t") for line in out.splitlines() if "\t" in line]
    return {row[0]: dict(zip(rows[0], row, strict=True)) for row in rows[1:]}


def check_orders(task, path, unit_edges, *budget):
    """A run keeps the best of all; returns how many multiplications that takes."""
    words = [f"task={task}", f"unit_edges={unit_edges}", f"run_dir={path}", *SMALL, *budget]
    status, out, err = run("train", *words, code=EAGER)
    assert status == 0, err
    rows = table(out)
    rows.pop("lower bound", None)
    assert {"auto", "search"} <= rows.keys()
    costs = {name: int(row[unit_edges]) for name, row in rows.items() if row[unit_edges].isdigit()}
    order = graphax.load_order(path / "order.json")
    saved = {"counted": order.counted, "free": order.free}[unit_edges]
    assert saved == min(costs.values()) == costs[order.method], (saved, costs, order.method)
    loaded = tasks.load(task)
    graph = graphax.trace(loaded.fun, loaded.argnums)(*loaded.args)
    assert graph.cost(order.order).mults == order.free
    assert graph.counted().cost(order.order).mults == order.counted
    if (path / "learned.json").exists():
        learned = graphax.load_order(path / "learned.json")
        assert learned.method == "alphazero" and int(rows["learned"][unit_edges]) == costs["learned"]
        assert {"counted": learned.counted, "free": learned.free}[unit_edges] == costs["learned"]
    assert f"by {order.method}" in out and f"{saved:,}".replace(",", "") in out
    assert f"jacve(f, order=graphax.load_order('{path / 'order.json'}')" in out
    return saved


@pytest.mark.parametrize(
    "task", [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in tasks.names()]
)
def test_orders_are_the_best_of_all_that_is_known(task, tmp_path):
    check_orders(task, tmp_path / "run", "counted", *TINY)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["RoeFlux_1d", "Encoder", "Hole", "random_scalar"])
def test_so_are_those_of_what_is_executed(task, tmp_path):
    check_orders(task, tmp_path / "run", "free", *TINY)


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [1, 5])
@pytest.mark.parametrize("task", ["RoeFlux_1d", "Encoder"])
def test_so_are_those_of_runs_that_end_before_the_agent_plays(task, seconds, tmp_path):
    check_orders(task, tmp_path / "run", "counted", f"seconds={seconds}")


@pytest.mark.slow
def test_what_another_run_had_found_is_shown_by_one_that_goes_on_from_it(tmp_path):
    graph = tasks.load("RoeFlux_1d")
    graph = graphax.trace(graph.fun, graph.argnums)(*graph.args)
    check_orders("RoeFlux_1d", tmp_path / "run", "counted", *TINY)
    found = graphax.orders.anneal(graph.counted(), steps=300_000)
    graphax.save_order(tmp_path / "run" / "order.json", graph, found, method="search", task="RoeFlux_1d")
    more = f"resume={tmp_path / 'run'}", TINY[1], "seconds=1"
    assert check_orders("RoeFlux_1d", tmp_path / "more", "counted", *more) == 295


@pytest.mark.slow
@pytest.mark.parametrize("ring", ["Z", "Z2"])
@pytest.mark.parametrize("task", SCHEMES)
def test_schemes_are_the_best_of_all_that_is_known(task, ring, tmp_path):
    path = tmp_path / "run"
    status, out, err = run("train", f"task={task}", f"ring={ring}", f"run_dir={path}", *SMALL, *TINY)
    assert status == 0, err
    rows = table(out)
    for name in task.split("+"):
        ranks = {column: int(rows[name][column]) for column in ("standard", "known")}
        if rows[name]["learned"].isdigit():
            ranks["learned"] = int(rows[name]["learned"])
        file = "scheme.json" if "+" not in task else f"scheme_{name}.json"
        assert Scheme.load(path / file).rank == min(ranks.values())
        assert f"{name}: best {min(ranks.values())} products" in out and file in out
    assert "to use it" in out
