"""Functions in a user's file: the file finds its neighbours, and every error names the file and the line."""

import importlib
import subprocess
import sys
import threading
from pathlib import Path
from textwrap import dedent

import jax
import jax.numpy as jnp
import pytest

import graphax
from alphagrad import tasks
from alphagrad.tasks import textbook


@pytest.fixture(autouse=True)
def nothing_stays(monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # tests write a file twice in a second
    path, modules = list(sys.path), set(sys.modules)
    yield
    assert sys.path == path
    left = {name for name in set(sys.modules) - modules if not name.startswith("task_file_")}
    assert not left & {"helper", "other", "model", "package", "outer"}


def write(folder, **files):
    """Write files `name.py`; two underscores follow a folder, and `init` is a package's."""
    for name, text in files.items():
        *folders, stem = name.split("__")
        path = folder.joinpath(*folders, f"{'__init__' if stem == 'init' else stem}.py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
    return folder


def load(path, function="f", args="f32[3]"):
    return tasks.load(f"{path}:{function}", args)


def value(path, **kwargs):
    task = load(path, **kwargs)
    return float(jnp.sum(task.fun(jnp.ones(3))))


def test_neighbours_are_found_at_once_and_later(tmp_path):
    write(
        tmp_path,
        helper="import other\ndef g(x):\n    return other.two * x",
        other="two = 2",
        later="def h(x):\n    return x + 1",
        model="""
            import helper
            from helper import g

            def f(x):
                from later import h
                import importlib
                return importlib.import_module("helper").g(h(g(x)))

            def task():
                from later import h
                from alphagrad import tasks
                return tasks.Task("mine", f, (1.0,), (0,))
        """,
    )
    assert value(tmp_path / "model.py") == 3 * 6
    task = tasks.load(f"{tmp_path}/model.py:task")
    assert task.fun(1.0) == 6 and jax.jit(task.fun)(1.0) == 6
    assert graphax.trace(task.fun, task.argnums)(*task.args).eliminable


def test_files_of_one_name_and_their_neighbours_are_not_mixed_up(tmp_path):
    for name in ("a", "b"):
        write(
            tmp_path / name,
            helper=f"name = {name!r}\nsize = {ord(name)}",
            model="""
                import dataclasses, typing
                import helper

                @dataclasses.dataclass
                class Box:
                    size: "Size"

                class Size(int):
                    pass

                def f(x):
                    import helper as later
                    assert later is helper and typing.get_type_hints(Box) == {"size": Size}
                    return x * helper.size
            """,
        )
    first, second = load(tmp_path / "a" / "model.py"), load(tmp_path / "b" / "model.py")
    for _ in range(2):
        assert first.fun(1.0) == ord("a") and second.fun(1.0) == ord("b")
    assert first.fun.__wrapped__.__module__ != second.fun.__wrapped__.__module__
    assert "helper" not in sys.modules


def test_a_function_of_one_file_may_call_one_of_another(tmp_path):
    model = "def f(x, inner=lambda x: x):\n    import helper\n    y = inner(x)\n    import helper\n"
    for name, size in (("a", 2), ("b", 3)):
        write(tmp_path / name, helper=f"size = {size}", model=f"{model}    return y * helper.size")
    inner, outer = (load(tmp_path / name / "model.py").fun for name in ("a", "b"))
    assert outer(1.0, inner) == 6 and inner(1.0, outer) == 6 and inner(1.0) == 2


def test_neighbours_go_before_what_the_program_imports_by_their_names(tmp_path, monkeypatch):
    model = "import helper\ndef f(x):\n    return x * helper.size"
    write(tmp_path / "program", helper="size = 5", model=model)
    write(tmp_path / "user", helper="size = 7", model=model)
    monkeypatch.syspath_prepend(tmp_path / "program")
    helper = importlib.import_module("helper")
    try:
        assert load(tmp_path / "user" / "model.py").fun(1.0) == 7 and sys.modules["helper"] is helper
        helper.size = 6  # what the program has imported from the file's own folder is that
        assert load(tmp_path / "program" / "model.py").fun(1.0) == 6 and sys.modules["helper"] is helper
    finally:
        del sys.modules["helper"]
        monkeypatch.undo()


def test_neighbours_are_executed_anew_by_each_call(tmp_path):
    write(tmp_path, helper="size = 2", model="import helper\ndef f(x):\n    return x * helper.size")
    before = load(tmp_path / "model.py")
    write(tmp_path, helper="size = 33")
    assert load(tmp_path / "model.py").fun(1.0) == 33 and before.fun(1.0) == 2


def test_what_a_file_adds_to_the_path_is_its_own(tmp_path):
    for name in ("a", "b"):
        write(
            tmp_path / name,
            lib__helper=f"size = {ord(name)}",
            lib__other=f"size = {ord(name)}",
            model="""
                import os, sys
                sys.path.append(os.path.join(os.path.dirname(__file__), "lib"))
                import helper

                def f(x):
                    import other
                    return x * helper.size * other.size
            """,
        )
    first, second = load(tmp_path / "a" / "model.py"), load(tmp_path / "b" / "model.py")
    assert first.fun(1.0) == ord("a") ** 2 and second.fun(1.0) == ord("b") ** 2


def test_a_file_in_a_package_may_import_relatively(tmp_path):
    write(
        tmp_path,
        outer__init="size = 2",
        outer__package__init="",
        outer__package__helper="from .. import size\nfrom ..other import three",
        outer__other="three = 3",
        outer__package__model="""
            from . import helper
            from ..other import three

            def f(x):
                from .helper import size
                return x * size * three * helper.three
        """,
        outer__package__absolute="import helper_of_script\ndef f(x):\n    return helper_of_script.g(x)",
        outer__package__helper_of_script="def g(x):\n    from outer.other import three\n    return three * x",
    )
    package = tmp_path / "outer" / "package"
    assert value(package / "model.py") == 3 * 18
    assert value(package / "absolute.py") == 3 * 3
    assert value(package / "model.py") == 3 * 18
    write(package, init="from .model import f")
    assert value(package / "__init__.py") == 3 * 18


def test_a_package_called_as_a_library_is_refused_with_what_to_do(tmp_path):
    write(tmp_path, numpy__init="", numpy__helper="", numpy__model="from . import helper\ndef f(x): ...")
    with pytest.raises(ValueError, match=r"model\.py' raised ImportError.*'numpy', as a library is: rename"):
        load(tmp_path / "numpy" / "model.py")


def test_our_own_tasks_may_be_named_by_their_file():
    file = Path(tasks.__file__).with_name("textbook.py")
    assert load(file, "simple", "f32[],f32[]").fun.__wrapped__ is textbook.simple


def test_relative_imports_outside_of_packages_are_errors_with_their_line(tmp_path):
    write(tmp_path, model="\nfrom . import helper\ndef f(x): ...", helper="")
    with pytest.raises(
        ValueError, match=r"model\.py' raised ImportError at line 2: .*no known parent package"
    ):
        load(tmp_path / "model.py")


HELPER = """
def bad(x):
    return [][1]

def deep(n):
    return n if n > 10**6 else deep(n + 1)
"""

# The file, the function, and what is said.
ERRORS = {
    "syntax": ("x = 1\ndef f(:\n", "model.py' is not a Python file: line 2: invalid syntax"),
    "a bracket": ("(\n", r"model.py' is not a Python file: line 1: '\(' was never closed"),
    "indentation": ("def f(x):\nreturn x", "not a Python file: line 2: expected an indented block"),
    "return": ("\n\nreturn 1", "not a Python file: line 3: 'return' outside function"),
    "importing": ("\n1 / 0\n", "model.py' raised ZeroDivisionError at line 2: division by zero$"),
    "a library": ("import numpy\n\nnumpy.ones(-1)", "model.py' raised ValueError at line 3: negative dim"),
    "missing": ("import nowhere_at_all", "raised ModuleNotFoundError at line 1: No module named 'nowhere"),
    "a neighbour": ("import broken_helper", "raised NameError at line 2 of .*/broken_helper.py': "),
    "its syntax": ("\nimport broken", "raised SyntaxError at line 3 of .*/broken.py': .*never closed$"),
    "exit": ("import sys\nsys.exit()", "model.py' raised SystemExit at line 2$"),
    "exit with words": ("import sys\nsys.exit('so long')", "raised SystemExit at line 2: so long$"),
    "exit in vain": ("raise SystemExit(3)", "raised SystemExit at line 1: 3$"),
    "an assertion": (
        "def f(x):\n    assert x.ndim == 7\n    return x",
        r"'f' .* AssertionError at line 2 while",
    ),
    "many lines": ("def f(x):\n    raise RuntimeError('\\n\\na\\nb')", "RuntimeError at line 2 while.*: a$"),
    "no words": ("class E(Exception):\n    def __str__(self): 1 / 0\nraise E", "raised E at line 3$"),
    "own bytes": ("raise ValueError('\\ud800')", "raised ValueError at line 1: "),
    "tracing": (
        "def f(x):\n    if x.sum() > 0:\n        return x",
        "TracerBoolConversionError at line 2 while",
    ),
    "a helper": (
        "import helper\n\ndef f(x):\n    return helper.bad(x)",
        r"'f' in '.*/model.py' \(line 3\) raised IndexError at line 3 of '.*/helper.py' while being traced",
    ),
    "depth": (
        "import helper\ndef f(x):\n    return helper.deep(0)",
        "RecursionError at line 6 of .*helper.py'",
    ),
    "under jit": (
        "import jax\n@jax.jit\ndef f(x):\n    return x + [1, 2]",
        "raised TypeError at line 4 while",
    ),
    "scan": (
        "import jax\ndef f(x):\n    def body(c, _):\n        return c @ 1, None\n"
        "    return jax.lax.scan(body, x, None, 3)",
        "raised .*Error at line 4 while",
    ),
    "a result": ("\ndef f(x):\n    return 'text'", r"'f' in .*model.py' \(line 2\) raised TypeError .*'str'"),
    "a partial": (
        "import functools\ndef g(y, x):\n    return y.z\nf = functools.partial(g, 1)",
        "raised AttributeError at line 3 while",
    ),
    "an instance": (
        "class F:\n    def __call__(self, x):\n        return x.no\nf = F()",
        "raised AttributeError at line 3 while",
    ),
    "an attribute": ("def __getattr__(name):\n    raise KeyError(name)", "raised KeyError at line 2: 'f'"),
    "a generator": ("def f(x):\n    yield x", r"'f' in .*\(line 1\) raised TypeError while"),
    "code": ("def f(x):\n    exec('1 / 0')", "ZeroDivisionError at line 2 while"),
    "code's syntax": ("def f(x):\n    exec('1 /')", "SyntaxError at line 2 while"),
    "misspelt": ("def ff(x): ...\nff.x = 1", "defines no 'f'"),
    "a number": ("f = 1", "'f' in .*must be a function"),
}


@pytest.mark.filterwarnings("ignore:Python iterable type 'generator':DeprecationWarning")
@pytest.mark.parametrize("case", ERRORS)
def test_errors_name_the_file_and_the_line_in_one_line(case, tmp_path):
    text, message = ERRORS[case]
    write(tmp_path, helper=HELPER, broken_helper="\nundefined", broken="\n\nx = (")
    (tmp_path / "model.py").write_text(text)
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        load(tmp_path / "model.py")
    assert "model.py" in str(caught.value) and len(str(caught.value).splitlines()) == 1
    if case not in ("misspelt", "a number"):
        assert caught.value.__cause__ is not None


# Functions of no arguments that ought to return a task.
TASKS = {
    "f = lambda: None": r"'f' in .*model.py' \(line 4\) must return .* it returned a NoneType",
    "def f():\n    return helper.bad(1)": r"\(line 4\) raised IndexError at line 3 of '.*helper.py'",
    "def f():\n    return tasks.Task('a', g, (1.0,), (3,))": "raised ValueError at line 5: argnums=",
    "def f():\n    return tasks.Task('a', 3, (1.0,), (0,))": "raised TypeError at line 5: fun=3 of task 'a'",
    "def f():\n    return tasks.Task(3, g, (1.0,), (0,))": "raised TypeError at line 5: name=3",
    "def f():\n    return tasks.Task('a', helper.bad, (1.0,), (0,))": (
        r"'a' in .*model.py' \(line 2 of '.*helper.py'\) raised IndexError at line 3 of '.*helper.py' w"
    ),
    "def f():\n    return tasks.Task('a', lambda x: x.y, (1.0,), (0,))": (
        r"'a' in .*model.py' \(line 5\) raised AttributeError at line 5 while being traced"
    ),
    "def f():\n    raise SystemExit": r"\(line 4\) raised SystemExit at line 5$",
    "def f():\n    yield": "it returned a generator",
    "def f(x): ...": r"\(line 4\) takes arguments \(missing a required argument: 'x'",
    "f = tasks.load": r"takes arguments \(missing a required argument: 'name'",
}


@pytest.mark.parametrize("text", TASKS)
def test_errors_of_functions_that_return_tasks_name_the_line(text, tmp_path):
    write(tmp_path, helper=HELPER)
    (tmp_path / "model.py").write_text(f"import helper\nfrom alphagrad import tasks\ng = abs\n{text}")
    with pytest.raises((ValueError, TypeError), match=TASKS[text]) as caught:
        load(tmp_path / "model.py", args=None)
    assert len(str(caught.value).splitlines()) == 1


def test_files_below_the_working_folder_are_named_from_there(tmp_path, monkeypatch):
    write(tmp_path, lib__helper=HELPER, lib__model="from helper import bad as f")
    monkeypatch.chdir(tmp_path)
    said = (
        r"'f' in 'lib/model.py' \(line 2 of 'lib/helper.py'\) raised IndexError at line 3 of 'lib/helper.py' "
    )
    with pytest.raises(ValueError, match=said):
        load("lib/model.py")
    (tmp_path / "link.py").symlink_to("lib/model.py")  # Python, too, finds neighbours where a link leads
    with pytest.raises(ValueError, match=r"'f' in 'link.py' \(line 2 of 'lib/helper.py'\) raised IndexError"):
        load("link.py")


def test_misspelt_functions_are_answered_with_the_nearest(tmp_path):
    write(tmp_path, model="def residual(x):\n    return x")
    with pytest.raises(ValueError, match=r"defines no 'residuals'; did you mean 'residual'"):
        load(tmp_path / "model.py", "residuals")
    with pytest.raises(ValueError, match="name the function"):
        load(tmp_path / "model.py", "")


def test_an_interrupt_passes_through(tmp_path):
    write(tmp_path, model="raise KeyboardInterrupt", late="def f(x):\n    raise KeyboardInterrupt")
    for name in ("model", "late"):
        with pytest.raises(KeyboardInterrupt):
            load(tmp_path / f"{name}.py")


ODD_FILES = {
    "prints": "print('hello')\ndef f(x):\n    print(x)\n    return x",
    "of no utf-8": "# coding: latin-1\nname = 'ü'\ndef f(x):\n    return x",
    "with a byte order mark": "\ufeffdef f(x):\n    return x",
    "that moves": "import os\nos.chdir('/')\ndef f(x):\n    import neighbour\n    return neighbour.g(x)",
    "of classes": (
        "from __future__ import annotations\nimport dataclasses, jax\n@jax.tree_util.register_dataclass\n"
        "@dataclasses.dataclass\nclass A:\n    x: jax.Array\ndef f(x):\n    return A(x).x"
    ),
    "that replaces the path": "import sys\nsys.path = sys.path[:]\nimport neighbour\ndef f(x):\n    return x",
    "that empties the path": "import sys, neighbour as n\ndel sys.path[0]\ndef f(x):\n    return n.g(x)",
    "that drops itself": "import sys\nsys.modules.pop(__name__)\ndef f(x):\n    return x",
    "with threads": (
        "import threading\ndef f(x):\n    import neighbour\n"
        "    t = threading.Thread(target=neighbour.g, args=(1,))\n    t.start()\n    t.join()\n    return x"
    ),
    "jitted": "import jax\n@jax.jit\ndef f(x, n=3):\n    return n * x",
    "imported": "from neighbour import g as f",
    "of an instance": "class F:\n    def __call__(self, x):\n        return x\nf = F()",
    "a builtin": "f = abs",
}


@pytest.mark.parametrize("kind", ODD_FILES)
def test_odd_files_are_loaded(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path)
    path = tmp_path / f"file {kind}.v2.py"
    encoding = "latin-1" if kind == "of no utf-8" else "utf-8"
    path.write_text(ODD_FILES[kind], encoding=encoding)
    write(tmp_path, neighbour="def g(x):\n    return x + 1")
    for _ in range(2):
        task = load(path.name if kind != "that moves" else path)
        assert graphax.trace(task.fun, task.argnums)(*task.args).fingerprint


def test_threads_load_files_at_the_same_time(tmp_path):
    for name in "abcd":
        write(
            tmp_path / name,
            helper=f"size = {ord(name)}",
            model="def f(x):\n    import helper\n    return x * helper.size",
        )
    results = {}

    def work(name):
        results[name] = value(tmp_path / name / "model.py")

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {name: 3 * ord(name) for name in "abcd"}


def test_where_tells_users_code_from_libraries(tmp_path):
    write(tmp_path, model="import jax\n\ndef f(x):\n    return jax.numpy.zeros(-x.size)\n")
    write(
        tmp_path, late="LATE = []\n\ndef f(x):\n    LATE.append(1)\n    return x if len(LATE) < 2 else x.no"
    )
    task = load(tmp_path / "late.py")
    with pytest.raises(AttributeError) as caught:
        graphax.trace(task.fun, task.argnums)(*task.args)
    assert tasks.where(caught.value) == f" at line 5 of '{tmp_path}/late.py'"
    with pytest.raises(ZeroDivisionError) as caught:
        exec(compile("1 / 0", jax.__file__, "exec"))
    caught.value.__traceback__ = caught.value.__traceback__.tb_next
    assert tasks.where(caught.value) == ""


def test_equations_are_those_of_the_users_lines(tmp_path):
    write(tmp_path, model="import jax\nf = jax.numpy.sin\ndef g(x):\n    return f(x)")
    for name, line in (("f", ""), ("g", f"{tmp_path}/model.py:4:")):
        task = load(tmp_path / "model.py", name)
        graph = str(graphax.trace(task.fun, task.argnums)(*task.args))
        assert line in graph and "_user_file" not in graph


@pytest.mark.slow
def test_a_task_of_three_vertices_takes_seconds(tmp_path):
    write(
        tmp_path,
        helper="def g(x):\n    return x * x",
        model="import jax\ndef f(x):\n    from helper import g\n    return g(jax.lax.sin(jax.lax.exp(x)))",
    )
    command = [sys.executable, "-m", "alphagrad", "search", "task=model.py:f", "args=f32[3]", "run_dir=run"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=40)
    assert done.returncode == 0 and "optimal (proved)" in done.stdout, done.stderr
    write(tmp_path, helper="def g(x):\n    return x.no")
    done = subprocess.run([*command[:3], "show", *command[4:6]], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "AttributeError at line 2 of 'helper.py' while being traced" in done.stderr
