"""The command line: `alphagrad search`, `alphagrad train`, `alphagrad show`, `alphagrad tasks`."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.markup import escape
from rich.table import Table

_INTERRUPTED = 130  # what shells report for Ctrl-C
_WRONG_USE = 2

_USAGE = """usage: alphagrad COMMAND [key=value ...]

commands:
  search task=NAME  search for an elimination order, and say how far it can be from the best; or for a scheme
                    that multiplies matrices with few multiplications, task=matmul_4x4x4
  train task=NAME   learn an elimination order, or a scheme: task=matmul_2x2x2
  show task=NAME    print the numbered graph and what the classical orders cost
  tasks             list the tasks

alphagrad search --help and alphagrad train --help list all settings; with task=matmul_2x2x2 --help those of
that kind of task alone. Both save the best order or scheme in the run's folder; Ctrl-C ends a run with it
saved (exit status 130).

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
    from .run.settings import ConfigError, nearest

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


class _Kind(NamedTuple):
    """A kind of task that a command works on.

    Attributes:
        about: what is looked for.
        task: what such tasks are called, for help.
        accepts: whether a task's name is of this kind; the last kind of a command is asked for any.
        config: the class of its settings.
        work: does it; returns False if a user asked it to stop.
    """

    about: str
    task: str
    accepts: Callable[[str], bool]
    config: type
    work: Callable[[Any, float, Console], bool]


def _kinds(command: str) -> Sequence[_Kind]:
    """The kinds of tasks that a command works on."""
    from .run.settings import SchemeSearchConfig, SchemeTrainConfig, SearchConfig, TrainConfig

    return {
        "search": (
            _Kind("a matrix multiplication", "matmul_NxMxP", _is_matmul, SchemeSearchConfig, _search_schemes),
            _Kind("an elimination order", "NAME", bool, SearchConfig, _search_orders),
        ),
        "train": (
            _Kind("a matrix multiplication", "matmul_NxMxP", _is_matmul, SchemeTrainConfig, _train_schemes),
            _Kind("an elimination order", "NAME", bool, TrainConfig, _train_orders),
        ),
    }[command]


def _is_matmul(task: str) -> bool:
    return task.startswith("matmul") and ".py" not in task


def _search_schemes(config: Any, start: float, console: Console) -> bool:
    from .schemes.search import search

    return search(config, start, console)


def _search_orders(config: Any, start: float, console: Console) -> bool:
    from .orders.search import search

    return search(config, start, console)


def _train_orders(config: Any, start: float, console: Console) -> bool:
    from .orders.train import train

    return train(config, start, console)


def _train_schemes(config: Any, start: float, console: Console) -> bool:
    from .schemes.train import train

    return train(config, start, console)


def _search(words: Sequence[str], console: Console, start: float) -> int:
    return _work("search", words, None, console, start)


def _train(words: Sequence[str], console: Console, start: float) -> int:
    # On a GPU, XLA generates kernels for products of matrices and times several of each before it takes one:
    # half a minute for a network. A library's kernels, taken untimed, do as well on products as small as
    # ours; generated ones, untimed, take half as long again.
    os.environ.setdefault("XLA_FLAGS", "--xla_gpu_autotune_level=0 --xla_gpu_enable_triton_gemm=false")
    resumed = [word.partition("=")[2] for word in words if word.startswith("resume=")]
    if not resumed:
        return _work("train", words, None, console, start)
    # A run that goes on writes to a folder of its own.
    return _work("train", ["run_dir=null", *words], Path(resumed[-1]) / "config.yaml", console, start)


def _work(command: str, words: Sequence[str], base: Path | None, console: Console, start: float) -> int:
    """Run a command on the kind of task that its words, or else a file of settings, name."""
    from .run.settings import named_task, parse

    kinds = _kinds(command)
    if _wants_help(words):
        task = named_task(words)
        for kind in kinds:
            if not task or kind is _kind_of(task, kinds):
                _print_settings(command, kind.task, kind.config, console)
        return 0
    task = named_task(words, base)
    kind = _kind_of(task, kinds)
    _refuse_settings_of_others(task, words, kind, kinds)
    return 0 if kind.work(parse(kind.config, words, base), start, console) else _INTERRUPTED


def _kind_of(task: str, kinds: Sequence[_Kind]) -> _Kind:
    return next((kind for kind in kinds if kind.accepts(task)), kinds[-1])


def _refuse_settings_of_others(task: str, words: Sequence[str], own: _Kind, kinds: Sequence[_Kind]) -> None:
    """Say what a setting is for, when it is one of another kind of task."""
    from .run.settings import ConfigError, settings

    known = {kind: {setting.key for setting in settings(kind.config)} for kind in kinds}
    for word in words:
        key, equals, _ = word.partition("=")
        others = [kind for kind in kinds if key in known[kind]]
        if equals and others and own not in others:
            given = f"task={task} asks for {own.about}" if task else "no task= is given"
            raise ConfigError(f"{key}= is a setting for {others[0].about}, task={others[0].task}; {given}")


def _show(words: Sequence[str], console: Console, start: float) -> int:
    from .run.settings import ShowConfig, load_task, parse, trace_task

    if _wants_help(words):
        _print_settings("show", "NAME", ShowConfig, console)
        return 0
    from .orders.table import cost_rows, cost_table

    task = load_task(parse(ShowConfig, words))
    graph = trace_task(task)
    print(graph)
    console.print(cost_table(task, cost_rows(graph, task)))
    return 0


def _tasks(words: Sequence[str], console: Console, start: float) -> int:
    from .run.settings import ConfigError

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
    console.print(
        "and matmul_NxMxP, the product of an N x M by an M x P matrix: `alphagrad search task=matmul_4x4x4` "
        "looks for schemes of few multiplications, `alphagrad train task=matmul_2x2x2` learns one"
    )
    return 0


def _wants_help(words: Sequence[str]) -> bool:
    return any(word in ("-h", "--help") for word in words)


def _print_settings(command: str, task: str, config: type, console: Console) -> None:
    from .run.settings import settings

    table = Table(title=f"alphagrad {command} task={task} key=value ...")
    for column in ("key", "default", "meaning"):
        table.add_column(column)
    for setting in settings(config):
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
