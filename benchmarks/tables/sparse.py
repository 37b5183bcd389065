"""Sparse Jacobians: beside other packages, of a million variables, in a solver, and whether patterns hold."""

from __future__ import annotations

from measure import geometric_mean

from ._text import Data, Row, figure, markdown, milliseconds, ratio, table

FILE = "cpu-sparse/sparse.json"
ASDEX, ASDEX_ENTRIES, SPARSEJAC = "asdex, BCOO", "asdex, nonzeros", "sparsejac, BCOO"
_CASES = {
    "Burgers, roll": "Burgers' equation, 4,096 points, `jnp.roll`",
    "Burgers, slices": "the same by slices and `concatenate`",
    "Laplacian": "Laplacian plus reaction, 256 × 256 points",
    "network": "power flow on 10,000 nodes, 30,000 edges",
    "elementwise": "elementwise, a million entries",
    "systems of six": "1,000 systems of 6 variables under `vmap`",
}
_FIRST = "the Jacobian's share of the first solution"
_OTHERS = {
    "jacrev": "`jax.jacrev`",
    "by hand": "written by hand",
    "vmap(grad)": "`vmap(grad)`",
    "vmap(jacrev)": "`vmap(jacrev)`",
}


@table("sparse-cases", "sparse")
def cases(data: Data) -> str:
    rows = []
    for key, name in _CASES.items():
        row = data[FILE]["growth"]["cases"][key]
        others = [
            f"{_OTHERS[other]} {milliseconds(row['run'][other])}" for other in _OTHERS if other in row["run"]
        ]
        held = [f"{row[part]:,}" for part in ("nonzeros", "numbers")]
        rows.append([name, *held, milliseconds(row["run"]["jacve"]), ", ".join(others)])
    return markdown(["function", "nonzeros", "numbers held", "run time", "compared with"], rows)


@table("sparse-peers", "sparse")
def peers(data: Data) -> str:
    rows = []
    for name, row in data[FILE]["peers"].items():
        run, times = row["run"], row["ratio"]
        rows.append(
            [
                name,
                f"{row['nonzeros']:,}",
                str(row["colours"]),
                milliseconds(run["graphax, BCOO"]),
                milliseconds(run[ASDEX]),
                f"{ratio(times[ASDEX])} ({ratio(times[ASDEX_ENTRIES])})",
                ratio(times[SPARSEJAC]) if SPARSEJAC in times else "",
                f"{row['build']['graphax']:.2f} s",
                f"{row['build']['asdex']:.2f} s{'' if row['detected'] else ' (pattern given)'}",
            ]
        )
    rows.append(
        [
            "geometric mean",
            "",
            "",
            "",
            "",
            f"{mean(data, ASDEX)} ({mean(data, ASDEX_ENTRIES)})",
            mean(data, SPARSEJAC),
            "",
            "",
        ]
    )
    head = ["problem", "nonzeros", "colours", "graphax", "asdex", "times as fast", "than sparsejac"]
    return markdown([*head, "built in", "asdex"], rows)


def times_as_fast(data: Data, other: str) -> list[float]:
    """How many times as fast as another package, for every problem that it takes."""
    return [row["ratio"][other] for row in data[FILE]["peers"].values() if other in row["ratio"]]


def mean(data: Data, other: str) -> str:
    return ratio(geometric_mean(times_as_fast(data, other)))


@table("sparse-casadi", "sparse")
def casadi(data: Data) -> str:
    rows = [
        [name, f"{row['nonzeros']:,}", milliseconds(row["run"]["block"])]
        + [milliseconds(row["run"][f"casadi, {way}"]) for way in ("by intervals", "as a whole")]
        + [ratio(row["ratio"]["block"])]
        for name, row in data[FILE]["casadi"].items()
    ]
    head = ["problem", "nonzeros", "graphax", "CasADi, by intervals", "CasADi, as a whole", "times as fast"]
    return markdown(head, rows)


@table("sparse-large", "sparse")
def large(data: Data) -> str:
    rows = [
        [name, f"{row['variables']:,}", f"{row['nonzeros']:,}"]
        + [f"{row[part]:.2f} s" for part in ("trace", "compile", "pattern")]
        + [milliseconds(row["run"]), f"{row['largest']:.2f}"]
        for name, row in data[FILE]["large"].items()
    ]
    head = ["problem", "variables", "nonzeros", "trace", "compile", "first `pattern()`", "run"]
    return markdown([*head, "largest array : nonzeros"], rows)


@table("bratu", "bratu")
def bratu(data: Data) -> str:
    rows = []
    for ordering, row in data["bratu/bratu.json"]["solutions"].items():
        shares = [f"{100 * row['shares'][part]:.1f} %" for part in ("evaluation", "export", "factorisation")]
        first = f"{100 * row[_FIRST]:.1f} %"
        rows.append([ordering, f"{sum(row['seconds'].values()):.1f} s", *shares, first])
    head = ["ordering of SuperLU", "all steps", "residual and Jacobian", "as SciPy's array", "factorisation"]
    return markdown([*head, "the Jacobian's share of a first solution"], rows)


def verdicts(data: Data) -> dict[str, list[Row]]:
    """The functions whose patterns were examined, by subject."""
    found: dict[str, list[Row]] = {}
    for row in data["sparsity/cpu.json"]["rows"].values():
        found.setdefault(row["subject"], []).append(row)
    return found


def is_true(row: Row) -> bool:
    """Whether a pattern is the true one, up to entries that cancel."""
    return row["verdict"] in ("exact", "cancels")


@table("patterns", "patterns")
def patterns(data: Data) -> str:
    rows = []
    for subject, found in verdicts(data).items():
        compared = [row for row in found if row["asdex"] is not None]
        rows.append(
            [
                subject,
                str(len(found)),
                str(sum(map(is_true, found))),
                str(sum(row["missing"] for row in found)),
                f"{sum(row['asdex'] == row['nonzeros'] for row in compared)} of {len(compared)}",
            ]
        )
    everything = [row for found in verdicts(data).values() for row in found]
    compared = [row for row in everything if row["asdex"] is not None]
    rows.append(
        [
            "all",
            str(len(everything)),
            f"**{sum(map(is_true, everything))}**",
            str(sum(row["missing"] for row in everything)),
            f"{sum(row['asdex'] == row['nonzeros'] for row in compared)} of {len(compared)}",
        ]
    )
    head = [
        "functions with",
        "examined",
        "pattern is the true one",
        "nonzeros that it misses",
        "true by asdex",
    ]
    return markdown(head, rows)


@figure("sparse-asdex", "sparse")
def beside_asdex(data: Data) -> str:
    return mean(data, ASDEX)


@figure("sparse-sparsejac", "sparse")
def beside_sparsejac(data: Data) -> str:
    return mean(data, SPARSEJAC)
