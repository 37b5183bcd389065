"""Every public name says what it takes, gives and refuses, and shows an example that runs."""

import ast
import dataclasses
import doctest
import importlib
import importlib.util
import inspect
import itertools
import pathlib
import re
import sys
import textwrap
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import graphax
from alphagrad import matmul, tasks
from alphagrad.zero import Agent, Game
from graphax import orders, sparse

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODULES = [
    "graphax",
    "graphax.drawing",
    "graphax.equinox",
    "graphax.kernels",
    "graphax.lineax",
    "graphax.orders",
    "graphax.rules",
    "graphax.sparse",
    "graphax.timing",
    "graphax.tuning",
    "alphagrad.layers",
    "alphagrad.matmul",
    "alphagrad.orders",
    "alphagrad.schemes",
    "alphagrad.tasks",
    "alphagrad.zero",
]
if importlib.util.find_spec("lineax") is None:
    MODULES.remove("graphax.lineax")
# What every example has at hand, as the pages say.
AT_HAND = dict(
    graphax=graphax, jax=jax, jnp=jnp, np=np, orders=orders, sparse=sparse, matmul=matmul, tasks=tasks
)


def public_names():
    """Each public name once, by the shortest path that leads to it."""
    seen = {}
    for module in MODULES:
        for name in importlib.import_module(module).__all__:
            found = getattr(sys.modules[module], name)
            if not inspect.ismodule(found):
                key = (name, id(found))
                seen[key] = min(seen.get(key, f"{module}.{name}"), f"{module}.{name}", key=len)
    return sorted(set(seen.values()))


NAMES = public_names()


def resolved(path):
    module, name = path.rsplit(".", 1)
    return inspect.unwrap(getattr(importlib.import_module(module), name))


def is_alias(found):
    return (
        found is Any
        or not (inspect.isclass(found) or inspect.isfunction(found))
        or isinstance(found, type(list[int]))
    )


def alias_docstring(path):
    """The text below the assignment of a type, in the file where it is assigned."""
    module, name = path.rsplit(".", 1)
    for file in sorted((ROOT / module.replace(".", "/").removesuffix("/orders")).rglob("*.py")):
        body = ast.parse(file.read_text()).body
        for statement, after in itertools.pairwise(body):
            targets = [ast.unparse(target) for target in getattr(statement, "targets", [])]
            if name in targets and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                return inspect.cleandoc(after.value.value)
    return ""


def docstring(path):
    found = resolved(path)
    return alias_docstring(path) if is_alias(found) else inspect.cleandoc(found.__doc__ or "")


def section(text, title):
    """What stands under a title; None if the title is not there."""
    found = re.search(rf"^{title}:\n((?:(?: .*)?\n)*)", text + "\n", re.MULTILINE)
    return textwrap.dedent(found[1]) if found else None


def named(text, *titles):
    """The names that are explained under one of the titles."""
    lines = "\n".join(section(text, title) or "" for title in titles)
    heads = re.findall(r"^((?:\*{0,2}\w+)(?:, \*{0,2}\w+)*):", lines, re.MULTILINE)
    return {name.strip(" *") for head in heads for name in head.split(",")}


def parameters(function):
    return [name for name in inspect.signature(function).parameters if name not in ("self", "cls")]


def raises(function):
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    return any(isinstance(node, ast.Raise) and node.exc is not None for node in ast.walk(tree))


def lacks_of_function(function, text):
    missing = [f"Args: {name}" for name in parameters(function) if name not in named(text, "Args")]
    if section(text, "Returns") is None and function.__annotations__.get("return") not in (None, "None"):
        missing.append("Returns")
    if section(text, "Raises") is None and raises(function):
        missing.append("Raises")
    return missing


def lacks_of_method(function):
    """A method that takes nothing may say all in a sentence."""
    text = inspect.getdoc(function) or ""
    if not text:
        return ["docstring"]
    missing = lacks_of_function(function, text)
    return [lack for lack in missing if lack != "Returns" or parameters(function)]


def is_ours(found):
    return getattr(found, "__module__", "").split(".")[0] in ("graphax", "alphagrad")


def is_explained_elsewhere(owner, name):
    """What a base or a protocol asks for; and bases of blocks know no user."""
    bases = [*owner.__mro__[1:], *([Game, Agent] if owner not in (Game, Agent) else [])]
    return any(name in vars(base) for base in bases) or owner.__name__ in ("Located", "SumOfTerms")


def helped(cls):
    """The settings of a dataclass that have a help, which the command line shows."""
    fields = dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else []
    return {field.name for field in fields if "help" in field.metadata}


def lacks_of_class(cls):
    text = "\n\n".join(filter(None, map(inspect.getdoc, (cls, cls.__dict__.get("__init__")))))
    fields = [] if issubclass(cls, Exception) and "__init__" not in cls.__dict__ else parameters(cls)
    if getattr(cls, "_is_protocol", False):
        fields = []
    told = named(text, "Args", "Attributes") | helped(cls)
    missing = [f"Attributes: {name}" for name in fields if name not in told]
    makers = [cls.__dict__[name] for name in ("__init__", "__new__", "__post_init__") if name in cls.__dict__]
    own = [maker for maker in makers if is_ours(maker) and maker.__code__.co_filename.endswith(".py")]
    if section(text, "Raises") is None and any(map(raises, own)):
        missing.append("Raises")
    for owner in filter(is_ours, cls.__mro__):
        for name, member in vars(owner).items():
            if name.startswith("_") or name in fields:
                continue
            if isinstance(member, classmethod | staticmethod):
                member = member.__func__
            if is_explained_elsewhere(owner, name):
                missing += [] if inspect.getdoc(getattr(cls, name)) else [f"{name}: docstring"]
            elif inspect.isfunction(member):
                missing += [f"{name}: {lack}" for lack in lacks_of_method(member)]
            elif isinstance(member, property) or type(member).__name__ == "cached_property":
                missing += [] if member.__doc__ else [f"{name}: docstring"]
    return list(dict.fromkeys(missing))


@pytest.mark.parametrize("path", NAMES)
def test_the_docstring_explains_all_there_is(path):
    found, text = resolved(path), docstring(path)
    assert text and text.split("\n\n")[0].count("\n") == 0, "a summary of one line comes first"
    missing = [] if ">>> " in (section(text, "Example") or "") else ["Example"]
    if inspect.isclass(found) and not is_alias(found):
        missing += lacks_of_class(found)
    elif inspect.isfunction(found):
        missing += lacks_of_function(found, text)
    assert not missing, f"{path} lacks {', '.join(missing)}"


# What is compiled for them takes longer than all others together.
LONG = {"alphagrad.zero.Training", "alphagrad.zero.Turn", "alphagrad.zero.alphazero"}
EXAMPLES = [pytest.param(path, marks=[pytest.mark.slow] if path in LONG else []) for path in NAMES]


@pytest.mark.parametrize("path", EXAMPLES)
def test_the_example_runs(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    test = doctest.DocTestParser().get_doctest(docstring(path), dict(AT_HAND), path, None, None)
    told = []
    doctest.DocTestRunner(optionflags=flags).run(test, out=told.append)
    assert not told, "".join(told)


def test_every_name_stands_on_one_page():
    pages = sorted((ROOT / "docs" / "api").glob("*.md"))
    shown = [path for page in pages for path in re.findall(r"^::: (\S+)", page.read_text(), re.MULTILINE)]
    assert sorted(path for path in shown if path.rpartition(".")[0] in MODULES) == NAMES
