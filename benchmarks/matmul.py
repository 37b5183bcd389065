"""Matrix products by schemes against `a @ b`: time to compile, time to run, memory and error.

For square matrices of each size: `jnp.matmul` and `alphagrad.matmul.multiply` with every scheme and number
of levels, with the products batched or one by one. Runs are interleaved, so that a busy machine is busy for
all, and the table has their medians. What would not fit into memory is compiled, but not run.

    python benchmarks/matmul.py --sizes 8192 16384 --levels 1 2 --schemes winograd best.npz --out results/gpu
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from measure import compile_seconds, run_seconds, save

from alphagrad import matmul


class Variant(NamedTuple):
    """A way to multiply.

    Attributes:
        scheme: its name, as it was given; of several joined by "+", each is one level.
        levels: how many.
        batched: whether the products are one batched product.
        product: the function.
    """

    scheme: str
    levels: int
    batched: bool
    product: Callable[[jax.Array, jax.Array], jax.Array]


def scheme_of(name: str) -> matmul.Scheme:
    """A scheme that the code constructs, or one from a file."""
    named = {"strassen": matmul.strassen, "winograd": matmul.winograd}
    return named[name]() if name in named else matmul.Scheme.load(name)


def variants(
    names: Sequence[str], levels: Sequence[int], batched: Sequence[bool], precision: str
) -> Iterator[Variant]:
    for name in names:
        schemes = [scheme_of(part) for part in name.split("+")]
        for stack in [schemes] if len(schemes) > 1 else [schemes * count for count in levels]:
            for together in batched:
                product = partial(matmul.multiply, scheme=stack, batched=together, precision=precision)
                yield Variant(
                    "+".join(Path(part).stem for part in name.split("+")), len(stack), together, product
                )


def megabytes(compiled: Any) -> float | None:
    """What a compiled function needs: arguments, result and what lies between; None where XLA doesn't say."""
    memory = compiled.memory_analysis()
    if memory is None:
        return None
    sizes = (memory.argument_size_in_bytes, memory.output_size_in_bytes, memory.temp_size_in_bytes)
    return sum(sizes) / 1e6


def benchmark(
    size: int, dtype: str, precision: str, ways: Sequence[Variant], repeats: int, gigabytes: float
) -> list[dict[str, Any]]:
    """One size.

    Returns:
        a row for `jnp.matmul`, which has the scheme "matmul", and one for each way; `speedup` is against the
        former, `error` the largest difference from it, relative to its largest entry.
    """
    keys = jax.random.split(jax.random.key(0))
    a, b = (jax.random.normal(key, (size, size), dtype) for key in keys)
    plain = Variant("matmul", 0, False, partial(jnp.matmul, precision=precision))
    expected = jax.jit(plain.product)(a, b)
    rows, runs = [], []
    for way in (plain, *ways):
        seconds, compiled = compile_seconds(way.product, (a, b))
        needed = megabytes(compiled)
        row: dict[str, Any] = {"size": size, **way._asdict(), "compile_seconds": seconds, "megabytes": needed}
        del row["product"]
        rows.append(row)
        # The result to compare with is held besides.
        if needed is not None and needed + expected.nbytes / 1e6 > 1e3 * gigabytes:
            continue
        difference = jnp.abs(compiled(a, b) - expected).max() / jnp.abs(expected).max()
        row["error"] = float(difference)
        runs.append((row, compiled, []))
    for _ in range(repeats):
        for _, compiled, seconds in runs:
            seconds.append(run_seconds(compiled, (a, b)))
    for row, _, seconds in runs:
        row["run_seconds"] = statistics.median(seconds)
        row["fastest_seconds"] = min(seconds)
        row["teraflops"] = 2e-12 * size**3 / row["run_seconds"]
        row["speedup"] = rows[0]["run_seconds"] / row["run_seconds"]
    return rows


def plot(path: Path, rows: Sequence[dict[str, Any]], title: str) -> None:
    """The speed against `a @ b` over the size, a line for each way."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    lines: dict[str, list[tuple[int, float]]] = {}
    for row in rows:
        if row["levels"] and "speedup" in row:
            how = "batched" if row["batched"] else "one by one"
            label = f"{row['scheme']}, {row['levels']} level{'s' * (row['levels'] > 1)}, {how}"
            lines.setdefault(label, []).append((row["size"], row["speedup"]))
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for label, points in lines.items():
        axes.plot(*zip(*points, strict=True), marker="o", label=label)
    axes.axhline(1.0, color="black", linewidth=1)
    axes.set_xscale("log", base=2)
    axes.set_xticks(sorted({row["size"] for row in rows}), labels=sorted({row["size"] for row in rows}))
    axes.minorticks_off()
    axes.set(xlabel="size of the square matrices", ylabel="speed, a @ b = 1", title=title)
    axes.legend()
    figure.savefig(path)
    plt.close(figure)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--sizes", nargs="*", type=int, default=[1024, 2048])
    parser.add_argument("--levels", nargs="*", type=int, default=[1, 2])
    parser.add_argument(
        "--schemes",
        nargs="*",
        default=["winograd", "strassen"],
        help="names, or files; a+b uses a for the first level and b for the second",
    )
    parser.add_argument(
        "--products", nargs="*", choices=["batched", "separate"], default=["batched", "separate"]
    )
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--precision", default="highest")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--gigabytes", type=float, default=80.0, help="of the device's memory")
    parser.add_argument("--out", type=Path, help="a folder for matmul.json and matmul.svg")
    options = parser.parse_args(argv)
    jax.config.update("jax_enable_x64", options.dtype in ("float64", "complex128"))
    batched = [way == "batched" for way in options.products]
    ways = list(variants(options.schemes, options.levels, batched, options.precision))
    rows: list[dict[str, Any]] = []
    for size in options.sizes:
        rows += benchmark(size, options.dtype, options.precision, ways, options.repeats, options.gigabytes)
        for row in rows[-len(ways) - 1 :]:
            print(row, flush=True)
    if options.out:
        table = {
            "dtype": options.dtype,
            "precision": options.precision,
            "repeats": options.repeats,
            "rows": rows,
        }
        save(options.out / "matmul.json", table)
        plot(options.out / "matmul.svg", rows, f"{options.dtype}, precision {options.precision}")


if __name__ == "__main__":
    main()
