"""Reports of runs: what is drawn, what is refused, and the index of them all."""

import dataclasses
import itertools
import json
import os
import re
import time
import tomllib
from html.parser import HTMLParser
from pathlib import Path

import pytest

import alphagrad.run
from alphagrad.cli import main
from alphagrad.run.charts import Line, Panel, Series, drawn, points
from alphagrad.run.document import shipped
from alphagrad.run.factors import picture_of_factors
from alphagrad.run.page import duration, report, short, write_report, written
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
from alphagrad.run.runs import find_runs

VOID = {"br", "hr", "img", "input", "link", "meta"}
COST = Panel(
    "Cost",
    "multiplications",
    (Series("best game", "best", -1.0, steps=True), Series("mean game", "mean", -1.0)),
    ("seconds", "games"),
    (Line("auto", 30.0), Line("lower bound", 10.0)),
)
PACE = Panel("Throughput", "games / s", (Series("self-play", "games", rate=True),), ("seconds", "games"))
RESULT = Result(
    task="Simple",
    command="train",
    again="alphagrad train task=Simple seed=4",
    settings="task: Simple",
    seed=4,
    seconds=61.5,
    ended="2026-01-02T03:04:05",
    device="a processor, 2 cores",
    versions={"jax": "0.10.2", "python": "3.11.7"},
    findings=Findings(
        best=12,
        quantity="multiplications",
        method="alphazero",
        bound=10,
        verdict="best known, by alphazero: 12 multiplications, gap 16.7 %",
        use="print('used')",
        on_jax=True,
        panels=(COST, PACE),
        tables=(
            Cells("Multiplications", (("order", "free"), ("forward", "30")), ("free: what is executed",)),
        ),
        texts=(Text("Graph", "1 a = sin b  # /a/long/way/to/model.py:31:11 (residual)", places=True),),
    ),
)


def played(count):
    """Metrics of so many turns, of which one is far worse than the others."""
    return [
        {
            "iteration": at,
            "games": 8 * at,
            "seconds": round(0.05 * at + 1, 3),
            "best": -20.0 + 8 * at / count,
            "mean": -900.0 if at == count // 3 else -25.0 - at % 7,
        }
        for at in range(count)
    ]


def written_run(path, lines=5, result=RESULT):
    """The folder of a run that has ended; without a report."""
    path.mkdir(parents=True)
    (path / "config.yaml").write_text(f"task: {RESULT.task}\nseed: 4\n")
    (path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in played(lines)))
    if result is not None:
        save_result(path, result)
    return path


class Checker(HTMLParser):
    """Complains of tags that do not match, and keeps addresses and identifiers."""

    def __init__(self, page):
        super().__init__()
        self.stack, self.addresses, self.names = [], [], []
        self.feed(page)
        self.close()
        assert not self.stack

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names))
        self.addresses += [value for name, value in attrs if name in ("src", "href", "action", "poster")]
        self.names += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.addresses += [value for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag


def data_of(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page)[1])


@pytest.mark.parametrize("turns", [0, 1, 2, 50, 10_000])
def test_a_report_is_well_formed_small_and_needs_nothing_else(turns):
    page = report(RESULT, played(turns), "<!doctype html><p>elimination</p>")
    checker = Checker(page)
    assert not checker.addresses and len(checker.names) == len(set(checker.names))
    assert set(re.findall(r"https?://[^\s)]+", page)) == {"https://github.com/leeoniya/uPlot"}  # a comment
    assert len(page) < 300_000
    assert page.count("<figure") == len(data_of(page)) == (0 if turns < 2 else 1 if turns < 5 else 2)
    assert "<h1>Simple</h1>" in page and "12 multiplications" in page and "16.7\N{NO-BREAK SPACE}%" in page


