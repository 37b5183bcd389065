"""Holds the patterns that `graphax.jacve(f, sparse=True)` finds against the true ones, function by function.

    python benchmarks/sparsity.py --out results/sparsity/cpu.json
    python benchmarks/sparsity.py --only loops '^convolution'

The functions are those of `patterns/`, in float64. Where a derivative is nonzero is found by JAX's modes at
many random points: near the given one, and for functions that select also at arguments of any sign and order
(integers too), so that the true pattern is where something is nonzero for *some* arguments of these shapes.
Entries below 1e-13 of the largest are rounding. Where integers or an order among arguments say what is taken,
the pattern that is wanted is that at the point. The values are held against JAX's, too.

A pattern is `exact`, or has entries more than the true one: `cancels` where they are sums that are always
zero (a case says how many are), `loose` elsewhere; a case says why. `missing` (a nonzero that is not in the
pattern), `wrong` (values that are not JAX's) and `failed` are faults: then the exit status is 1. Beside it
are the numbers that blocks hold, the seconds to trace (cold), and how many entries asdex finds, where it is
installed. The table is kept as JSON after every function; with `--only` rows of others stay.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import math
import re
import sys
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import numpy as np
from measure import save
from patterns import COLLECTIONS, Case

import graphax
from graphax.sparse import Block

Row = dict[str, Any]
#: What is rounding, in parts of the largest entry of a derivative; and how far values may be apart.
_ROUNDING, _ERROR = 1e-13, 1e-9
#: Numbers held in parts of the nonzeros, and the density up to which that is asked.
_HELD, _SPARSE = 1.1, 0.25
_FAULTS = ("missing", "wrong", "failed")


def dense_leaves(derivative: Any, sizes: Sequence[int]) -> list[np.ndarray]:
    """The arrays of a derivative as matrices: a row for every entry of the result."""
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(derivative)]
    columns = [sizes[at % len(sizes)] for at in range(len(leaves))]
    return [leaf.reshape(-1, size) for leaf, size in zip(leaves, columns, strict=True)]


def nonzeros(matrices: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Where matrices have entries that are more than rounding, or are none at all."""
    largest = max((float(abs(one).max(initial=0.0, where=np.isfinite(one))) for one in matrices), default=0.0)
    return [(abs(one) > _ROUNDING * largest) | np.isnan(one) for one in matrices]


def column_sizes(case: Case) -> list[int]:
    """The sizes of all that is differentiated with respect to."""
    argnums = (case.argnums,) if isinstance(case.argnums, int) else case.argnums
    return [np.size(leaf) for at in argnums for leaf in jax.tree.leaves(case.point[at])]


def true_values(case: Case) -> tuple[list[list[np.ndarray]], list[np.ndarray]]:
    """The derivative at the point by each of JAX's modes that applies, and where it is nonzero."""
    args, sizes = case.arguments(), column_sizes(case)
    modes, refusals = [], []
    for mode in case.by_jax():
        if len(modes) == 2:
            break
        try:
            compiled = jax.jit(mode)
            modes.append((compiled, dense_leaves(compiled(*args), sizes)))
        except Exception as error:  # that a mode does not apply is said in many ways
            refusals.append(error)
    if not modes:
        raise refusals[0]
    compiled, at_point = modes[0]
    found = nonzeros(at_point)
    for probe in [] if case.by_values else case.probes():
        more = nonzeros(dense_leaves(compiled(*probe), sizes))
        found = [one | other for one, other in zip(found, more, strict=True)]
    return [values for _, values in modes], found


def difference(found: Sequence[np.ndarray], wanted: Sequence[np.ndarray]) -> float:
    """The largest difference, in parts of the largest entry of all; infinite where just one is a number."""
    largest = max((float(abs(one).max(initial=0.0, where=np.isfinite(one))) for one in wanted), default=0.0)
    worst = 0.0
    for one, other in zip(found, wanted, strict=True):
        same = (one == other) | (np.isnan(one) & np.isnan(other))
        apart = np.where(same, 0.0, abs(one - other))
        worst = max(worst, float(np.where(np.isnan(apart), np.inf, apart).max(initial=0.0)))
    return worst / max(largest, 1e-300) if worst else 0.0


def our_blocks(case: Case) -> tuple[list[Block], float]:
    """The blocks of a derivative at the point, and the seconds that a first trace takes."""
    if case.kind == "hessian":
        derivative = graphax.hessve(case.fun, case.argnums, sparse=True)
    else:
        derivative = graphax.jacve(case.fun, case.argnums, holomorphic=case.holomorphic, sparse=True)
    args = case.arguments()
    start = time.perf_counter()
    traced = jax.jit(derivative).trace(*args)
    seconds = time.perf_counter() - start
    result = traced.lower().compile()(*args)
    return jax.tree.leaves(result, is_leaf=lambda leaf: isinstance(leaf, Block)), seconds


def pattern_of(block: Block) -> np.ndarray:
    """Where a block may have entries."""
    found = np.zeros((math.prod(block.out_shape), math.prod(block.in_shape)), bool)
    found[block.pattern()] = True
    return found


def asdex_entries(case: Case) -> int | None:
    """How many entries asdex finds; None where it is not installed, or refuses."""
    if importlib.util.find_spec("asdex") is None:
        return None
    asdex = importlib.import_module("asdex")
    find = asdex.hessian_sparsity if case.kind == "hessian" else asdex.jacobian_sparsity
    try:
        return int(find(case.fun, *case.arguments(), argnums=case.argnums).nnz)
    except Exception:  # whatever a peer raises where it cannot
        return None


