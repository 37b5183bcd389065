"""The best order of a run is on disk soon after it is known."""

import time
from types import SimpleNamespace

import graphax
from alphagrad import tasks
from alphagrad.orders.best import BestOrder
from alphagrad.run.folder import RunFolder
from graphax import orders


def test_a_better_order_that_comes_at_once_after_another_is_saved_too(tmp_path, monkeypatch):
    task = tasks.load("RoeFlux_1d")
    graph = graphax.trace(task.fun, task.argnums)(*task.args).counted()
    folder = RunFolder(tmp_path / "run", "{}")
    run = SimpleNamespace(
        config=SimpleNamespace(seed=0), folder=folder, seconds=0.0, name="t", left_behind=False
    )
    best = BestOrder(run, graph, folder.order)
    save = graphax.save_order

    def slowly(*arguments, **more):
        time.sleep(0.05)
        save(*arguments, **more)

    monkeypatch.setattr(graphax, "save_order", slowly)
    for method in (orders.forward, orders.markowitz, orders.reverse):
        order = method(graph)
        assert best.offer(order, orders.evaluate(graph, order), method.__name__)
    deadline = time.perf_counter() + 20
    while graphax.load_order(folder.order).method != "reverse":
        assert time.perf_counter() < deadline, "the best order is not saved"
        time.sleep(0.05)