def test_curves_are_thinned_to_their_extremes_and_say_so():
    lines = played(10_000)
    cost, pace = data_of(page := report(RESULT, lines))
    best, mean = cost["curves"]
    assert mean["of"] == 10_000 and len(mean["y"]) <= 1_000
    assert max(mean["y"]) == 900 and mean["y"].index(900) in range(len(mean["y"]))
    at = mean["y"].index(900)
    assert mean["x"]["seconds"][at] == lines[10_000 // 3]["seconds"]
    assert (best["y"][0], best["y"][-1]) == (20, float(f"{-lines[-1]['best']:.6g}"))
    shown = len(best["y"]) + len(mean["y"])
    assert f"Drawn are {shown:,} of 20,000 points" in page
    assert all(abs(rate - 160) < 2 for rate in pace["curves"][0]["y"])
    assert "Drawn are" not in report(RESULT, lines[:900])


def test_what_is_not_known_is_left_out_of_a_curve():
    series = Series("best", "best", -1.0)
    lines = [{"seconds": 1.0, "best": None}, {"seconds": 2.0, "best": -3}, {"seconds": 3.0, "best": -2}]
    assert points(series, ("seconds",), lines)["y"] == [3, 2]
    assert points(series, ("seconds",), lines[:1]) is None
    assert points(series, ("seconds", "games"), lines) is None  # it has no such column
    assert points(series, ("seconds",), [{"seconds": 1.0, "best": "x"}]) is None
    assert drawn(COST, []) is None
    assert drawn(COST, played(1)) is None and drawn(COST, played(1) * 2) is None  # a point is no curve
    infinite = dataclasses.replace(COST, lines=(Line("never", float("inf")),))
    assert drawn(infinite, played(3))["lines"] == []


def test_places_in_files_are_short_and_whole_in_the_title():
    assert short("/a/long/way/model.py:31:11 (residual)") == "model.py:31 (residual)"
    assert short("C:\\work\\model.py:31:11 (f)") == "model.py:31 (f)"
    assert short(f"/x/{'y' * 100}.py:1:2") == "…" + "y" * 36 + ".py:1"
    page = report(RESULT, [])
    assert 'title="/a/long/way/to/model.py:31:11 (residual)">model.py:31 (residual)<' in page


def test_numbers_and_times_are_written_for_people():
    assert written(12345, "flips") == "12,345 flips" and written(7.0, "x") == "7 x"
    assert written(12.34567891, "µs") == "12.35 µs" and written(None, "x") == "-"
    assert [duration(seconds) for seconds in (0.25, 61.54, 180.0, 7260.0)] == [
        "0.25 s", "61.5 s", "3 min", "2 h 1 min",
    ]  # fmt: skip


def test_factors_have_a_cell_for_each_coefficient_even_at_rank_150():
    columns = tuple((1, -1, 0, 2, -3, 0) for _ in range(150))
    drawn = picture_of_factors(Factors("Factors", (Factor("u", tuple("abcdef"), columns),)))
    Checker(drawn)
    paths = dict(re.findall(r'<path class="([\w-]+)" d="([^"]*)"', drawn))
    assert {name: path.count("M") for name, path in paths.items()} == {
        "plus": 150, "minus": 150, "plus-more": 150, "minus-more": 150,
    }  # fmt: skip
    assert len(drawn) < 30_000
    halves = picture_of_factors(Factors("Factors", (Factor("u", ("a", "b"), ((1, -2),), 2),)))
    assert 'class="plus-less"' in halves and 'class="minus"' in halves


def test_a_result_reads_as_it_was_written(tmp_path):
    save_result(tmp_path, RESULT)
    assert load_result(tmp_path) == RESULT
    nothing = dataclasses.replace(RESULT.findings, best=None, bound=None, panels=(), tables=(), texts=())
    save_result(tmp_path, empty := dataclasses.replace(RESULT, findings=nothing))
    assert load_result(tmp_path) == empty
    Checker(report(empty, []))


def test_what_is_no_result_is_refused_by_name(tmp_path):
    save_result(tmp_path, RESULT)
    whole = json.loads((tmp_path / "result.json").read_text())
    for change, words in [
        (lambda it: it.pop("task"), "it has no task"),
        (lambda it: it.update(seed="4"), "seed is '4'; expected int"),
        (lambda it: it.update(seconds=True), "seconds is 'True'; expected float"),
        (lambda it: it.update(versions=[]), "versions is '\\[\\]'; expected dict"),
        (lambda it: it["findings"].update(tables=[3]), "tables is '3'; expected dict"),
        (lambda it: it["findings"]["panels"][0].update(lines=[{"label": "x"}]), "lines has no value"),
    ]:
        changed = json.loads(json.dumps(whole))
        change(changed)
        (tmp_path / "result.json").write_text(json.dumps(changed))
        with pytest.raises(ValueError, match=f"result.json is not the result of a run: {words}"):
            load_result(tmp_path)
    with pytest.raises(FileNotFoundError):
        load_result(tmp_path / "nowhere")


def test_an_index_compares_runs_names_what_it_passes_over_and_remakes_old_reports(tmp_path, capsys):
    runs = tmp_path / "runs"
    first, second = written_run(runs / "Simple" / "first"), written_run(runs / "Simple" / "#2 ?&<b>", 9)
    write_report(second)
    killed = written_run(runs / "killed", result=None)
    damaged = written_run(runs / "damaged")
    (damaged / "result.json").write_text("{")
    (runs / "foreign").mkdir()
    (runs / "foreign" / "notes.txt").write_text("mine")
    (runs / "nothing").mkdir()
    assert main(["report", str(runs)]) == 0
    out = capsys.readouterr().out
    assert f"made again: {first / 'report.html'}" in out and f"made again: {second}" not in out
    assert f"passed over: {damaged}" in out and f"passed over: {runs / 'foreign'}: no run" in out
    assert "3 runs" in out and "nothing" not in out
    page = (runs / "index.html").read_text()
    checker = Checker(page)
    assert sorted(checker.addresses) == [
        "Simple/%232%20%3F%26%3Cb%3E/report.html", "Simple/first/report.html",
    ]  # fmt: skip
    assert "did not end" in page and not (killed / "report.html").exists()
    assert '<td data-number="12">12 multiplications</td>' in page
    of_killed, of_others = data_of(page)  # it is not known what the costs of the killed run are of
    assert (len(of_killed["curves"]), len(of_others["curves"])) == (1, 2)
    assert {each["column"] for each in of_others["over"]} == {"seconds", "games"}
    assert main(["report", str(runs)]) == 0
    assert "made again" not in capsys.readouterr().out


def test_where_the_index_goes_is_said_in_any_spelling(tmp_path, capsys):
    written_run(tmp_path / "a=b" / "run")
    for at, words in enumerate([["--out", "{}"], ["--out={}"], ["out={}"]]):
        page = tmp_path / f"{at}.html"
        said = [word.format(page) for word in words]
        assert main(["report", *said, str(tmp_path / "a=b")]) == 0
        assert page.read_text().count("<tr>") == 2
    assert main(["report", "--outt=x"]) == 2
    assert "unknown setting 'outt'" in capsys.readouterr().err
    assert main(["report", "--help"]) == 0
    assert "FOLDER" in capsys.readouterr().out


@pytest.mark.parametrize("reason", ["older", "another release", "gone"])
def test_a_report_is_made_again_if_it_is(reason, tmp_path, capsys):
    path = written_run(tmp_path / "run")
    write_report(path)
    page = path / "report.html"
    if reason == "older":
        os.utime(page, (time.time() - 99,) * 2)
    elif reason == "gone":
        page.unlink()
    else:
        page.write_text(page.read_text().replace("alphagrad report 1", "alphagrad report 0"))
    assert main(["report", str(tmp_path), f"out={tmp_path / 'all.html'}"]) == 0
    assert "made again" in capsys.readouterr().out and (tmp_path / "all.html").exists()
    assert "alphagrad report 1" in page.read_text()


def test_a_run_is_found_once_and_what_is_below_it_is_its_own(tmp_path):
    path = written_run(tmp_path / "a")
    (path / "checkpoints").mkdir()
    (path / "checkpoints" / "latest.eqx").write_bytes(b"")
    runs, passed = find_runs([tmp_path, path])
    assert [run.path for run in runs] == [path] and not passed
    assert (runs[0].task, runs[0].seed, runs[0].over) == ("Simple", 4, ("seconds", "games"))


def test_metrics_of_other_kinds_are_passed_over(tmp_path):
    texts = {"words": '{"seconds": "x", "best": 1}\n', "others": '{"loss": 1.0}\n', "no": "no\n"}
    for name, text in texts.items():
        path = written_run(tmp_path / name, result=None)
        (path / "metrics.jsonl").write_text(text)
    runs, passed = find_runs([tmp_path])
    assert not runs and len(passed) == 3 and all("metrics.jsonl" in line for line in passed)


def test_an_index_of_nothing_says_so(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 0
    page = (tmp_path / "index.html").read_text()
    Checker(page)
    assert "There is no run here" in page
    assert main(["report", str(tmp_path / "nowhere")]) == 2
    assert "is no folder; name one that holds runs" in capsys.readouterr().err
    assert main(["report", str(tmp_path), str(tmp_path)]) == 2
    assert "say out=" in capsys.readouterr().err


def test_scripts_and_styles_hold_nothing_that_ends_them():
    ours = ["page.js", "page.css", "report.js", "index.js"]
    texts = [shipped(name) for name in ["uplot/uPlot.iife.min.js", "uplot/uPlot.min.css", *ours]]
    assert not any(end in text for text, end in itertools.product(texts, ("</script", "</style", "<!--")))


def test_scripts_styles_and_the_licence_of_the_plots_are_installed():
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["package-data"]["*"]
    folder = Path(alphagrad.run.__file__).parent
    data = {path.relative_to(folder) for path in folder.rglob("*.*") if path.suffix not in (".py", ".pyc")}
    assert {str(path) for path in data} >= {"page.js", "page.css", "uplot/LICENSE-1.6.32"}
    assert all(any(path.match(pattern) for pattern in patterns) for path in data)
