"""`alphagrad search` for matrix multiplications, as a user meets it."""

import itertools
import json
import os
import signal
import threading
import time
from fractions import Fraction

import numpy as np
import pytest

from alphagrad.cli import main
from alphagrad.matmul import (
    LiftError,
    Scheme,
    best_known,
    extend,
    formulas,
    kronecker,
    read_format,
    reduce_modulo,
    standard,
    strassen,
)
from alphagrad.run.result import load_result
from alphagrad.run.settings import parse, settings
from alphagrad.schemes import search as search_schemes
from alphagrad.schemes.search import SchemeSearchConfig


def metrics_of(path):
    return [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a short run."""
    path = tmp_path_factory.mktemp("runs") / "run"
    words = ["task=matmul_3x2x3", "ring=Z", "target=15", "seed=3", "seconds=60", f"run_dir={path}"]
    assert main(["search", *words]) == 0
    return path


def test_a_run_leaves_everything_in_its_folder(finished):
    assert sorted(path.name for path in finished.iterdir()) == [
        "config.yaml", "metrics.jsonl", "report.html", "result.json", "scheme.json",
    ]  # fmt: skip
    assert parse(SchemeSearchConfig, [], finished / "config.yaml").seed == 3
    metrics = metrics_of(finished)
    assert all(a["best"] >= b["best"] for a, b in itertools.pairwise(metrics))
    assert all(a["flips"] <= b["flips"] for a, b in itertools.pairwise(metrics))
    assert (metrics[-1]["best"], metrics[-1]["lifted"], metrics[-1]["format"]) == (15, 15, "3x2x3")


def test_the_saved_scheme_multiplies_matrices(finished):
    scheme = Scheme.load(finished / "scheme.json")
    assert (scheme.format, scheme.rank, scheme.ring) == ((3, 2, 3), 15, "Z")
    random = np.random.default_rng(0)
    a, b = random.integers(-9, 10, (3, 2)), random.integers(-9, 10, (2, 3))
    c = ((scheme.u @ a.ravel()) * (scheme.v @ b.ravel())) @ scheme.w
    np.testing.assert_array_equal(c.reshape(3, 3).T, a @ b)


def test_the_report_shows_the_scheme_its_figures_and_the_literature(finished):
    scheme = Scheme.load(finished / "scheme.json")
    page = (finished / "report.html").read_text()
    assert formulas(scheme) in page
    additions = f"<td>{scheme.additions()}</td><td>{scheme.additions(shared=True)}</td>"
    exponent = f"<td>{3 * np.log(15) / np.log(18):.4f}</td>"
    assert f'<th scope="row">found</th><td>Z</td><td>15</td>{additions}{exponent}' in page
    assert '<th scope="row">literature, modulo 2</th><td>Z2</td><td>15</td>' in page


def test_the_report_says_how_to_use_the_scheme_and_draws_its_factors(finished, capsys):
    result, scheme = load_result(finished), Scheme.load(finished / "scheme.json")
    found: dict[str, object] = {}
    exec(result.findings.use, found)
    assert found["scheme"] == scheme and abs(float(max(map(np.max, eval(_DIFFERENCE, found))))) < 1e-3
    (drawn,) = result.findings.factors
    u, v, w = (np.array(factor.columns) for factor in drawn.factors)
    product = np.einsum("ri,rj,rk->ijk", u, v, w)
    shown = {factor.name: factor.entries for factor in drawn.factors}
    assert [shown[name][-1] for name in ("u, in A", "v, in B", "w, in C")] == ["a32", "b23", "c33"]
    a, b = np.arange(6).reshape(3, 2), np.arange(6).reshape(2, 3) - 2
    c = np.einsum("ijk,i,j->k", product, a.ravel(), b.ravel())
    np.testing.assert_array_equal(c.reshape(3, 3), a @ b)


_DIFFERENCE = "[abs(matmul.multiply(a, b, scheme) - a @ b)]"


def test_a_search_ends_at_the_target_and_shows_its_progress(tmp_path, capsys):
    start = time.perf_counter()
    path = tmp_path / "run"
    assert main(["search", "task=matmul_2x2x2", "target=7", "seconds=300", f"run_dir={path}"]) == 0
    assert time.perf_counter() - start < 60
    out = capsys.readouterr().out
    assert "8 products by the standard algorithm, 7 by the best scheme known" in out
    assert "found: 7 products modulo 2, verified" in out and "took no search; target=6 looks for fewer" in out
    assert Scheme.load(path / "scheme.json").ring == "Z2"


def test_the_last_words_are_a_program_that_runs(tmp_path, capsys):
    def words(ring):
        path = f"run_dir={tmp_path / ring}"
        assert main(["search", "task=matmul_2x3x2", f"ring={ring}", "seconds=30", path]) == 0
        out = capsys.readouterr().out.splitlines()
        return next(line for line in out if line.startswith("to use it: ")).removeprefix("to use it: ")

    a, b = np.arange(6.0).reshape(2, 3), np.arange(6.0).reshape(3, 2)
    program = words("Z").replace("matmul.multiply(", "c = matmul.multiply(")
    there = {"a": a, "b": b}
    exec(program, there)
    np.testing.assert_allclose(there["c"], a @ b)
    modulo_2 = words("Z2")
    assert "multiply(" not in modulo_2 and "ring=Z looks for" in modulo_2
    exec(modulo_2.partition(", which")[0], there)


def test_a_run_keeps_to_its_time(tmp_path):
    main(["search", "task=matmul_2x2x2", "target=7", "seconds=300", f"run_dir={tmp_path / 'compiles'}"])
    start = time.perf_counter()
    assert main(["search", "task=matmul_4x4x4", "ring=Z", "seconds=6", f"run_dir={tmp_path / 'run'}"]) == 0
    assert time.perf_counter() - start < 9


@pytest.mark.parametrize("task, rank", [("6x6x6", 161), ("7x7x7", 272), ("8x8x8", 343)])
def test_large_formats_begin_where_smaller_ones_lead_at_once(task, rank, tmp_path, capsys):
    words = [f"task=matmul_{task}", "seconds=2", f"run_dir={tmp_path / 'run'}"]
    assert main(["search", *words]) == 0
    assert Scheme.load(tmp_path / "run" / "scheme.json").rank <= rank
    assert "\nknown before\t" in capsys.readouterr().out


@pytest.mark.parametrize("ring", ["Z2", "Z", "Q"])
@pytest.mark.parametrize("format", [(1, 3, 2), (5, 2, 4), (4, 4, 4), (4, 5, 5), (6, 3, 4)], ids=str)
def test_a_search_never_ends_worse_than_the_best_known(format, ring, tmp_path):
    words = [f"task=matmul_{'x'.join(map(str, format))}", f"ring={ring}", "seconds=1", "target=2"]
    assert main(["search", *words, f"run_dir={tmp_path / 'run'}"]) == 0
    found = Scheme.load(tmp_path / "run" / "scheme.json")
    assert found.ring in ("Z2", "Z", ring) and found.rank <= best_known(format, ring).rank


def test_the_literatures_rank_over_the_integers_ends_a_search(tmp_path, capsys):
    words = ["task=matmul_4x4x4", "ring=Z", "seconds=300", f"run_dir={tmp_path / 'run'}"]
    start = time.perf_counter()
    assert main(["search", *words]) == 0
    assert time.perf_counter() - start < 30
    out = capsys.readouterr().out
    assert "found: 49 products over the integers, verified; the literature has 49 over the integers" in out
    assert "target=48 looks for fewer. Modulo 2: 47, in scheme_modulo_2.json" in out


def test_a_search_goes_on_from_a_file(tmp_path, capsys):
    extend(kronecker(strassen(), strassen()), 2).save(tmp_path / "start.npz")
    words = ["task=matmul_4x4x4", f"start={tmp_path / 'start.npz'}", "seconds=4", "target=49"]
    assert main(["search", *words, f"run_dir={tmp_path / 'other'}"]) == 0
    assert Scheme.load(tmp_path / "other" / "scheme.json").rank == 49
    words[1] = f"start={tmp_path / 'other' / 'scheme.json'}"
    assert main(["search", *words, "ring=Z", f"run_dir={tmp_path / 'same'}"]) == 0
    assert Scheme.load(tmp_path / "same" / "scheme.json").ring == "Z"
    assert "found: 49 products over the integers" in capsys.readouterr().out


@pytest.fixture
def nothing_known(monkeypatch):
    """A search that begins with the standard algorithm."""
    monkeypatch.setattr(search_schemes, "best_known", lambda format, ring="Z2": standard(*format, ring=ring))


def test_what_does_not_lift_is_said_and_saved_modulo_2(tmp_path, capsys, monkeypatch, nothing_known):
    def refuse(scheme, **more):
        raise LiftError("no counterpart", 2)

    monkeypatch.setattr(search_schemes, "lift", refuse)
    monkeypatch.setattr(search_schemes, "lift_any", refuse)
    words = ["task=matmul_2x2x2", "ring=Z", "target=7", f"run_dir={tmp_path / 'run'}"]
    assert main(["search", *words]) == 0
    out = capsys.readouterr().out
    assert "found: 8 products over the integers" in out and "Modulo 2: 7, in scheme_modulo_2.json" in out
    assert Scheme.load(tmp_path / "run" / "scheme.json") == standard(2, 2, 2)
    assert Scheme.load(tmp_path / "run" / "scheme_modulo_2.json").rank == 7


@pytest.mark.parametrize("ring", ["Z", "Q"])
def test_a_rational_scheme_is_saved_too(tmp_path, capsys, monkeypatch, nothing_known, ring):
    one = strassen()
    rational = Scheme((2, 2, 2), one.u, one.v * 3, one.w, "Q", (3, 1, 1))
    monkeypatch.setattr(search_schemes, "lift", lambda scheme, **more: rational)
    monkeypatch.setattr(search_schemes, "lift_any", lambda scheme, **more: rational)
    path = tmp_path / "run"
    words = ["task=matmul_2x2x2", f"ring={ring}", "target=7", "seconds=20", f"run_dir={path}"]
    assert main(["search", *words]) == 0
    out = capsys.readouterr().out
    if ring == "Q":
        assert "found: 7 products over the rationals" in out and "scheme_rational" not in out
        assert Scheme.load(path / "scheme.json") == rational
        assert not (path / "scheme_rational.json").exists()
    else:
        assert "found: 8 products over the integers" in out
        assert "Over the rationals: 7, in scheme_rational.json" in out
        assert Scheme.load(path / "scheme_rational.json") == rational
        assert Scheme.load(path / "scheme.json").rank == 8


def test_ctrl_c_ends_a_run_with_the_best_scheme_saved(tmp_path, capsys):
    path = tmp_path / "run"

    def interrupt():
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not any(line["flips"] for line in metrics()):
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    def metrics():
        return metrics_of(path) if (path / "metrics.jsonl").exists() else []

    thread = threading.Thread(target=interrupt)
    thread.start()
    assert main(["search", "task=matmul_5x5x5", "target=2", "seconds=300", f"run_dir={path}"]) == 130
    thread.join()
    out = capsys.readouterr().out
    assert "stopping" in out and "products modulo 2, verified" in out
    assert Scheme.load(path / "scheme.json").rank == metrics_of(path)[-1]["best"] < 125
    assert (path / "report.html").exists()


def test_nothing_is_overwritten(finished, capsys):
    before = {path: path.read_bytes() for path in finished.iterdir()}
    assert main(["search", "task=matmul_2x2x2", "seconds=1", f"run_dir={finished}"]) == 2
    assert "exists and is not empty" in capsys.readouterr().err
    assert before == {path: path.read_bytes() for path in finished.iterdir()}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["task=matmul_0x2x2"], "'matmul_0x2x2' names no matrix multiplication; write matmul_NxMxP"),
        (["task=matmul_2x2"], "three positive sizes"),
        (["task=matmull_2x2x2"], "such as matmul_2x3x4"),
        (["task=matmul_9x8x2"], "more than 64 entries"),
        (["task=matmul_2x2x2", "ring=Z3"], "unknown ring 'Z3'; did you mean 'Z'"),
        (["task=matmul_2x2x2", "rin=Z2"], "unknown setting 'rin'; did you mean 'ring'"),
        (["task=matmul_2x2x2", "seconds=0"], "seconds=0.0 must be positive"),
        (["task=matmul_2x2x2", "seed=-1"], "seed=-1 must lie between"),
        (["task=matmul_2x2x2", "workers=0"], "workers=0 must be at least 1"),
        (["task=matmul_2x2x2", "target=0"], "target=0 must be at least 1"),
        (["task=matmul_2x2x2", "target=few"], "target=few must be an integer"),
        (["task=matmul_2x2x2", "start=none.json"], "none.json"),
        (["task=matmul_2x2x2", "start=scheme.txt"], "scheme files end in .json or .npz"),
        (["task=matmul_2x2x2", "objective=mults"], "objective= is a setting for an elimination order"),
        (["task=RoeFlux_1d", "ring=Z2"], "ring= is a setting for a matrix multiplication, task=matmul_NxMxP"),
        (["ring=Z2"], "no task= is given"),
    ],
)
def test_wrong_use_is_said_in_one_line(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["search", *words]) == 2
    err = capsys.readouterr().err
    assert message in err and "Traceback" not in err and len(err.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_starts_that_hold_nothing_modulo_2_are_refused(tmp_path, capsys):
    one = standard(2, 2, 2)
    Scheme((2, 2, 2), one.u, one.v, one.w * 2, "Q", (2, 1, 1)).save(tmp_path / "half.json")
    text = (tmp_path / "half.json").read_text()
    (tmp_path / "wrong.json").write_text(text.replace("[1, 0, 0, 0]", "[1, 1, 0, 0]", 1))
    for name, message in (("half.json", "denominator"), ("wrong.json", "entry (i, j, k)")):
        words = ["search", "task=matmul_2x2x2", f"start={tmp_path / name}", f"run_dir={tmp_path / 'run'}"]
        assert main(words) == 2
        err = capsys.readouterr().err
        assert message in err and len(err.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_help_lists_the_settings_of_both_kinds_of_tasks_or_of_one(capsys):
    assert main(["search", "--help"]) == 0
    out = capsys.readouterr().out
    assert "objective" in out and "ring" in out
    assert main(["search", "task=matmul_2x2x2", "--help"]) == 0
    out = capsys.readouterr().out
    assert "objective" not in out and all(setting.key in out for setting in settings(SchemeSearchConfig))
    assert main(["search", "task=Simple", "--help"]) == 0
    out = capsys.readouterr().out
    assert "objective" in out and "ring" not in out
    assert main(["tasks"]) == 0
    assert "matmul_NxMxP" in capsys.readouterr().out


def test_every_setting_says_what_it_means():
    assert all(setting.help for setting in settings(SchemeSearchConfig))


@pytest.mark.parametrize("task", ["RoeFlux_1d", "", "matmul_model.py:residual", "2x2x2"])
def test_names_of_another_kind_are_no_formats(task):
    assert read_format(task) is None


@pytest.mark.parametrize(
    "task", ["matmul", "matmul_2x2x2x2", "matmul_2x-2x2", "matmul_٢x2x2", "matmul_02x2x2"]
)
def test_names_that_are_nearly_formats_are_refused(task):
    with pytest.raises(ValueError, match="write matmul_NxMxP"):
        read_format(task)


def test_names_are_read():
    assert read_format("matmul_2x12x4") == (2, 12, 4)


@pytest.mark.parametrize(
    "scheme",
    [
        strassen(),
        standard(1, 1, 11),
        reduce_modulo(strassen(), 2),
        Scheme((2, 2, 2), strassen().u, strassen().v * 3, strassen().w * 5, "Q", (5, 1, 3)),
        extend(kronecker(strassen(), standard(1, 2, 1)), 2),
    ],
    ids=repr,
)
def test_formulas_compute_the_product(scheme):
    """Python itself reads them; the entries are named as a person would."""
    n, m, p = scheme.format
    between = "_" if max(n, m, p) > 9 else ""
    random = np.random.default_rng(0)
    a, b = random.integers(-9, 10, (n, m)), random.integers(-9, 10, (m, p))
    names = {f"a{i + 1}{between}{j + 1}": Fraction(int(a[i, j])) for i in range(n) for j in range(m)}
    names |= {f"b{i + 1}{between}{j + 1}": Fraction(int(b[i, j])) for i in range(m) for j in range(p)}
    text = formulas(scheme)
    assert len(text.splitlines()) == scheme.rank + n * p
    exec(text, {}, names)
    modulus = 2 if scheme.ring == "Z2" else 1 << 40
    for i in range(n):
        for j in range(p):
            wrong = float(names[f"c{i + 1}{between}{j + 1}"]) - int((a @ b)[i, j])
            assert abs(wrong - modulus * round(wrong / modulus)) < 1e-9
