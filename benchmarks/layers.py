"""The layers of an agent: their parameters, their time, and what is learned with them, against dense ones.

For every kind of layer, an agent of one width learns a task's elimination order by AlphaZero:

- parameters, in the layers and in the whole agent;
- the time of a forward pass and of a gradient on 64 states, and of an iteration of training, all in
  interleaved rounds, as ratios of medians to the dense agent's;
- the best game of self-play and the mean of the last five iterations, after as many iterations and after as
  long as the dense agent took for these, in multiplications, averaged over seeds. An iteration is a turn of
  `alphagrad.zero.alphazero` that plays games.

The feed-forward matrices of the trained dense agents are then compressed by TT-SVD, without further training:
the divergence of the policy on the states that the dense agent comes to, and the mean cost of games in which
actions are drawn from the policy. At last single layers of larger widths are timed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from measure import run_seconds, save

import graphax
from alphagrad import tasks
from alphagrad.layers import AgentConfig, TTLinear
from alphagrad.layers.transformer import TransformerLayer, modes
from alphagrad.orders.game import CompressedVertexGame
from alphagrad.zero import AlphaZeroConfig, DemonstrationConfig, Training, Turn, alphazero, begin
from alphagrad.zero.agent import Prediction

KINDS = {
    "dense, softmax": {},
    "tensor trains, rank 2": {"feed_forward": "tensor_train", "rank": 2},
    "tensor trains, rank 8": {"feed_forward": "tensor_train", "rank": 8},
    "block terms, rank 8": {"attention": "block_term", "rank": 8},
    "dimensions": {"attention": "dimension"},
}
DENSE = next(iter(KINDS))
STATES, GAMES, LAST = 64, 64, 5
RANKS = (1, 2, 4, 8, 16, 32)
WIDTHS = (64, 512)


def parameters(module: Any) -> int:
    """How many numbers are learned."""
    return sum(leaf.size for leaf in jax.tree.leaves(eqx.filter(module, eqx.is_inexact_array)))


def predictions(game: CompressedVertexGame, agent: Any, states: Any) -> Prediction:
    """The agent's policy and value at every state of a batch."""
    return jax.vmap(lambda state: agent(game.observe(state), game.legal(state)))(states)


@eqx.filter_jit
def play(game: CompressedVertexGame, agent: Any, key: jax.Array) -> tuple[Any, jax.Array]:
    """Games by the agent's policy alone: their states, and the cost of each."""

    def move(states: Any, key: jax.Array) -> Any:
        actions = jax.random.categorical(key, predictions(game, agent, states).logits)
        after, rewards = jax.vmap(game.step)(states, actions)
        return after, (states, rewards)

    start = jax.vmap(lambda _: game.init())(jnp.arange(GAMES))
    _, (states, rewards) = jax.lax.scan(move, start, jax.random.split(key, game.max_steps))
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), states), -rewards.sum(axis=0)


