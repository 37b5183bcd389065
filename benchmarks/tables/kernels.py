"""Kernels of small functions, beside JAX's modes, the memory floor and the C of CasADi."""

from __future__ import annotations

from typing import Any

from measure import geometric_mean

from ._text import Data, figure, markdown, ratio, table

ON_CPU = ("kernels, batches", "kernels, one input")
ON_GPU = ("kernels, GPU",)
_TITLES = {
    "RoeFlux_1d": "flux of gas dynamics",
    "RobotArm_6DOF": "kinematics of an arm",
    "HumanHeartDipole": "a polynomial system",
    "PropaneCombustion": "equilibrium of a flame",
    "EulerFlux": "flux in space",
    "MassAction": "20 species, 30 reactions",
    "PengRobinson": "fugacities",
    "QuadrotorStep": "a Runge-Kutta step",
    "Arm": "products of seven transforms",
    "VehicleStep": "tyres after Pacejka",
    "TwoLinkTorques": "inverse dynamics",
    "Reprojection": "a camera",
    "RigidExponential": "SE(3)",
    "OrbitalElements": "from position and velocity",
    "NeoHookean": "stress of a solid",
    "Greeks": "of an option",
    "Smile": "SABR, 16 strikes",
    "PipeNetwork": "20 × 23, 60 nonzeros",
}


def rows_of(data: Data, file: str, key: str) -> dict[str, Any]:
    """The functions of one batch size and floating type."""
    return data[file]["table"][key]


def columns(data: Data) -> dict[str, dict[str, Any]]:
    """What was measured, by how it is called in the table's head."""
    large, one = "cpu-kernels/large/kernels.json", "cpu-kernels/one/kernels.json"
    gpu = data["h100-kernels/kernels.json"]
    (on_gpu,) = gpu["table"]
    return {
        "CPU, float32, batch of 32,768": rows_of(data, large, "float32 32768"),
        "CPU, float64, batch of 32,768": rows_of(data, large, "float64 32768"),
        "CPU, one input": rows_of(data, one, "float32 1"),
        f"GPU, float32, batch of {int(on_gpu.split()[1]):,}": gpu["table"][on_gpu],
    }


@table("kernels", *ON_CPU, *ON_GPU, "kernels beside CasADi")
def kernels(data: Data) -> str:
    found = columns(data)
    *_, on_gpu = found.values()
    counted = data["cpu-casadi/casadi.json"]["table"]
    rows = []
    for name, title in _TITLES.items():
        kernel = on_gpu[name]["contenders"]["jacve, kernel"]["run"]
        rows.append(
            [
                f"{name}: {title}",
                *(ratio(column[name]["times as fast"]) for column in found.values()),
                f"{kernel / on_gpu[name]['memory floor']:.2f}",
                f"{counted[name]['operations']:,} : {counted[name]['operations, casadi']:,}",
            ]
        )
    means = [
        ratio(geometric_mean([column[name]["times as fast"] for name in _TITLES]))
        for column in found.values()
    ]
    rows.append(["geometric mean", *(f"**{mean}**" for mean in means), "", ""])
    return markdown(["function", *found, "time on the GPU : memory floor", "operations : CasADi's"], rows)


@table("kernels-loop", "kernels with a loop", "kernels with a loop, GPU")
def with_a_loop(data: Data) -> str:
    rows = []
    for file in ("cpu-kernels/loops/kernels.json", "h100-loop-kernels/kernels.json"):
        for key, functions in data[file]["table"].items():
            row = functions["LorenzSteps"]
            runs = [
                f"{row['contenders'][way]['run'] * 1e3:,.1f} ms"
                for way in ("jacfwd", "jacrev", "jacve, kernel")
            ]
            rows.append([data[file]["device"], key.split()[0], *runs, ratio(row["times as fast"])])
    head = ["on", "type", "`jax.jacfwd`", "`jax.jacrev`", "kernel", "times as fast"]
    return markdown(head, rows, left=2)


@table("kernels-orders", "kernels, orders", "kernels, GPU")
def in_orders(data: Data) -> str:
    rows = []
    for file in ("cpu-kernel-orders/kernels.json", "h100-kernels/kernels.json"):
        for key, functions in data[file]["table"].items():
            means = [
                geometric_mean([row[f"in order {order}"] for row in functions.values()])
                for order in ("forward", "reverse", "markowitz")
            ]
            batch = f"{int(key.split()[1]):,}"
            rows.append([data[file]["device"], batch, *(f"{mean:.2f}" for mean in means)])
    return markdown(["on", "batch", "forward", "reverse", "Markowitz"], rows)


@table("kernels-building", *ON_CPU, *ON_GPU)
def building(data: Data) -> str:
    """What tracing and compiling take, the search for an order included."""
    rows = []
    for name, column in columns(data).items():
        found = [row["trace + compile"] for row in column.values()]
        rows.append([name, ratio(geometric_mean(found)), ratio(max(found))])
    return markdown(["", "trace + compile : JAX's quicker mode, geometric mean", "at most"], rows)


@figure("kernels-cpu", "kernels, batches")
def mean_on_cpu(data: Data) -> str:
    return mean_of(columns(data)["CPU, float32, batch of 32,768"])


@figure("kernels-gpu", "kernels, GPU")
def mean_on_gpu(data: Data) -> str:
    return mean_of(list(columns(data).values())[-1])


@figure("kernels-dispatch", "kernels, one input")
def dispatch(data: Data) -> str:
    return f"{data['cpu-kernels/one/kernels.json']['no operation'] * 1e6:.1f}"


def mean_of(column: dict[str, Any]) -> str:
    return ratio(geometric_mean([row["times as fast"] for row in column.values()]))
