"""Runs whose time is over before anything has been looked at."""

import sys
import time

import pytest

import graphax
from alphagrad import cli
from alphagrad.orders import searching
from alphagrad.run.folder import RunFolder, read_metrics
from graphax import orders


@pytest.fixture
def slow(monkeypatch):
    """A machine on which nothing is found in time."""

    def begin(self):
        time.sleep(5)

    monkeypatch.setattr(searching.OrderSearch, "begin", begin)


@pytest.mark.parametrize(
    "words",
    [
        ["search", "remember=false"],
        ["search", "objective=flops"],
        ["search", "objective=memory"],
        ["search", "objective=time"],
        ["search", "objective=runtime", "remember=false"],
        ["train"],
        ["train", "objective=time"],
    ],
)
def test_a_run_that_has_found_nothing_keeps_the_reverse_order(words, slow, tmp_path, capsys):
    path = tmp_path / "run"
    assert cli.main([*words, "task=Simple", "seconds=0.1", f"run_dir={path}"]) == 0
    order = graphax.load_order(path / "order.json")
    assert order.method == "reverse" and len(order.order) == 2
    assert "to use it" in capsys.readouterr().out and (path / "report.html").exists()


def test_those_that_have_been_looked_at_are_offered_though_others_were_not(monkeypatch, tmp_path, capsys):
    def auto(graph):
        time.sleep(5)

    monkeypatch.setattr(orders, "auto", auto)
    path = tmp_path / "run"
    assert cli.main(["search", "task=RoeFlux_1d", "seconds=0.1", "remember=false", f"run_dir={path}"]) == 0
    assert graphax.load_order(path / "order.json").method == "reverse"
    assert "markowitz" in capsys.readouterr().out


def test_a_failure_of_ours_waits_for_nothing(monkeypatch, capsys):
    def fail(words, alone):
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(cli, "_main", fail)
    monkeypatch.setattr(sys, "argv", ["alphagrad"])
    monkeypatch.setattr(cli.os, "_exit", sys.exit)
    with pytest.raises(SystemExit) as ended:
        cli.program()
    assert ended.value.code == 1 and "a fault of ours" in capsys.readouterr().err


def test_metrics_that_are_closed_take_no_more(tmp_path):
    folder = RunFolder(tmp_path / "run", "{}")
    assert folder.write({"turn": 1})
    folder.close()
    assert not folder.write({"turn": 2})
    assert read_metrics(tmp_path / "run") == [{"turn": 1}]


def test_orders_that_come_too_late_are_not_kept(tmp_path, monkeypatch):
    late = []

    def begin(self):
        self.settle()
        time.sleep(3)
        late.append(self.best.offer((1, 2), -1.0, "search"))

    monkeypatch.setattr(searching.OrderSearch, "begin", begin)
    path = tmp_path / "run"
    assert cli.main(["search", "task=Simple", "seconds=0.1", "remember=false", f"run_dir={path}"]) == 0
    end = time.monotonic() + 60
    while not late and time.monotonic() < end:
        time.sleep(0.05)
    assert late == [False] and graphax.load_order(path / "order.json").method == "reverse"
