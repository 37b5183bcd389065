"""Every block of code in the README and the documentation runs, in its order, page by page."""

import os
import pathlib
import re
import subprocess
import sys
import tomllib

import jax
import pytest
from sybil import Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser
from sybil.parsers.markdown.lexers import RawFencedCodeBlockLexer

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Its sections run each by itself, and what they solve is checked, in tests/graphax/test_sparse_solvers.py.
RUN_ELSEWHERE = {ROOT / "docs" / "guides" / "sparse_newton.md"}
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
SHOWN = {"json", "text", "toml", "yaml"}  # what is no code
SECONDS = 300  # for the commands of a block


def run_in_a_shell(example):
    """Runs a block line by line as a shell would; `pip install` only has to name extras that there are."""
    commands = example.parsed
    if commands.startswith("pip install"):
        asked = re.findall(r"alphagrad\[([\w,]+)\]|\.\[([\w,]+)\]", commands)
        assert set(",".join(map("".join, asked)).split(",")) - {""} <= set(EXTRAS), commands
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


def written_files(document):
    """The blocks with a title: they are files, which lie in the folder in which later blocks run."""
    lexer = RawFencedCodeBlockLexer(re.compile(r'\w+ title="(?P<file>[^"]+)"$\n', re.MULTILINE))
    for region in lexer(document):
        region.parsed, region.evaluator = region.lexemes, write_file
        yield region


def write_file(example):
    pathlib.Path(example.parsed["file"]).write_text(example.parsed["source"])


SYBIL = Sybil(
    parsers=[
        PythonCodeBlockParser(),
        CodeBlockParser(language="sh", evaluator=run_in_a_shell),
        written_files,
    ]
)


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page not in RUN_ELSEWHERE],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_the_blocks_of_a_page_run(page, tmp_path, monkeypatch):
    (tmp_path / "benchmarks").symlink_to(ROOT / "benchmarks")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("GRAPHAX_COMPILED", str(tmp_path / "compiled"))  # a page's next run begins sooner
    precision = jax.config.jax_enable_x64
    try:
        for example in SYBIL.parse(page).examples():
            example.evaluate()
    finally:
        jax.config.update("jax_enable_x64", precision)  # whatever a page has set


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_says_what_it_is(page):
    fences = re.findall(r"^ *```(.*)$", page.read_text(), re.MULTILINE)
    kinds = {fence.split()[0] if fence.strip() else "" for fence in fences[::2]}
    assert kinds <= {"python", "sh", *SHOWN}
