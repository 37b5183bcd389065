"""`alphagrad demo`: what it measures, prints and writes."""

import re
import sys
import xml.dom.minidom

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import graphax
from alphagrad import tasks
from alphagrad.cli import main
from alphagrad.demo import command
from alphagrad.demo.phase_field import residual
from alphagrad.demo.ways import timed


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Measures little, and has no screen."""
    monkeypatch.setattr(command, "_SECONDS", 0.01)
    monkeypatch.setattr(command, "_GRID", 5)
    monkeypatch.setattr(command, "_has_display", lambda: False)


@pytest.fixture
def opened(monkeypatch):
    """What has been opened in the browser."""
    found = []
    monkeypatch.setattr(command.webbrowser, "open", found.append)
    return found


def program(page):
    """The program that a page tells to run."""
    text = re.search(r"<code>(import jax.*?)</code>", page, re.DOTALL)[1]
    return text.replace("&#x27;", "'").replace("&quot;", '"')


def test_a_page_tells_times_work_and_steps(tmp_path, capsys, opened):
    path = tmp_path / "page.html"
    assert main(["demo", "Simple", "--batch", "4", "--out", str(path)]) == 0
    out, page = capsys.readouterr().out, path.read_text()
    rows = [line.split("\t")[0] for line in out.splitlines() if "\t" in line]
    jax_ways = ["jax.jacrev", "jax.jacfwd"]
    assert rows == ["way", *jax_ways, "graphax.jacve", "way", *jax_ways, "graphax.jacve, sparse=True"]
    assert f"written to {path}" in out and not opened
    assert "<title>Simple" in page and "at 4 points at once" in page
    assert page.count("<table class=bars>") == 3 and "srcdoc=" in page and "<svg" in page
    # No other address than the names of what SVG is.
    assert {*re.findall(r"https?://[\w./]+", page)} <= {"http://www.w3.org/2000/svg"}
    names = {}
    exec(program(page), names)
    task = tasks.load("Simple")
    jax.tree.map(
        np.testing.assert_allclose, names["jacobian"](*task.args), jax.jacrev(task.fun, (0, 1))(*task.args)
    )


def test_it_is_opened_where_there_is_a_screen_unless_nobody_wants_it(tmp_path, monkeypatch, opened):
    monkeypatch.setattr(command, "_has_display", lambda: True)
    path = tmp_path / "page.html"
    assert main(["demo", "Simple", "--batch=2", f"--out={path}", "--no-open"]) == 0
    assert not opened
    assert main(["demo", "Simple", "--batch=2", f"--out={path}"]) == 0
    assert opened == [path.as_uri()]


def test_a_users_function_may_import_its_neighbours_and_its_page_says_how_to_load_it(tmp_path, capsys):
    (tmp_path / "neighbour.py").write_text(
        "import jax.numpy as jnp\n\ndef g(x):\n    return jnp.sin(x) * x\n"
    )
    model = tmp_path / "model.py"
    model.write_text(
        "from neighbour import g\n\ndef f(x, n):\n    import neighbour\n    return neighbour.g(g(x)) * n\n"
    )
    path = tmp_path / "page.html"
    words = [f"{model}:f", "--args", "f32[3],i32[]", "--batch", "4", "--out", str(path)]
    assert main(["demo", *words]) == 0
    names = {}
    exec(program(path.read_text()), names)
    assert names["jacobian"](*names["task"].args).shape == (3, 3)
    assert main(["show", f"{model}:f", "--args", "f32[3],i32[]"]) == 0
    assert "f: multiplications" in capsys.readouterr().out
    assert "neighbour" not in sys.modules


def test_a_name_is_no_markup(tmp_path):
    model, path = tmp_path / "model.py", tmp_path / "page.html"
    model.write_text(
        "from alphagrad import tasks\nimport jax.numpy as jnp\n\ndef task():\n"
        "    return tasks.Task('<b>$name', lambda x: jnp.sin(jnp.cos(x)), (0.5,), (0,))\n"
    )
    assert main(["demo", f"{model}:task", "--batch=2", f"--out={path}"]) == 0
    page = path.read_text()
    assert "<b>" not in page and "&lt;b&gt;$name" in page


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--out", "page.txt"], "out=page.txt must end in .html"),
        (["--batch", "0"], "batch=0 must be at least 1"),
        (["--out", "/nowhere/at/all/page.html", "Simple", "--batch=1"], "/nowhere/at/all/page.html"),
        (["RobotArm"], "did you mean 'RobotArm_6DOF'"),
        (["--seconds", "3"], "unknown setting 'seconds'"),
    ],
)
def test_wrong_use_is_said_in_one_line(words, message, capsys):
    assert main(["demo", *words]) == 2
    err = capsys.readouterr().err
    assert message in err and len(err.splitlines()) == 1


def test_help_says_that_the_task_may_be_left_out(capsys):
    assert main(["demo", "--help"]) == 0
    out = capsys.readouterr().out
    assert "usage: alphagrad demo [TASK]" in out and "default RobotArm_6DOF" in out


def test_a_way_that_does_not_work_is_named_with_its_reason():
    def fun(x):
        return jax.lax.while_loop(lambda y: y < 100, lambda y: y * y + 1, x)

    ways = {"jacrev": jax.jacrev(fun), "jacfwd": jax.jacfwd(fun), "twice": lambda x: 2 * jax.jacfwd(fun)(x)}
    found = timed(ways, [jnp.float32(2.0)], 0.01)
    assert found["jacrev"].seconds is None and "Reverse-mode" in found["jacrev"].reason
    assert found["jacfwd"].seconds > 0 and found["jacfwd"].deviation == 0
    assert found["twice"].deviation == pytest.approx(1.0)


def test_the_jacobian_of_a_step_has_five_entries_in_a_row():
    x = jnp.ones((6, 6))
    structure = graphax.jacobian_structure(residual)(x)
    assert structure.nnz == 5 * 36
    sparse = graphax.jacve(residual, sparse=True)(x).todense()
    np.testing.assert_allclose(sparse, jax.jacrev(residual)(x), rtol=1e-5)
    xml.dom.minidom.parseString(structure.spy().svg)
