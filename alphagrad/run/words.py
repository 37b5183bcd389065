"""The words of a command line: `--key value`, `--key=value`, `--flag` and `key=value`, all as `key=value`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .settings import TRUTH, ConfigError, Setting

_HELP = ("-h", "--help", "--help-all")


def spelt_out(words: Sequence[str], known: Mapping[str, Setting]) -> list[str]:
    """The words of a command line, each as `key=value`; those that are so already stay as they are.

    A setting that is true or false needs no value: `--remember` is `remember=true`, `--no-remember` is
    `remember=false`. Hyphens in a key are underscores: `--run-dir`. One word may stand alone, the task.

    Args:
        words: such as `["RoeFlux_1d", "--seconds", "60", "--agent.rank=8", "seed=3"]`.
        known: the settings of the command, by key. Other keys are spelt out, too, for `parse` to refuse.

    Raises:
        ConfigError: for an option without its value, and a word that is neither an option nor a setting nor
            the task.
    """
    said: list[str] = []
    alone: list[str] = []
    waiting = list(reversed(words))
    while waiting:
        word = waiting.pop()
        if word.startswith("--") and word != "--":
            said.append(_of_option(word, waiting, known))
        elif "=" in word and not set(":/\\").intersection(word.partition("=")[0]):
            said.append(word)
        elif word.startswith("-") or word in known:
            raise ConfigError(f"{word!r} is not a setting; write {_example(word, known)}")
        else:  # a name, or options of a random program behind a colon, or a path
            alone.append(word)
    if len(alone) > 1 or (alone and any(word.startswith("task=") for word in said)):
        raise ConfigError(f"{alone[-1]!r} is not a setting; write {_example('', known)}: the task is named")
    return [*(f"task={word}" for word in alone), *said]


def _of_option(word: str, waiting: list[str], known: Mapping[str, Setting]) -> str:
    """An option as `key=value`; what it takes of the words that wait, the next one last, is removed there."""
    key, equals, text = word[2:].partition("=")
    key = key.replace("-", "_")
    if equals:
        return f"{key}={text}"
    denied = key.removeprefix("no_")
    if key not in known and denied in known and known[denied].is_truth:
        return f"{denied}=false"
    if key in known and known[key].is_truth:
        given = waiting and waiting[-1].lower() in TRUTH
        return f"{key}={waiting.pop() if given else 'true'}"
    if waiting and not waiting[-1].startswith("--"):
        return f"{key}={waiting.pop()}"
    if key in known:
        raise ConfigError(f"{word} takes a value: write {word} VALUE or {key}=VALUE")
    return f"{key}="


def _example(word: str, known: Mapping[str, Setting]) -> str:
    return f"key=value or --key value, such as {f'{word}=VALUE' if word in known else 'seconds=60'}"


def wants_help(words: Sequence[str]) -> bool:
    """Whether somebody asks what there is to be said."""
    return any(word in _HELP for word in words)


def wants_all_help(words: Sequence[str]) -> bool:
    """Whether it is to be all of it: `--help-all`, or `--help all`."""
    return "--help-all" in words or len(without_help(words)) < sum(word not in _HELP for word in words)


def without_help(words: Sequence[str]) -> list[str]:
    """The words besides `--help`, `--help-all` and `--help all`."""
    pairs = zip(["", *words], words, strict=False)
    return [word for before, word in pairs if word not in _HELP and not (word == "all" and before in _HELP)]
