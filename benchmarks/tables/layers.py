"""Agents of several kinds of layers: what they take and how they learn."""

from __future__ import annotations

from ._text import Data, markdown, table


def _agents(data: Data, task: str) -> str:
    rows = []
    for row in data[f"layers/{task}.json"]["layers"]:
        later = row["in the same time"]
        times = [f"{row[part]:.2f}" for part in ("forward", "gradient", "iteration")]
        learned = [f"{_mean(row[part]):.0f} ({_mean(later[part]):.0f})" for part in ("best", "mean")]
        layers, whole = row["parameters"]
        rows.append([row["layers"], f"{layers:,} ({whole:,})", *times, *learned])
    head = ["layers", "parameters (whole agent)", "forward", "gradient", "iteration", "best", "mean"]
    return markdown(head, rows)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


@table("layers-perceptron", "layers, Perceptron")
def perceptron(data: Data) -> str:
    return _agents(data, "Perceptron")


@table("layers-roeflux", "layers, RoeFlux_1d")
def roe_flux(data: Data) -> str:
    return _agents(data, "RoeFlux_1d")


@table("layers-single", "layers, Perceptron")
def single(data: Data) -> str:
    """Layers by themselves."""
    rows = [
        [
            str(row["width"]),
            row["layer"],
            f"{row['compression']:.2f}",
            f"{row['forward']:.2f}",
            f"{row['gradient']:.2f}",
        ]
        for row in data["layers/Perceptron.json"]["single layers"]
    ]
    return markdown(["width", "layer", "times fewer parameters", "forward", "gradient"], rows, left=2)


@table("layers-rounded", "layers, Perceptron")
def rounded(data: Data) -> str:
    """A trained agent, rounded to tensor trains."""
    rows = [
        [
            str(row["rank"] or "as trained"),
            f"{row['parameters']:,}",
            f"{row['error']:.2f}",
            f"{row['mean']:.0f}",
        ]
        for row in data["layers/Perceptron.json"]["compressed"]
    ]
    return markdown(
        ["rank", "parameters", "relative error of the matrices", "mean game without search"], rows
    )
