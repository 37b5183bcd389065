"""Every block of code in the README and the documentation runs, in its order, page by page."""

import os
import pathlib
import re
import subprocess
import sys
import tomllib

import pytest
from sybil import Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
SHOWN = {"json", "text", "toml", "yaml"}  # what is no code
SECONDS = 120


def run_in_a_shell(example):
    """Runs a block line by line as a shell would; `pip install` only has to name extras that there are."""
    commands = example.parsed
    if commands.startswith("pip install"):
        asked = re.findall(r"\[([\w,]+)\]", commands)
        assert set(",".join(asked).split(",")) - {""} <= set(EXTRAS), commands
        return
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        env=os.environ
        | {"PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "100"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert ran.returncode == 0, f"{commands}\n{ran.stdout}\n{ran.stderr}"


SYBIL = Sybil(parsers=[PythonCodeBlockParser(), CodeBlockParser(language="sh", evaluator=run_in_a_shell)])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_blocks_of_a_page_run(page, tmp_path, monkeypatch):
    (tmp_path / "benchmarks").symlink_to(ROOT / "benchmarks")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for example in SYBIL.parse(page).examples():
        example.evaluate()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_says_what_it_is(page):
    fences = re.findall(r"^ *```(.*)$", page.read_text(), re.MULTILINE)
    kinds = {fence.split()[0] if fence.strip() else "" for fence in fences[::2]}
    assert kinds <= {"python", "sh", *SHOWN}
