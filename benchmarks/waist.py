"""Jacobians through a narrow waist: R^64 -> R^4 -> R^64 by tanh layers, `jacve` with no order given.

Hidden layers lie on both sides of the waist. Run times of `graphax.jacve`, `jax.jacfwd` and `jax.jacrev`
under `jit`, of one input and of a batch under `vmap`, are taken in interleaved rounds; reported are their
minima, and the ratio of the better of JAX's two to `jacve`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from measure import Function, compile_seconds, run_seconds, save

import graphax


def waist(hidden: Sequence[int]) -> Function:
    """64 numbers to 4 to 64, through hidden layers of these widths and back."""
    sizes = [64, *hidden, 4, *reversed(hidden), 64]
    keys = jax.random.split(jax.random.key(0), len(sizes) - 1)
    weights = [
        jax.random.normal(key, (after, before), jnp.float32) / np.sqrt(before)
        for key, before, after in zip(keys, sizes[:-1], sizes[1:], strict=True)
    ]

    def layers(x: jax.Array) -> jax.Array:
        for weight in weights:
            x = jnp.tanh(weight @ x)
        return x

    return layers


def benchmark(hidden: Sequence[int], batch: int, rounds: int) -> dict[str, Any]:
    """The three ways on one function; a batch of 1 is a single input without `vmap`."""
    fun = waist(hidden)
    x = jax.random.normal(jax.random.key(1), (64,) if batch == 1 else (batch, 64), jnp.float32)
    ways = {"jacve": graphax.jacve(fun, kernel=False), "jacfwd": jax.jacfwd(fun), "jacrev": jax.jacrev(fun)}
    runs = {
        name: compile_seconds(way if batch == 1 else jax.vmap(way), (x,))[1] for name, way in ways.items()
    }
    np.testing.assert_allclose(runs["jacve"](x), runs["jacrev"](x), atol=1e-4)
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            seconds[name].append(run_seconds(run, (x,)))
    best = {name: min(found) for name, found in seconds.items()}
    ratio = min(best["jacfwd"], best["jacrev"]) / best["jacve"]
    return {"hidden": list(hidden), "batch": batch, **best, "times_faster": ratio}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--out", type=Path, help="a folder for waist.json")
    options = parser.parse_args(argv)
    # Some devices round the factors of products unless told not to, and the results are compared.
    jax.config.update("jax_default_matmul_precision", "highest")
    rows = []
    for hidden in ((64, 64), (64, 64, 64, 64), (256, 256)):
        for batch in (1, 256):
            row = benchmark(hidden, batch, options.rounds if batch == 1 else options.rounds // 10)
            rows.append(row)
            times = "  ".join(f"{name} {1e3 * row[name]:7.3f} ms" for name in ("jacve", "jacfwd", "jacrev"))
            print(f"hidden {hidden!s:18} batch {batch:4}  {times}  {row['times_faster']:.1f} times faster")
    if options.out:
        save(options.out / "waist.json", {"rounds": options.rounds, "rows": rows})


if __name__ == "__main__":
    main()
