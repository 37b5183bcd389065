"""Completion, as shells do it."""

import re
import shutil
import subprocess

import pytest

from alphagrad import tasks
from alphagrad.cli import main
from alphagrad.commands import NAMES, known_settings


def needs(shell):
    return pytest.mark.skipif(shutil.which(shell) is None, reason=f"{shell} is not installed")


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    """The scripts, each in a file named for its shell."""
    folder = tmp_path_factory.mktemp("completion")
    for shell in ("bash", "zsh", "fish"):
        with pytest.MonkeyPatch.context() as patch, open(folder / shell, "w") as file:
            patch.setattr("sys.stdout", file)
            assert main(["completion", shell]) == 0
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with something to complete."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "model.py").touch()
    (folder / "notes.txt").touch()
    (folder / "runs").mkdir()
    return folder


# What Bash does when Tab is pressed at the end of a line; the words that it sees are not looked at.
_TAB = """
source {script}
COMP_LINE={line!r} COMP_POINT={point} COMP_WORDBREAKS={breaks}
_alphagrad
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
_BREAKS = "$' \\t\\n\"\\'><=;|&(:'"


def by_bash(scripts, place, line, breaks=_BREAKS):
    program = _TAB.format(script=scripts / "bash", line=line, point=len(line), breaks=breaks)
    command = ["bash", "--norc", "--noprofile", "-c", program]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=20, check=True)
    assert not done.stderr
    return set(done.stdout.split())


def by_fish(scripts, place, line):
    program = f"source {scripts / 'fish'}; complete -C {line!r}"
    done = subprocess.run(
        ["fish", "--no-config", "-c", program],
        cwd=place,
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    assert not done.stderr
    return {answer.split("\t")[0] for answer in done.stdout.splitlines()}


@pytest.mark.parametrize("shell", [pytest.param(name, marks=needs(name)) for name in ("bash", "zsh", "fish")])
def test_scripts_are_of_their_shells_language(scripts, shell):
    subprocess.run([shell, "-n", scripts / shell], check=True, timeout=20)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts_know_all_words_and_start_no_program(scripts, shell):
    text = (scripts / shell).read_text()
    words = set(re.findall(r"[\w.-]+", text.replace("-l no-", "--no-")))
    wanted = {*NAMES, *tasks.names()}
    wanted |= {key for command in NAMES for key in known_settings(command)}
    assert wanted <= words, wanted - words
    assert "python" not in text and "$(alphagrad" not in text and not re.search(r"@\w+@", text)


# (the line, what completes it, what does not)
CASES = [
    ("alphagrad ", "search train show tasks --help", "RoeFlux_1d task="),
    ("alphagrad tr", "train", "tasks"),
    ("alphagrad train --se", "--seconds --seed", "--run-dir task="),
    ("alphagrad train --agent.w", "--agent.width", "--agent.rank"),
    ("alphagrad search --no-", "--no-remember", "--no-seed --remember"),
    ("alphagrad search --rem", "--remember", "--no-remember"),
    ("alphagrad train Roe", "RoeFlux_1d RoeFlux_3d", "Simple"),
    ("alphagrad train --task Roe", "RoeFlux_1d", "Simple"),
    ("alphagrad train --seconds 5 --seed 3 Roe", "RoeFlux_1d", "Simple"),
    ("alphagrad show ar", "args= argnums=", "seed="),
    ("alphagrad completion ", "bash zsh fish", "task= --help"),
    ("alphagrad train --run-dir r", "runs/", "run_dir="),
    ("alphagrad search --objective ", "mults memory runtime", "task= Simple"),
    ("alphagrad train --objective ", "mults time", "memory"),
    ("alphagrad train --agent.feed-forward t", "tensor_train", "dense"),
]


def answers(text):
    """Folders with or without a slash."""
    return {word.rstrip("/") for word in text.split()}


@needs("bash")
@pytest.mark.parametrize(("line", "offered", "others"), CASES)
def test_bash_completes(scripts, place, line, offered, others):
    found = {word.rstrip("/") for word in by_bash(scripts, place, line)}
    assert answers(offered) <= found and not answers(others) & found


@needs("bash")
@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("alphagrad train task=Sim", {"Simple"}),
        ("alphagrad train --task=Sim", {"Simple"}),
        ("alphagrad train run_dir=r", {"runs"}),
        ("alphagrad search --remember ", None),
        ("alphagrad search ring=", {"Z", "Z2", "Q"}),
        ("alphagrad train --ring=", {"Z", "Z2"}),
        ("alphagrad search remember=", {"true", "false"}),
        ("alphagrad train mo", {"model.py"}),
        ("alphagrad train task=no", {"notes.txt"}),
        ("alphagrad train --seconds ", set()),
        ("alphagrad train seconds=", set()),
    ],
)
def test_bash_completes_behind_the_ends_of_what_it_takes_for_words(scripts, place, line, found):
    got = by_bash(scripts, place, line)
    assert "RoeFlux_1d" in got and "seed=" in got if found is None else got == found


@needs("bash")
def test_bash_completes_whole_words_where_it_does_not_break_them(scripts, place):
    assert by_bash(scripts, place, "alphagrad train task=Sim", breaks="$' \\t\\n'") == {"task=Simple"}


@needs("fish")
@pytest.mark.parametrize(("line", "offered", "others"), CASES)
def test_fish_completes(scripts, place, line, offered, others):
    if "=" in offered or line.endswith(" "):  # fish shows options behind a hyphen only
        offered = offered.replace("--help", "")
    found = {word.rstrip("/") for word in by_fish(scripts, place, line)}
    assert answers(offered) <= found and not answers(others) & found


def test_help_says_where_scripts_belong(capsys, scripts):
    assert main(["completion", "--help"]) == 0
    out = capsys.readouterr().out
    for shell in ("bash", "zsh", "fish"):
        (line,) = (line.strip() for line in out.splitlines() if f"completion {shell} >" in line)
        assert f"# {line}\n" in (scripts / shell).read_text()


@pytest.mark.parametrize("words", [[], ["tcsh"], ["bash", "zsh"]])
def test_other_shells_are_refused(words, capsys):
    assert main(["completion", *words]) == 2
    err = capsys.readouterr().err
    assert "alphagrad completion bash|zsh|fish" in err and len(err.splitlines()) == 1
