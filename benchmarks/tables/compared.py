"""Beside other packages and what others have published, a table each."""

from __future__ import annotations

from measure import geometric_mean

from . import never_slower, orders, schemes, sparse
from ._text import Data, bold, figure, markdown, milliseconds, ratio, table


@table("compared-jax", *never_slower.FILES)
def jax(data: Data) -> str:
    rows = []
    for file in never_slower.FILES.values():
        found = never_slower.figures_of(data, file)
        for kind in dict.fromkeys(row["kind"] for row in found.values()):
            its = {name: row for name, row in found.items() if row["kind"] == kind}
            run = [row["run"] for row in its.values()]
            rest = [
                ratio(geometric_mean([row[part] for row in its.values()])) for part in ("built", "memory")
            ]
            rows.append(
                [
                    data[file]["device"],
                    kind,
                    str(len(its)),
                    bold(ratio(geometric_mean(run))),
                    ratio(min(run)),
                    ratio(max(run)),
                    str(never_slower.below(its)),
                    *rest,
                ]
            )
    head = ["on", "derivative", "functions", "times as fast, geometric mean", "least", "most"]
    return markdown([*head, "below 0.95 (gradients: 0.83)", "trace + compile", "memory"], rows, left=2)


def _beside(data: Data, other: str, title: str) -> list[str]:
    found = sparse.times_as_fast(data, other)
    slower = sum(value < 0.95 for value in found)
    mean = bold(ratio(geometric_mean(found)))
    return [title, str(len(found)), mean, ratio(min(found)), ratio(max(found)), str(slower)]


_HEAD = ["", "problems", "geometric mean", "least", "most", "below 0.95"]


@table("compared-asdex", "sparse")
def asdex(data: Data) -> str:
    built = [row["build"]["asdex"] / row["build"]["graphax"] for row in data[sparse.FILE]["peers"].values()]
    building = [str(len(built)), bold(ratio(geometric_mean(built))), ratio(min(built)), ratio(max(built))]
    rows = [
        _beside(data, sparse.ASDEX, "times as fast, as `BCOO`"),
        _beside(data, sparse.ASDEX_ENTRIES, "times as fast, the nonzeros alone"),
        [
            "times as quickly built (pattern, colours, trace, compile)",
            *building,
            str(sum(value < 0.95 for value in built)),
        ],
    ]
    return f"{markdown(_HEAD, rows)}\n\nWhere the least is gained:\n\n{_least(data)}"


def _least(data: Data) -> str:
    """The problems on which graphax gains least over asdex."""
    problems = sorted(data[sparse.FILE]["peers"].items(), key=lambda item: item[1]["ratio"][sparse.ASDEX])
    rows = []
    for name, row in problems[:6]:
        times = [milliseconds(row["run"][key]) for key in ("graphax, BCOO", sparse.ASDEX)]
        built = [f"{row['build'][key]:.2f} s" for key in ("graphax", "asdex")]
        rows.append([name, str(row["colours"]), *times, ratio(row["ratio"][sparse.ASDEX]), *built])
    head = ["problem", "colours", "graphax", "asdex", "times as fast", "graphax builds in", "asdex"]
    return markdown(head, rows)


@table("compared-sparsejac", "sparse")
def sparsejac(data: Data) -> str:
    return markdown(_HEAD, [_beside(data, sparse.SPARSEJAC, "times as fast, as `BCOO`")])


@table("compared-casadi", "kernels beside CasADi", "sparse")
def casadi(data: Data) -> str:
    found = data["cpu-casadi/casadi.json"]["table"].values()
    ratios = {
        "18 small functions: operations": [row["operations, casadi"] / row["operations"] for row in found],
        "... run time of the C that it generates": [row["run, casadi"] / row["run"] for row in found],
        "... called from JAX": [row["run, casadi in jax"] / row["run"] for row in found],
        "large sparse problems: run time by its better way": [
            row["ratio"]["block"] for row in data[sparse.FILE]["casadi"].values()
        ],
    }
    rows = [
        [name, str(len(values)), bold(ratio(geometric_mean(values))), ratio(min(values)), ratio(max(values))]
        for name, values in ratios.items()
    ]
    return markdown(["CasADi's : graphax's", "functions", "geometric mean", "least", "most"], rows)


@table("compared-published", "searched orders", "learned orders, GPU")
def published(data: Data) -> str:
    rows = []
    learned = orders.learned(data)
    for task, entry in orders.tasks(data).items():
        theirs, ours = data.published["vertex_elimination"][task], entry["counted"]
        of_theirs = [str(theirs[key]) for key in ("forward", "reverse", "markowitz", "learned")]
        of_ours = [str(ours[key]) for key in ("forward", "reverse", "markowitz")]
        of_ours += [str(learned[task].get("gpu", "")), bold(str(ours["best"])), str(ours["bound"])]
        rows.append([task, *of_theirs, *of_ours])
    head = ["task", "published: forward", "reverse", "Markowitz", "learned", "here: forward", "reverse"]
    return markdown([*head, "Markowitz", "learned", "searched", "bound"], rows)


@table("compared-alphatensor", *schemes.SEARCHED)
def alphatensor(data: Data) -> str:
    rows = []
    for name, row in schemes.searched(data).items():
        theirs = data.published["matmul_rank"][name]
        integers, modulo_2 = theirs["alphatensor"]
        best = str(theirs["best"]) + (
            f" ({theirs['best_rational']} over Q)" if "best_rational" in theirs else ""
        )
        rows.append(
            [
                name.replace("x", " x "),
                str(schemes.standard(name)),
                str(integers),
                str(modulo_2),
                best,
                str(row["known"]),
                bold(str(row["rank"])),
                schemes.lifted(row),
            ]
        )
    head = ["format", "standard", "AlphaTensor, integers", "modulo 2", "best published, integers", "modulo 2"]
    return markdown([*head, "found here, modulo 2", "lifted"], rows)


@figure("casadi-operations", "kernels beside CasADi")
def operations(data: Data) -> str:
    found = data["cpu-casadi/casadi.json"]["table"].values()
    return ratio(geometric_mean([row["operations, casadi"] / row["operations"] for row in found]))


@figure("casadi-run", "kernels beside CasADi")
def run(data: Data) -> str:
    found = data["cpu-casadi/casadi.json"]["table"].values()
    return ratio(geometric_mean([row["run, casadi"] / row["run"] for row in found]))


@figure("kernels-casadi-least", "kernels beside CasADi")
def least(data: Data) -> str:
    found = data["cpu-casadi/casadi.json"]["table"].values()
    return ratio(min(row["run, casadi"] / row["run"] for row in found))
