"""The settings of a run: frozen dataclasses, `key=value` words, YAML."""

from __future__ import annotations

import difflib
import io
import math
import typing
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

import graphax
import tasks
from graphax.files import read_text
from graphax.orders import Objective
from graphax.sparse import UnitEdges

from ..zero import AlphaZeroConfig, DemonstrationConfig, LearningConfig, ReplayConfig, SelfPlayConfig
from ..zero.agent import AgentConfig
from ..zero.tree import SearchConfig as MethodSearchConfig

ConfigT = TypeVar("ConfigT")

REQUIRED = "required"

_RINGS = ("Z2", "Z", "Q")


class ConfigError(ValueError):
    """A setting that does not exist or does not fit."""


@dataclass(frozen=True, kw_only=True)
class TaskConfig:
    """What to work on."""

    task: str = field(
        metadata={
            "help": "a task's name, or file.py:function, which returns a tasks.Task or, with args=, is to be "
            "differentiated itself"
        }
    )
    args: str | None = field(
        default=None,
        metadata={"help": 'types of the arguments of file.py:function, such as "f32[3],f32[3,3],i32[]"'},
    )
    argnums: str | None = field(
        default=None,
        metadata={"help": "which of them to differentiate, such as 0,1; by default all floating ones"},
    )


@dataclass(frozen=True, kw_only=True)
class ShowConfig(TaskConfig):
    """The settings of `alphagrad show`."""


@dataclass(frozen=True, kw_only=True)
class RunConfig(TaskConfig):
    """What all runs are told that look for an order."""

    seed: int = field(default=0, metadata={"help": "of all chance"})
    seconds: float = field(default=60.0, metadata={"help": "how long the whole command may take"})
    run_dir: str | None = field(
        default=None, metadata={"help": "the run's folder; by default runs/<task>/<time>"}
    )
    unit_edges: str = field(
        default="free",
        metadata={"help": "what costs count: 'free' what is executed, 'counted' as in published tables"},
    )

    def __post_init__(self):
        if self.unit_edges not in ("counted", "free"):
            raise ConfigError(f"unit_edges={self.unit_edges} must be 'counted' or 'free'")
        _check_run(self.seconds, self.seed)

    @property
    def convention(self) -> UnitEdges:
        """`unit_edges`, as it has been checked."""
        return "free" if self.unit_edges == "free" else "counted"


@dataclass(frozen=True, kw_only=True)
class SearchConfig(RunConfig):
    """The settings of `alphagrad search`."""

    objective: str = field(
        default="mults",
        metadata={
            "help": "what is to be small: 'mults' multiplications, 'flops' these and additions, 'memory' the "
            "most numbers held at once, 'runtime' seconds on this device"
        },
    )
    workers: int = field(default=2, metadata={"help": "how many searches go on side by side"})
    remember: bool = field(
        default=True,
        metadata={"help": "whether order='auto' takes the found order from now on (objective=mults, free)"},
    )

    def __post_init__(self):
        super().__post_init__()
        objectives = typing.get_args(Objective)
        if self.objective not in objectives:
            raise ConfigError(f"unknown objective {self.objective!r}; {nearest(self.objective, objectives)}")
        if self.workers < 1:
            raise ConfigError(f"workers={self.workers} must be at least 1")


@dataclass(frozen=True, kw_only=True)
class SchemeSearchConfig:
    """The settings of `alphagrad search` for a scheme of matrix multiplication."""

    task: str = field(metadata={"help": "matmul_NxMxP: the product of an N x M by an M x P matrix"})
    ring: str = field(
        default="Z2",
        metadata={
            "help": "of the coefficients: 'Z2' integers modulo 2; 'Z' integers and 'Q' rationals, to which "
            "schemes modulo 2 are lifted"
        },
    )
    target: int | None = field(
        default=None, metadata={"help": "a rank at which the search ends, in the ring asked for"}
    )
    start: str | None = field(
        default=None,
        metadata={"help": "a file with a scheme to begin with, of this or another format: scheme.json"},
    )
    seed: int = field(default=0, metadata={"help": "of all chance"})
    seconds: float = field(default=60.0, metadata={"help": "how long the whole command may take"})
    workers: int = field(default=2, metadata={"help": "how many walks go on side by side, one on each core"})
    run_dir: str | None = field(
        default=None, metadata={"help": "the run's folder; by default runs/<task>/<time>"}
    )

    def __post_init__(self):
        if self.ring not in _RINGS:
            raise ConfigError(f"unknown ring {self.ring!r}; {nearest(self.ring, _RINGS)}")
        if self.target is not None and self.target < 1:
            raise ConfigError(f"target={self.target} must be at least 1")
        if self.workers < 1:
            raise ConfigError(f"workers={self.workers} must be at least 1")
        _check_run(self.seconds, self.seed)


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(AlphaZeroConfig):
    """What every training is told: the settings of the method, and those of the run around it."""

    task: str = field(metadata={"help": "what to work on"})
    seed: int = field(default=0, metadata={"help": "of all chance"})
    seconds: float = field(default=240.0, metadata={"help": "how long the whole command may take"})
    run_dir: str | None = field(
        default=None, metadata={"help": "the run's folder; by default runs/<task>/<time>"}
    )
    resume: str | None = field(
        default=None, metadata={"help": "the folder of a run to go on from, with its settings"}
    )

    def __post_init__(self):
        super().__post_init__()
        _check_run(self.seconds, self.seed)


