"""The commands of the command line, on whatever kind of task they are asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import jax
from rich.console import Console

from alphagrad import tasks

from .orders.search import SEARCH as ORDER_SEARCH
from .orders.show import SHOW
from .orders.train import TRAIN as ORDER_TRAIN
from .run.command import Kind
from .run.page import as_table
from .run.settings import ConfigError, named_task, nearest, parse, settings
from .schemes.search import SEARCH as SCHEME_SEARCH
from .schemes.train import TRAIN as SCHEME_TRAIN

__all__ = ["COMMANDS", "ConfigError", "nearest"]

_KINDS = {"search": (SCHEME_SEARCH, ORDER_SEARCH), "train": (SCHEME_TRAIN, ORDER_TRAIN), "show": (SHOW,)}


def _train(words: Sequence[str], start: float) -> bool:
    # On a GPU, XLA generates kernels for products of matrices and times several of each before it takes one:
    # half a minute for a network. A library's kernels, taken untimed, do as well on products as small as
    # ours; generated ones, untimed, take half as long again.
    os.environ.setdefault("XLA_FLAGS", "--xla_gpu_autotune_level=0 --xla_gpu_enable_triton_gemm=false")
    resumed = [word.partition("=")[2] for word in words if word.startswith("resume=")]
    if not resumed:
        return _work("train", words, start)
    # A run that goes on writes to a folder of its own.
    return _work("train", ["run_dir=null", *words], start, Path(resumed[-1]) / "config.yaml")


def _work(command: str, words: Sequence[str], start: float, base: Path | None = None) -> bool:
    """Run a command on the kind of task that its words, or else a file of settings, name."""
    console, kinds = Console(highlight=False), _KINDS[command]
    if _wants_help(words):
        task = named_task(words)
        for kind in kinds:
            if not task or kind is _kind_of(task, kinds):
                _print_settings(command, kind, console)
        return True
    task = named_task(words, base)
    kind = _kind_of(task, kinds)
    _refuse_settings_of_others(task, words, kind, kinds)
    defaults = []
    if kind.on_accelerator and jax.default_backend() != "cpu":
        defaults = [f"{key}={value}" for key, value in kind.on_accelerator.items()]
    return kind.work(parse(kind.config, words, base, defaults), start, console)


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


def _tasks(words: Sequence[str], start: float) -> bool:
    del start
    if words and not _wants_help(words):
        raise ConfigError(f"takes no settings, got {words[0]!r}")
    rows = [("name", "domain", "inputs", "source")]
    for name in tasks.names():
        task = tasks.load(name)
        shapes = " ".join(str(tuple(task.args[at].shape)) for at in task.argnums)
        rows.append((name, task.domain, shapes, task.source))
    console = Console(highlight=False)
    console.print(as_table("tasks", rows, rows[0]))
    console.print(
        "and matmul_NxMxP, the product of an N x M by an M x P matrix: `alphagrad search task=matmul_4x4x4` "
        "looks for schemes of few multiplications, `alphagrad train task=matmul_2x2x2` learns one"
    )
    return True


def _wants_help(words: Sequence[str]) -> bool:
    return any(word in ("-h", "--help") for word in words)


def _print_settings(command: str, kind: Kind, console: Console) -> None:
    rows = [("key", "default", "meaning")]
    for setting in settings(kind.config):
        default = "" if setting.default is None else str(setting.default)
        if setting.key in kind.on_accelerator:
            default += f" (on a GPU or TPU: {kind.on_accelerator[setting.key]})"
        rows.append((setting.key, default, setting.help))
    console.print(as_table(f"alphagrad {command} task={kind.task} key=value ...", rows, rows[0]))


COMMANDS: dict[str, Callable[[Sequence[str], float], bool]] = {
    "search": partial(_work, "search"),
    "train": _train,
    "show": partial(_work, "show"),
    "tasks": _tasks,
}
"""What each command does with its words, given when it began; False if a user asked it to stop."""
