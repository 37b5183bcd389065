"""The scalar benchmarks have the published vertex numbers and the published counts.

The oracle here eliminates vertices on a graph of booleans, one per edge, and shares no code with
`graphax`: every equation with a scalar result is a vertex, and every edge costs one multiplication.
"""

import json
from pathlib import Path

import jax
import pytest
from jax.extend.core import Literal

from alphagrad import tasks

PUBLISHED_ORDERS = json.loads((Path(__file__).parent / "published_orders.json").read_text())
EQUATIONS = {
    "RoeFlux_1d": 101,
    "RobotArm_6DOF": 114,
    "HumanHeartDipole": 86,
    "PropaneCombustion": 62,
}
ELIMINABLE = {
    "RoeFlux_1d": 98,
    "RobotArm_6DOF": 108,
    "HumanHeartDipole": 78,
    "PropaneCombustion": 51,
}


class BooleanGraph:
    """Who reads whom: inputs are numbered -1, -2, ..., equations 1, 2, ... by position."""

    def __init__(self, fun, args):
        jaxpr = jax.make_jaxpr(fun)(*args).jaxpr
        self.reads: list[set[int]] = []
        numbers = {variable: -k for k, variable in enumerate(jaxpr.invars, 1)}
        self.outputs = set(self._number_equations(jaxpr, numbers))

        reached = set(numbers.values())
        for vertex, reads in enumerate(self.reads, 1):
            if reads & reached:
                reached.add(vertex)
        useful = set(self.outputs)
        for vertex in range(len(self.reads), 0, -1):
            if vertex in useful:
                useful |= self.reads[vertex - 1]
        live = reached & useful
        self.predecessors = {v: self.reads[v - 1] & live for v in live if v > 0}
        self.successors = {v: {w for w in self.predecessors if v in self.reads[w - 1]} for v in live}
        self.eliminable = sorted(v for v in live if v > 0 and self.successors[v])

    def _number_equations(self, jaxpr, numbers):
        def number(atom):
            return None if isinstance(atom, Literal) else numbers.get(atom)

        for equation in jaxpr.eqns:
            operands = [number(atom) for atom in equation.invars]
            if equation.primitive.name == "jit":
                inner = equation.params["jaxpr"].jaxpr
                results = self._number_equations(inner, dict(zip(inner.invars, operands, strict=True)))
            else:
                self.reads.append({operand for operand in operands if operand is not None})
                results = [len(self.reads)]
            numbers.update(zip(equation.outvars, results, strict=True))
        return [number(atom) for atom in jaxpr.outvars]

    def eliminate(self, order):
        """The multiplications that an order costs; `order` picks the next of a set of vertices."""
        before = {v: set(edges) for v, edges in self.predecessors.items()}
        after = {v: set(edges) for v, edges in self.successors.items()}
        remaining, multiplications = set(self.eliminable), 0
        while remaining:
            v = order(remaining, before, after)
            remaining.remove(v)
            multiplications += len(before[v]) * len(after[v])
            for w in after[v]:
                before[w] = (before[w] - {v}) | before[v]
            for u in before[v]:
                after[u] |= after[v]
                if v not in self.outputs:
                    after[u].discard(v)
            after[v] = set()
        return multiplications


def forward(remaining, before, after):
    return min(remaining)


def reverse(remaining, before, after):
    return max(remaining)


def markowitz(remaining, before, after):
    return min(remaining, key=lambda v: (len(before[v]) * len(after[v]), v))


def as_listed(order):
    vertices = iter(order)
    return lambda remaining, before, after: next(vertices)


@pytest.fixture(params=PUBLISHED_ORDERS)
def task(request):
    return tasks.load(request.param)


@pytest.fixture
def graph(task):
    return BooleanGraph(task.fun, task.args)


def test_one_equation_is_traced_for_each_written_operation(task, graph):
    assert len(graph.reads) == EQUATIONS[task.name]


def test_published_orders_name_exactly_the_eliminable_vertices(task, graph):
    assert len(graph.eliminable) == ELIMINABLE[task.name]
    assert sorted(PUBLISHED_ORDERS[task.name]["order"]) == graph.eliminable


@pytest.mark.parametrize("method", [forward, reverse, markowitz])
def test_heuristic_orders_cost_what_was_published(task, graph, method):
    assert graph.eliminate(method) == task.published[method.__name__]


def test_learned_orders_cost_what_was_published(task, graph):
    listed = PUBLISHED_ORDERS[task.name]
    assert graph.eliminate(as_listed(listed["order"])) == listed["mults"]
    assert listed["mults"] == task.published["learned"]
