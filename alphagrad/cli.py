"""The command line: `alphagrad search`, `alphagrad train`, `alphagrad show`, `alphagrad tasks`."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence

_INTERRUPTED = 130  # what shells report for Ctrl-C
_WRONG_USE = 2

_USAGE = """usage: alphagrad COMMAND [key=value ...], or alphagrad --version

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
Without args= the function must return an alphagrad.tasks.Task."""


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
    if not words or words[0] in ("-h", "--help", "help"):
        print(_USAGE)
        return 0 if words else _WRONG_USE
    if words[0] == "--version":
        from . import __version__

        print(f"alphagrad {__version__}")
        return 0
    command, *rest = words
    try:
        from . import _require_train as _require_train
    except ImportError as error:
        print(f"alphagrad: {error}", file=sys.stderr)
        return _WRONG_USE
    # This takes seconds; whoever asks for help need not wait.
    from . import commands

    if command not in commands.COMMANDS:
        hint = commands.nearest(command, list(commands.COMMANDS))
        print(f"alphagrad: unknown command {command!r}; {hint}", file=sys.stderr)
        return _WRONG_USE
    try:
        return 0 if commands.COMMANDS[command](rest, start) else _INTERRUPTED
    except BrokenPipeError:
        raise
    except (commands.ConfigError, OSError) as error:  # what a user can mend; others keep their traceback
        print(f"alphagrad {command}: {error}", file=sys.stderr)
        return _WRONG_USE
    except KeyboardInterrupt:
        print(f"alphagrad {command}: interrupted", file=sys.stderr)
        return _INTERRUPTED
