"""Files are written whole or not at all, and what killed processes left is removed."""

import os
import subprocess
import sys
import time

import pytest

import graphax
from alphagrad import tasks
from graphax import files
from graphax.choose import _store
from graphax.files import remove_leftovers, write_atomically

KILLED = """
import os, signal, sys
from pathlib import Path
from graphax.files import write_atomically

def write(file):
    file.write(b"half")
    file.flush()
    if sys.argv[2] == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    print("writing", flush=True)
    sys.stdin.read()

write_atomically(Path(sys.argv[1]), write)
"""

unix = pytest.mark.skipif(sys.platform == "win32", reason="there nobody can ask whether a process is alive")


def write_in_process(path, how):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-c", KILLED, str(path), how], **pipes)


@unix
def test_what_a_killed_process_left_is_removed_and_what_others_write_is_not(tmp_path):
    path = tmp_path / "latest.eqx"
    write_atomically(path, "old")
    writing = write_in_process(path, "alive")
    assert writing.stdout.readline() == b"writing\n"
    write_in_process(path, "killed").wait()
    assert len(list(tmp_path.glob("latest.eqx.*.part"))) == 2
    below = tmp_path / "below"
    below.mkdir()
    (killed,) = (part for part in tmp_path.glob("*.part") if f"-{writing.pid}-" not in part.name)
    (below / killed.name).write_bytes(b"half")
    remove_leftovers(tmp_path)
    (left,) = tmp_path.glob("*.part")
    assert f"-{writing.pid}-" in left.name and path.read_text() == "old" and not killed.exists()
    assert (below / killed.name).exists()
    writing.communicate()
    assert path.read_text() == "half" and not list(tmp_path.glob("*.part"))


@unix
def test_leftovers_of_other_machines_are_removed_when_they_are_old(tmp_path):
    path = tmp_path / "x"
    write_in_process(path, "killed").wait()
    (part,) = tmp_path.glob("*.part")
    machine = files._machine()
    elsewhere = part.rename(tmp_path / part.name.replace(machine, f"{int(machine, 16) ^ 1:08x}"))
    remove_leftovers(tmp_path)
    assert elsewhere.exists()
    yesterday = time.time() - 100_000
    os.utime(elsewhere, (yesterday, yesterday))
    remove_leftovers(tmp_path)
    assert not elsewhere.exists()


def test_only_leftovers_are_removed(tmp_path):
    machine = files._machine()
    ours = [f"x.{machine}-999999999-{'0' * 16}.part", f".{machine}-1-{'f' * 16}.part"]
    others = ["x.part", "x.0123456789abcdef.part", f"x.{machine}-1-{'0' * 16}.part.txt", "x"]
    for name in (*ours, *others):
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, (0, 0))
    folder = tmp_path / f"folder.{machine}-1-{'0' * 16}.part"
    folder.mkdir()
    remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {*others, folder.name}
    remove_leftovers(tmp_path / "nowhere")
    remove_leftovers(tmp_path / "x")


def test_names_may_be_as_long_as_files_can_have_them(tmp_path):
    for name in ("x" * 255, "é" * 127, "👩" * 63):
        write_atomically(tmp_path / name, "whole")
        assert (tmp_path / name).read_text() == "whole"
    assert len(list(tmp_path.iterdir())) == 3


def test_a_folder_is_made_unless_it_must_be_there(tmp_path):
    write_atomically(tmp_path / "made" / "too" / "x", "whole")
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "missing" / "x", "whole", make_folder=False)
    assert not (tmp_path / "missing").exists()
    write_atomically(tmp_path / "made" / "x", "whole", make_folder=False)
    assert (tmp_path / "made" / "x").read_text() == "whole"


def test_what_goes_wrong_while_writing_leaves_the_old_file_alone(tmp_path):
    path = tmp_path / "x"
    write_atomically(path, "old")
    for wrong in (KeyboardInterrupt, OSError(28, "No space left on device")):

        def write(file, wrong=wrong):
            file.write(b"half")
            raise wrong

        with pytest.raises((KeyboardInterrupt, OSError)):
            write_atomically(path, write)
        assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


@unix
def test_whoever_keeps_an_order_removes_what_killed_processes_left_in_the_store(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAPHAX_ORDER_STORE", str(tmp_path))
    _store.forget()
    left = tmp_path / f"x.{files._machine()}-999999999-{'0' * 16}.part"
    left.write_text("half")
    task = tasks.load("KerrSen")
    graph = graphax.trace(task.fun, task.argnums)(*task.args)
    graphax.orders.auto(graph)
    _store.forget()
    assert [path.name for path in tmp_path.iterdir()] == [f"{graph.fingerprint}.json"]
