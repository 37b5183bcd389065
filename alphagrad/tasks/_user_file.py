"""A user's Python file: executed beside its neighbours, as a script is; its errors, with file and line."""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import importlib
import importlib.util
import inspect
import os
import sys
import sysconfig
import threading
import traceback
from collections.abc import Callable, Generator, Iterator
from importlib.machinery import PathFinder
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import jax
from jax.extend import source_info_util

import graphax
from graphax.files import read_bytes
from graphax.spelling import did_you_mean

source_info_util.register_exclusion(__file__)  # equations come from the user's lines

_LARGEST = 2**24  # bytes of a file
_LONGEST = 500  # characters of an error
# What `import` finds is the same for all threads, so that one file at a time is at home.
_AT_HOME = threading.RLock()


class UserFile:
    """A Python file, executed when this is made, and its functions.

    It may import its neighbours, the files and packages in its folder, as a script may, and relatively where
    it lies in a package: at once, or when one of its functions is called. They are its own, as what it adds
    to `sys.path` is: another file finds its own neighbours by the same names, the program none of them.

    Args:
        path: the file.

    Attributes:
        path: the file, as it was named.

    Raises:
        ValueError: if it is not Python, or raises; with the line.
        OSError: if it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.resolve()
        packages = _packages(self._file)
        top = self._file.parents[len(packages)]
        self._path = [str(folder) for folder in dict.fromkeys((self._file.parent, top))]
        self._neighbours: dict[str, ModuleType] = {}
        self._is_at_home = False
        content = read_bytes(path, "a Python file", _LARGEST)
        try:
            tree = ast.parse(content, str(self._file))
            code = compile(tree, str(self._file), "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            line = f"line {error.lineno}: " if isinstance(error, SyntaxError) and error.lineno else ""
            raise ValueError(f"{str(path)!r} is not a Python file: {line}{_message(error)}") from error
        relative = any(isinstance(node, ast.ImportFrom) and node.level for node in ast.walk(tree))
        with self.explaining(repr(str(path))), self._at_home():
            importlib.invalidate_caches()
            if relative and packages:
                _refuse_another(packages[0], top)
                name = [*packages, *([self._file.stem] if self._file.stem != "__init__" else [])]
                self._module = importlib.import_module(".".join(name))
            else:
                self._module = _executed(self._file, code)

    def function(self, name: str) -> Callable[..., Any]:
        """A function of the file, which finds its neighbours whenever it is called.

        Raises:
            ValueError: if there is none of that name.
            TypeError: if it is no function.
        """
        with self.explaining(repr(str(self.path))), self._at_home():
            found = getattr(self._module, name, None)
        if found is None and name not in vars(self._module):
            known = [key for key, value in vars(self._module).items() if inspect.isfunction(value)]
            raise ValueError(
                f"{str(self.path)!r} defines no {name!r}; {did_you_mean(name, known)}it must be a function "
                "there"
            )
        if not callable(found):
            raise TypeError(
                f"{name!r} in {str(self.path)!r} must be a function, to be differentiated with args= or else "
                f"one that returns an alphagrad.tasks.Task, not a {type(found).__name__}"
            )
        return self.bind(found)

    def bind(self, fun: Callable[..., Any]) -> Callable[..., Any]:
        """A function of the file's that finds its neighbours whenever it is called."""

        @functools.wraps(fun)
        def bound(*args: Any, **kwargs: Any) -> Any:
            with self._at_home():
                return fun(*args, **kwargs)

        return bound

    def describe(self, name: str, fun: Callable[..., Any]) -> str:
        """A function for an error: its name, its file, and the line where it is defined."""
        code = getattr(inspect.unwrap(fun), "__code__", None)
        if not isinstance(code, CodeType) or _is_library(code.co_filename):
            return f"{name!r} in {str(self.path)!r}"
        elsewhere = "" if code.co_filename == str(self._file) else f" of {_shown(code.co_filename)!r}"
        return f"{name!r} in {str(self.path)!r} (line {code.co_firstlineno}{elsewhere})"

    @contextlib.contextmanager
    def explaining(self, what: str, doing: str = "") -> Generator[None]:
        """Whatever the file's code raises becomes a ValueError that names the file and the line.

        Args:
            what: which code it is.
            doing: what it was doing.
        """
        try:
            yield
        except (Exception, SystemExit) as error:  # an interrupt passes
            message = _message(error)
            place = _place(error, self._file)
            line = f" at line {place[1]}" if place else ""
            if place and place[0] != str(self._file):
                line += f" of {_shown(place[0])!r}"
            raise ValueError(
                f"{what} raised {type(error).__name__}{line}{doing}" + (f": {message}" if message else "")
            ) from error

    @contextlib.contextmanager
    def _at_home(self) -> Generator[None]:
        """Lets `import` find the neighbours first, as it does for a script."""
        with _AT_HOME:
            if self._is_at_home:
                yield
                return
            path, known = list(sys.path), sys.modules
            tops = {name for name in self._found() if name in known and self._hides(name, known[name])}
            hidden = {name: known.pop(name) for name in list(known) if _top(name) in tops} if tops else {}
            others = set(known)
            known.update(self._neighbours)
            sys.path[:0] = self._path
            self._is_at_home = True
            try:
                yield
            finally:
                self._is_at_home = False
                now = dict.fromkeys(sys.path)
                self._path = [folder for folder in now if folder in self._path or folder not in path]
                sys.path[:] = path
                new = known.keys() - others
                tops = {name for name in new if "." not in name and self._is_neighbour(name, known[name])}
                self._neighbours = {name: known.pop(name) for name in new if _top(name) in tops}
                known.update(hidden)

    def _found(self) -> set[str]:
        """The names of all that may be imported from the file's folders, among others."""
        entries: set[str] = set()
        for folder in self._path:
            with contextlib.suppress(OSError):
                entries.update(os.listdir(folder))
        return {entry.partition(".")[0] for entry in entries}

    def _is_neighbour(self, name: str, module: ModuleType) -> bool:
        """Whether a module, or package, is imported from one of the file's folders."""
        folders = [folder for folder in _folders_of(module) if not _is_library(str(folder / name))]
        return any(Path(known).resolve() in folders for known in self._path)

    def _hides(self, name: str, module: ModuleType) -> bool:
        """Whether a neighbour goes before what the program has imported by the same name."""
        folders = _folders_of(module)
        if not folders or self._is_neighbour(name, module) or _is_library(str(folders[0] / name)):
            return False
        return PathFinder.find_spec(name, self._path) is not None


