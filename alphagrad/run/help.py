"""Help on settings: in groups, those that most need first, in lines that fit the terminal."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

from .._columns import columns, wrapped
from .command import Kind
from .settings import REQUIRED, default_of_group, settings

# Of the settings without a dot; the others follow in the order of their fields.
_FIRST = ("task", "args", "argnums", "seconds", "iterations", "seed", "run_dir", "resume")
_SPELLINGS = (
    "A setting may be spelt --run-dir x, --run-dir=x or run_dir=x. What is true or false needs no value: "
    "--remember, --no-remember."
)


class Row(NamedTuple):
    """One setting in words.

    Attributes:
        key: its name, as in `key=value` and `--key value`.
        values: what it takes: "text", "number", "integer", "true or false".
        default: its value where nothing is said; "required", or "" where that is told by `help`.
        help: what it means.
    """

    key: str
    values: str
    default: str
    help: str


class Group(NamedTuple):
    """Settings that belong together.

    Attributes:
        name: what stands before the dot of their keys; "" for the common ones, which have none.
        about: what they are for.
        rows: the settings.
    """

    name: str
    about: str
    rows: Sequence[Row]


def setting_groups(kind: Kind) -> list[Group]:
    """All settings of a kind of task, in groups; the common ones are the first.

    Args:
        kind: what a command works on; see :class:`alphagrad.run.command.Kind`.
    """
    rows: dict[str, list[Row]] = {}
    for setting in settings(kind.config):
        default = _written(setting.default)
        if setting.key in kind.on_accelerator:
            default += f", on a GPU or TPU {_written(kind.on_accelerator[setting.key])}"
        row = Row(setting.key, setting.values, default, setting.help)
        rows.setdefault(setting.key.rpartition(".")[0], []).append(row)
    common = rows.pop("")
    common.sort(key=lambda row: _FIRST.index(row.key) if row.key in _FIRST else len(_FIRST))
    return [Group("", f"for {kind.about}, task={kind.task}", common)] + [
        Group(name, _about(default_of_group(kind.config, name)), inside) for name, inside in rows.items()
    ]


def _about(group: Any) -> str:
    """The first line of a docstring, as the name of a group."""
    line = (inspect.getdoc(group) or "").splitlines()[0].rstrip(".")
    return line[0].lower() + line[1:]


def _written(default: Any) -> str:
    if default is None or default == REQUIRED:
        return default or ""
    if isinstance(default, bool):
        return str(default).lower()
    whole = isinstance(default, float) and default.is_integer()
    return str(int(default)) if whole else str(default)


def help_text(command: str, kinds: Sequence[Kind], everything: bool) -> str:
    """What there is to be set for a command.

    Args:
        command: its name.
        kinds: of the tasks that are told of.
        everything: whether all settings are listed, or the common ones and what others there are.
    """
    required = any(setting.default == REQUIRED for kind in kinds for setting in settings(kind.config))
    lines = [
        f"usage: alphagrad {command} {'TASK' if required else '[TASK]'} [SETTING ...]",
        "",
        *wrapped(_SPELLINGS, ""),
    ]
    told: set[Row] = set()  # by an earlier kind
    for kind in kinds:
        common, *others = setting_groups(kind)
        lines += ["", f"settings {common.about}", *_entries(common, told)]
        repeated = [row.key for row in common.rows if row in told]
        if repeated:
            lines += wrapped(f"and {', '.join(repeated)} as above", "  ")
        for group in others if everything else ():
            new = list(_entries(group, told))
            lines += ["", f"{group.name}: {group.about}", *new] if new else []
        hidden = [row for group in others for row in group.rows]
        if hidden and not everything and kind is kinds[-1]:
            lines += ["", f"alphagrad {command} TASK --help-all lists {len(hidden)} more, in groups"]
            lines += columns([(f"{group.name}.*", group.about) for group in others])
        told |= {row for group in (common, *others) for row in group.rows}
    return "\n".join(lines)


def _entries(group: Group, told: Collection[Row]) -> Iterator[str]:
    """The lines of those settings of a group that have not been told."""
    return columns([(row.key, _meaning(row)) for row in group.rows if row not in told])


def _meaning(row: Row) -> str:
    if row.default == REQUIRED:
        return f"{row.help} ({REQUIRED})"
    return f"{row.help} (default {row.default})" if row.default else row.help
