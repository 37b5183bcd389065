"""The vertex game: states, rewards, observations, speed."""

import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_graphs import in_convention

import graphax
from alphagrad import tasks
from alphagrad.orders.game import VertexGame
from graphax.choose import elimination_nanoseconds


def make(name, unit_edges="counted"):
    task = tasks.load(name)
    return VertexGame(in_convention(graphax.trace(task.fun, task.argnums)(*task.args), unit_edges))


def play(game, order):
    actions = np.array([game.vertices.index(vertex) for vertex in order])
    return jax.lax.scan(game.step, game.init(), actions)


@pytest.mark.parametrize("unit_edges", ["counted", "free"])
@pytest.mark.parametrize("name", ["RoeFlux_1d", "RoeFlux_3d", "Perceptron", "random_tensor"])
def test_returns_are_minus_the_costs(name, unit_edges):
    game = make(name, unit_edges)
    rng = np.random.default_rng(0)
    orders = [graphax.orders.forward(game.graph), graphax.orders.reverse(game.graph)]
    orders += [rng.permutation(game.vertices).tolist() for _ in range(6)]
    actions = jnp.array([[game.vertices.index(vertex) for vertex in order] for order in orders])
    run = jax.jit(jax.vmap(lambda a: jax.lax.scan(game.step, game.init(), a)))
    states, rewards = run(actions)
    assert [-int(r) for r in rewards.sum(1)] == [game.graph.cost(o).mults for o in orders]
    assert jax.vmap(game.is_over)(states).all() and not jax.vmap(game.legal)(states).any()


@pytest.mark.parametrize("name", ["RoeFlux_1d", "random_tensor"])
def test_returns_are_minus_the_time_that_an_elimination_is_estimated_to_take(name):
    task = tasks.load(name)
    game = VertexGame(graphax.trace(task.fun, task.argnums)(*task.args), objective="time")
    for order in (graphax.orders.forward(game.graph), graphax.orders.reverse(game.graph)):
        _, rewards = play(game, order)
        assert -float(rewards.sum()) == pytest.approx(elimination_nanoseconds(game.graph, order), rel=1e-5)


def test_time_is_of_what_is_executed():
    graph = graphax.trace(lambda x: jnp.sin(x) * jnp.cos(x))(1.0)
    with pytest.raises(ValueError, match="executed"):
        VertexGame(graph.counted(), objective="time")
    with pytest.raises(ValueError, match="objective='seconds' must be one of"):
        VertexGame(graph, objective="seconds")


def test_a_finished_game_holds_the_jacobians_structure_and_nothing_else():
    game = make("RoeFlux_1d")
    state, _ = play(game, graphax.orders.reverse(game.graph))
    edges = np.array(state.edges)
    inputs, outputs = game.num_inputs, sorted(game.graph.output_vertices)
    columns = [game.graph.vertices.index(vertex) for vertex in outputs]
    assert (edges[:inputs, columns] > 0).all()
    edges[:inputs, columns] = 0
    assert not edges.any()


def test_an_output_that_others_read_keeps_its_in_edges():
    graph = graphax.trace(lambda x: (y := jnp.sin(x), jnp.cos(y)))(1.0)
    game = VertexGame(graph.counted())
    state, reward = game.step(game.init(), 0)
    assert reward == -1 and (np.asarray(state.edges)[0] > 0).all() and game.is_over(state)


def test_illegal_actions_change_nothing_and_cost_nothing():
    game = make("HumanHeartDipole")
    first, _ = game.step(game.init(), 5)
    assert not game.legal(first)[5] and game.legal(first).sum() == game.num_actions - 1
    second, reward = game.step(first, 5)
    assert reward == 0
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), first, second))


def test_observations_describe_the_edges():
    game = make("RoeFlux_3d")
    state = game.init()
    tensor = np.asarray(game.observe(state))
    rows = game.num_inputs + game.num_vertices
    assert tensor.shape == (rows, game.num_vertices, game.num_features)
    exists = np.asarray(state.edges) > 0
    assert (tensor[..., 0] == exists).all() and not tensor[~exists].any()
    assert exists.sum() == len(game.graph.edges)
    nodes = game.graph.inputs + game.graph.vertices
    for (source, target), structure in game.graph.edges.items():
        features = tensor[nodes.index(source), game.graph.vertices.index(target)]
        kinds = features[1:5]
        assert set(np.flatnonzero(kinds)) == {int(term.kind) for term in structure.terms}
        assert features[6] == pytest.approx(np.log10(1 + np.prod(structure.out_shape)))


def test_graphs_that_need_too_many_structures_get_upper_bounds_and_a_warning():
    task = tasks.load("Perceptron")
    graph = graphax.trace(task.fun, task.argnums)(*task.args).counted()
    with pytest.warns(UserWarning, match="more than 20 edge structures"):
        game = VertexGame(graph, limit=20)
    order = graphax.orders.reverse(graph)
    assert not game.exact
    assert -play(game, order)[1].sum() >= graph.cost(order).mults


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="no vertex to eliminate"):
        VertexGame(graphax.trace(jnp.sin)(1.0))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "at_least"), [("RoeFlux_1d", 50_000), ("Encoder", 10_000)])
def test_steps_a_second(name, at_least):
    game, batch = make(name), 256
    rng = np.random.default_rng(0)
    actions = jnp.array([rng.permutation(game.num_actions) for _ in range(batch)]).T
    start = jax.vmap(lambda _: game.init())(jnp.arange(batch))
    step = jax.jit(jax.vmap(game.step))
    jax.block_until_ready(step(start, actions[0]))
    rates = []
    for _ in range(5):
        state, begin = start, time.perf_counter()
        for action in actions:
            state, _ = step(state, action)
        jax.block_until_ready(state)
        rates.append(batch * game.num_actions / (time.perf_counter() - begin))
    print(f"\n{name}: {np.median(rates):,.0f} steps a second")
    assert np.median(rates) >= at_least
