"""The report of a run: one HTML page that needs nothing else."""

from __future__ import annotations

import base64
import gzip
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from graphax.files import read_text, write_atomically

from .charts import drawn
from .document import code, document, embedded, escaped, pairs, section
from .factors import picture_of_factors
from .folder import REPORT, read_metrics
from .result import Cells, Result, Text, load_result

ELIMINATION = "elimination.html"
_LARGEST_PAGE = 64 * 2**20  # bytes of a page to be embedded
_PLACE = re.compile(r"^(?P<code>.*)  # (?P<place>\S[^#]*)$")
_WIDEST_NAME = 40  # letters of a file's name


def write_report(folder: Path) -> None:
    """Make `report.html` of what is in a run's folder: result, metrics, a page that shows the elimination.

    Args:
        folder: of a run that has ended.

    Raises:
        OSError: if something cannot be read, or the page not be written.
        ValueError: if the result, or the metrics, are something else.
    """
    result = load_result(folder)
    metrics = read_metrics(folder)
    try:
        elimination = read_text(folder / ELIMINATION, "a page", _LARGEST_PAGE)
    except FileNotFoundError:
        elimination = None
    write_atomically(folder / REPORT, report(result, metrics, elimination))


def report(result: Result, metrics: Sequence[Mapping[str, Any]], elimination: str | None = None) -> str:
    """The report of a run, as HTML.

    Args:
        result: what the run came to.
        metrics: the lines of its metrics.
        elimination: a page to be shown in it.
    """
    found = result.findings
    pictures = [picture for panel in found.panels if (picture := drawn(panel, metrics))]
    parts = [
        _facts(result),
        section("Use it", code(found.use, "the program")),
        section("Curves", _charts(pictures)) if pictures else "",
        *(section(cells.heading, table(cells)) for cells in found.tables),
        section("Elimination", _elimination(elimination)) if elimination else "",
        *(section(factors.heading, picture_of_factors(factors)) for factors in found.factors),
        *(section(text.heading, _lines(text), text.folded) for text in found.texts),
        section("Run it again", _again(result)),
        section("Settings", code(result.settings, "the settings"), folded=True),
    ]
    value = written(found.best, found.quantity)
    header = (
        f'<p class="over">alphagrad {escaped(result.command)}</p><h1>{escaped(result.task)}</h1>'
        f'<p class="lead">{escaped(sentence(found.verdict))}</p>'
    )
    scripts = ["uplot/uPlot.iife.min.js", "page.js", "report.js"]
    return document(f"{result.task}: {value}", header, "\n".join(filter(None, parts)), scripts, pictures)


def written(value: float | None, quantity: str) -> str:
    """A number with what it is of."""
    if value is None:
        return "-"
    return f"{int(value):,} {quantity}" if value == int(value) else f"{value:,.4g} {quantity}"


def sentence(text: str) -> str:
    """Words as a sentence; names stay as they are."""
    first = text.split(" ")[0].rstrip(":,;")
    begun = text[:1].upper() + text[1:] if first.isalpha() else text
    return begun.replace(" %", "\u00a0%") + ("" if text.endswith((".", "!", "?")) else ".")


def duration(seconds: float) -> str:
    """A time as people say it."""
    if seconds < 120:
        return f"{seconds:.3g} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def _facts(result: Result) -> str:
    found = result.findings
    best, bound = found.best, found.bound
    gap = f"{100 * (best - bound) / best:.1f} %" if best and bound is not None and bound < best else ""
    return pairs(
        [
            ("best", written(best, found.quantity)),
            ("found by", found.method),
            ("lower bound", "" if bound is None else written(bound, found.quantity)),
            ("gap", gap or ("none, it is optimal" if bound is not None and best == bound else "")),
            ("time", duration(result.seconds)),
            ("seed", str(result.seed)),
            ("device", result.device),
            ("ended", result.ended.replace("T", " ")),
        ]
    )