def ratios(runs: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """The medians of interleaved runs, in units of the first one's."""
    for run in runs.values():
        jax.block_until_ready(run())
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            seconds[name].append(run_seconds(run, ()))
    medians = {name: float(np.median(taken)) for name, taken in seconds.items()}
    first = next(iter(medians.values()))
    return {name: round(median / first, 3) for name, median in medians.items()}


def agent_times(game: CompressedVertexGame, agents: dict[str, Any], rounds: int) -> dict[str, Any]:
    """The ratios of the times of forward passes, and of gradients of a loss of policy and value."""
    states, _ = play(game, agents[DENSE], jax.random.key(0))
    states = jax.tree.map(lambda leaf: leaf[:: len(leaf) // STATES][:STATES], states)

    def loss(agent: Any, states: Any) -> jax.Array:
        logits, value, _ = predictions(game, agent, states)
        legal = jax.vmap(game.legal)(states)
        return jnp.mean(jnp.where(legal, jax.nn.log_softmax(logits), 0.0) ** 2) + jnp.mean(value**2)

    passing = eqx.filter_jit(lambda agent, states: predictions(game, agent, states))
    sloping = eqx.filter_jit(eqx.filter_grad(loss))
    return {
        what: ratios({name: lambda a=agent: run(a, states) for name, agent in agents.items()}, rounds)  # noqa: B023
        for what, run in (("forward", passing), ("gradient", sloping))
    }


class Learning:
    """One agent that learns: an iteration at a time, with its costs and its times.

    Attributes:
        costs: of the games of every iteration.
        seconds: of every iteration.
    """

    def __init__(self, game: CompressedVertexGame, config: AlphaZeroConfig, training: Training):
        self.costs: list[np.ndarray] = []
        self.seconds: list[float] = []
        self._turns: Iterator[Turn] = alphazero(game, config, training)
        self.training = training

    def go_on(self) -> None:
        """One iteration; the introduction by demonstrations comes before the first."""
        turn = None
        while turn is None or turn.returns is None:
            start = time.perf_counter()
            turn = jax.block_until_ready(next(self._turns))
            self.training = turn.training
        self.seconds.append(time.perf_counter() - start)
        self.costs.append(-np.asarray(turn.returns))

    def quality(self, iterations: int) -> tuple[float, float]:
        """The cost of the best game, and the mean of the last games."""
        played = self.costs[:iterations]
        return float(np.min(played)), float(np.mean(played[-LAST:]))


def learn(
    game: CompressedVertexGame, configs: dict[str, AlphaZeroConfig], seeds: int, iterations: int
) -> dict[str, list[Learning]]:
    """All agents, in turns; each for `iterations`, and on until it took as long as the dense one."""
    learners = {
        name: [
            Learning(game, config, begin(game, config, jnp.asarray(seed, jnp.int32))) for seed in range(seeds)
        ]
        for name, config in configs.items()
    }
    for _ in range(iterations):
        for seed in range(seeds):
            for found in learners.values():
                found[seed].go_on()
    for name, found in learners.items():
        for learner in found:
            while len(learner.costs) < in_the_same_time(learners, name, iterations):
                learner.go_on()
    return learners


def turn_ratio(learners: dict[str, list[Learning]], name: str, iterations: int) -> float:
    """The median time of an iteration, in units of the dense agent's; those that compile are left out."""
    own, dense = (
        np.median([learner.seconds[min(2, iterations - 1) : iterations] for learner in learners[key]])
        for key in (name, DENSE)
    )
    return float(own / dense)


def in_the_same_time(learners: dict[str, list[Learning]], name: str, iterations: int) -> int:
    """How many iterations this kind makes while the dense agent makes `iterations`."""
    return max(1, round(iterations / turn_ratio(learners, name, iterations)))


def compress(game: CompressedVertexGame, agents: Sequence[Any], width: int) -> list[dict[str, Any]]:
    """The trained dense agents with their feed-forward matrices rounded to trains of some ranks."""
    narrow, wide = modes(width), modes(2 * width, len(modes(width)))
    policy = eqx.filter_jit(lambda agent, states: jax.nn.log_softmax(predictions(game, agent, states).logits))
    rows = []
    for rank in (None, *RANKS):
        divergences, costs, errors, size = [], [], [], 0
        for agent in agents:
            key = jax.random.key(1)
            states, _ = play(game, agent, key)
            trains = [
                train
                for layer in agent.layers
                for train in (
                    TTLinear.from_matrix(layer.widen.weight, narrow, wide, rank, bias=layer.widen.bias),
                    TTLinear.from_matrix(layer.narrow.weight, wide, narrow, rank, bias=layer.narrow.bias),
                )
            ]
            matrices = [half.weight for layer in agent.layers for half in (layer.widen, layer.narrow)]
            rounded = agent
            if rank is not None:
                size = parameters(trains)
                # The same function as that of the trains, in the form of the dense agent: no new compilation.
                rounded = eqx.tree_at(
                    lambda agent: [
                        half.weight for layer in agent.layers for half in (layer.widen, layer.narrow)
                    ],
                    agent,
                    [train.to_matrix() for train in trains],
                )
            else:
                size = parameters([(layer.widen, layer.narrow) for layer in agent.layers])
            errors += [
                float(jnp.linalg.norm(train.to_matrix() - matrix) / jnp.linalg.norm(matrix))
                for train, matrix in zip(trains, matrices, strict=True)
            ]
            before, after = policy(agent, states), policy(rounded, states)
            legal = jax.vmap(game.legal)(states)
            divergence = jnp.sum(jnp.where(legal, jnp.exp(before) * (before - after), 0.0), axis=1)
            divergences.append(float(divergence.mean()))
            costs.append(float(play(game, rounded, key)[1].mean()))
        rows.append(
            {
                "rank": rank,
                "parameters": size,
                "error": round(float(np.mean(errors)), 4),
                "divergence": round(float(np.mean(divergences)), 5),
                "mean": round(float(np.mean(costs)), 1),
            }
        )
    return rows


def wide_layers(length: int, rounds: int) -> list[dict[str, Any]]:
    """Single layers of larger widths: parameters, and times of 8 sequences, in units of the dense layer's."""
    rows = []
    for width in WIDTHS:
        layers = {
            name: eqx.filter_jit(TransformerLayer)(AgentConfig(width, 4, **kind), length, jax.random.key(0))
            for name, kind in KINDS.items()
        }
        tokens = jax.random.normal(jax.random.key(1), (8, length, width))
        passing = eqx.filter_jit(lambda layer, tokens: jax.vmap(layer)(tokens))
        sloping = eqx.filter_jit(eqx.filter_grad(lambda layer, tokens: (jax.vmap(layer)(tokens) ** 2).mean()))
        forward, gradient = (
            ratios({name: lambda k=layer: run(k, tokens) for name, layer in layers.items()}, rounds)  # noqa: B023
            for run in (passing, sloping)
        )
        dense = parameters(layers[DENSE])
        rows += [
            {
                "width": width,
                "layer": name,
                "compression": round(dense / parameters(layer), 2),
                "forward": forward[name],
                "gradient": gradient[name],
            }
            for name, layer in layers.items()
        ]
    return rows


def benchmark(options: argparse.Namespace) -> dict[str, Any]:
    task = tasks.load(options.task)
    game = CompressedVertexGame(graphax.trace(task.fun, task.argnums)(*task.args).counted())
    base = AlphaZeroConfig(
        AgentConfig(options.width, 4), demonstrations=DemonstrationConfig(updates=options.study)
    )
    configs = {name: replace(base, agent=replace(base.agent, **kind)) for name, kind in KINDS.items()}
    learners = learn(game, configs, options.seeds, options.iterations)
    agents: dict[str, Any] = {name: found[0].training.agent for name, found in learners.items()}
    times = agent_times(game, agents, options.rounds)
    rows = []
    for name, agent in agents.items():
        same = in_the_same_time(learners, name, options.iterations)
        fixed, timed = (
            [learner.quality(count) for learner in learners[name]] for count in (options.iterations, same)
        )
        rows.append(
            {
                "layers": name,
                "parameters": [parameters(agent.layers), parameters(agent)],
                "compression": [
                    round(parameters(part(agents[DENSE])) / parameters(part(agent)), 2)
                    for part in (lambda agent: agent.layers, lambda agent: agent)
                ],
                "forward": times["forward"][name],
                "gradient": times["gradient"][name],
                "iteration": round(turn_ratio(learners, name, options.iterations), 3),
                "best": [best for best, _ in fixed],
                "mean": [round(mean, 1) for _, mean in fixed],
                "in the same time": {
                    "iterations": same,
                    "best": [best for best, _ in timed],
                    "mean": [round(mean, 1) for _, mean in timed],
                },
                "curve": np.round(np.mean([a.costs[: options.iterations] for a in learners[name]], (0, 2)), 1)
                .astype(float)
                .tolist(),
            }
        )
    return {
        "task": options.task,
        "width": options.width,
        "tokens": len(agents[DENSE].position),
        "iterations": options.iterations,
        "reverse": game.graph.cost(graphax.orders.reverse(game.graph)).mults,
        "layers": rows,
        "compressed": compress(game, [found.training.agent for found in learners[DENSE]], options.width),
        "single layers": wide_layers(len(agents[DENSE].position), options.rounds),
    }


def show(table: dict[str, Any]) -> None:
    """The table, in multiplications and in units of the dense agent's times."""
    print(f"{table['task']}, width {table['width']}, {table['tokens']} tokens, reverse {table['reverse']}")
    print(f"{'layers':<23}{'parameters':>16}{'forward':>9}{'gradient':>9}{'turn':>7}  best, mean (same time)")
    for row in table["layers"]:
        timed = row["in the same time"]
        print(
            f"{row['layers']:<23}{row['parameters'][0]:>8}{row['parameters'][1]:>8}{row['forward']:>9.2f}"
            f"{row['gradient']:>9.2f}{row['iteration']:>7.2f}  {np.mean(row['best']):.0f}, "
            f"{np.mean(row['mean']):.0f} ({np.mean(timed['best']):.0f}, {np.mean(timed['mean']):.0f})"
        )
    for row in table["compressed"]:
        print("compressed", row)
    for row in table["single layers"]:
        print("single", row)


def plot(table: dict[str, Any], path: Path) -> None:
    """What is learned with each kind, and what compression does to the trained dense agent."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    for row in table["layers"]:
        label = f"{row['layers']} ({row['parameters'][0]:,} parameters)"
        left.plot(np.arange(1, len(row["curve"]) + 1), row["curve"], label=label)
    left.set_xlabel("iterations")
    left.set_ylabel("multiplications, mean of the games")
    left.set_title(f"{table['task']}, agents of width {table['width']}")
    left.legend(fontsize="small")

    whole, *rows = table["compressed"]
    kept = [row["parameters"] / whole["parameters"] for row in rows]
    right.plot(kept, [row["divergence"] for row in rows], "o-", color="tab:blue")
    right.set_xscale("log")
    right.set_xticks(
        kept, [f"{share:.0%}\nrank {row['rank']}" for share, row in zip(kept, rows, strict=True)]
    )
    right.xaxis.minorticks_off()
    right.set_xlabel("parameters kept of the feed-forward matrices")
    right.set_ylabel("divergence of the policy, nats", color="tab:blue")
    other = right.twinx()
    other.plot(kept, [row["mean"] for row in rows], "s--", color="tab:red")
    other.axhline(whole["mean"], color="tab:red", linewidth=0.8)
    other.set_ylabel("multiplications, without search", color="tab:red")
    right.set_title("the trained dense agent, compressed by TT-SVD")
    figure.savefig(path, dpi=110)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", default="Perceptron")
    parser.add_argument("--width", type=int, default=64, help="features of a token (default 64)")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--iterations", type=int, default=30)
    parser.add_argument("--study", type=int, default=40, help="gradient steps on demonstrations (default 40)")
    parser.add_argument("--rounds", type=int, default=20, help="of timing (default 20)")
    parser.add_argument("--out", type=Path, help="a folder for TASK.json and TASK.png")
    options = parser.parse_args(argv)
    start = time.perf_counter()
    table = benchmark(options)
    show(table)
    print(f"{time.perf_counter() - start:.0f} s")
    if options.out:
        save(options.out / f"{options.task}.json", table)
        plot(table, options.out / f"{options.task}.png")


if __name__ == "__main__":
    main()
