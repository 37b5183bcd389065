"""From a name to a task: the named ones, seeded random programs, and functions in a user's file."""

from __future__ import annotations

import dataclasses
import difflib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

from tasks import (
    chemistry,
    clouds,
    deep_learning,
    finance,
    fluid,
    medicine,
    relativity,
    robotics,
    spiking,
    textbook,
    thermodynamics,
)
from tasks._task import Task
from tasks.random_programs import random_scalar, random_tensor

_DOMAINS = (
    fluid,
    robotics,
    medicine,
    chemistry,
    finance,
    deep_learning,
    textbook,
    relativity,
    thermodynamics,
    clouds,
    spiking,
)
_DECLARED = {declared.name: declared for domain in _DOMAINS for declared in domain.TASKS}
_GENERATORS: dict[str, Callable[..., Task]] = {
    "random_scalar": random_scalar,
    "random_tensor": random_tensor,
}
_OPTIONS = {
    "seed": "seed",
    "inputs": "num_inputs",
    "operations": "num_operations",
    "outputs": "num_outputs",
}


def names() -> tuple[str, ...]:
    """The names that `load` knows by heart, grouped by domain."""
    return (*_DECLARED, *_GENERATORS)


def load(name: str) -> Task:
    """Makes the task called `name`, its example inputs in the default dtype of this moment.

    Args:
        name: one of three forms:

            - a name out of `names()`, such as `"RoeFlux_1d"`;
            - a random program with its options, such as
              `"random_scalar:seed=3,operations=40,inputs=4,outputs=3"` or `"random_tensor:seed=7"`
              (any option may be left out; see `random_scalar` and `random_tensor`);
            - a function of no arguments in a Python file that returns a `Task`, as
              `"path/to/file.py:function"`. The file is executed anew by each call.

    Raises:
        ValueError: if there is no such name, option, file or function.
        TypeError: if what a user's file holds is not a function, or not one that returns a `Task`.
    """
    if name in _DECLARED:
        return _DECLARED[name].task()
    head, _, tail = name.rpartition(":")
    if head.endswith(".py"):
        return _load_from_file(Path(head), tail)
    generator, _, options = name.partition(":")
    if generator in _GENERATORS:
        task = _GENERATORS[generator](**{"seed": 0, **_read_options(name, options)})
        return dataclasses.replace(task, name=name)
    if name.endswith(".py"):
        raise ValueError(f"name the function that returns the task, as in '{name}:function'")
    raise ValueError(f"there is no task called {name!r}; {_suggestion(name)}")


def _suggestion(name: str) -> str:
    by_lower_case = {known.lower(): known for known in names()}
    close = difflib.get_close_matches(name.lower(), by_lower_case, n=3, cutoff=0.4)
    nearest = " or ".join(repr(by_lower_case[match]) for match in close)
    question = f"did you mean {nearest}? " if close else ""
    return f"{question}`tasks.names()` lists them all, and 'path/to/file.py:function' loads your own"


def _read_options(name: str, options: str) -> dict[str, int]:
    values = {}
    for option in filter(None, options.split(",")):
        key, _, value = option.partition("=")
        if key not in _OPTIONS:
            raise ValueError(
                f"{name!r} has the unknown option {key!r}; the options are {', '.join(_OPTIONS)}"
            )
        try:
            values[_OPTIONS[key]] = int(value)
        except ValueError:
            raise ValueError(f"option {key!r} of {name!r} must be an integer, not {value!r}") from None
    return values


def _load_from_file(path: Path, function: str) -> Task:
    if not path.is_file():
        raise ValueError(f"there is no file {str(path)!r} to load the task {function!r} from")
    spec = importlib.util.spec_from_file_location(f"task_file_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their own module up while they are being defined.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    if not hasattr(module, function):
        raise ValueError(f"{str(path)!r} defines no {function!r}; it must be a function there")
    make = getattr(module, function)
    if not callable(make):
        raise TypeError(
            f"{function!r} in {str(path)!r} must be a function that returns a tasks.Task, "
            f"not a {type(make).__name__}"
        )
    task = make()
    if not isinstance(task, Task):
        raise TypeError(
            f"{function!r} in {str(path)!r} must return a tasks.Task; it returned a {type(task).__name__}"
        )
    return task
