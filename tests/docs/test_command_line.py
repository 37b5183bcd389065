"""The page of the command line shows every command and every setting."""

import importlib.util
import pathlib

import pytest

from alphagrad.commands import _KINDS, COMMANDS
from alphagrad.run.settings import settings

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "api" / "command_line.md"


@pytest.fixture(scope="module")
def page():
    pytest.importorskip("griffe")
    found = importlib.util.spec_from_file_location("pages", PAGE.with_name("pages.py"))
    pages = importlib.util.module_from_spec(found)
    found.loader.exec_module(pages)
    return pages.on_page_markdown(PAGE.read_text())


def test_every_command_is_named(page):
    usage = page.split("```text")[1].split("```")[0]
    assert all(f"\n  {command}" in usage for command in COMMANDS)


@pytest.mark.parametrize("command", _KINDS)
def test_every_setting_is_explained(command, page):
    shown = page.split(f"## Settings of `{command}`")[1].split("\n## ")[0]
    for kind in _KINDS[command]:
        table = shown.split(f"`task={kind.task}`")[1].split("### ")[0]
        for setting in settings(kind.config):
            assert f"| `{setting.key}`" in table
            assert setting.help
