"""Keeps the figures of README and documentation what the result files say, and tells which of them are old.

    python benchmarks/results.py write                     # tables, figures and pictures of README and docs
    python benchmarks/results.py check                     # whether they are what the files say
    python benchmarks/results.py stale                     # results that are older than the code they measure
    python benchmarks/results.py run --stale --lanes 7     # measure those anew, on 7 parts of the cores
    python benchmarks/results.py run waist loops           # or these

Where there is no repository, `GRAPHAX_COMMIT` names the commit for `run`.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pages
import remeasure
from manifest import Manifest, Result, sources_at, sources_here


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the verb says; 1 where `check` finds a fault or a command of `run` fails."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    verbs.add_parser("write", help="fill tables and figures of README and docs")
    verbs.add_parser("check", help="whether they, and the manifest, agree with the files")
    verbs.add_parser("stale", help="which results are older than the code that they measure")
    run = verbs.add_parser("run", help="measure anew")
    run.add_argument("names", nargs="*", help="of results, as in the manifest")
    run.add_argument("--stale", action="store_true", help="those that are older than the code they measure")
    run.add_argument("--machine", choices=("cpu", "gpu"), default="cpu", help="what is at hand (default cpu)")
    run.add_argument(
        "--lanes", type=int, default=1, help="pieces at once, each on cores of its own (default 1)"
    )
    run.add_argument("--under", type=int, default=3600, help="leave out what takes longer, in seconds")
    run.add_argument(
        "--within", type=float, default=math.inf, help="seconds after which what is not done is given up"
    )
    run.add_argument(
        "--scratch", type=Path, default=Path("runs/results"), help="folder for the work and logs"
    )
    run.add_argument("--dry", action="store_true", help="only say what would be run")
    options = parser.parse_args(argv)
    if options.verb == "write":
        print(*pages.write(), sep="\n")
        return 0
    if options.verb == "check":
        print(*(faults := pages.faults()) or ["all agree"], sep="\n")
        return int(bool(faults))
    if options.verb == "stale":
        return stale()
    return run_anew(options, run)


def stale() -> int:
    """Say which results are older than their code, and of what in it."""
    manifest, here = Manifest.load(), sources_here()
    for name in manifest.stale(here):
        result = manifest.results[name]
        print(f"{name} ({result.on}, about {result.seconds} s): {_changes(manifest, result, here)}")
    return 0


def _changes(manifest: Manifest, result: Result, here: dict[str, bytes]) -> str:
    try:
        before = manifest.measured_files(result, sources_at(result.measured["commit"]))
    except (OSError, subprocess.CalledProcessError):
        return "changed since"
    now = manifest.measured_files(result, here)
    paths = sorted(path for path in before.keys() | now.keys() if before.get(path) != now.get(path))
    return f"{', '.join(paths[:3])}{f' and {len(paths) - 3} more files' if len(paths) > 3 else ''}"


def run_anew(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Measure what is asked for, and fill the pages."""
    manifest = Manifest.load()
    names = list(options.names) + (manifest.stale(sources_here()) if options.stale else [])
    unknown = [name for name in names if name not in manifest.results]
    if unknown or not names:
        parser.error(f"no result is called {unknown}" if unknown else "name results, or say --stale")
    if options.stale:
        names = [name for name in names if manifest.results[name].on == options.machine]
        names = [name for name in names if manifest.results[name].seconds <= options.under]
    for name in names:
        result = manifest.results[name]
        pieces = f" in {len(result.pieces)} pieces" if result.pieces else ""
        print(f"{name}: about {result.seconds} s{pieces}; {result.command}")
    if options.dry or not names:
        return 0
    if options.scratch.exists():
        parser.error(f"{options.scratch} exists: remove it, or name another folder by --scratch")
    faults = remeasure.remeasure(names, options.lanes, options.scratch, options.within)
    print(*(f"not taken: {fault}" for fault in faults), sep="\n")
    pages.write()
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
