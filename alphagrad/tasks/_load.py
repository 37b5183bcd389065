"""From a name to a task: the named ones, seeded random programs, and functions in a user's file."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax

from graphax.spelling import did_you_mean

from . import (
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
from ._arguments import EXAMPLE, example_arguments
from ._task import Task
from ._user_file import UserFile
from .random_programs import random_scalar, random_tensor

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
    """The names that `load` knows by heart, grouped by domain.

    Returns:
        the names.

    Example:
        >>> "RoeFlux_1d" in tasks.names()
        True
    """
    return (*_DECLARED, *_GENERATORS)


def load(name: str, args: str | None = None, argnums: Sequence[int] | None = None) -> Task:
    """Makes the task called `name`, its example inputs in the default dtype of this moment.

    Args:
        name: one of four forms:

            - a name out of `names()`, such as `"RoeFlux_1d"`;
            - a random program with its options, such as
              `"random_scalar:seed=3,operations=40,inputs=4,outputs=3"` or `"random_tensor:seed=7"`
              (any option may be left out; see `random_scalar` and `random_tensor`);
            - a function of no arguments in a Python file that returns a `Task`, as
              `"path/to/file.py:function"`. The file is executed anew by each call;
            - with `args`, a function in a Python file that is itself to be differentiated.
        args: types and shapes of the function's arguments as JAX prints them, such as
            `"f32[3],f32[3,3],i32[]"`. The example inputs are a fixed draw between 0.5 and 1.5, and zeros
            where they are no floating numbers.
        argnums: the positions of the arguments that are differentiated, with `args`; all floating and
            complex ones if left out.

    Returns:
        the task.

    Raises:
        ValueError: if there is no such name, option, file or function; if `args` or `argnums` cannot be
            read or do not belong to a function in a file; if the function raises while being traced.
        TypeError: if the name is no text; if what a user's file holds is not a function, not one that
            returns a `Task`, or not one that takes the arguments given.

    Example:
        >>> task = tasks.load("RobotArm_6DOF")
        >>> task.domain, task.published["learned"]
        ('robotics', 231)
        >>> graph = graphax.trace(task.fun, task.argnums)(*task.args)
        >>> tasks.load("random_scalar:seed=3,operations=10").name
        'random_scalar:seed=3,operations=10'
    """
    if not isinstance(name, str):
        raise TypeError(f"name must be a text, such as 'RoeFlux_1d', got {name!r}")
    head, _, tail = name.rpartition(":")
    if name not in _DECLARED and head.endswith(".py"):
        return _load_from_file(Path(head), tail, args, argnums)
    if name.endswith(".py"):
        raise ValueError(f"name the function in the file, as in '{name}:function'")
    if args is not None or argnums is not None:
        raise ValueError(
            f"{'args' if args is not None else 'argnums'}= describes a function of your own, named as "
            f"'path/to/file.py:function'; {name!r} is none"
        )
    if name in _DECLARED:
        return _DECLARED[name].task()
    generator, _, options = name.partition(":")
    if generator in _GENERATORS:
        task = _GENERATORS[generator](**{"seed": 0, **_read_options(name, options)})
        return dataclasses.replace(task, name=name)
    raise ValueError(
        f"there is no task called {name!r}; {did_you_mean(name, names())}`alphagrad.tasks.names()` lists "
        "them all, and 'path/to/file.py:function' loads your own"
    )


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


def _load_from_file(path: Path, function: str, args: str | None, argnums: Sequence[int] | None) -> Task:
    if not function:
        raise ValueError(f"name the function that returns the task, as in '{path}:function'")
    if not path.is_file():
        raise ValueError(f"there is no file {str(path)!r} to load {function!r} from")
    file = UserFile(path)
    fun = file.function(function)
    what = file.describe(function, fun)
    if args is not None:
        task = _task_of(fun, what, args, argnums)
        task = dataclasses.replace(task, name=function, source=str(path))
        doing = f" while being traced with args={args!r}"
    elif argnums is not None:
        raise ValueError(f"argnums= goes with args=, the types of the arguments of {what}, as in {EXAMPLE}")
    else:
        task = _returned_task(file, fun, what)
        what, doing = file.describe(task.name, task.fun), " while being traced"
    with file.explaining(what, doing):
        jax.eval_shape(task.fun, *task.args)
    return task


def _returned_task(file: UserFile, fun: Callable[..., Any], what: str) -> Task:
    """The task that a user's function returns."""
    if (mismatch := _mismatch(fun, ())) is not None:
        raise TypeError(
            f"{what} takes arguments ({mismatch}); give their types, as in {EXAMPLE}, to differentiate it; "
            "without args= it must be a function of no arguments that returns an alphagrad.tasks.Task"
        )
    with file.explaining(what):
        task = fun()
    if not isinstance(task, Task):
        raise TypeError(f"{what} must return an alphagrad.tasks.Task; it returned a {type(task).__name__}")
    return dataclasses.replace(task, fun=file.bind(task.fun))


def _task_of(fun: Callable[..., Any], what: str, args: str, argnums: Sequence[int] | None) -> Task:
    """The task to differentiate a user's function."""
    inputs = example_arguments(args)
    if (mismatch := _mismatch(fun, inputs)) is not None:
        raise TypeError(
            f"{what} does not take the {len(inputs)} argument{'s' * (len(inputs) != 1)} of args={args!r}: "
            f"{mismatch}"
        )
    floating = [at for at, array in enumerate(inputs) if jax.numpy.issubdtype(array.dtype, jax.numpy.inexact)]
    if not floating:
        raise ValueError(f"args={args!r} has no floating argument, so there is nothing to differentiate")
    wrt = floating if argnums is None else [at + len(inputs) if at < 0 else at for at in argnums]
    for at in wrt:
        if at not in floating or wrt.count(at) > 1:
            raise ValueError(
                f"argnums={','.join(map(str, argnums or wrt))} must name floating arguments of "
                f"args={args!r}, each once; those are {', '.join(map(str, floating))}"
            )
    return Task(name="", fun=fun, args=inputs, argnums=tuple(wrt))


def _mismatch(fun: Callable[..., Any], given: Sequence[Any]) -> str | None:
    """Why a function cannot be called with so many arguments; None if it can, or says nothing of them."""
    try:
        signature = inspect.signature(fun)
    except (TypeError, ValueError):
        return None
    try:
        signature.bind(*given)
    except TypeError as error:
        return f"{error}; its signature is {signature}"
    return None
