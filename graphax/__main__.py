"""`python -m graphax calibrate`: what graphax does for users at the command line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict

from .timing import calibrate


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out a command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m graphax", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    measuring = commands.add_parser(
        "calibrate",
        help="measure what a device takes for the parts of programs, for estimates of run time",
        description="Measures what a device takes for the parts of programs, and keeps it for estimates of "
        "run time, in graphax/constants in the user's cache directory or where GRAPHAX_CONSTANTS says. Let "
        "nothing else run on the device meanwhile.",
    )
    measuring.add_argument("--device", metavar="PLATFORM", help="cpu, gpu, ... (default: JAX's default)")
    measuring.add_argument("--seconds", type=float, default=30.0, help="how long to go on (default 30)")
    measuring.add_argument("--out", metavar="FILE", help="the file to write instead")
    options = parser.parse_args(argv)
    try:
        found = calibrate(options.device, options.seconds, options.out)
    except (OSError, RuntimeError, ValueError) as error:
        print(f"calibrate: {error}", file=sys.stderr)
        return 1
    for name, value in asdict(found).items():
        print(f"{name:12} {value:12.5g}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
