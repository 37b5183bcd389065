"""The command line: `alphagrad search`, `alphagrad train`, `alphagrad show`, `alphagrad tasks`."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

_INTERRUPTED = 130  # what shells report for Ctrl-C
_WRONG_USE = 2

_USAGE = """usage: alphagrad COMMAND [key=value ...]

commands:
  search task=NAME  search for an elimination order, and say how far it can be from the best
  train task=NAME   learn an elimination order
  show task=NAME    print the numbered graph and what the classical orders cost
  tasks             list the tasks

alphagrad search --help and alphagrad train --help list all settings. Both save the best order in the run's
folder; Ctrl-C ends a run with it saved (exit status 130).

task= also takes a function of your own, file.py:function, with the types of its arguments:
  alphagrad search task=model.py:residual args="f32[3],f32[3,3]" argnums=0,1
Without args= the function must return a tasks.Task."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    start = time.perf_counter()
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        status = _run(words, start)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # whoever read our output has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _run(words: Sequence[str], start: float) -> int:
    console = Console(highlight=False)
    if not words or words[0] in ("-h", "--help", "help"):
        print(_USAGE)
        return 0 if words else _WRONG_USE
    command, *rest = words
    from .config import ConfigError, nearest

    if command not in _COMMANDS:
        print(f"alphagrad: unknown command {command!r}; {nearest(command, list(_COMMANDS))}", file=sys.stderr)
        return _WRONG_USE
    try:
        return _COMMANDS[command](rest, console, start)
    except BrokenPipeError:
        raise
    except (ConfigError, OSError) as error:  # what a user can mend; anything else keeps its traceback
        print(f"alphagrad {command}: {error}", file=sys.stderr)
        return _WRONG_USE
    except KeyboardInterrupt:
        print(f"alphagrad {command}: interrupted", file=sys.stderr)
        return _INTERRUPTED


def _search(words: Sequence[str], console: Console, start: float) -> int:
    from .config import SearchConfig, parse
    from .search_orders import search

    if _wants_help(words):
        _print_settings("search", SearchConfig, console)
        return 0
    return 0 if search(parse(SearchConfig, words), start, console) else _INTERRUPTED


def _train(words: Sequence[str], console: Console, start: float) -> int:
    from pathlib import Path

    from .config import TrainConfig, parse
    from .train import train

    if _wants_help(words):
        _print_settings("train", TrainConfig, console)
        return 0
    resumed = [word.partition("=")[2] for word in words if word.startswith("resume=")]
    base = Path(resumed[-1]) / "config.yaml" if resumed else None
    if base is not None:
        words = ["run_dir=null", *words]  # a run that goes on writes to a folder of its own
    config = parse(TrainConfig, words, base)
    return 0 if train(config, start, console) else _INTERRUPTED


def _show(words: Sequence[str], console: Console, start: float) -> int:
    from .config import ShowConfig, load_task, parse, trace_task

    if _wants_help(words):
        _print_settings("show", ShowConfig, console)
        return 0
    from .report import cost_rows, cost_table

    task = load_task(parse(ShowConfig, words))
    graph = trace_task(task)
    print(graph)
    console.print(cost_table(task, cost_rows(graph, task)))
    return 0


def _tasks(words: Sequence[str], console: Console, start: float) -> int:
    from .config import ConfigError

    if words and not _wants_help(words):
        raise ConfigError(f"takes no settings, got {words[0]!r}")
    import tasks

    table = Table(title="tasks", show_lines=False)
    for column in ("name", "domain", "inputs", "source"):
        table.add_column(column)
    for name in tasks.names():
        task = tasks.load(name)
        shapes = " ".join(str(tuple(task.args[at].shape)) for at in task.argnums)
        table.add_row(*map(escape, (name, task.domain, shapes, task.source)))
    console.print(table)
    return 0


def _wants_help(words: Sequence[str]) -> bool:
    return any(word in ("-h", "--help") for word in words)


def _print_settings(command: str, kind: type, console: Console) -> None:
    from .config import settings

    table = Table(title=f"alphagrad {command} key=value ...")
    for column in ("key", "default", "meaning"):
        table.add_column(column)
    for setting in settings(kind):
        default = "" if setting.default is None else str(setting.default)
        table.add_row(*map(escape, (setting.key, default, setting.help)))
    console.print(table)


_COMMANDS: dict[str, Callable[[Sequence[str], Console, float], int]] = {
    "search": _search,
    "train": _train,
    "show": _show,
    "tasks": _tasks,
}


if __name__ == "__main__":
    sys.exit(main())
