"""Small random graphs, and the least cost of any of their orders."""

import functools

import graphax
from alphagrad import tasks
from graphax.sparse import ZERO


@functools.cache
def small_graphs(count, most=9):
    """The first graphs of random programs with 1 to ``most`` vertices to eliminate, of numbers or arrays."""
    found = []
    seed = 0
    while len(found) < count:
        operations = 2 + seed // 2 % 9
        kind = "random_tensor" if seed % 2 else "random_scalar"
        inputs, outputs = 1 + seed % min(3, operations), 1 + seed // 3 % 2
        task = tasks.load(f"{kind}:seed={seed},inputs={inputs},operations={operations},outputs={outputs}")
        graph = graphax.trace(task.fun, task.argnums)(*task.args)
        if 1 <= len(graph.eliminable) <= most:
            found.append(graph)
        seed += 1
    return tuple(found)


def in_convention(graph, unit_edges):
    """The graph in the convention of this name."""
    return graph.counted() if unit_edges == "counted" else graph


def least_cost(graph):
    """The multiplications of the cheapest of all orders: all are followed, equal remainders once."""
    table, edges = graph.interned()

    @functools.cache
    def rest(edges, vertices):
        if not vertices:
            return 0
        costs = []
        for vertex in vertices:
            left, mults = _without(dict(edges), vertex, vertex in graph.output_vertices, table)
            costs.append(mults + rest(frozenset(left.items()), vertices - {vertex}))
        return min(costs)

    return rest(frozenset(edges.items()), frozenset(graph.eliminable))


def _without(edges, vertex, is_output, table):
    """The edges when a vertex is gone, and the multiplications that this takes."""
    into = {source: edge for (source, target), edge in edges.items() if target == vertex}
    out_of = {target: edge for (source, target), edge in edges.items() if source == vertex}
    total = 0
    for target, outer in out_of.items():
        del edges[vertex, target]
        for source, inner in into.items():
            product, mults, _ = table.compose(outer, inner)
            total += mults
            if product != ZERO:
                known = edges.get((source, target))
                edges[source, target] = product if known is None else table.add(known, product)[0]
    if not is_output:
        for source in into:
            del edges[source, vertex]
    return edges, total
