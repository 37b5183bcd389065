"""Bounds on the exponent of matrix multiplication, computed from their tensors.

    python benchmarks/omega.py --out benchmarks/results/omega

The table is `matmul.omega_table()`; besides, the eighth power of the tensor of Coppersmith and Winograd.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from measure import save

from alphagrad import matmul


def main(argv: Sequence[str] | None = None) -> None:
    """Compute the bounds and write `omega.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--out", type=Path, required=True, help="folder for omega.json")
    options = parser.parse_args(argv)
    rows = [
        {"tensor": row.name, "computed": float(row.computed), "literature": float(row.literature)}
        for row in matmul.omega_table()
    ]
    eighth = matmul.laser_exponent(matmul.coppersmith_winograd_power(5, 3), 7**8)
    # F. Le Gall, Powers of Tensors and Fast Matrix Multiplication, ISSAC 2014.
    rows.append({"tensor": "eighth power, q = 5", "computed": float(eighth), "literature": 2.3728642})
    for row in rows:
        print(row)
    save(options.out / "omega.json", {"rows": rows})


if __name__ == "__main__":
    main()