def _charts(pictures: Sequence[Mapping[str, Any]]) -> str:
    figures = (chart(at, picture, chooses=at == 0) for at, picture in enumerate(pictures))
    return f'<div class="charts">{"".join(figures)}</div>'


def chart(number: int, picture: Mapping[str, Any], chooses: bool = True) -> str:
    """The place of a picture, for the script, with what is said around it.

    Args:
        number: of the picture in the data of the page.
        picture: as `charts` makes it.
        chooses: whether it has a choice of what to draw over; else that of the first one holds.
    """
    heading, over = escaped(picture["heading"]), picture["over"]
    choices = "".join(
        f'<option value="{at}">{escaped(each["name"])}</option>' for at, each in enumerate(over)
    )
    select = f"<label>over <select>{choices}</select></label>" if chooses and len(over) > 1 else ""
    ends = "; ".join(f"{curve['label']} ends at {curve['y'][-1]}" for curve in picture["curves"])
    shown = sum(len(curve["y"]) for curve in picture["curves"])
    known = sum(curve["of"] for curve in picture["curves"])
    thinned = f"Drawn are {shown:,} of {known:,} points: of each stretch the lowest and the highest." * (
        shown < known
    )
    return (
        f'<figure class="chart" data-picture="{number}"><figcaption><h3>{heading}</h3>'
        f'<span class="unit">{escaped(picture["unit"])}</span>{select}</figcaption>'
        f'<div class="plot" tabindex="0" role="group" aria-label="{heading}, {escaped(picture["unit"])}: '
        f'{escaped(ends)}. Arrow keys move along the curves."></div>'
        f'<p class="hint">{thinned}</p></figure>'
    )


def table(cells: Cells) -> str:
    """A table as HTML, with what is to be said of it below."""
    head = "".join(f'<th scope="col">{escaped(name)}</th>' for name in cells.rows[0])
    body = "".join(
        f'<tr><th scope="row">{escaped(row[0])}</th>'
        + "".join(f"<td>{escaped(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in cells.rows[1:]
    )
    remarks = "".join(f"\n<p>{escaped(sentence(remark))}</p>" for remark in cells.remarks)
    return (
        f'<div class="wide" tabindex="0"><table><caption>{escaped(cells.heading)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{remarks}"
    )


def _elimination(page: str) -> str:
    packed = base64.b64encode(gzip.compress(page.encode(errors="replace"), mtime=0)).decode()
    return (
        "<p>The graph of the function, and how the order eliminates its vertices, step by step.</p>\n"
        f'<button type="button" id="show">Show the elimination</button>\n{embedded(packed, "elimination")}'
    )


def _lines(text: Text) -> str:
    if not text.places:
        return code(text.text, text.heading, wraps=True)
    lines = "\n".join(map(_line, text.text.split("\n")))
    return f'<pre tabindex="0">{lines}</pre>'


def _line(line: str) -> str:
    found = _PLACE.match(line)
    if not found:
        return escaped(line)
    place, shown = escaped(found["place"]), escaped(short(found["place"]))
    return f'{escaped(found["code"])}  <span class="place" title="{place}">{shown}</span>'


def short(place: str) -> str:
    """A place in a file, `/home/me/model.py:31:11 (residual)`, by the file's name and the line."""
    path, space, function = place.partition(" (")
    name, *numbers = PurePath(path.replace("\\", "/")).name.split(":")
    if len(name) > _WIDEST_NAME:
        name = "…" + name[1 - _WIDEST_NAME :]
    return ":".join([name, *numbers[:1]]) + space + function


def _again(result: Result) -> str:
    versions = ", ".join(f"{name} {text}" for name, text in result.versions.items())
    note = "A seed gives the same run again where steps or iterations end it, not where the time does."
    return (
        f"{code(result.again, 'the command', wraps=True)}<p>{note}</p><p>It ran with {escaped(versions)}.</p>"
    )
