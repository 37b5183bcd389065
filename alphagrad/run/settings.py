"""Settings: frozen dataclasses, `key=value` words, YAML."""

from __future__ import annotations

import io
import math
import typing
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from graphax.files import read_text
from graphax.spelling import did_you_mean

ConfigT = TypeVar("ConfigT")

REQUIRED = "required"


class ConfigError(ValueError):
    """A setting that does not exist or does not fit."""


class Setting(typing.NamedTuple):
    """One setting, for a table of help."""

    key: str
    default: Any
    help: str


def settings(kind: type) -> Iterator[Setting]:
    """All settings of a configuration class; those of its groups come last, with dotted keys."""
    types = typing.get_type_hints(kind)
    groups = [entry for entry in fields(kind) if is_dataclass(types[entry.name])]
    for entry in fields(kind):
        if entry not in groups:
            yield Setting(entry.name, _default(entry), entry.metadata.get("help", ""))
    for group in groups:
        made = _default(group)
        for entry in fields(made):
            help = entry.metadata.get("help", "")
            yield Setting(f"{group.name}.{entry.name}", getattr(made, entry.name), help)


def _default(entry: Field[Any]) -> Any:
    if entry.default_factory is not MISSING:
        return entry.default_factory()
    return REQUIRED if entry.default is MISSING else entry.default


def parse(
    kind: type[ConfigT], words: Sequence[str], base: Path | None = None, defaults: Sequence[str] = ()
) -> ConfigT:
    """The configuration that `key=value` words describe.

    Args:
        kind: the configuration class.
        words: such as `["task=RoeFlux_1d", "agent.width=64"]`.
        base: a YAML file with settings that the words override.
        defaults: words for what neither of them says.

    Raises:
        ConfigError: for an unknown key (naming the nearest), a value of the wrong type, a word without `=`, a
            missing or unreadable setting.
    """
    known = [setting.key for setting in settings(kind)]
    for word in words:
        key, equals, _ = word.partition("=")
        if not equals:
            raise ConfigError(f"{word!r} is not a setting; write key=value, such as {known[0]}=NAME")
        if key not in known:
            raise ConfigError(f"unknown setting {key!r}; {nearest(key, known)}")
    layers = [OmegaConf.from_dotlist(list(defaults)), *([_read_settings(base)] if base is not None else [])]
    where = f" (with the settings of {base})" if base is not None else ""
    try:
        merged = OmegaConf.merge(*layers, OmegaConf.from_dotlist(list(words)))
        values = OmegaConf.to_container(merged, resolve=True)
        # The structured merge checks and converts types.
        schema = OmegaConf.structured(kind)
        _make_writable(schema, kind)
        checked = OmegaConf.to_object(OmegaConf.merge(schema, values))
        _check_numbers(checked)
    except MissingMandatoryValue as error:
        required = [setting.key for setting in settings(kind) if setting.default == REQUIRED]
        raise ConfigError(f"say what to work on: {required[0]}=NAME{where}") from error
    except OmegaConfBaseException as error:
        key = getattr(error, "full_key", None)
        reason = (getattr(error, "msg", None) or str(error)).splitlines()[0]
        raise ConfigError((f"{key}: {reason}" if key else reason) + where) from error
    except (TypeError, ValueError, OverflowError, yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{error}{where}") from error
    return typing.cast(ConfigT, checked)


def _check_numbers(config: Any, group: str = "") -> None:
    """Refuse what is no number, and numbers that no setting can have."""
    for entry in fields(config):
        value, key = getattr(config, entry.name), f"{group}{entry.name}"
        if is_dataclass(value):
            _check_numbers(value, f"{key}.")
        elif isinstance(value, float) and not (math.isfinite(value) or (key, value) == ("seconds", math.inf)):
            raise ConfigError(f"{key}={value} must be a finite number")
        elif isinstance(value, int) and abs(value) >= 2**31:
            raise ConfigError(f"{key}={value} must lie between -2**31 and 2**31")


def named_task(words: Sequence[str], base: Path | None = None) -> str:
    """The task that `key=value` words name, or else a YAML file does; "" if there is none.

    Raises:
        ConfigError: for a file that cannot be read.
    """
    named = [word.partition("=")[2] for word in words if word.startswith("task=")]
    if named or base is None:
        return named[-1] if named else ""
    values = OmegaConf.to_container(_read_settings(base))
    task = values.get("task") if isinstance(values, dict) else None
    return task if isinstance(task, str) else ""


_SETTINGS = "a file of settings"


def _read_settings(path: Path) -> DictConfig:
    """The settings in a YAML file.

    Raises:
        ConfigError: for a file that cannot be read.
    """
    try:
        text = read_text(path, _SETTINGS, 2**16)
    except (OSError, ValueError) as error:
        raise ConfigError(str(error)) from error
    try:
        # An alias stands for what may hold aliases again: a few lines would be more than memory holds.
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C where it has been compiled
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text, loader)):
            raise ConfigError("it has aliases (*name); write what they stand for")
        read = OmegaConf.load(io.StringIO(text))
        if not isinstance(read, DictConfig):
            raise ConfigError("expected lines of the form 'key: value'")
        return read
    except (OmegaConfBaseException, ValueError, OSError, yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{path} is not {_SETTINGS}: {error}") from error


def nearest(word: str, known: Sequence[str]) -> str:
    """A hint at what a misspelt word may have meant."""
    return did_you_mean(word, known).strip() or "known are " + ", ".join(known)


def check_counts(**settings: int | None) -> None:
    """Refuse settings, given by their names, that are not at least 1; None stands for none."""
    for name, value in settings.items():
        if value is not None and value < 1:
            raise ConfigError(f"{name}={value} must be at least 1")


def to_yaml(config: Any) -> str:
    """A configuration as YAML, as `parse` reads it again."""
    return OmegaConf.to_yaml(OmegaConf.structured(config))


def _make_writable(config: Any, kind: type) -> None:
    """Frozen dataclasses give read-only configurations, which could not be merged into."""
    OmegaConf.set_readonly(config, False)
    for name, child in typing.get_type_hints(kind).items():
        if is_dataclass(child):
            _make_writable(config[name], typing.cast(type, child))
