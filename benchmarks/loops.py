"""Times `graphax.jacve` of a `scan` against `jax.jacfwd` and `jax.jacrev`.

    python benchmarks/loops.py --steps 10 1000 --out results/

Models of six states and ten parameters take Runge-Kutta steps; wanted is the Jacobian of the final state, or
of the whole trajectory, with respect to the initial state and the parameters. Compilation is timed from
tracing to the executable, in fresh functions; runs are interleaved round by round. Reported are medians,
ratios to the better of JAX's two (round by round), and how compile times grow with the number of steps.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from measure import Function, compile_seconds, run_seconds, save

import graphax

Field = Callable[[Any, jax.Array], Any]

#: Every reaction turns the first species into the second, helped by the third.
_REACTIONS = np.array(
    [
        (0, 1, 2),
        (1, 2, 0),
        (2, 3, 3),
        (3, 4, 1),
        (4, 5, 4),
        (5, 0, 2),
        (1, 4, 5),
        (3, 0, 0),
        (2, 5, 1),
        (4, 2, 3),
    ]
)
_STOICHIOMETRY = np.eye(6)[:, _REACTIONS[:, 1]] - np.eye(6)[:, _REACTIONS[:, 0]]


def kinetics(state: jax.Array, rates: jax.Array) -> jax.Array:
    """Ten catalysed reactions between six species: operations on arrays."""
    speed = rates * state[_REACTIONS[:, 0]] * (0.1 + state[_REACTIONS[:, 2]])
    return jnp.asarray(_STOICHIOMETRY, state.dtype) @ speed


def vehicle(state: Any, parameters: jax.Array) -> jax.Array:
    """A single-track vehicle with Pacejka tyres: operations on numbers."""
    _, _, yaw, along, across, spin = state
    mass, inertia, front, rear, stiff_f, peak_f, stiff_r, peak_r, drag, steer = parameters
    slip_f = steer - jnp.arctan2(across + front * spin, along)
    slip_r = -jnp.arctan2(across - rear * spin, along)
    force_f = peak_f * jnp.sin(1.3 * jnp.arctan(stiff_f * slip_f))
    force_r = peak_r * jnp.sin(1.3 * jnp.arctan(stiff_r * slip_r))
    return jnp.stack(
        [
            along * jnp.cos(yaw) - across * jnp.sin(yaw),
            along * jnp.sin(yaw) + across * jnp.cos(yaw),
            spin,
            across * spin - (force_f * jnp.sin(steer) + drag * along**2) / mass,
            (force_f * jnp.cos(steer) + force_r) / mass - along * spin,
            (front * force_f * jnp.cos(steer) - rear * force_r) / inertia,
        ]
    )


MODELS: dict[str, tuple[Field, Sequence[float], Sequence[float]]] = {
    "kinetics": (kinetics, [1.0, 0.8, 0.6, 0.4, 0.2, 0.1], np.linspace(0.5, 1.5, 10).tolist()),
    "vehicle": (
        vehicle,
        [0.0, 0.0, 0.1, 10.0, 0.2, 0.1],
        [1.2, 1.5, 1.1, 1.4, 5.0, 6.0, 5.5, 6.5, 0.02, 0.05],
    ),
}


def simulation(field: Field, steps: int, whole: bool, size: float = 0.01) -> Function:
    """A function ``(state, parameters) -> final state``, or the states after every step."""

    def simulate(state: jax.Array, parameters: jax.Array) -> Any:
        def step(state: jax.Array, _: None) -> tuple[jax.Array, jax.Array | None]:
            one = field(state, parameters)
            two = field(state + size / 2 * one, parameters)
            three = field(state + size / 2 * two, parameters)
            four = field(state + size * three, parameters)
            state = state + size / 6 * (one + 2 * two + 2 * three + four)
            return state, state if whole else None

        return lax.scan(step, state, None, steps)[1 if whole else 0]

    return simulate


def contenders(fun: Function, order: str) -> dict[str, Function]:
    return {
        "jacfwd": jax.jacfwd(fun, (0, 1)),
        "jacrev": jax.jacrev(fun, (0, 1)),
        "jacve": graphax.jacve(fun, argnums=(0, 1), body_order=order, kernel=False),
    }


def benchmark(
    name: str, whole: bool, all_steps: Sequence[int], order: str, rounds: int, compiles: int
) -> dict[str, Any]:
    """Time all contenders on one model.

    Args:
        name: the model.
        whole: whether the trajectory is wanted, not the final state alone.
        all_steps: numbers of steps.
        order: of the elimination of the body.
        rounds: how often every contender is run.
        compiles: how often every contender is compiled; the numbers of steps take turns.

    Returns:
        by number of steps the medians of run and compile times in seconds, of the ratio of jacve's run time
        to that of the better of jacfwd and jacrev, and of its compile time to that of the fewest steps.
    """
    field, state, parameters = MODELS[name]
    args = jnp.asarray(state), jnp.asarray(parameters)
    compiled: dict[int, dict[str, Function]] = {steps: {} for steps in all_steps}
    compiling: dict[int, dict[str, list[float]]] = {steps: {} for steps in all_steps}
    for _ in range(compiles):
        for steps in all_steps:
            for key, fun in contenders(simulation(field, steps, whole), order).items():
                seconds, compiled[steps][key] = compile_seconds(fun, args)
                compiling[steps].setdefault(key, []).append(seconds)
    found: dict[str, Any] = {}
    for steps, funs in compiled.items():
        running: dict[str, list[float]] = {key: [run_seconds(fun, args)] for key, fun in funs.items()}
        fastest = min(times[0] for times in running.values())
        for _ in range(rounds):
            for key, fun in funs.items():
                # One run is enough of what is out of the question (jacrev of a trajectory).
                hopeless = running[key][0] > 30 * fastest
                running[key].append(running[key][0] if hopeless else run_seconds(fun, args))
        run = {key: float(np.median(times[1:])) for key, times in running.items()}
        better = min(("jacfwd", "jacrev"), key=lambda key: run[key])
        fewest = compiling[min(all_steps)]["jacve"]
        found[str(steps)] = {
            "run": run,
            "compile": {key: float(np.median(times)) for key, times in compiling[steps].items()},
            "run_ratio": float(np.median(np.divide(running["jacve"][1:], running[better][1:]))),
            "compile_growth": float(np.median(np.divide(compiling[steps]["jacve"], fewest))),
        }
    return found


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark; with `--out`, write `loops.json`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--steps", nargs="+", type=int, default=[10, 1000], help="default 10 1000")
    parser.add_argument("--order", default="reverse", help="elimination order of the body (default reverse)")
    parser.add_argument("--rounds", type=int, default=30, help="runs of every contender (default 30)")
    parser.add_argument("--compiles", type=int, default=3, help="compilations of every contender (default 3)")
    parser.add_argument("--out", type=Path, help="folder for loops.json")
    options = parser.parse_args(argv)

    results: dict[str, Any] = {}
    print(
        f"{'Jacobian of':<22}{'steps':>6}{'jacfwd':>11}{'jacrev':>11}{'jacve':>11}{'/ better':>10}"
        f"{'compile':>10}{'/ fewest':>10}"
    )
    for name in options.models:
        for whole in (False, True):
            title = f"{name}, {'trajectory' if whole else 'final state'}"
            rows = benchmark(name, whole, options.steps, options.order, options.rounds, options.compiles)
            results[title] = rows
            for steps, row in rows.items():
                times = "".join(f"{seconds * 1e3:>8.3f} ms" for seconds in row["run"].values())
                print(
                    f"{title:<22}{steps:>6}{times}{row['run_ratio']:>10.2f}"
                    f"{row['compile']['jacve']:>8.2f} s{row['compile_growth']:>10.2f}",
                    flush=True,
                )
    if options.out:
        table = {"order": options.order, "rounds": options.rounds, "models": results}
        save(options.out / "loops.json", table)


if __name__ == "__main__":
    main()
