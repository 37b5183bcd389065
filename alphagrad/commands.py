"""The commands of the command line, on whatever kind of task they are asked for."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import jax

from alphagrad import tasks

from ._interrupts import Interrupts
from .completion import SHELLS, completion_help, completion_script
from .demo import DEMO
from .orders.search import SEARCH as ORDER_SEARCH
from .orders.show import SHOW
from .orders.train import TRAIN as ORDER_TRAIN
from .run.command import Invocation, Kind
from .run.compilation import keep_compiled
from .run.console import CommandConsole
from .run.help import help_text
from .run.plain import plain
from .run.report import ReportConfig, report, report_help
from .run.settings import ConfigError, Setting, named_task, nearest, parse, settings, written_keys
from .run.table import Rows
from .run.words import spelt_out, wants_all_help, wants_help, without_help
from .schemes.search import SEARCH as SCHEME_SEARCH
from .schemes.train import TRAIN as SCHEME_TRAIN

__all__ = [
    "COMMANDS",
    "NAMES",
    "ConfigError",
    "invocation",
    "known_settings",
    "nearest",
    "plain",
]

_KINDS = {
    "search": (SCHEME_SEARCH, ORDER_SEARCH),
    "train": (SCHEME_TRAIN, ORDER_TRAIN),
    "show": (SHOW,),
    "demo": (DEMO,),
}


def invocation(start: float, interrupts: Interrupts, alone: bool) -> Invocation:
    """How a command was called; see :class:`alphagrad.run.command.Invocation`."""
    return Invocation(start, CommandConsole(), interrupts, alone)


def known_settings(command: str) -> dict[str, Setting]:
    """The settings of a command, whatever the kind of task, by key."""
    return {entry.key: entry for kind in _KINDS.get(command, ()) for entry in settings(kind.config)}


def _train(words: Sequence[str], call: Invocation) -> bool:
    # On a GPU, XLA generates kernels for products of matrices and times several of each before it takes one:
    # half a minute for a network. A library's kernels, taken untimed, do as well on products as small as
    # ours; generated ones, untimed, take half as long again.
    os.environ.setdefault("XLA_FLAGS", "--xla_gpu_autotune_level=0 --xla_gpu_enable_triton_gemm=false")
    if call.alone:
        keep_compiled()
    if wants_help(words):
        return _help("train", words)
    words = spelt_out(words, known_settings("train"))
    resumed = [word.partition("=")[2] for word in words if word.startswith("resume=")]
    if not resumed:
        return _work("train", words, call)
    # A run that goes on writes to a folder of its own.
    base = _settings_of(resumed[-1])
    _make_sure(words, base, call)
    return _work("train", ["run_dir=null", *words], call, base)


def _settings_of(folder: str) -> Path:
    """The file of settings in the folder of a training.

    Raises:
        ConfigError: if the folder is none.
    """
    base = Path(folder) / "config.yaml"
    if not folder or not base.is_file():
        raise ConfigError(f"resume={folder} is no folder of a run: it must hold config.yaml")
    searching, training = (
        {setting.key for kind in _KINDS[command] for setting in settings(kind.config)}
        for command in ("search", "train")
    )
    written = written_keys(base)
    if not written <= training and written <= searching:
        raise ConfigError(f"resume={folder} is the folder of a search; only what is learned is gone on from")
    return base


def _make_sure(words: Sequence[str], base: Path, call: Invocation) -> None:
    """Have the user say that a file may be run which nobody but the folder of a run has named.

    Raises:
        ConfigError: if he does not.
    """
    task = named_task(words, base)
    if named_task(words) or not task.rpartition(":")[0].endswith(".py"):
        return
    question = f"{base} names a file that would be run: {plain(task)}"
    if sys.stdin is not None and sys.stdin.isatty() and call.console.is_terminal:
        call.console.print(f"{question}. Run it? [y/N] ", end="")
        if input().strip().lower() in ("y", "yes"):
            return
    raise ConfigError(f"{question}; if that is what you want, say task={task} as well")


def _work(command: str, words: Sequence[str], call: Invocation, base: Path | None = None) -> bool:
    """Run a command on the kind of task that its words, or else a file of settings, name."""
    if wants_help(words):
        return _help(command, words)
    kinds = _KINDS[command]
    words = spelt_out(words, known_settings(command))
    task = named_task(words, base)
    kind = _kind_of(task, kinds)
    _refuse_settings_of_others(task, words, kind, kinds)
    defaults = []
    if kind.on_accelerator and jax.default_backend() != "cpu":
        defaults = [f"{key}={value}" for key, value in kind.on_accelerator.items()]
    config = parse(kind.config, words, base, defaults)
    if base is not None:
        config.refuse_changes(parse(kind.config, [f"task={task}"], base, defaults))
    return kind.work(config, call)


def _kind_of(task: str, kinds: Sequence[Kind]) -> Kind:
    return next((kind for kind in kinds if kind.accepts(task)), kinds[-1])


def _refuse_settings_of_others(task: str, words: Sequence[str], own: Kind, kinds: Sequence[Kind]) -> None:
    """Say what a setting is for, when it is one of another kind of task."""
    known = {kind.config: {setting.key for setting in settings(kind.config)} for kind in kinds}
    for word in words:
        key, equals, _ = word.partition("=")
        others = [kind for kind in kinds if key in known[kind.config]]
        if equals and others and own not in others:
            given = f"task={task} asks for {own.about}" if task else "no task= is given"
            raise ConfigError(f"{key}= is a setting for {others[0].about}, task={others[0].task}; {given}")


def _tasks(words: Sequence[str], call: Invocation) -> bool:
    if words and not wants_help(words):
        raise ConfigError(f"takes no settings, got {words[0]!r}")
    rows = [("name", "domain", "inputs", "source")]
    for name in tasks.names():
        task = tasks.load(name)
        shapes = " ".join(str(tuple(task.args[at].shape)) for at in task.argnums)
        rows.append((name, task.domain, shapes, task.source))
    caption = (
        "and matmul_NxMxP, the product of an N x M by an M x P matrix: `alphagrad search task=matmul_4x4x4` "
        "looks for schemes of few multiplications, `alphagrad train task=matmul_2x2x2` learns one"
    )
    call.console.print(Rows("tasks", rows, rows[0], caption))
    return True


def _report(words: Sequence[str], call: Invocation) -> bool:
    if wants_help(words):
        print(report_help())
        return True
    said: list[str] = []
    folders: list[str] = []
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        if word == "--out":
            said += [word, *waiting[:1]]
            del waiting[:1]
        else:
            (said if word.startswith(("-", "out=")) else folders).append(word)
    known = {setting.key: setting for setting in settings(ReportConfig)}
    return report(parse(ReportConfig, spelt_out(said, known)), call, folders or ["runs"])


def _completion(words: Sequence[str], call: Invocation) -> bool:
    if wants_help(words):
        print(completion_help())
        return True
    if len(words) != 1 or words[0] not in SHELLS:
        given = f"got {' '.join(words)!r}" if words else "none is named"
        raise ConfigError(f"name the shell, alphagrad completion {'|'.join(SHELLS)}; {given}")
    keys = {command: known_settings(command) for command in NAMES}
    print(completion_script(words[0], keys, tasks.names()), end="")
    return True


def _help(command: str, words: Sequence[str]) -> bool:
    """Print the settings of a command; of one kind of task alone, if there is one in its words."""
    kinds = _KINDS[command]
    task = ""
    with suppress(ConfigError):
        task = named_task(spelt_out(without_help(words), known_settings(command)))
    shown = [_kind_of(task, kinds)] if task else list(reversed(kinds))
    print(help_text(command, shown, wants_all_help(words)))
    return True


COMMANDS: dict[str, Callable[[Sequence[str], Invocation], bool]] = {
    "search": partial(_work, "search"),
    "train": _train,
    "show": partial(_work, "show"),
    "demo": partial(_work, "demo"),
    "tasks": _tasks,
    "report": _report,
    "completion": _completion,
}
"""What each command does with its words, given how it was called; False if a user asked it to stop."""

NAMES: Sequence[str] = (*COMMANDS, "doctor")
"""The commands, with the one that works without any of what these need."""
