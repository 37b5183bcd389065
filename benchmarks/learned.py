"""Elimination orders that the agent learns by its own play, a run for every task and seed.

    python benchmarks/learned.py --tasks RoeFlux_1d --seeds 0 1 --seconds 240 --out results/

Runs are those of `alphagrad train`, which go on where an order is proved to be the best. What they keep as
the agent's own order, `learned.json`, is copied to the folder: as `TASK-SEED.json`, or as `TASK.json` if the
runs were made together, all at once on one device.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path


def main(argv: Sequence[str] | None = None) -> None:
    """Train, and copy what was learned.

    Raises:
        RuntimeError: when a run ends without an order.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", nargs="+", required=True)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--seconds", type=float, default=240.0, help="of each run (default 240)")
    parser.add_argument("--together", action="store_true", help="all runs at once")
    parser.add_argument("--settings", nargs="*", default=[], help="of `alphagrad train`, besides")
    parser.add_argument("--out", type=Path, required=True, help="folder for the orders")
    options = parser.parse_args(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        runs: dict[str, subprocess.Popen[bytes]] = {}
        for task, seed in itertools.product(options.tasks, options.seeds):
            name = task if options.together else f"{task}-{seed}"
            words = [f"task={task}", f"seed={seed}", f"seconds={options.seconds}", "iterations=1000000"]
            words += [f"run_dir={folder}/{name}", *options.settings]
            runs[name] = subprocess.Popen([sys.executable, "-m", "alphagrad", "train", *words])
            if not options.together:
                runs[name].wait()
        for name, run in runs.items():
            if run.wait() != 0:
                raise RuntimeError(f"the run {name} ended with status {run.returncode}")
            shutil.copyfile(Path(folder) / name / "learned.json", options.out / f"{name}.json")


if __name__ == "__main__":
    main()
