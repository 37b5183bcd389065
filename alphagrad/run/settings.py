"""Settings: frozen dataclasses, `key=value` words, YAML."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import yaml

from graphax.files import read_text
from graphax.spelling import did_you_mean

from .plain import plain

ConfigT = TypeVar("ConfigT")

REQUIRED = "required"


class ConfigError(ValueError):
    """A setting that does not exist or does not fit."""


class Setting(NamedTuple):
    """One setting, for a table of help and to be read.

    Attributes:
        key: its name, behind that of its group and a dot if it has one.
        default: its value if nobody says anything, or `REQUIRED`.
        help: what it means.
        kind: the type of its values.
        choices: the values that it may have, if they are few.
    """

    key: str
    default: Any
    help: str
    kind: Any
    choices: Sequence[str] = ()

    @property
    def value_type(self) -> type:
        """The type of its values, None aside."""
        kinds = typing.get_args(self.kind) or (self.kind,)
        return next(kind for kind in kinds if kind is not types.NoneType)

    @property
    def is_truth(self) -> bool:
        """Whether it is true or false."""
        return self.value_type is bool

    @property
    def values(self) -> str:
        """What it takes, in words."""
        return _VALUES[self.value_type]


_VALUES = {bool: "true or false", int: "integer", float: "number", str: "text"}


class _Said(NamedTuple):
    """What somebody said of a setting: its value as it is written, and whether that may stand for none."""

    text: str
    is_null: bool


def settings(kind: type) -> Iterator[Setting]:
    """All settings of a configuration class; those of its groups come last, with dotted keys."""
    kinds = typing.get_type_hints(kind)
    groups = [entry for entry in fields(kind) if is_dataclass(kinds[entry.name])]
    for entry in fields(kind):
        if entry not in groups:
            said = entry.metadata
            help, choices = said.get("help", ""), said.get("choices", ())
            yield Setting(entry.name, _default(entry), help, kinds[entry.name], choices)
    for group in groups:
        made = _default(group)
        for inner in settings(type(made)):
            yield inner._replace(key=f"{group.name}.{inner.key}", default=getattr(made, inner.key))


def default_of_group(kind: type, group: str) -> Any:
    """The settings of a group, as they are if nobody says anything."""
    return _default(next(entry for entry in fields(kind) if entry.name == group))


def _default(entry: Field[Any]) -> Any:
    if entry.default_factory is not MISSING:
        return entry.default_factory()
    return REQUIRED if entry.default is MISSING else entry.default


def parse(
    kind: type[ConfigT], words: Sequence[str], base: Path | None = None, defaults: Sequence[str] = ()
) -> ConfigT:
    """The configuration that `key=value` words describe.

    Texts are taken as they are written: brackets, quotes and `${name}` stand for themselves. The word `null`
    is None for a setting that may be None.

    Args:
        kind: the configuration class.
        words: such as `["task=RoeFlux_1d", "agent.width=64"]`.
        base: a YAML file with settings that the words override.
        defaults: words for what neither of them says.

    Raises:
        ConfigError: for an unknown key (naming the nearest), a value of the wrong type, a word without `=`, a
            missing or unreadable setting.
    """
    known = {setting.key: setting for setting in settings(kind)}
    written = {} if base is None else _of_file(base)
    latest = {**_of_words(defaults, known), **written, **_of_words(words, known)}
    where = f" (with the settings of {plain(str(base))})" if base is not None else ""
    try:
        values: dict[str, Any] = {}
        for key, said in latest.items():
            if key not in known:
                raise ConfigError(f"unknown setting {key!r}; {nearest(key, list(known))}")
            values[key] = _value(said, known[key])
        for key, setting in known.items():
            if setting.default == REQUIRED and key not in values:
                raise ConfigError(f"say what to work on: {key}=NAME")
        return _made(kind, values)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{error}{where}") from error


def _made(kind: type[ConfigT], values: Mapping[str, Any]) -> ConfigT:
    """The configuration with values given by their keys, of which dotted ones are those of groups."""
    own = {key: value for key, value in values.items() if "." not in key}
    for entry in fields(typing.cast(Any, kind)):
        inside = {
            key.partition(".")[2]: value for key, value in values.items() if key.startswith(f"{entry.name}.")
        }
        if inside:
            own[entry.name] = dataclasses.replace(_default(entry), **inside)
    return kind(**own)


_NUMBERS = {int: "an integer between -2**31 and 2**31", float: "a finite number", bool: "true or false"}
#: What may be written for true and false.
TRUTH = {"true": True, "false": False, "yes": True, "no": False, "on": True, "off": False}


def _value(said: _Said, setting: Setting) -> Any:
    """What was said of a setting, as a value of its type."""
    if said.is_null and types.NoneType in typing.get_args(setting.kind):
        return None
    kind = setting.value_type
    if kind is str:
        return said.text
    text = said.text.strip().lower()
    try:
        if kind is bool:
            return TRUTH[text]
        # YAML spells it .inf.
        value = int(text) if kind is int else float(text.replace(".inf", "inf"))
        limit = 2**31 if kind is int else math.inf
        if abs(value) < limit or (setting.key, value) == ("seconds", math.inf):
            return value
    except (KeyError, ValueError):
        pass
    raise ConfigError(f"{setting.key}={plain(said.text[:50])} must be {_NUMBERS[kind]}")


def _of_words(words: Sequence[str], known: Mapping[str, Setting]) -> dict[str, _Said]:
    """What `key=value` words say, by key.

    Raises:
        ConfigError: for a word of another form, or an unknown key.
    """
    said: dict[str, _Said] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals:
            raise ConfigError(f"{word!r} is not a setting; write key=value, such as {next(iter(known))}=NAME")
        if key not in known:
            raise ConfigError(f"unknown setting {key!r}; {nearest(key, list(known))}")
        said[key] = _Said(text, text == "null")
    return said


def named_task(words: Sequence[str], base: Path | None = None) -> str:
    """The task that `key=value` words name, or else a YAML file does; "" if there is none.

    Raises:
        ConfigError: for a file that cannot be read.
    """
    named = [word.partition("=")[2] for word in words if word.startswith("task=")]
    if named or base is None:
        return named[-1] if named else ""
    return _of_file(base).get("task", _Said("", False)).text


def written_keys(path: Path) -> set[str]:
    """The settings that a YAML file says something of.

    Raises:
        ConfigError: for a file that cannot be read.
    """
    return set(_of_file(path))


def written_settings(path: Path) -> dict[str, str]:
    """What a YAML file says of settings, as texts, by key.

    Raises:
        ConfigError: for a file that cannot be read.
    """
    return {key: said.text for key, said in _of_file(path).items()}


_SETTINGS = "a file of settings"


def _of_file(path: Path) -> dict[str, _Said]:
    """What a YAML file says, by key; those in groups have dotted keys.

    Raises:
        ConfigError: for a file that cannot be read.
    """
    try:
        text = read_text(path, _SETTINGS, 2**16)
    except (OSError, ValueError) as error:
        raise ConfigError(plain(str(error))) from error
    said: dict[str, _Said] = {}
    try:
        # Its nodes, of which nothing is made: values are what is written.
        for key, value in _entries(yaml.compose(text, yaml.SafeLoader)):
            if key in said:
                raise ConfigError(f"{key!r} is there twice")
            said[key] = value
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise ConfigError(f"{plain(str(path))} is not {_SETTINGS}: {line}{error.problem}") from error
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        deep = isinstance(error, RecursionError)
        reason = "it is nested too deeply" if deep else plain(str(error).splitlines()[0])
        raise ConfigError(f"{plain(str(path))} is not {_SETTINGS}: {reason}") from error
    return said


def _entries(node: yaml.Node | None, group: str = "") -> Iterator[tuple[str, _Said]]:
    """The settings that a YAML mapping holds."""
    if node is None:
        return
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError("expected lines of the form 'key: value'")
    for key, value in node.value:
        line = f"line {key.start_mark.line + 1}"
        if not isinstance(key, yaml.ScalarNode):
            raise ConfigError(f"{line}: expected the name of a setting")
        if isinstance(value, yaml.ScalarNode):
            yield f"{group}{key.value}", _Said(value.value, value.tag == "tag:yaml.org,2002:null")
        elif isinstance(value, yaml.MappingNode) and not group:
            yield from _entries(value, f"{key.value}.")
        else:
            raise ConfigError(f"{line}: {key.value!r} must be a text or a number")


def nearest(word: str, known: Sequence[str]) -> str:
    """A hint at what a misspelt word may have meant."""
    return did_you_mean(word, known).strip() or "known are " + ", ".join(known)


def check_counts(**settings: int | None) -> None:
    """Refuse settings, given by their names, that are not at least 1; None stands for none."""
    for name, value in settings.items():
        if value is not None and value < 1:
            raise ConfigError(f"{name}={value} must be at least 1")


class _Dumper(yaml.SafeDumper):
    """Writes every text in a line of its own."""

    def represent_text(self, text: str) -> yaml.ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:str", text, None if plain(text) == text else '"')


_Dumper.add_representer(str, _Dumper.represent_text)


def to_yaml(config: Any) -> str:
    """A configuration as YAML, as `parse` reads it again: every text exactly."""
    values = dataclasses.asdict(config)

    def written(as_it_is: bool) -> str:
        return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=as_it_is, width=math.inf)

    text = written(True)
    return text if plain(text, keep="\n") == text else written(False)
