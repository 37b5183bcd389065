"""Constants: those that ship, those that a user measured, and files that are not to be believed."""

import json
import math
from dataclasses import asdict, replace

import jax
import pytest

import graphax
from graphax.__main__ import main
from graphax.timing import Constants, constants_for
from graphax.timing._constants import (
    calibrated_file,
    kind_of,
    read_constants,
    shipped_constants,
    write_constants,
)

SHIPPED = shipped_constants("cpu")


@pytest.fixture
def folder(monkeypatch, tmp_path):
    monkeypatch.setenv("GRAPHAX_CONSTANTS", str(tmp_path / "kept"))
    return tmp_path / "kept"


def measured(kind="cpu", **changed):
    found = replace(SHIPPED, kernel=123.0, **changed)
    write_constants(calibrated_file(kind), kind, found)
    return found


def test_those_that_ship_are_taken_where_none_were_measured(folder):
    assert constants_for() == constants_for("cpu") == constants_for(jax.devices("cpu")[0]) == SHIPPED
    assert not folder.exists()


def test_those_of_a_user_are_taken_when_they_are_there(folder):
    found = measured()
    assert calibrated_file("cpu") == folder / "cpu.json"
    assert constants_for() == found != SHIPPED
    again = measured(step=7.0)
    assert constants_for() == again


def test_several_processes_take_those_that_ship(folder, monkeypatch):
    measured()
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    assert constants_for() == SHIPPED


@pytest.mark.parametrize("setting", ["off", ""])
def test_nothing_is_kept_where_that_is_disabled(setting, monkeypatch):
    monkeypatch.setenv("GRAPHAX_CONSTANTS", setting)
    assert calibrated_file("cpu") is None
    assert constants_for() == SHIPPED
    with pytest.raises(ValueError, match="GRAPHAX_CONSTANTS"):
        graphax.calibrate(seconds=0.1)


def test_the_folder_is_beside_the_order_store(monkeypatch, tmp_path):
    monkeypatch.delenv("GRAPHAX_CONSTANTS")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert (
        calibrated_file("NVIDIA H100 80GB HBM3") == tmp_path / "graphax/constants/nvidia_h100_80gb_hbm3.json"
    )


def test_other_devices_have_files_of_their_own_and_a_guess_ships_for_them():
    guess = shipped_constants("Some GPU of 2040")
    assert guess == shipped_constants("gpu")
    assert guess.kernel > SHIPPED.kernel and guess.multiply < SHIPPED.multiply
    assert kind_of("cpu") == kind_of(jax.devices("cpu")[0]) == "cpu"
    with pytest.raises(RuntimeError):
        kind_of("qqq")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: "", "is not a file of constants"),
        (lambda content: "[1, 2]", "it has no 'constants'"),
        (lambda content: json.dumps({**content, "constants": 3}), "it has no 'constants'"),
        (lambda content: json.dumps({**content, "version": 99}), "version 99"),
        (lambda content: json.dumps({**content, "device": "abacus"}), "of 'abacus', not of 'cpu'"),
        (lambda content: json.dumps({**content, "constants": {"kernel": 1.0}}), "misses, or has besides"),
        (lambda content: json.dumps(changed(content, kernel=-1.0)), "kernel=-1.0 must be finite"),
        (lambda content: json.dumps(changed(content, kernel=math.nan)), "kernel=nan must be finite"),
        (lambda content: json.dumps(changed(content, kernel="1")), "kernel='1' must be a number"),
        (lambda content: json.dumps(changed(content, kernel=True)), "kernel=True must be a number"),
    ],
)
def test_damaged_files_are_not_believed(folder, damage, message):
    measured()
    path = folder / "cpu.json"
    path.write_text(damage(json.loads(path.read_text())))
    with pytest.raises(ValueError, match=message):
        read_constants(path, "cpu")
    with pytest.warns(UserWarning, match="the constants that ship are taken"):
        assert constants_for() == SHIPPED


def changed(content, **constants):
    return {**content, "constants": {**content["constants"], **constants}}


def test_constants_are_checked():
    with pytest.raises(TypeError, match="kernel=None must be a number"):
        replace(SHIPPED, kernel=None)
    with pytest.raises(ValueError, match="wide=inf"):
        Constants(**{**asdict(SHIPPED), "wide": math.inf})


def test_what_is_measured_is_kept_and_read_back(folder):
    found = graphax.calibrate(seconds=0.3)
    assert read_constants(folder / "cpu.json", "cpu") == constants_for() == found
    graphs = ("launched", "captured")  # a CPU has none
    assert all(value > 0 for name, value in asdict(found).items() if name not in graphs)
    with pytest.raises(ValueError, match=r"seconds=0 must be positive"):
        graphax.calibrate(seconds=0)


def test_the_command_measures_writes_and_tells(tmp_path, capsys):
    path = tmp_path / "new" / "mine.json"
    assert main(["calibrate", "--device", "cpu", "--seconds", "0.3", "--out", str(path)]) == 0
    shown = dict(line.split() for line in capsys.readouterr().out.splitlines())
    kept = read_constants(path, "cpu")
    assert shown.keys() == asdict(kept).keys()
    assert float(shown["call"]) == pytest.approx(kept.call, rel=1e-3)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--seconds", "-1", "--out", "x"], "seconds=-1.0 must be positive"),
        (["--device", "qqq"], "qqq"),
        ([], "GRAPHAX_CONSTANTS"),
    ],
)
def test_the_command_explains_what_is_wrong(words, message, capsys):
    assert main(["calibrate", *words]) == 1
    assert message in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["calibrte"])
