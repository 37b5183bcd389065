"""Measures sparse derivatives: what they hold and take, beside other packages, and of a million variables.

    python benchmarks/sparse.py --out benchmarks/results/cpu-sparse [--parts growth peers casadi large]

What is in a part is told by its file: `sparse_growth.py`, `sparse_peers.py` (asdex and sparsejac),
`sparse_casadi.py` and `sparse_large.py`. Parts whose packages are not installed are left out; those that are
not measured stay in `sparse.json` as they were. Everything is in float64.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import sparse_growth
import sparse_large
import sparse_peers
from measure import device_name, geometric_mean, save

PARTS = ("growth", "peers", "casadi", "large")
NEEDED = {"peers": ("asdex", "sparsejac"), "casadi": ("casadi",)}
HERE = Path(__file__).parent
#: What was measured before says nothing about what is built.
ENVIRONMENT = os.environ | {"GRAPHAX_ORDER_STORE": "off"}


def peers(options: argparse.Namespace) -> dict[str, Any]:
    """The problems in two processes, in each of which another contender is built first."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(1 if options.smoke else 2):
            out = Path(folder) / f"{turn}.json"
            command = [
                sys.executable,
                HERE / "sparse_peers.py",
                "--out",
                out,
                "--seconds",
                str(options.seconds),
            ]
            command += ["--ours-second"] * turn + ["--smoke"] * options.smoke
            command += ["--problems", *options.problems] if options.problems else []
            subprocess.run(command, check=True, env=ENVIRONMENT)
            found.append(json.loads(out.read_text()))
    rows = {
        name: sparse_peers.summary(sparse_peers.joined(row, found[1][name]) if len(found) > 1 else row)
        for name, row in found[0].items()
    }
    print()
    for name, row in rows.items():
        print(sparse_peers.line(name, row))
    for key in sparse_peers.OTHERS:
        ratios = [row["ratio"][key] for row in rows.values() if key in row["ratio"]]
        print(f"{key}: geometric mean {geometric_mean(ratios):.2f}, least {min(ratios):.2f}")
    return rows


def casadi(options: argparse.Namespace) -> dict[str, Any]:
    """Beside generated C, in a process of one thread."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "casadi.json"
        core = str(min(os.sched_getaffinity(0)))
        command = ["taskset", "-c", core, sys.executable, HERE / "sparse_casadi.py", "--out", out]
        subprocess.run([*command, *["--smoke"] * options.smoke], check=True, env=ENVIRONMENT)
        return json.loads(out.read_text())


def growth(options: argparse.Namespace) -> dict[str, Any]:
    """Cases and programs."""
    programs = sparse_growth.programs([50] if options.smoke else [1000, 2000, 5000])
    rounds = 3 if options.smoke else options.rounds
    cases = sparse_growth.table(options.smoke, options.order, rounds)
    return {"order": options.order, "rounds": rounds, "cases": cases, "programs": programs}


def plot(results: dict[str, Any], path: Path, title: str) -> None:
    """Run times beside those of others, and how the seconds of an elimination grow."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    shown = [part for part in ("peers", "growth") if part in results]
    if not shown:
        return
    figure, axes = plt.subplots(
        1, len(shown), figsize=(7 * len(shown), 5), layout="constrained", squeeze=False
    )
    for part, axis in zip(shown, axes[0], strict=True):
        if part == "peers":
            rows = results["peers"]
            for key in ("graphax, block", "graphax, BCOO", *sparse_peers.OTHERS):
                at = [place for place, row in enumerate(rows.values()) if key in row["run"]]
                times = [row["run"][key] * 1e3 for row in rows.values() if key in row["run"]]
                axis.plot(at, times, "o", markersize=4, label=key)
            axis.set_yscale("log")
            axis.set_xticks(range(len(rows)), list(rows), rotation=60, ha="right", fontsize="small")
            axis.set_ylabel("run time (ms)")
            axis.set_title(title)
        else:
            for order in sparse_growth.ORDERS:
                rows = {int(size): row[order] for size, row in results["growth"]["programs"].items()}
                axis.loglog(list(rows), [row["eliminate"] for row in rows.values()], "o-", label=order)
            axis.set_xlabel("operations")
            axis.set_ylabel("trace and eliminate (s)")
            axis.set_title("scalar programs")
        axis.legend(fontsize="small")
    figure.savefig(path, dpi=120)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure; with `--out`, write `sparse.json` and, with Matplotlib, `sparse.png`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--parts",
        nargs="*",
        choices=PARTS,
        default=list(PARTS),
        help="default: all; none draws what is there",
    )
    parser.add_argument("--problems", nargs="+", help="names of those beside peers (default: all)")
    parser.add_argument("--order", default="reverse", help="elimination order of growth (default reverse)")
    parser.add_argument("--rounds", type=int, default=300, help="runs of every case of growth (default 300)")
    parser.add_argument("--seconds", type=float, default=5.0, help="of runs beside peers (default 5)")
    parser.add_argument("--smoke", action="store_true", help="small cases and few rounds, growth and large")
    parser.add_argument("--out", type=Path, help="folder for sparse.json and sparse.png")
    options = parser.parse_args(argv)
    if options.smoke and options.parts == list(PARTS):
        options.parts = ["growth", "large"]
    file = options.out and options.out / "sparse.json"
    before = json.loads(file.read_text()) if file and file.exists() else {}
    results = {part: before[part] for part in PARTS if part in before}
    measures = {
        "growth": growth,
        "peers": peers,
        "casadi": casadi,
        "large": lambda it: sparse_large.table(it.smoke),
    }
    jax.config.update("jax_enable_x64", True)
    for part in options.parts:
        missing = [name for name in NEEDED.get(part, ()) if importlib.util.find_spec(name) is None]
        if missing:
            print(f"no {part}: {', '.join(missing)} not installed (pip install '.[peers]')")
            continue
        results[part] = measures[part](options)
        if file:
            save(file, results)
    if options.out:
        try:
            plot(results, options.out / "sparse.png", f"float64, {device_name()}")
        except ImportError:
            print("no figure: Matplotlib is not installed")


if __name__ == "__main__":
    main()
