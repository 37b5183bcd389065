"""Tables on terminals of any width, and where no terminal is."""

import io

import pytest
from rich.console import Console

from alphagrad.run import console
from alphagrad.run.table import Rows

ROWS = [
    ("name", "what it is about", "size"),
    ("BlackScholes_Jacobian", "options, and what they are worth after some time has gone", "12345"),
    ("[red]Simple", "mathematics of computationalfluiddynamics", "7"),
    ("a\tb\x1b[31m", "", "-"),
]
TABLE = Rows("some :smile: rows", ROWS, ROWS[0][:2], "what is below")


def printed(width):
    file = io.StringIO()
    Console(file=file, width=width, force_terminal=True, color_system=None, markup=False).print(TABLE)
    return file.getvalue()


@pytest.mark.parametrize("width", [24, 30, 40, 48, 56, 60, 80, 120, 300])
def test_names_and_numbers_are_whole_at_any_width(width):
    text = printed(width)
    for name in ("BlackScholes_Jacobian", "[red]Simple", "12345", r"a\tb\x1b[31m"):
        assert name in text
    assert "…" not in text
    assert all(len(line) <= width for line in text.splitlines())


def test_what_fits_has_a_frame():
    assert "│ 12345 │" in printed(80) and "│" not in printed(40)


def test_rows_are_lines_with_tabs_where_no_terminal_is(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    console.CommandConsole().print(Rows("some rows", ROWS, ROWS[0][:2], "what is below"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "# some rows" and lines[-1] == "# what is below"
    assert [line.split("\t") for line in lines[1:4]] == [list(row) for row in ROWS[:3]]
    assert lines[4] == "a\\tb\\x1b[31m\t\t-"


def test_lines_are_not_broken_where_no_terminal_is(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    console.CommandConsole().print("word " * 100)
    assert capsys.readouterr().out == "word " * 100 + "\n"
