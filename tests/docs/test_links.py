"""What the texts of the repository link to is there, and the site asks no other host for anything."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TEXTS = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")]
LINK = re.compile(r"""\]\(([^)\s]+)\)|(?:src|href)="([^"]+)\"""")
# What a page loads by itself: scripts, styles, fonts and pictures; links that a reader follows are none.
LOADED = re.compile(
    r"""<(?:script|img|iframe|source|video|object)\b[^>]*?(?:src|srcset|data)=["']?(?:https?:)?//[^>]*>"""
    r"""|<link\b(?=[^>]*(?:stylesheet|preload|preconnect|icon))[^>]*href=["']?(?:https?:)?//[^>]*>"""
    r"""|(?:\bimport\(?\s*|@import\s+|url\()["']?(?:https?:)?//[^\s"')]+"""
)


def without_code(text):
    return re.sub(r"^```.*?^```$|`[^`\n]*`", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(text):
    """The anchors of a Markdown file's headings, as they are made of the words."""
    titles = re.findall(r"^#+ +(.*)$", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("text", TEXTS, ids=lambda path: path.name)
def test_what_is_linked_to_is_there(text):
    content = text.read_text()
    links = ["".join(link) for link in LINK.findall(without_code(content))]
    for link in links:
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        path = (text.parent / name).resolve() if name else text
        assert path.exists(), f"{text.name} links to {link}, which is not there"
        if anchor and path.suffix == ".md":
            assert anchor in anchors(path.read_text()), f"{text.name} links to {link}: no such heading"


def test_what_a_page_would_load_from_another_host_is_found():
    for loads in (
        '<script src="https://host/a.js">',
        "<img alt='' src=//host/a.png>",
        '<link rel="stylesheet" href="https://host/a.css">',
        'await import("https://host/a.mjs")',
        "@import 'https://host/a.css'",
        "src: url(https://host/a.woff2)",
    ):
        assert LOADED.search(loads)
    for loads_nothing in (
        '<a href="https://host/">',
        '<img src="a.png">',
        '<link rel="canonical" href="https://h/">',
    ):
        assert not LOADED.search(loads_nothing)


@pytest.mark.slow
def test_the_site_is_built_without_a_warning_and_asks_no_other_host(tmp_path):
    pytest.importorskip("mkdocs_jupyter")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", tmp_path / "site"],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 40
    framed = re.findall(r'<iframe src="([^"]+)"', (tmp_path / "site/how/elimination.html").read_text())
    assert len(framed) == 3 and all((tmp_path / "site/how" / page).is_file() for page in framed)
    asking = {page.name: LOADED.findall(page.read_text()) for page in pages}
    assert not {name: found for name, found in asking.items() if found}
    # The theme's script fetches Mermaid for pages with such diagrams: there are none.
    assert not [page.name for page in pages if 'class="mermaid"' in page.read_text()]
