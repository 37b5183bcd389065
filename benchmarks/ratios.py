"""What the times of several contenders come to: ratios to the better of JAX's modes, a table, a verdict."""

from __future__ import annotations

from typing import Any

import numpy as np
from measure import geometric_mean

Row = dict[str, Any]
#: What is wanted: of run time at least, of trace + compile and of memory at most; of gradients at least.
_RUN, _COMPILE, _MEMORY, _GRADIENT = 0.95, 1.3, 1.1, 1 / 1.2
#: The largest difference from JAX's modes, in parts of the largest entry, in float32.
_ERROR = 2e-3
#: So few bytes nobody counts.
_SMALL = 1 << 16
#: The contender of which nothing is asked.
OURS = "nothing said"
_TIMES = ("trace", "compile", "run", "busy")


def joined(one: Row, other: Row | None) -> Row:
    """What was found in two processes, as one."""
    if other is None or "failed" in other:
        return one
    if "failed" in one:
        return other
    table = {}
    for key, row in one["contenders"].items():
        more = other["contenders"].get(key)
        table[key] = (
            row if more is None else row | {part: row[part] + more[part] for part in _TIMES if part in row}
        )
    return one | {"contenders": other["contenders"] | table}


def figures(row: Row, key: str = OURS) -> Row:
    """The ratios of a contender to the better of JAX's modes, and whether its values are theirs.

    Run times are those in which the device is busy, where that is known.
    """
    table = row["contenders"]
    mine, modes = table[key], {mode: table[mode] for mode in row["modes"]}
    part = "busy" if "busy" in mine else "run"

    def building(found: Row) -> float:
        return min(map(sum, zip(found["trace"], found["compile"], strict=True)))

    better = min(modes, key=lambda mode: float(np.median(modes[mode][part])))
    quicker = min(modes, key=lambda mode: building(modes[mode]))
    theirs, own = modes[better][part], mine[part]
    same = len(theirs) == len(own)
    run = np.median(np.divide(theirs, own)) if same else np.median(theirs) / np.median(own)
    called = min(float(np.median(found["run"])) for found in modes.values()) / float(np.median(mine["run"]))
    return {
        "mode": better,
        "theirs": float(np.median(theirs)),
        "ours": float(np.median(own)),
        "run": float(run),
        "called": called,
        "building": building(mine),
        "built": building(mine) / building(modes[quicker]),
        "traced": min(mine["trace"]) / min(modes[quicker]["trace"]),
        "compiled": min(mine["compile"]) / min(modes[quicker]["compile"]),
        "memory": max(mine["bytes"], _SMALL) / max(min(found["bytes"] for found in modes.values()), _SMALL),
        "error": mine["error"],
        "wrong": not mine["error"] <= _ERROR,
    }


def least(row: Row, allowed: float) -> float:
    """The ratio of run times that is asked of a function."""
    return min(allowed, _GRADIENT) if row["kind"] == "gradient" else allowed


def misses(row: Row) -> bool:
    """Whether a function misses one of the goals, and had better be measured again."""
    if "failed" in row:
        return True
    found = figures(row)
    missed = found["run"] < least(row, _RUN) or found["built"] > _COMPILE
    return missed or found["memory"] > _MEMORY or found["wrong"]


def report(rows: dict[str, Row]) -> str:
    """A table in Markdown, the slowest first, and what it comes to."""
    measured = {name: row for name, row in rows.items() if "failed" not in row}
    found = {name: figures(row) for name, row in measured.items()}
    others = sorted(
        {key for row in measured.values() for key in row["contenders"] if key not in row["modes"]} - {OURS}
    )
    head = ["function", "way", "JAX's better", "it takes", "jacve takes", "times as fast", "memory"]
    head += ["trace + compile", "(trace, compile)", "seconds", "error", *others]
    by_device = any("busy" in row["contenders"][OURS] for row in measured.values())
    if by_device:
        head.insert(head.index("memory"), "by calls")
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for name, row in sorted(found.items(), key=lambda item: item[1]["run"]):
        cells = [
            name,
            measured[name]["way"],
            row["mode"],
            f"{row['theirs'] * 1e6:.1f} us",
            f"{row['ours'] * 1e6:.1f} us",
        ]
        cells += [f"{row['run']:.2f}", *([f"{row['called']:.2f}"] if by_device else [])]
        cells += [f"{row['memory']:.2f}", f"{row['built']:.2f}"]
        cells += [f"{row['traced']:.2f}, {row['compiled']:.2f}", f"{row['building']:.2f}"]
        cells += [f"{row['error']:.0e}{' WRONG' if row['wrong'] else ''}"]
        for key in others:
            other = figures(measured[name], key) if key in measured[name]["contenders"] else None
            cells.append(f"{other['run']:.2f}, {other['built']:.2f}" if other else "")
        lines.append("| " + " | ".join(cells) + " |")
    lines += [f"| {name} | {row['failed']} |" for name, row in rows.items() if "failed" in row]
    if not found:
        return "\n".join(lines)
    by_mode = [row["way"] in ("jacfwd", "jacrev") for row in measured.values() if row["kind"] != "gradient"]
    lines += [
        "",
        f"{len(found)} functions; gradients aside, {sum(by_mode)} of {len(by_mode)} by JAX's mode.",
    ]
    goals = (
        ("times as fast", "run", lambda row, kind: row["run"] < (_GRADIENT if kind == "gradient" else _RUN)),
        ("trace + compile", "built", lambda row, kind: row["built"] > _COMPILE),
        ("memory", "memory", lambda row, kind: row["memory"] > _MEMORY),
    )
    if by_device:
        goals += (("by calls", "called", lambda row, kind: row["called"] < _RUN),)
    for title, key, missed in goals:
        values = [row[key] for row in found.values()]
        beyond = sum(missed(row, measured[name]["kind"]) for name, row in found.items())
        lines.append(
            f"- {title}: geometric mean {geometric_mean(values):.2f}, least {min(values):.2f}, "
            f"most {max(values):.2f}; {beyond} miss the goal"
        )
    return "\n".join(lines)


def faults(rows: dict[str, Row], allowed: float) -> list[str]:
    """What is not allowed, a sentence each."""
    found = []
    for name, row in rows.items():
        if "failed" in row:
            found.append(f"{name}: {row['failed']}")
            continue
        its = figures(row)
        if its["wrong"]:
            found.append(f"{name}: values differ by {its['error']:.0e}")
        if its["run"] < least(row, allowed):
            found.append(f"{name}: {its['run']:.2f} times as fast as {its['mode']}")
    return found
