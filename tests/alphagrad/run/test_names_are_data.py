"""What users and files say reaches terminals, pages and folders as what it is, and does nothing there."""

import io
import re
import unicodedata
from html import unescape
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from alphagrad.cli import main
from alphagrad.run.charts import Line, Panel, Series
from alphagrad.run.folder import run_path
from alphagrad.run.page import report
from alphagrad.run.plain import plain
from alphagrad.run.result import Cells, Factor, Factors, Findings, Result, Text
from alphagrad.run.settings import ConfigError
from alphagrad.run.table import Rows

MARKUP = ["[/bold]", "[red]", "[link=file:///]x", ":smile:", "[", r"\[a]", "{a}", "<b>&amp;", "[[/]"]
ACTING = ["\x1b[31m", "\x9b2J", "\x07", "\r", "\0", "\u202e", "\u2066", "\u2028", "\ud800", "\udcff", "\x7f"]
texts = st.text(st.characters() | st.sampled_from([chr(code) for code in range(0xD7F0, 0xD810)]))


def printed(table, terminal=True):
    file = io.StringIO()
    Console(file=file, force_terminal=terminal, color_system=None, highlight=False, width=200).print(table)
    return file.getvalue()


@given(texts)
def test_what_acts_is_escaped_and_all_else_stays(text):
    shown = plain(text)
    assert not {unicodedata.category(letter) for letter in shown} & {"Cc", "Cs", "Zl", "Zp"}
    assert not {unicodedata.bidirectional(letter) for letter in shown} & {"RLO", "LRO", "RLE", "LRE", "PDF"}
    assert plain(shown) == shown
    assert shown.encode().decode() == shown
    assert plain(text, keep="\n\t").replace("\n", r"\n").replace("\t", r"\t") == shown


def test_escapes_are_those_of_python():
    assert plain("\x1b[31m, \n, \u202e, \ud800") == r"\x1b[31m, \n, \u202e, \ud800"
    assert plain("runs/[lr] für 東京 \\ 👩‍🚀") == "runs/[lr] für 東京 \\ 👩‍🚀"


@pytest.mark.parametrize("name", MARKUP)
def test_tables_print_names_as_they_are(name):
    table = Rows(f"title {name}", [("head " + name, "x"), ("cell " + name, name)], (), f"caption {name}")
    for place in ("title", "head", "cell", "caption"):
        assert f"{place} {name}" in printed(table)


@pytest.mark.parametrize("name", ACTING)
def test_nothing_in_a_table_or_page_acts(name, tmp_path):
    table = Rows(name, [(name, name), (name, name)], (), name)
    shown = printed(table, terminal=False)
    assert shown.count(plain(name)) == 6
    shown = shown.replace(f"{plain(name)}\t", f"{plain(name)} ")  # tabs of ours, between cells
    assert not re.search("[\0-\x09\x0b-\x1f\x7f-\x9f\u202e\u2066\u2028\ud800-\udfff]", shown)
    page = page_of(name)
    assert page.count(plain(name)) >= 12
    assert not re.search("[\0-\x09\x0b-\x1f\x7f-\x9f\u202e\u2066\u2028\ud800-\udfff]", _prose(page))


def page_of(name):
    """A report in which everything that others say is this."""
    findings = Findings(
        best=1,
        quantity=name,
        method=name,
        bound=None,
        verdict=name,
        use=name,
        on_jax=False,
        panels=(Panel(name, name, (Series(name, "best"),), ("seconds",), (Line(name, 1.0),)),),
        tables=(Cells(name, ((name,), (name,)), (name,)),),
        factors=(Factors(name, (Factor(name, (name,), ((1,),)),)),),
        texts=(
            Text(name, f"{name}\n\tnext"),
            Text(name, f"{name}  # /{name}/x.py:1:2 ({name})", places=True),
        ),
    )
    result = Result(
        task=name, command=name, again=name, settings=name, seed=0, seconds=1.0, ended=name, device=name,
        versions={name: name}, findings=findings,
    )  # fmt: skip
    return report(result, [{"seconds": 0.5, "best": 1}, {"seconds": 1.0, "best": 1}], name)


def _prose(page):
    """A page without scripts, styles and data."""
    return re.sub(r"<(script|style)[^<]*?>.*?</\1>", "", page, flags=re.DOTALL).replace("\t", " ")


@pytest.mark.parametrize("name", [*MARKUP, "</script><script>alert(1)</script>", '" onload="alert(1)'])
def test_a_page_says_names_as_they_are(name):
    page = page_of(name)
    shown = unescape(_prose(page))
    assert shown.count(name) >= 12 and f"{name}\n\tnext" in unescape(page)
    assert "<b>&" not in page and "<script>alert" not in page and '" onload' not in _prose(page)


ODD_TASKS = [
    "..", ".", "", "...", "../../etc", "/etc/passwd", "a\0b", "x" * 5000, "é" * 300, "東" * 200, "👩‍🚀",
    "\udcff", "C:\\x", "[/bold]", "~", "-rf", "\x1b[31m", "a/../../b", "con.", "\n",
]  # fmt: skip


@pytest.mark.parametrize("task", ODD_TASKS)
def test_the_folder_of_any_task_stays_inside_runs(task, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = run_path(None, task)
    path.mkdir(parents=True)
    assert path.resolve().parent.parent == tmp_path.resolve() / "runs"
    assert all(len(part.encode()) <= 255 for part in path.parts)
    assert plain(str(path)) == str(path)
    again = run_path(None, task)
    assert again != path and again.parent == path.parent


@given(st.text())
def test_folders_of_tasks_are_two_below_runs(task):
    path = run_path(None, task)
    assert path.parts[0] == "runs" and len(path.parts) == 3 and not set(path.parts) & {".", ".."}


def test_a_folder_that_is_given_is_taken_as_it_is_written():
    for name in MARKUP:
        assert run_path(f"runs/{name}", "x").relative_to("runs") == Path(name)
    with pytest.raises(ConfigError, match=r"run_dir=a\\x00b holds a null character"):
        run_path("a\0b", "x")


def test_commands_say_names_as_they_are(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "[lr]" / "[bold]:smile:.py"
    file.parent.mkdir()
    file.write_text("def f(x):\n    return x * x\n")
    assert main(["search", f"task={file}:f", "args=f32[2]", "run_dir=[x]/a[/b]", "seconds=5"]) == 2
    captured = capsys.readouterr()
    assert "there is no vertex to eliminate" in captured.err
    for name in ("[/bold]", ":smile:", "\x1b[31m", "\u202e\udcff"):
        for word in (
            f"task={name}",
            f"run_dir={name}/\0",
            f"seed={name}",
            f"{name}=1",
            name,
            f"task={name}/x.py:f",
        ):
            words = ["task=Simple", word] if "task=" not in word else [word]
            assert main(["search", *words]) == 2
            said = capsys.readouterr().err
            assert said.count("\n") == 1 and not re.search("[\0-\x09\x0b-\x1f\u202e\ud800-\udfff]", said), (
                said
            )
