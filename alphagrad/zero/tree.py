"""Tree search over the true dynamics of a game, guided by an agent.

Where MuZero would learn a model of the game, the tree here holds the states of the game itself, as in
AlphaZero (Silver et al. 2018). A node may hold all actions or, where they are too many, a menu of them that
was drawn from the agent's policy (Sampled MuZero, Hubert et al. 2021, arXiv 2104.06303).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import mctx
from jaxtyping import Array, Bool, Float, Int

from .agent import Agent, Prediction
from .game import Game, State, advance

# Dataclasses of chex hide their fields from type checkers.
_Root: Any = mctx.RootFnOutput
_Step: Any = mctx.RecurrentFnOutput

_METHODS = ("gumbel", "visits")


@dataclass(frozen=True)
class SearchConfig:
    """How far the search looks.

    Raises:
        ValueError: when a number is out of range, or there is no such method.

    Example:
        >>> from alphagrad import zero
        >>> zero.SearchConfig(simulations=32, considered=16).method
        'gumbel'

    Gumbel MuZero: I. Danihelka, A. Guez, J. Schrittwieser and D. Silver, "Policy improvement by planning with
    Gumbel", ICLR 2022. Visit counts: D. Silver et al., Science 362, 2018.
    """

    simulations: int = field(default=8, metadata={"help": "states that a search evaluates for one move"})
    considered: int = field(default=8, metadata={"help": "actions at the root that share the simulations"})
    value_scale: float = field(
        default=0.1, metadata={"help": "how much the improved policy trusts values over the prior policy"}
    )
    method: str = field(
        default="gumbel",
        metadata={
            "help": "'gumbel': Gumbel MuZero's search and policy; 'visits': AlphaZero's, by visit counts",
            "choices": _METHODS,
        },
    )
    smooth_from: int = field(
        default=8,
        metadata={"help": "method=visits: number of visits from which on the policy is smoothed"},
    )
    noise: float = field(
        default=0.25, metadata={"help": "method=visits: share of Dirichlet noise in the root's policy"}
    )

    def __post_init__(self):
        if min(self.simulations, self.considered) < 1:
            raise ValueError("search.simulations and search.considered must be at least 1")
        if self.value_scale <= 0:
            raise ValueError(f"search.value_scale={self.value_scale} must be positive")
        if self.method not in _METHODS:
            raise ValueError(f"search.method={self.method} must be one of {', '.join(_METHODS)}")
        if self.smooth_from < 2:
            raise ValueError(f"search.smooth_from={self.smooth_from} must be at least 2")
        if not 0 <= self.noise <= 1:
            raise ValueError(f"search.noise={self.noise} must lie between 0 and 1")


class Plan(NamedTuple):
    """What a search suggests at every state of a batch.

    Attributes:
        action: to be taken.
        policy: the improved policy over the menu, which the agent's is trained towards.
        menu: the actions of the menu; None if they are numbered through.
    """

    action: Int[Array, "batch ..."]
    policy: Float[Array, "batch num_actions"]
    menu: Int[Array, "batch num_actions ..."] | None


class Forbidden(NamedTuple):
    """Actions that must not be taken at the states of a batch.

    Attributes:
        actions: some actions for each state.
        whether: which of them must not be taken.
    """

    actions: Int[Array, "batch some ..."]
    whether: Bool[Array, "batch some"]


class _Node(NamedTuple):
    """What the tree holds at a node, for a batch of trees."""

    states: State
    menus: Any


def predict(game: Game, agent: Agent, states: State, key: Array) -> Prediction:
    """What the agent thinks of every state of a batch."""
    keys = jax.random.split(key, len(jax.tree.leaves(states)[0]))
    return jax.vmap(lambda state, key: agent(game.observe(state), game.legal(state), key))(states, keys)


def search(
    game: Game,
    agent: Agent,
    states: State,
    key: Array,
    config: SearchConfig,
    reward_scale: Array | float,
    forbidden: Forbidden | None = None,
) -> Plan:
    """Looks for a better policy than the agent's at every state of a batch.

    With `method="gumbel"` search and improved policy are those of Gumbel MuZero (Danihelka et al. 2022,
    *Policy improvement by planning with Gumbel*). With `method="visits"` they are AlphaZero's, and the counts
    N(s, a) are smoothed as in AlphaTensor (Fawzi et al. 2022): the policy is proportional to
    N(s, a)^(1/t) with t = log N(s) / log `smooth_from`, and t = 1 for fewer visits N(s) than that.

    Args:
        game: whose dynamics the tree follows.
        agent: gives priors over actions and values of states.
        states: a batch of states.
        key: for all chance: menus, and the noise which makes the choice of actions a sample of the policy.
        config: how far to look.
        reward_scale: rewards are divided by it to be in the units of the agent's values.
        forbidden: actions that must not be taken at these states, as long as the menu holds any other.
    """
    key_root, key_search = jax.random.split(key)

    def expand(agent, key, choices, node):
        states, menus = jax.lax.optimization_barrier(node)
        actions = _pick(menus, choices)
        after, rewards = jax.vmap(partial(advance, game))(states, actions)
        after = jax.lax.optimization_barrier(after)
        over = jax.vmap(game.is_over)(after)
        prediction = jax.lax.optimization_barrier(predict(game, agent, after, key))
        output = _Step(
            reward=rewards / reward_scale,
            discount=1.0 - over,
            prior_logits=prediction.logits,
            value=jnp.where(over, 0.0, prediction.value),
        )
        return output, _Node(after, prediction.menu)

    prediction = predict(game, agent, states, key_root)
    root = _Root(
        prior_logits=prediction.logits,
        value=prediction.value,
        embedding=_Node(states, prediction.menu),
    )
    invalid = ~jax.vmap(game.legal)(states)
    if forbidden is not None:
        fewer = invalid | _on_menu(prediction.menu, forbidden, game.num_actions)
        invalid = jnp.where(jnp.all(fewer, axis=1, keepdims=True), invalid, fewer)
    arguments = {
        "params": cast(Any, agent),  # mctx's types know of dictionaries of arrays, not of modules
        "rng_key": key_search,
        "root": root,
        "recurrent_fn": expand,
        "num_simulations": config.simulations,
        "invalid_actions": invalid,
    }
    found: Any
    if config.method == "gumbel":
        found = mctx.gumbel_muzero_policy(
            **arguments,
            qtransform=partial(mctx.qtransform_completed_by_mix_value, value_scale=config.value_scale),
            max_num_considered_actions=min(config.considered, game.num_actions),
        )
        policy = found.action_weights
    else:
        found = mctx.muzero_policy(**arguments, dirichlet_fraction=config.noise)
        counts = found.search_tree.summary().visit_counts
        policy = _smoothed(counts.astype(jnp.float32), config.smooth_from)
    return Plan(_pick(prediction.menu, found.action), policy, prediction.menu)


def _pick(menus: Any, choices: Int[Array, "batch"]) -> Int[Array, "batch ..."]:
    """The chosen action of every menu."""
    if menus is None:
        return choices
    return jax.vmap(lambda menu, choice: menu[choice])(menus, choices)


def _on_menu(menus: Any, forbidden: Forbidden, num_actions: int) -> Bool[Array, "batch num_actions"]:
    """Which actions of every menu are forbidden."""
    if menus is None:
        menus = jnp.broadcast_to(jnp.arange(num_actions), (len(forbidden.whether), num_actions))
    entries = tuple(range(3, menus.ndim + 1))
    alike = jnp.all(menus[:, :, None] == forbidden.actions[:, None], axis=entries)
    return jnp.any(alike & forbidden.whether[:, None], axis=2)


def _smoothed(counts: Float[Array, "batch num_actions"], smooth_from: int) -> Array:
    total = jnp.sum(counts, axis=1, keepdims=True)
    temperature = jnp.maximum(1.0, jnp.log(total) / math.log(smooth_from))
    powers = counts ** (1 / temperature)
    return powers / jnp.sum(powers, axis=1, keepdims=True)
