"""The tables at the door: of the README, of what was measured, and of how old it is."""

from __future__ import annotations

from collections.abc import Callable

from . import kernels, never_slower, run_time, sparse
from ._text import Data, bold, markdown, milliseconds, ratio, table


def _task(data: Data, folder: str, task: str) -> list[str]:
    """Times of a batch: JAX's better mode, `jacve`, and their ratio."""
    row = data[f"{folder}/jacobians.json"]["tasks"][task]
    times = {key: row[key]["run"]["median"] for key in ("jacfwd", "jacrev", "jacve auto")}
    return _three(min(times["jacfwd"], times["jacrev"]), times["jacve auto"])


def _three(theirs: float, ours: float) -> list[str]:
    return [milliseconds(theirs), milliseconds(ours), bold(ratio(theirs / ours))]


def _kernel(column: dict[str, dict], name: str) -> list[str]:
    found = {way: row["run"] for way, row in column[name]["contenders"].items()}
    return _three(min(found["jacfwd"], found["jacrev"]), found["jacve, kernel"])


@table(
    "readme-speed",
    *run_time.CPU,
    "waist",
    "loops",
    "kernels, batches",
    "kernels, GPU",
    *never_slower.FILES,
    brief=True,
)
def readme_speed(data: Data) -> str:
    waist = max(data["search/waist.json"]["rows"], key=lambda row: row["times_faster"])
    loop = data["cpu-loops/loops.json"]["models"]["kinetics, trajectory"]["1000"]["run"]
    on_cpu, *_, on_gpu = kernels.columns(data).values()
    cpu, gpu = (data[file]["rows"] for file in never_slower.FILES.values())
    means = [bold(mean(data)) for mean in (never_slower.mean_on_cpu, never_slower.mean_on_gpu)]
    rows = [
        ["6-joint robot arm, 65,536 poses", "CPU", *_task(data, "cpu-scalar", "RobotArm_6DOF")],
        ["flux of gas dynamics in 3d, 8,192 states", "CPU", *_task(data, "cpu-tensor", "RoeFlux_3d")],
        ["the robot arm as one kernel, 32,768 poses", "CPU", *_kernel(on_cpu, "RobotArm_6DOF")],
        ["a quadrotor's step as one kernel, 524,288 states", "GPU", *_kernel(on_gpu, "QuadrotorStep")],
        [
            "1,000 Runge-Kutta steps, whole trajectory",
            "CPU",
            *_three(min(loop["jacfwd"], loop["jacrev"]), loop["jacve"]),
        ],
        [
            f"layers with a narrow waist, batch of {waist['batch']}",
            "CPU",
            *_three(min(waist["jacfwd"], waist["jacrev"]), waist["jacve"]),
        ],
        [f"{len(cpu)} everyday functions, geometric mean", "CPU", "", "", means[0]],
        [f"{len(gpu)} everyday functions, geometric mean", "GPU", "", "", means[1]],
    ]
    return markdown(["Jacobian of", "on", "JAX's better mode", "graphax", "times as fast"], rows, left=2)


_SHOWN = {
    "burgers": "Burgers' equation, 16,384 points",
    "multiple shooting": "multiple shooting, 5,004 variables",
    "power flow": "power flow in a network",
    "elastic mesh": "elastic mesh",
    "bundle adjustment": "bundle adjustment",
    "convolutional network": "convolutional network",
}


@table("readme-sparse", "sparse", brief=True)
def readme_sparse(data: Data) -> str:
    rows = []
    for name, title in _SHOWN.items():
        row = data[sparse.FILE]["peers"][name]
        times = [milliseconds(row["run"][key]) for key in ("graphax, BCOO", sparse.ASDEX)]
        built = [f"{row['build'][key]:.2f} s" for key in ("graphax", "asdex")]
        rows.append([title, f"{row['nonzeros']:,}", *times, bold(ratio(row["ratio"][sparse.ASDEX])), *built])
    count = len(data[sparse.FILE]["peers"])
    rows.append(
        [f"geometric mean of {count} problems", "", "", "", bold(sparse.mean(data, sparse.ASDEX)), "", ""]
    )
    head = [
        "sparse Jacobian of",
        "nonzeros",
        "graphax",
        "asdex",
        "times as fast",
        "graphax builds in",
        "asdex",
    ]
    return markdown(head, rows)


_SUMMARY: tuple[tuple[str, str, Callable[[Data], str]], ...] = (
    (
        "never_slower.md",
        "161 functions of many fields beside JAX's better mode, CPU",
        never_slower.mean_on_cpu,
    ),
    ("never_slower.md", "... on a GPU", never_slower.mean_on_gpu),
    ("run_time.md", "the narrowest waist, beside JAX's better mode", run_time.largest_waist),
    ("kernels.md", "18 small functions as kernels beside JAX's better mode, CPU", kernels.mean_on_cpu),
    ("kernels.md", "... on a GPU", kernels.mean_on_gpu),
    ("sparse.md", "27 sparse problems beside asdex", sparse.beside_asdex),
    ("sparse.md", "... beside sparsejac", sparse.beside_sparsejac),
)


@table("summary", *never_slower.FILES, "waist", "kernels, batches", "kernels, GPU", "sparse", brief=True)
def summary(data: Data) -> str:
    rows = [[f"[{text}]({page})", bold(make(data))] for page, text, make in _SUMMARY]
    return markdown(["", "times as fast"], rows)


@table("how-old")
def how_old(data: Data) -> str:
    """What was measured when and how, the oldest first."""
    results = sorted(data.manifest.results.items(), key=lambda item: item[1].measured["date"])
    rows = []
    for name, result in results:
        its = result.measured
        on = its["device"] if result.on == "gpu" else its["machine"]
        rows.append([name, its["date"][:10], f"`{its['commit'][:7]}`", on, its["jax"]])
    commands = [f"- <small>{name}: `{result.measured['command']}`</small>" for name, result in results]
    table = markdown(["figures", "measured", "commit", "on", "jax"], rows, left=5)
    return "\n".join([table, "", "By these commands:", "", *commands])
