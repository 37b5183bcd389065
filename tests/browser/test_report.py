"""Reports of runs and their index, looked at in Chromium."""

import dataclasses
import json
import re

import pytest

from alphagrad.cli import main
from alphagrad.matmul import best_known, formulas
from alphagrad.run.charts import Line, Panel, Series
from alphagrad.run.index import write_index
from alphagrad.run.page import report
from alphagrad.run.result import Cells, Findings, Result, Text, save_result
from alphagrad.run.runs import find_runs
from alphagrad.schemes.report import picture

SIZES = [(1280, False), (1280, True), (390, False), (390, True)]
LONG = "/home/somebody/with/a/long/name/" + "deep/" * 12 + "model.py"


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """The folder of a short search."""
    path = tmp_path_factory.mktemp("runs") / "run"
    assert main(["search", "task=Lighthouse", "steps=2000", "seconds=30", f"run_dir={path}"]) == 0
    return path


def metrics_of(turns):
    return [
        {"games": 8 * at, "seconds": 0.5 * at, "best": -30.0 + 10 * at / turns, "mean": -40.0 - at % 5}
        for at in range(turns)
    ]


def scheme_result():
    """What a run may have found: a scheme of many products, with a long name."""
    scheme = best_known((4, 5, 6), "Z")
    over = ("seconds", "games")
    findings = Findings(
        best=scheme.rank,
        quantity="products over the integers",
        method="known before",
        bound=None,
        verdict=f"found: {scheme.rank} products over the integers, verified",
        use="from alphagrad import matmul\n" + "x" * 300,
        on_jax=False,
        panels=(
            Panel(
                "Cost",
                "products",
                (Series("best game", "best", -1, steps=True), Series("mean game", "mean", -1)),
                over,
                (Line("literature, modulo 2", 25.0), Line("far away", 9000.0)),
            ),
            *(Panel(name, "games / s", (Series(name, "games", rate=True),), over) for name in "abc"),
        ),
        tables=(Cells("Products of schemes", (("scheme", *"abcdefgh"), ("found", *["123,456"] * 8))),),
        factors=(picture(scheme),),
        texts=(
            Text("The scheme, line by line", formulas(scheme)),
            Text("Graph", f"1 a = sin b  # {LONG}:31:11 (residual)", places=True, folded=True),
        ),
    )
    return Result(
        task="matmul_4x5x6+" + "a_name_without_end" * 8,
        command="train",
        again=f"alphagrad train 'task={LONG}:residual' seed=4",
        settings="task: x",
        seed=4,
        seconds=61.5,
        ended="2026-01-02T03:04:05",
        device="Intel Xeon Platinum 8481C, 128 cores",
        versions={"jax": "0.10.2"},
        findings=findings,
    )


@pytest.mark.parametrize(("width", "dark"), SIZES)
def test_the_report_of_a_search_fits_and_shows_the_elimination(browser, searched, width, dark):
    view = browser.open(searched / "report.html", width=width, dark=dark)
    assert not browser.overflow(view)
    view.click("#show")
    frame = view.frame_locator(".elimination")
    frame.locator("#slider").wait_for()
    assert not browser.overflow(view)
    (inside,) = view.frames[1:]
    assert inside.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize(("width", "dark"), SIZES)
def test_the_report_of_a_large_scheme_fits(browser, width, dark):
    view = browser.open(report(scheme_result(), metrics_of(60)), width=width, dark=dark)
    for fold in view.locator("summary").all():
        fold.click()
    assert not browser.overflow(view)
    paper = view.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(20, 24, 31)") == dark
    view.click("#theme")
    assert view.evaluate("getComputedStyle(document.body).backgroundColor") != paper
    again = browser.open(report(scheme_result(), []), width=width, dark=dark, context=view.context)
    assert not browser.overflow(again)
    place = view.locator(".place").first
    assert place.inner_text() == "model.py:31 (residual)" and LONG in place.get_attribute("title")


def test_the_choice_of_light_or_dark_is_remembered(browser, searched):
    view = browser.open(searched / "report.html", dark=False)
    view.click("#theme")
    again = browser.open(searched / "report.html", dark=False, context=view.context)
    assert again.evaluate("document.documentElement.dataset.theme") == "dark"


def values_of(view, figure=0):
    """What is written behind the names of the curves."""
    return view.locator(".chart").nth(figure).locator(".u-value").all_inner_texts()


def test_hovering_keys_and_names_move_and_switch_the_curves(browser):
    view = browser.open(report(scheme_result(), metrics_of(60)))
    assert values_of(view) == ["29.5", "20.17", "44", "25", "9,000"]
    box = view.locator(".u-over").first.bounding_box()
    view.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 50)
    seconds, best, *_ = map(float, values_of(view)[:3])
    assert 14 <= seconds <= 15.5 and best == pytest.approx(30 - 10 * seconds / 30, abs=0.01)
    plot = view.locator(".plot").first
    plot.focus()
    view.keyboard.press("Home")
    assert values_of(view)[:2] == ["0", "30"]
    view.keyboard.press("ArrowRight")
    assert values_of(view)[0] == "0.5"
    far = view.locator(".u-series", has_text="far away")
    assert "u-off" in far.get_attribute("class")  # it would flatten the others
    far.locator("th").focus()
    view.keyboard.press("Enter")
    assert "u-off" not in far.get_attribute("class")
    view.locator("select").select_option(label="games")
    assert view.locator(".u-label").first.inner_text().startswith("games")
    assert view.locator(".chart").nth(1).locator(".u-label").first.inner_text().startswith("games")


def test_of_several_numbers_at_one_time_the_last_is_drawn(browser):
    lines = [{"games": 0, "seconds": max(1.0, at), "best": -30.0 + at, "mean": None} for at in range(3)]
    view = browser.open(report(scheme_result(), lines))
    assert values_of(view) == ["2", "28", "25", "9,000"]
    view.locator("select").select_option(label="games")
    assert values_of(view)[:2] == ["0", "28"]


def test_copying_takes_the_program(browser):
    view = browser.open(report(scheme_result(), []))
    view.locator(".copy").first.click()
    view.locator(".copy", has_text=re.compile("Copied|Selected")).wait_for()


@pytest.mark.parametrize(("width", "dark"), SIZES)
def test_the_index_fits_and_its_table_is_sorted_by_any_column(browser, tmp_path, width, dark):
    for name, seed in {"a": 9, "b": 10, "long_" * 30: 2}.items():
        path = tmp_path / name
        path.mkdir()
        (path / "config.yaml").write_text(f"task: x\nseed: {seed}\n")
        lines = metrics_of(5 * seed)
        (path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        if seed != 10:
            save_result(path, dataclasses.replace(scheme_result(), seed=seed))
    runs, passed = find_runs([tmp_path])
    write_index(tmp_path / "index.html", runs, [*passed, f"{LONG}: {'x' * 300}"])
    view = browser.open(tmp_path / "index.html", width=width, dark=dark)
    view.locator("summary").click()
    assert not browser.overflow(view)
    head, seeds = view.locator("thead th", has_text="seed"), view.locator("tbody td:nth-child(7)")
    for sense, sorted_ in {"ascending": ["2", "9", "10"], "descending": ["10", "9", "2"]}.items():
        head.locator("button").click()
        assert seeds.all_inner_texts() == sorted_ and head.get_attribute("aria-sort") == sense
    assert view.locator(".chart").count() == 2