@dataclass(frozen=True, kw_only=True)
class TrainConfig(TrainingConfig, RunConfig):
    """The settings of `alphagrad train` for an elimination order."""

    seconds: float = field(default=240.0, metadata={"help": "how long the whole command may take"})
    unit_edges: str = field(
        default="counted",
        metadata={"help": "what rewards count: 'counted' as in published tables, 'free' what is executed"},
    )

    def __post_init__(self):
        TrainingConfig.__post_init__(self)
        RunConfig.__post_init__(self)


def _on_accelerator() -> bool:
    """Whether there is something faster than a CPU to learn on, for which more work at once is better."""
    import jax

    return jax.default_backend() != "cpu"


@dataclass(frozen=True, kw_only=True)
class SchemeTrainConfig(TrainingConfig):
    """The settings of `alphagrad train` for a scheme of matrix multiplication.

    The defaults of the method are smaller on a CPU than on an accelerator.
    """

    task: str = field(
        metadata={"help": "matmul_NxMxP, or several that are learned together: matmul_2x2x2+matmul_2x2x3"}
    )
    ring: str = field(
        default="Z", metadata={"help": "of the coefficients: 'Z', with -1, 0 and 1, or 'Z2', modulo 2"}
    )
    target: int | None = field(
        default=None,
        metadata={
            "help": "the rank at which a task is done and, if all are, the run ends; by default that of the "
            "literature (modulo 2)"
        },
    )
    menu: int = field(default=8, metadata={"help": "moves drawn at every state"})
    history: int = field(default=2, metadata={"help": "how many of the last moves the agent sees"})
    changed_bases: float = field(
        default=0.0, metadata={"help": "part of the games that are played in a random basis, as exercises"}
    )
    seconds: float = field(default=1200.0, metadata={"help": "how long the whole command may take"})
    agent: AgentConfig = field(
        default_factory=lambda: AgentConfig(width=64 if _on_accelerator() else 32, heads=4)
    )
    search: MethodSearchConfig = field(
        default_factory=lambda: MethodSearchConfig(method="visits", simulations=2)
    )
    selfplay: SelfPlayConfig = field(
        default_factory=lambda: SelfPlayConfig(
            games=1024 if _on_accelerator() else 256, reopened=0.98, reopened_moves=4
        )
    )
    replay: ReplayConfig = field(default_factory=lambda: ReplayConfig(latest=4096, best=256, renewed=True))
    learning: LearningConfig = field(
        default_factory=lambda: LearningConfig(
            rate=3e-3,
            updates=2 if _on_accelerator() else 10,
            games=128 if _on_accelerator() else 32,
            positions=2,
            value_weight=1.0,
        )
    )
    demonstrations: DemonstrationConfig = field(
        default_factory=lambda: DemonstrationConfig(updates=2500 if _on_accelerator() else 5000, share=0.5)
    )

    def __post_init__(self):
        super().__post_init__()
        if self.ring not in ("Z", "Z2"):
            raise ConfigError(f"ring={self.ring} must be 'Z' or 'Z2'")
        if self.target is not None and self.target < 1:
            raise ConfigError(f"target={self.target} must be at least 1")
        if self.menu < 1 or self.history < 0 or not 0 <= self.changed_bases <= 1:
            raise ConfigError(
                f"menu={self.menu} must be at least 1, history={self.history} not negative, and "
                f"changed_bases={self.changed_bases} between 0 and 1"
            )


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


def _default(entry: Field) -> Any:
    if entry.default_factory is not MISSING:
        return entry.default_factory()
    return REQUIRED if entry.default is MISSING else entry.default


def parse(kind: type[ConfigT], words: Sequence[str], base: Path | None = None) -> ConfigT:
    """The configuration that `key=value` words describe.

    Args:
        kind: the configuration class.
        words: such as `["task=RoeFlux_1d", "agent.width=64"]`.
        base: a YAML file with settings that the words override.

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
    layers = [_read_settings(base)] if base is not None else []
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
    leaves = {key.rsplit(".", 1)[-1]: key for key in reversed(known)}
    close = difflib.get_close_matches(word, known, 1, 0.6)
    close = close or [leaves[leaf] for leaf in difflib.get_close_matches(word, leaves, 1, 0.6)]
    return f"did you mean {close[0]!r}?" if close else "known are " + ", ".join(known)


def _check_run(seconds: float, seed: int) -> None:
    """Refuse what no run can be told."""
    if not seconds > 0:
        raise ConfigError(f"seconds={seconds} must be positive")
    if not 0 <= seed < 2**31:
        raise ConfigError(f"seed={seed} must lie between 0 and 2**31 - 1")


def load_task(config: TaskConfig) -> tasks.Task:
    """`tasks.load`, with what is wrong with the settings or the file said as a :class:`ConfigError`."""
    try:
        return tasks.load(config.task, config.args, _read_argnums(config.argnums))
    except (ValueError, TypeError) as error:
        raise ConfigError(str(error)) from error


def trace_task(task: tasks.Task) -> graphax.ComputationalGraph:
    """The graph of a task, with what keeps it from being differentiated said as a :class:`ConfigError`."""
    try:
        return graphax.trace(task.fun, task.argnums)(*task.args)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"task {task.name}: {error}") from error


def _read_argnums(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(word) for word in text.strip("()[] ").rstrip(",").split(","))
    except ValueError:
        raise ConfigError(f"argnums={text} must be positions of arguments, such as 0,1") from None


def to_yaml(config: Any) -> str:
    """A configuration as YAML, as `parse` reads it again."""
    return OmegaConf.to_yaml(OmegaConf.structured(config))


def _make_writable(config: Any, kind: type) -> None:
    """Frozen dataclasses give read-only configurations, which could not be merged into."""
    OmegaConf.set_readonly(config, False)
    for name, child in typing.get_type_hints(kind).items():
        if is_dataclass(child):
            _make_writable(config[name], typing.cast(type, child))
