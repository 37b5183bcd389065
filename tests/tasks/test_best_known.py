"""The orders that ship are of the tasks they are named after, cost what they say, and beat classical ones."""

import pytest

import graphax
from alphagrad import tasks
from alphagrad.tasks._best_known import CONVENTIONS, ORDERS
from graphax import orders

FILES = sorted(ORDERS.glob("*.json"))


def test_there_are_files_for_tasks_and_conventions_alone():
    assert len(FILES) > 20
    assert {path.stem.rpartition("_")[0] for path in FILES} <= set(tasks.names())
    assert {path.stem.rpartition("_")[2] for path in FILES} <= set(CONVENTIONS)


@pytest.mark.parametrize("name", sorted({path.stem.rpartition("_")[0] for path in FILES}))
def test_shipped_orders_cost_what_they_say_and_less_than_classical_ones(name):
    task = tasks.load(name)
    graph = graphax.trace(task.fun, argnums=task.argnums)(*task.args)
    for convention in CONVENTIONS:
        known = tasks.best_known(name, convention)
        if known is None:
            continue
        if name == "BlackScholes_Jacobian" and known.fingerprint != graph.fingerprint:
            pytest.skip("this release of JAX traces the inner Jacobian otherwise")
        assert known.task == name and known.priced(graph) == known
        priced = graph if convention == "free" else graph.counted()
        classical = min(priced.cost(find(priced)).mults for find in (orders.forward, orders.reverse))
        assert getattr(known, convention) < classical


def test_where_a_classical_order_is_the_best_none_ships():
    assert tasks.best_known("Simple") is None
    assert tasks.best_known("random_scalar") is None


def test_what_is_not_known_is_refused():
    with pytest.raises(ValueError, match="there is no task called 'RoeFlux_2d'; did you mean"):
        tasks.best_known("RoeFlux_2d")
    with pytest.raises(ValueError, match="unit_edges must be 'free' or 'counted', got 'executed'"):
        tasks.best_known("RoeFlux_1d", "executed")
