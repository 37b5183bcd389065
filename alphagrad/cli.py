"""The command line: `alphagrad search`, `alphagrad train` and other commands."""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress

from ._columns import columns, wrapped
from ._interrupts import INTERRUPTED, Interrupts

_FAILED, _WRONG_USE = 1, 2
_PATIENCE = 4.5  # seconds in which a command ends that Ctrl-C has asked to
_RUNS = ("search", "train")  # what has something to save when it is asked to stop

_COMMANDS = (
    ("demo", "from a function to a picture and a comparison of speed in the browser, in a minute"),
    (
        "search TASK",
        "search for an elimination order, and say how far it can be from the best; or for a scheme that "
        "multiplies matrices with few multiplications, matmul_4x4x4",
    ),
    ("train TASK", "learn an elimination order, or a scheme: matmul_2x2x2"),
    ("show TASK", "print the numbered graph and what the classical orders cost"),
    ("tasks", "list the tasks"),
    ("report FOLDER", "compare the runs below folders, by default runs, on one page: index.html"),
    ("doctor", "say what is installed and what works, for a report of a bug"),
    ("completion SHELL", "print a script by which bash, zsh or fish completes all this"),
)
_REMARKS = (
    "alphagrad search --help and alphagrad train --help list the settings that most need, --help-all those "
    "of the method, too; behind a task, those of its kind alone. --seconds 60, --seconds=60 and seconds=60 "
    "are the same.",
    "search and train save the best order or scheme in the run's folder; Ctrl-C ends a run with it saved "
    "(exit status 130), a second one at once.",
    "TASK may be a function of your own, file.py:function, with the types of its arguments; without --args "
    "it must return an alphagrad.tasks.Task:",
)
_EXAMPLE = '  alphagrad search model.py:residual --args "f32[3],f32[3,3]" --argnums 0,1'


def program() -> None:
    """Run the command that this process was started for, and end it, whatever may still be going on."""
    try:
        status = _main(sys.argv[1:], alone=True)
    except Exception:  # ours to mend, and no reason to wait for anything either
        traceback.print_exc()
        status = _FAILED
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, AttributeError):  # closed, full, or not there at all
            stream.flush()
    # What is compiled cannot be stopped, and is waited for by a process that ends as it should.
    others = set(threading.enumerate()) - {threading.current_thread()}
    if status == INTERRUPTED or any(not thread.daemon for thread in others):
        os._exit(status)
    sys.exit(status)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command within a program that goes on; returns the exit status.

    Args:
        arguments: the words of the command line; by default those of this process.
    """
    return _main(sys.argv[1:] if arguments is None else arguments, alone=False)


def _main(words: Sequence[str], alone: bool) -> int:
    start = time.perf_counter()
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison]
        # The next file that is opened would be taken for the standard output.
        os.open(os.devnull, os.O_WRONLY)
        _complain("standard output is closed; redirect it to a file or to /dev/null")
        return _WRONG_USE
    try:
        status = _run(list(words), start, alone)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # whoever read our output has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if words[0] in _RUNS:
            _complain("ended, for nobody reads its output any more", words[0])
        return _FAILED
    except OSError as error:  # the output's, when it was flushed
        _complain(str(error))
        return _WRONG_USE


def _run(words: Sequence[str], start: float, alone: bool) -> int:
    if len(words) > 1 and words[0] == "help":
        words = [words[1], "--help"]
    if not words or words[0] in ("-h", "--help", "help"):
        print(_usage())
        return 0 if words else _WRONG_USE
    if words[0] == "--version":
        from . import __version__

        print(f"alphagrad {__version__}")
        return 0
    command, *rest = words
    if command not in _RUNS:
        try:
            return _work(command, rest, start, Interrupts(), alone)
        except KeyboardInterrupt:
            _complain("interrupted", command)
            return INTERRUPTED
    if sys.stdout.isatty():
        print("loading", end="\r", flush=True)  # takes seconds
    with Interrupts(_PATIENCE if alone else None) as interrupts:
        try:
            return _work(command, rest, start, interrupts, alone)
        except KeyboardInterrupt:
            _complain("interrupted", command)
            return INTERRUPTED


def _usage() -> str:
    lines = ["usage: alphagrad COMMAND [TASK] [SETTING ...]", "       alphagrad --version", "", "commands:"]
    lines += columns(_COMMANDS)
    for remark in _REMARKS:
        lines += ["", *wrapped(remark)]
    return "\n".join([*lines, _EXAMPLE])


def _work(command: str, words: Sequence[str], start: float, interrupts: Interrupts, alone: bool) -> int:
    if command == "doctor":  # it is asked where something is missing
        return _doctor(words)
    try:
        from . import _require_train as _require_train
    except ImportError as error:
        _complain(str(error))
        return _WRONG_USE
    # Whoever asks for help need not wait for it.
    from . import commands

    if command not in commands.COMMANDS:
        _complain(f"unknown command {command!r}; {commands.nearest(command, commands.NAMES)}")
        return _WRONG_USE
    try:
        ended = commands.COMMANDS[command](words, commands.invocation(start, interrupts, alone))
        return 0 if ended else INTERRUPTED
    except BrokenPipeError:
        raise
    except (commands.ConfigError, OSError) as error:  # what a user can mend; others keep their traceback
        _complain(commands.plain(str(error)), command)
        return _WRONG_USE


def _doctor(words: Sequence[str]) -> int:
    if words:
        if words[0] not in ("-h", "--help"):
            _complain(f"takes no settings, got {words[0]!r}", "doctor")
            return _WRONG_USE
        print(
            "usage: alphagrad doctor\n\nPrints what is installed and what works; the exit status is 1 if "
            "something does not."
        )
        return 0
    from .doctor import doctor

    return doctor()


def _complain(message: str, command: str = "") -> None:
    if sys.stderr is not None:  # pyright: ignore[reportUnnecessaryComparison]
        with suppress(OSError):
            print(f"alphagrad {command}: {message}" if command else f"alphagrad: {message}", file=sys.stderr)