def examined(case: Case, subject: str) -> Row:
    """What there is to say of one function."""
    row: Row = {"subject": subject, "kind": case.kind, "by_values": case.by_values, "reason": case.reason}
    modes, truth = true_values(case)
    rows = sum(one.shape[0] for one in truth[:: len(column_sizes(case))])
    row["shape"] = [rows, sum(column_sizes(case))]
    row["nonzeros"] = sum(int(one.sum()) for one in truth)
    row["asdex"] = asdex_entries(case)
    try:
        blocks, row["trace"] = our_blocks(case)
        patterns = [pattern_of(block) for block in blocks]
        values = dense_leaves([block.todense() for block in blocks], column_sizes(case))
    except Exception as error:  # a fault to report like the others
        return row | {"verdict": "failed", "failed": f"{type(error).__name__}: {str(error).splitlines()[0]}"}
    row["entries"] = sum(int(one.sum()) for one in patterns)
    row["numbers"] = sum(block.numbers for block in blocks)
    row["missing"] = sum(int((one & ~ours).sum()) for one, ours in zip(truth, patterns, strict=True))
    row["error"] = min(difference(values, wanted) for wanted in modes)
    return row | {"verdict": verdict(row, case.cancelling)}


def verdict(row: Row, cancelling: int) -> str:
    """One word for a pattern of which so many entries are known to be zero for all arguments."""
    if row["missing"]:
        return "missing"
    if not row["error"] <= _ERROR:
        return "wrong"
    if row["entries"] == row["nonzeros"]:
        return "exact"
    return "cancels" if row["entries"] <= row["nonzeros"] + cancelling else "loose"


def holds_too_many(row: Row) -> bool:
    """Whether blocks of a sparse derivative hold more numbers than is worth it."""
    sparse = row["nonzeros"] < _SPARSE * math.prod(row["shape"])
    return sparse and row["verdict"] != "failed" and row["numbers"] > _HELD * row["nonzeros"]


HEAD = f"{'function':<34}{'shape':>11}" + "".join(
    f"{word:>7}" for word in ("true", "ours", "held", "asdex", "ratio")
)
HEAD += f"{'trace':>9}  verdict"


def line(name: str, row: Row) -> str:
    """A row of the table."""
    shape = "x".join(map(str, row["shape"]))
    asdex = "" if row["asdex"] is None else row["asdex"]
    start = f"{name:<34}{shape:>11}{row['nonzeros']:>7}"
    if row["verdict"] == "failed":
        return f"{start}{'':>7}{'':>7}{asdex:>7}{'':>16}  failed: {row['failed']}"
    ratio = row["entries"] / max(row["nonzeros"], 1)
    return (
        f"{start}{row['entries']:>7}{row['numbers']:>7}{asdex:>7}{ratio:>7.2f}{row['trace'] * 1e3:>6.0f} ms"
        f"  {row['verdict']}"
    )


def summary(rows: dict[str, Row]) -> str:
    """What all come to, and those that are not exact with the reason."""
    count = Counter(row["verdict"] for row in rows.values())
    good = count["exact"] + count["cancels"]
    lines = [
        f"{len(rows)} functions: {', '.join(f'{number} {word}' for word, number in count.most_common())}",
        f"equal up to cancellation: {good} of {len(rows)}, {100 * good / max(len(rows), 1):.1f} %",
        f"numbers held beyond {_HELD} of the nonzeros, below {100 * _SPARSE:.0f} % density: "
        f"{sum(map(holds_too_many, rows.values()))}",
    ]
    for part in COLLECTIONS:
        of_part = [row for row in rows.values() if row["subject"] == part.subject]
        exact = sum(row["verdict"] in ("exact", "cancels") for row in of_part)
        lines.append(f"  {part.subject:<18}{exact:>4} of {len(of_part)}")
    rest = {name: row for name, row in rows.items() if row["verdict"] != "exact"}
    return "\n".join(lines + [f"- {name}: {row['verdict']}; {row['reason']}" for name, row in rest.items()])


def versions() -> dict[str, Any]:
    """What the table is of, beside the device and the release of JAX."""
    known = {"graphax": graphax.__version__, "numpy": np.__version__}
    try:
        return known | {"asdex": metadata.version("asdex")}
    except metadata.PackageNotFoundError:
        return known


def main(argv: Sequence[str] | None = None) -> int:
    """Examine the functions; 1 where a pattern misses a nonzero, a value is wrong or a case fails."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="*", default=[], help="subjects, or patterns of names")
    parser.add_argument("--out", type=Path, help="file for the table, as JSON")
    options = parser.parse_args(argv)
    rows: dict[str, Row] = {}
    if options.out and options.out.exists() and options.only:
        rows = json.loads(options.out.read_text())["rows"]
    examined_now: dict[str, Row] = {}
    print(HEAD)
    with jax.enable_x64(True), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for part in COLLECTIONS:
            for case in part.cases:
                wanted = (part.subject in options.only, *(re.search(one, case.name) for one in options.only))
                if options.only and not any(wanted):
                    continue
                examined_now[case.name] = rows[case.name] = examined(case, part.subject)
                print(line(case.name, rows[case.name]), flush=True)
                if options.out:
                    options.out.parent.mkdir(parents=True, exist_ok=True)
                    save(options.out, {**versions(), "rows": rows})
    print(f"\n{summary(examined_now)}")
    return int(any(row["verdict"] in _FAULTS for row in examined_now.values()))


if __name__ == "__main__":
    sys.exit(main())
