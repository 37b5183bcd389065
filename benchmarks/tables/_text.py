"""What tables are made with: the result files, how numbers are written, and where they are from."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from manifest import RESULTS, Manifest, Result
from provenance import ROOT

Row = dict[str, Any]
_SCRIPT = re.compile(r"benchmarks/\w+\.py")


class Data:
    """The result files and their manifest, each file read once."""

    def __init__(self, results: Path = RESULTS):
        self.results = results
        self.manifest = Manifest.load(results)
        self._read: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        """What is in a JSON file, named by its path below the results."""
        if name not in self._read:
            self._read[name] = json.loads((self.results / name).read_text())
        return self._read[name]

    def matching(self, pattern: str) -> dict[str, Any]:
        """What is in the JSON files of a pattern, by their stems."""
        return {
            path.stem: self[str(path.relative_to(self.results))]
            for path in sorted(self.results.glob(pattern))
        }

    @functools.cached_property
    def published(self) -> Any:
        """Figures that others have published."""
        return json.loads((ROOT / "benchmarks" / "published.json").read_text())

    def origin(self, name: str) -> str:
        """Where and how a result was measured, as a sentence."""
        result = self.manifest.results[name]
        its = result.measured
        day = datetime.fromisoformat(its["date"])
        changed = " with changes" if its.get("changed") else ""
        return (
            f"{result.about[0].upper()}{result.about[1:]}: {self._on(result)}, jax {its['jax']}, "
            f"{day.day} {day:%B %Y}, commit {its['commit'][:7]}{changed}; `{its['command']}`."
        )

    def origins_in_brief(self, names: Iterable[str]) -> str:
        """On what results were measured, and by which scripts."""
        results = [self.manifest.results[name] for name in names]
        on = dict.fromkeys(self._on(result) for result in results)
        jax = sorted({result.measured["jax"] for result in results})
        scripts = dict.fromkeys(_SCRIPT.findall(" ".join(result.measured["command"] for result in results)))
        return (
            f"On {', and '.join(on)}; jax {' and '.join(jax)}; "
            f"by {', '.join(f'`{script}`' for script in scripts)}; "
            "commits and whole commands stand in `docs/results/index.md`."
        )

    @staticmethod
    def _on(result: Result) -> str:
        its = result.measured
        return f"{its['device']} ({its['machine']})" if its["device"].startswith("CPU") else its["device"]


@dataclass(frozen=True)
class Made:
    """A table or a figure: what makes it, of which results, and whether their commands are named in brief."""

    make: Callable[[Data], str]
    of: tuple[str, ...]
    brief: bool = False


TABLES: dict[str, Made] = {}
FIGURES: dict[str, Made] = {}


def table(
    name: str, *of: str, brief: bool = False
) -> Callable[[Callable[[Data], str]], Callable[[Data], str]]:
    """Registers what makes a table of these results."""
    return _register(TABLES, name, of, brief)


def figure(name: str, *of: str) -> Callable[[Callable[[Data], str]], Callable[[Data], str]]:
    """Registers what makes a figure within a sentence."""
    return _register(FIGURES, name, of)


def _register(known: dict[str, Made], name: str, of: tuple[str, ...], brief: bool = False) -> Any:
    def keep(make: Callable[[Data], str]) -> Callable[[Data], str]:
        assert name not in known, f"two are called {name}"
        known[name] = Made(make, of, brief)
        return make

    return keep


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> str:
    """A table in Markdown, whose first columns are aligned to the left."""
    aligned = ["---"] * left + ["---:"] * (len(head) - left)
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, aligned, *rows))


def ratio(value: float) -> str:
    """A ratio with three digits where it is large, else with two decimals."""
    return f"{value:.0f}" if value >= 99.95 else f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"


def milliseconds(seconds: float) -> str:
    """Seconds as milliseconds, with three digits."""
    value = seconds * 1e3
    decimals = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 0.1 else 3
    return f"{value:,.{decimals}f} ms"


def bold(text: str) -> str:
    return f"**{text}**"
