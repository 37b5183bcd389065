"""`alphagrad report`: an index of runs, and reports that are up to date."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .._columns import columns, wrapped
from .command import Invocation
from .index import write_index
from .plain import plain
from .runs import find_runs, remake_report
from .settings import ConfigError, settings

_PAGE = ".html"


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """The settings of `alphagrad report`, beside the folders."""

    out: str | None = field(
        default=None,
        metadata={"help": "the index, a folder or a file .html; by default index.html in the folder named"},
    )


def report(config: ReportConfig, call: Invocation, folders: Sequence[str] = ("runs",)) -> bool:
    """Write an index of the runs below folders, and make those of their reports again that are out of date.

    Args:
        config: where the index goes.
        call: how the command was called.
        folders: where runs are.

    Raises:
        ConfigError: if nothing says where the index goes.
        OSError: if a folder is none, or the index cannot be written.
    """
    if config.out is None and len(folders) != 1:
        raise ConfigError("several folders have no index of their own: say out=index.html")
    paths = [Path(folder) for folder in folders]
    out = paths[0] if config.out is None else Path(config.out)
    index = out if out.suffix == _PAGE else out / f"index{_PAGE}"

    def say(text: str) -> None:
        call.console.print(plain(text), soft_wrap=True)

    runs, passed = find_runs(paths)
    for run in runs:
        try:
            if remake_report(run):
                say(f"made again: {run.path / 'report.html'}")
        except (OSError, ValueError) as error:
            passed.append(f"{run.path}: {error}")
    for line in passed:
        say(f"passed over: {line}")
    write_index(index, runs, passed)
    say(f"{len(runs)} {'run' if len(runs) == 1 else 'runs'}: {index}")
    return True


def report_help() -> str:
    """What there is to be said to `alphagrad report`."""
    return "\n".join(
        [
            "usage: alphagrad report [FOLDER ...] [SETTING ...]",
            "",
            *wrapped(
                "Compares the runs in and below folders, by default runs, on one page, and makes those of "
                "their reports again that are out of date. Folders without a run are named and passed over."
            ),
            "",
            *columns([(setting.key, setting.help) for setting in settings(ReportConfig)]),
        ]
    )
