"""What `alphagrad doctor` sees, and what it says is wrong."""

import getpass
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import graphax
from alphagrad import doctor
from alphagrad.cli import main
from alphagrad.doctor import anonymous, diagnose


def problems_of(found):
    return "\n".join(found.problems)


@pytest.fixture
def clean(monkeypatch, tmp_path):
    """An environment in which nothing is wrong."""
    for name in list(os.environ):
        if name.startswith("GRAPHAX_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_where_all_is_well_the_exit_status_is_0(clean, capsys):
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    for name in ("jax", "jaxlib", "numpy", "llvmlite", "equinox", "mctx", "optax", "numba"):
        assert f"\n  {name} {metadata.version(name)}\n" in out
    assert f"graphax and alphagrad {graphax.__version__}" in out and "64-bit numbers" in out
    assert "by a kernel: equal" in out and "sparse: equal" in out and "shipped" in out
    assert out.endswith("all is well\n") and "GRAPHAX_" not in out


def test_what_is_kept_is_counted_and_folders_that_are_off_are_said_to_be(clean, monkeypatch):
    store = clean / "graphax" / "orders"
    store.mkdir(parents=True)
    (store / "a.json").write_text("x" * 2_000_000)
    assert "orders that were found: 1 files, 2.0 MB in" in str(diagnose())
    monkeypatch.setenv("GRAPHAX_ORDER_STORE", "off")
    assert "orders that were found: not kept (GRAPHAX_ORDER_STORE is off" in str(diagnose())


def test_a_place_that_cannot_be_written_to_is_wrong(clean, monkeypatch, capsys):
    (clean / "file").touch()
    monkeypatch.setenv("GRAPHAX_COMPILED", str(clean / "file" / "xla"))
    assert main(["doctor"]) == 1
    assert "let GRAPHAX_COMPILED name another folder, or be off" in capsys.readouterr().out


def test_a_misspelt_variable_is_wrong(clean, monkeypatch):
    monkeypatch.setenv("GRAPHAX_ORDER_STOR", "off")
    assert "GRAPHAX_ORDER_STOR is no variable of graphax; did you mean 'GRAPHAX_ORDER_STORE'" in problems_of(
        diagnose()
    )


def test_an_old_package_and_a_missing_one_are_named_with_what_installs_them(clean, monkeypatch):
    requirements = [
        "jax>=99.1",
        "nothing_such>=1",
        'neither_this>=2; extra == "train"',
        'pytest-x; extra == "test"',
    ]
    monkeypatch.setattr(doctor.metadata, "requires", lambda name: requirements)
    found = diagnose()
    assert f"jax {metadata.version('jax')} is too old: pip install 'jax>=99.1'" in problems_of(found)
    assert "nothing_such missing: pip install nothing_such" in problems_of(found)
    assert "neither_this" not in problems_of(found) and "pytest-x" not in str(found)
    assert "not installed: neither_this; if you want them, pip install 'alphagrad[train]'" in str(found)


def test_a_wrong_jacobian_is_found(clean, monkeypatch):
    right = graphax.jacve
    monkeypatch.setattr(
        graphax,
        "jacve",
        lambda fun, **ways: right(lambda x: 2 * fun(x) if ways.get("kernel") else fun(x), **ways),
    )
    assert "by a kernel: differs from jax.jacrev's by" in problems_of(diagnose())
    assert len(diagnose().problems) == 1


def test_the_text_names_no_user(monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: Path("/home/alice"))
    monkeypatch.setattr(getpass, "getuser", lambda: "alice")
    text = "in /home/alice/x, /home/alice, /home/alice2/y, /scratch/alice/runs, alice_in.py"
    assert anonymous(text) == "in ~/x, ~, /home/alice2/y, /scratch/USER/runs, alice_in.py"


_WITHOUT = """
import sys
sys.modules.update(dict.fromkeys({absent!r}))
from alphagrad.cli import main
sys.exit(main(["doctor"]))
"""


@pytest.mark.parametrize(
    ("absent", "status", "said"),
    [
        (["equinox", "mctx", "numba", "optax", "rich", "yaml"], 0, "all is well"),
        (["jax"], 1, "JAX itself has to work"),
        (["llvmlite"], 1, "by a kernel: there is no kernel"),
    ],
)
def test_it_works_where_packages_are_missing(absent, status, said):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GRAPHAX_")}
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT.format(absent=absent)],
        env=environment | {"PYTHONPATH": str(Path(graphax.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == status and said in done.stdout and not done.stderr, done
