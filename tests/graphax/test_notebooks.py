"""What notebooks and prompts show of graphs, blocks, patterns, orders and measurements."""

import dataclasses
import math
import re
import time
from html.parser import HTMLParser

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn_graphs import trace

import graphax
from graphax import orders
from graphax.tuning._tune import Measured, Tuning

X = np.array([0.3, 1.2, 0.7])
HOSTILE = "</td><script>alert(1)</script><b onclick='x'>&\""


def stencil(u):
    return jnp.sin(u) * (jnp.roll(u, -1) - jnp.roll(u, 1))


class Shown(HTMLParser):
    """HTML whose elements are all closed: which they are, and its text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.text = [], [], ""
        self.feed(text)
        assert not self.open
        assert "script" not in self.tags and "link" not in self.tags
        for style in re.findall(r"<style>(.*?)</style>", text, re.S):  # it styles its own picture alone
            assert all(".graphax-drawing" in rule for rule in re.findall(r"([^{}@]+)\{[^{}]*:", style))

    def handle_starttag(self, tag, attrs):
        assert not any(name.startswith("on") for name, _ in attrs)
        self.tags.append(tag)
        self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data + " "


def test_graphs_are_a_line_where_they_are_evaluated_and_a_text_where_they_are_printed():
    graph = trace("RobotArm_6DOF")
    assert repr(graph) == (
        "ComputationalGraph(114 vertices, 108 eliminable, 190 edges, 6 inputs, 6 outputs, unit edges free)"
    )
    assert repr(graph.counted()).endswith("unit edges counted)")
    assert len(str(graph).splitlines()) > 100


def test_notebooks_show_small_graphs_as_pictures_and_tell_of_large_ones():
    graph = trace("RobotArm_6DOF")
    assert Shown(graph._repr_html_()).tags.count("svg") == 1
    large = trace("random_scalar:seed=1,operations=400,inputs=8,outputs=5")
    shown = Shown(large._repr_html_())
    assert "svg" not in shown.tags and "400" in shown.text and "graphax.draw(graph)" in shown.text


@pytest.mark.parametrize("fun", [lambda x: x, jnp.floor, lambda x: jnp.sin(x)])
def test_graphs_without_edges_are_shown_too(fun):
    graph = graphax.trace(fun)(X)
    Shown(graph._repr_html_())
    assert "edges" in repr(graph)


def test_notebooks_show_where_the_entries_of_a_block_are():
    block = graphax.jacve(stencil, sparse=True)(jnp.ones(12))
    shown = Shown(block._repr_html_())
    assert "svg" in shown.tags
    for told in ("(12,)", "float64", "36", "0.25"):
        assert told in shown.text
    pattern = graphax.sparse.Pattern.of(block)
    shown = Shown(pattern._repr_html_())
    assert "svg" in shown.tags and "36" in shown.text


def test_large_blocks_are_shown_at_once_and_larger_ones_without_a_picture():
    large = graphax.jacve(stencil, sparse=True)(jnp.ones(100_000))
    start = time.perf_counter()
    text = large._repr_html_()
    assert time.perf_counter() - start < 5 and len(text) < 50_000  # it takes a tenth of a second
    larger = graphax.jacve(stencil, sparse=True)(jnp.ones(1_000_000))
    shown = Shown(larger._repr_html_())
    assert "svg" not in shown.tags and "<= 3000000" in shown.text


def test_pictures_of_what_is_scattered_are_small():
    rows, columns = np.nonzero(np.indices((200, 200)).sum(0) % 2)
    text = graphax.sparse.Pattern((200,), (200,), rows, columns)._repr_html_()
    assert len(text) < 400_000


def test_pictures_of_a_single_row_can_be_seen():
    text = graphax.jacve(lambda u: jnp.sum(u**2), sparse=True)(jnp.ones(1000))._repr_html_()
    assert 'width="480" height="6"' in text


def test_blocks_are_shown_while_they_are_traced_batched_or_empty():
    seen = []

    def taken(x, at):
        block = graphax.jacve(lambda x: x[at] * 2, sparse=True)(x)
        seen.append((repr(block), block._repr_html_()))
        return block

    found = jax.jit(taken)(jnp.ones(5), jnp.array([1, 2]))
    many = jax.jit(jax.vmap(taken))(jnp.ones((2, 5)), jnp.array([[1, 2], [2, 3]]))
    assert len(seen) == 2 and all("svg" not in Shown(text).tags for _, text in seen)
    assert "svg" in Shown(found._repr_html_()).tags
    shown = Shown(many._repr_html_())  # at other places in each
    assert "(2,)" in shown.text and "<= 2" in shown.text and "svg" not in shown.tags
    batched = jax.vmap(graphax.jacve(jnp.sin, sparse=True))(jnp.ones((4, 3)))
    assert "batch" in Shown(batched._repr_html_()).text
    for shape in ((0,), (3, 0)):
        empty = graphax.jacve(jnp.sin, sparse=True)(jnp.ones(shape))
        assert "svg" not in Shown(empty._repr_html_()).tags and len(repr(empty)) < 200


def test_orders_tell_what_they_cost_and_where_they_come_from():
    graph = trace("RobotArm_6DOF")
    order = orders.Order(
        graph.fingerprint, orders.markowitz(graph), 277, 179, "anneal", 0, 1.5, "RobotArm_6DOF"
    )
    assert repr(order) == (
        "Order(108 vertices, 277 multiplications counted, 179 free, "
        "task='RobotArm_6DOF', method='anneal', seed=0, seconds=1.5)"
    )
    shown = Shown(order._repr_html_())
    for told in ("277", "179", "anneal", "RobotArm_6DOF", graph.fingerprint[:12]):
        assert told in shown.text
    assert len(order._repr_html_()) < 5000
    Shown(dataclasses.replace(order, order=(), task=None, seed=None)._repr_html_())
    assert "<script>" in Shown(dataclasses.replace(order, method=HOSTILE, task=HOSTILE)._repr_html_()).text


def test_measurements_are_tables():
    ways = {"kernel": Measured(1e-6, 0.2), HOSTILE: Measured(math.nan, why_not=HOSTILE)}
    shown = Shown(Tuning(HOSTILE, "cpu", ways, "kernel", None)._repr_html_())
    assert "1 us" in shown.text and "<- taken" in shown.text and shown.text.count("<script>") == 3
    assert "table" in Shown(graphax.explain(jnp.sin)(X)._repr_html_()).tags