def where(error: BaseException) -> str:
    """Where a user's code raised an error: " at line 3 of 'model.py'"; "" if it was no user's code.

    Of the lines that the error went through, the innermost counts that is in no library.

    Args:
        error: the error, as it was caught.

    Returns:
        the words, to be put behind what went wrong.

    Example:
        >>> task = tasks.Task("mine", lambda x: x + undefined, args=(1.0,), argnums=(0,))
        >>> try:
        ...     task.fun(*task.args)
        ... except NameError as error:
        ...     told = f"{task.name} raised {type(error).__name__}{tasks.where(error)}"
    """
    place = _place(error)
    return f" at line {place[1]} of {_shown(place[0])!r}" if place else ""


def _place(error: BaseException, home: Path | None = None) -> tuple[str, int] | None:
    """The file and line; files of libraries count if they are `home`."""
    if isinstance(error, SyntaxError) and error.filename and error.lineno and Path(error.filename).is_file():
        return error.filename, error.lineno  # of what was imported, or else no file's
    frames = [(frame.filename, frame.lineno or 0) for frame in traceback.extract_tb(error.__traceback__)]
    users = [frame for frame in frames if frame[0] == str(home) or not _is_library(frame[0])]
    return users[-1] if users else None


def _message(error: BaseException) -> str:
    """What an error says, in one line."""
    try:
        lines = (error.msg if isinstance(error, SyntaxError) else str(error)).splitlines()
    except Exception:  # of an error of the user's own
        return ""
    line = next(filter(str.strip, lines), "").strip()
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."


def _shown(file: str) -> str:
    """A file by its shortest name."""
    path, here = Path(file), Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else file


_LIBRARIES = tuple(
    {
        *(str(Path(file).resolve().parent) for file in (jax.__file__, graphax.__file__, __file__)),
        *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    }
)


def _is_library(file: str) -> bool:
    """Whether code is no user's: of Python, of an installed package or of ours, or made on the way."""
    parts = Path(file).parts
    return (
        file.startswith("<")
        or "site-packages" in parts
        or "dist-packages" in parts
        or any(Path(file).is_relative_to(folder) for folder in _LIBRARIES)
    )


def _packages(file: Path) -> list[str]:
    """The names of the packages that a file is in, the outermost first."""
    packages: list[str] = []
    for folder in file.parents:
        if not (folder / "__init__.py").is_file() or not folder.name.isidentifier():
            break
        packages.insert(0, folder.name)
    return packages


def _refuse_another(package: str, folder: Path) -> None:
    """Refuse a package by whose name another one has been imported already."""
    known = sys.modules.get(package)
    if known is not None and folder not in _folders_of(known):
        raise ImportError(
            f"its package is called {package!r}, as a library is: rename its folder, or import neighbours by "
            "their names without dots"
        )


def _executed(file: Path, code: CodeType) -> ModuleType:
    """A module that a file's code has been executed as."""
    name = f"task_file_{file.stem}_{hashlib.sha256(str(file).encode(errors='replace')).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their own module up while they are being defined, and types that are asked for later.
    sys.modules[name] = module
    try:
        exec(code, vars(module))
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _folders_of(module: ModuleType) -> list[Path]:
    """The folders in which a module lies, or a package does, and from which it is imported."""
    known = getattr(module, "__dict__", {})  # some modules import others when they are asked for a name
    file, search = known.get("__file__"), known.get("__path__")
    if search is not None:
        return [Path(folder).resolve().parent for folder in _texts(search)]
    return [Path(file).resolve().parent] if isinstance(file, str) else []


def _texts(values: Any) -> Iterator[str]:
    with contextlib.suppress(Exception):  # the path of a package without a file is computed
        yield from (value for value in values if isinstance(value, str))


def _top(name: str) -> str:
    return name.partition(".")[0]
