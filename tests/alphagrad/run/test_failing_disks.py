"""When nothing can be written any more, commands say so and end, and what was written before stays good."""

import contextlib
import errno
import os
import resource
import shutil
import subprocess
import time

import pytest
from programs import EAGER, SMALL, Program, lines_of, run

import graphax
from alphagrad.matmul import Scheme
from alphagrad.run.folder import read_metrics

SOON = 10  # seconds
COMMANDS = {
    "search orders": ["search", "task=RoeFlux_3d", "seconds=300", "remember=false"],
    "search schemes": ["search", "task=matmul_4x4x5", "target=10", "seconds=300"],
    "train orders": ["train", "task=RoeFlux_1d", *SMALL, "iterations=100000"],
    "train schemes": ["train", "task=matmul_2x2x2", *SMALL, "iterations=100000"],
}
# One that is ready quickly stands for all.
QUICK = ["search orders"]
each = pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in COMMANDS]
)


@contextlib.contextmanager
def file_system(path, options):
    """A file system of its own at a path, if this user may have one."""
    path.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", path], capture_output=True).returncode:
        pytest.skip("this user may not mount anything")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", path], check=True)


def check_what_is_left(path):
    """Files are whole or not there; metrics are good up to where they were cut."""
    if (path / "metrics.jsonl").exists():
        read_metrics(path)
    for file in path.glob("*.json"):
        Scheme.load(file) if "scheme" in file.name else graphax.load_order(file)
    assert "task" in (path / "config.yaml").read_text()


def ends(program, *words, growing=None, loading=0.0):
    """The command ends soon, in a failure that it speaks of in a line with one of these words.

    Args:
        program: the command.
        words: what may be said.
        growing: a file; as long as it grows all is well.
        loading: seconds until the command has begun.
    """
    begun, size = time.monotonic() + loading, 0
    while not program.until(lambda: program.process.poll() is not None, timeout=0.1):
        if growing and growing.exists() and growing.stat().st_size != size:
            begun, size = time.monotonic(), growing.stat().st_size
        assert time.monotonic() - begun < SOON
    status, out, err = program.end()
    assert status > 0, (status, out, err)
    assert "Traceback" not in err and len(err.strip().splitlines()) == 1, err
    assert any(word in err for word in words), err


def noted(path, count):
    return lambda: len(lines_of(path)) >= count


def fill(path):
    """Leave no room in a file system."""
    with open(path / "filling", "wb", buffering=0) as file:
        with pytest.raises(OSError) as caught:
            while True:
                file.write(bytes(4096))
        assert caught.value.errno == errno.ENOSPC


@each
def test_a_disk_that_becomes_full_ends_a_run(name, tmp_path):
    with file_system(tmp_path / "disk", "size=8m") as disk:
        path = disk / "run"
        with Program(*COMMANDS[name], f"run_dir={path}", code=EAGER) as program:
            assert program.until(noted(path, 3))
            fill(disk)
            # There is room in the last page of a file.
            ends(program, os.strerror(errno.ENOSPC), growing=path / "metrics.jsonl")
        check_what_is_left(path)


@each
def test_on_a_disk_of_100_kb_a_run_that_needs_more_ends(name, tmp_path):
    with file_system(tmp_path / "disk", "size=100k") as disk:
        path = disk / "run"
        with Program(*COMMANDS[name], f"run_dir={path}", code=EAGER) as program:
            if name.startswith("train"):  # its first checkpoint does not fit
                assert program.until(noted(path, 1))
            else:
                assert program.until(noted(path, 3))
                fill(disk)
            ends(program, os.strerror(errno.ENOSPC), growing=path / "metrics.jsonl")
        check_what_is_left(path)


@each
def test_files_that_may_not_grow_end_a_run(name, tmp_path):
    path = tmp_path / "run"
    with Program(
        *COMMANDS[name],
        f"run_dir={path}",
        code=EAGER,
        env=os.environ | {"GRAPHAX_COMPILED": "off"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, 2_000)),
    ) as program:
        words = os.strerror(errno.EFBIG), os.strerror(errno.ENOSPC)
        ends(program, *words, growing=path / "metrics.jsonl", loading=120)
    if path.exists():
        check_what_is_left(path)


@each
def test_a_run_whose_folder_is_removed_ends_and_does_not_make_it_again(name, tmp_path):
    path = tmp_path / "run"
    with Program(*COMMANDS[name], f"run_dir={path}") as program:
        assert program.until(noted(path, 1))
        shutil.rmtree(path, ignore_errors=True)
        ends(program, "was removed", os.strerror(errno.ENOENT))
    assert not path.exists() or not list(path.rglob("*.json*"))


@each
def test_a_folder_that_cannot_be_written_to_is_refused_at_once(name, tmp_path):
    with (
        file_system(tmp_path / "disk", "ro") as disk,
        Program(*COMMANDS[name], f"run_dir={disk / 'run'}") as program,
    ):
        ends(program, os.strerror(errno.EROFS), loading=10)


@each
def test_a_closed_output_ends_a_command_at_once(name, tmp_path):
    path = tmp_path / "run"
    with Program(*COMMANDS[name], f"run_dir={path}", stdout=None, preexec_fn=lambda: os.close(1)) as program:
        ends(program, "standard output is closed")
    assert not path.exists()


@each
def test_an_output_that_takes_nothing_ends_a_run(name, tmp_path):
    path = tmp_path / "run"
    with open("/dev/full", "w") as full, Program(*COMMANDS[name], f"run_dir={path}", stdout=full) as program:
        program.until(path.exists)
        ends(program, os.strerror(errno.ENOSPC))


@each
def test_a_run_whose_output_nobody_reads_any_more_ends(name, tmp_path):
    path = tmp_path / "run"
    reading, writing = os.pipe()
    with Program(*COMMANDS[name], f"run_dir={path}", stdout=writing) as program:
        os.close(writing)
        with os.fdopen(reading) as output:
            assert any("writing to" in line for line in output)
        ends(program, "nobody reads its output")
    check_what_is_left(path)


def test_short_commands_end_as_those_of_unix_when_nobody_reads_on():
    for words in (["tasks"], ["show", "task=Simple"], ["--help"]):
        reading, writing = os.pipe()
        os.close(reading)
        with Program(*words, stdout=writing) as program:
            os.close(writing)
            status, _, err = program.end()
        assert status > 0 and "Traceback" not in err
        with open("/dev/full", "w") as full:
            status, _, err = run(*words, stdout=full)
        assert status > 0 and os.strerror(errno.ENOSPC) in err and "Traceback" not in err
