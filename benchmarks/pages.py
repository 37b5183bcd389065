"""Pages of the documentation: tables and figures between markers are what the result files say.

A table stands between `<!-- table: NAME -->` and `<!-- end of table -->`, on lines of their own; a figure
within a sentence is `<!-- figure: NAME -->2.68<!-- end -->`.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from provenance import ROOT
from tables import FIGURES, TABLES, Data, Made

from graphax.files import write_atomically

_TABLE = re.compile(r"<!-- table: (?P<name>[^>]*?) -->(?P<held>.*?)<!-- end of table -->", re.DOTALL)
_FIGURE = re.compile(r"<!-- figure: (?P<name>[^>]*?) -->(?P<held>.*?)<!-- end -->", re.DOTALL)
#: Pictures of the results, by what they are called beside the pages.
PICTURES = {
    "run_time_cpu.png": "cpu-scalar/jacobians.png",
    "run_time_gpu.png": "h200-scalar/jacobians.png",
    "sparse.png": "cpu-sparse/sparse.png",
    "learning.png": "learning_RoeFlux_1d.png",
    "graph.svg": "RoeFlux_1d.svg",
    "played.svg": "played/h100.svg",
    "products.svg": "matmul/batched.svg",
    "layers.png": "layers/Perceptron.png",
}


def pages(root: Path = ROOT) -> list[Path]:
    """The README, and what is in `docs`."""
    return [root / "README.md", *sorted((root / "docs").rglob("*.md"))]


def filled(text: str, data: Data) -> str:
    """A page with its tables and figures as the results say.

    Raises:
        ValueError: when a marker names what there is not, or a marker has no end.
    """
    for kind, known, pattern in (("table", TABLES, _TABLE), ("figure", FIGURES, _FIGURE)):
        begun = len(re.findall(f"<!-- {kind}: ", text))
        if begun != len(pattern.findall(text)):
            raise ValueError(f"{begun} markers of a {kind} begin, and fewer are well formed and end")
        for name in pattern.findall(text):
            if name[0] not in known:
                raise ValueError(f"no {kind} is called {name[0]!r}: there are {', '.join(sorted(known))}")
    text = _TABLE.sub(
        lambda at: f"<!-- table: {at['name']} -->\n\n{_table(at['name'], data)}\n\n<!-- end of table -->",
        text,
    )
    return _FIGURE.sub(
        lambda at: f"<!-- figure: {at['name']} -->{FIGURES[at['name']].make(data)}<!-- end -->", text
    )


def _table(name: str, data: Data) -> str:
    made = TABLES[name]
    return "\n".join([made.make(data), "", *origins(made, data)]).rstrip()


def origins(made: Made, data: Data) -> list[str]:
    """The sentences under a table."""
    if made.brief:
        return [f"<small>{data.origins_in_brief(made.of)}</small>"]
    sentences = list(dict.fromkeys(data.origin(name) for name in made.of))
    if len(sentences) < 2:
        return [f"<small>{sentence}</small>" for sentence in sentences]
    listed = "".join(f"\n- <small>{sentence}</small>" for sentence in sentences)
    return [f"<small>Measured:</small>\n{listed}"]


def write(root: Path = ROOT) -> list[Path]:
    """Fill all pages, and put the pictures beside them; returns what has changed."""
    data, changed = Data(root / "benchmarks" / "results"), []
    for page in pages(root):
        before = page.read_text()
        if (after := filled(before, data)) != before:
            write_atomically(page, after)
            changed.append(page)
    for name, source in PICTURES.items():
        picture, original = root / "docs" / "results" / "pictures" / name, data.results / source
        if not _same(picture, original):
            picture.parent.mkdir(exist_ok=True)
            shutil.copyfile(original, picture)
            changed.append(picture)
    return changed


def faults(root: Path = ROOT) -> list[str]:
    """Pages and pictures that are not what the results say, and faults of the manifest."""
    data = Data(root / "benchmarks" / "results")
    found = data.manifest.faults(data.results)
    for page in pages(root):
        try:
            if filled(text := page.read_text(), data) != text:
                found.append(f"{page.relative_to(root)}: not what the results say")
        except (KeyError, TypeError, ValueError) as error:
            found.append(f"{page.relative_to(root)}: {type(error).__name__}: {error}")
    for name, source in PICTURES.items():
        if not _same(root / "docs" / "results" / "pictures" / name, data.results / source):
            found.append(f"docs/results/pictures/{name}: not {source}")
    return found


def _same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.read_bytes() == other.read_bytes()
