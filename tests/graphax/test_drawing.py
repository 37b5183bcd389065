"""Pictures of graphs, and the page that steps through an elimination."""

import importlib
import itertools
import json
import os
import re
import time
import tomllib
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn_graphs import HOSTILE, ODD, X, hostile_graph, trace
from small_graphs import in_convention

import graphax
from alphagrad import tasks
from graphax import draw, orders
from graphax.drawing._edges import Form, form_of
from graphax.drawing._layout import lay_out
from graphax.sparse import dense, identity

SVG = "{http://www.w3.org/2000/svg}"
TASKS = ("RoeFlux_1d", "Encoder", "RobotArm_6DOF")


def parts(svg, name, attribute):
    """What a well-formed picture holds of nodes or edges, by their attribute."""
    found = [element for element in ET.fromstring(svg).iter(SVG + name) if attribute in element.attrib]
    keys = [element.get(attribute) for element in found]
    assert len(keys) == len(set(keys))
    return dict(zip(keys, found, strict=True))


class Scripts(HTMLParser):
    """The text of the script elements of a page, and the addresses that it names."""

    def __init__(self, page):
        super().__init__()
        self.texts, self.addresses, self.inside = [], [], False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.inside = tag == "script"
        self.addresses += [value for name, value in attrs if name in ("src", "href", "action")]
        if self.inside:
            self.texts.append("")

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.texts[-1] += data


def embedded(drawing):
    return json.loads(Scripts(drawing.html).texts[0])


def triples(flat):
    return zip(*[iter(flat)] * 3, strict=True)


@pytest.mark.parametrize("order", [None, "markowitz"])
@pytest.mark.parametrize("name", TASKS)
def test_the_picture_has_a_node_for_every_vertex_and_an_edge_for_every_edge(name, order):
    graph = trace(name)
    drawing = draw(graph, order)
    nodes, edges = {*graph.inputs, *graph.vertices}, set(graph.edges)
    assert set(parts(drawing.svg, "g", "data-node")) == set(map(str, nodes))
    assert set(parts(drawing.svg, "path", "data-edge")) == {f"{u},{w}" for u, w in edges}
    data = embedded(drawing)
    assert {node for node, *_ in data["nodes"]} == nodes
    assert {(u, w) for u, w, _ in triples(data["edges"])} == edges and len(data["routes"]) == len(edges)


@pytest.mark.parametrize("name", [*TASKS, *(f"random_tensor:seed={seed}" for seed in range(5))])
def test_layers_respect_the_direction_of_edges_and_boxes_do_not_overlap(name):
    graph = trace(name)
    widths = {node: 40.0 + node % 3 * 20 for node in (*graph.inputs, *graph.vertices)}
    layout = lay_out(widths, graph.edges, graph.inputs)
    for source, target in graph.edges:
        assert layout.layer[source] < layout.layer[target]
        heights = [y for _, y in layout.route[source, target]]
        assert layout.centre[source][1] < heights[0] and heights == sorted(heights)
        assert heights[-1] < layout.centre[target][1]
    assert {layout.layer[node] for node in graph.inputs} == {0}
    assert {layout.layer[n] for n in set(graph.vertices) - set(graph.eliminable)} == {
        max(layout.layer.values())
    }
    rows = {}
    for node, (x, y) in layout.centre.items():
        assert 0 < y < layout.height
        rows.setdefault(y, []).append((x - widths[node] / 2, x + widths[node] / 2))
    for row in map(sorted, rows.values()):
        assert row[0][0] > 0 and row[-1][1] < layout.width
        assert all(left[1] < right[0] for left, right in itertools.pairwise(row))


def test_the_picture_of_a_planar_graph_has_no_crossings_and_straight_long_edges():
    edges = [(-1, 1), (1, 2), (2, 3), (3, 4), (-2, 4), (-1, 4)]
    layout = lay_out({node: 40.0 for node in (-1, -2, 1, 2, 3, 4)}, edges, (-1, -2))
    for edge in ((-2, 4), (-1, 4)):
        assert len({x for x, _ in layout.route[edge][1:-1]}) == 1  # vertical past the layers
    middle = {edge: layout.route[edge][2][0] for edge in ((-2, 4), (-1, 4))}
    assert (layout.centre[-1][0] < layout.centre[-2][0]) == (middle[-1, 4] < middle[-2, 4])


@pytest.mark.parametrize("unit_edges", ["free", "counted"])
@pytest.mark.parametrize("name", TASKS)
def test_the_steps_of_the_page_add_up_to_the_cost_of_the_order(name, unit_edges):
    graph = in_convention(trace(name), unit_edges)
    for order in (orders.reverse(graph), orders.markowitz(graph)):
        data = embedded(draw(graph, order))
        assert [vertex for vertex, *_ in data["sides"][0]] == list(order)
        totals = tuple(sum(step[at] for step in data["sides"][0]) for at in (1, 2))
        assert totals == graph.cost(order)


def final_edges(data):
    """The edges that are left when the page's steps have been taken."""
    edges = {(u, w) for u, w, _ in triples(data["edges"])}
    for vertex, _, _, changed in data["sides"][0]:
        edges |= {(u, w) for u, w, _ in triples(changed)}
        edges -= {(u, w) for u, w in edges if u == vertex or (w == vertex and w not in data["outputs"])}
    return edges


@pytest.mark.parametrize(
    "name", ["RobotArm_6DOF", *(f"random_tensor:seed={s},operations=8" for s in range(3))]
)
def test_what_is_left_at_the_end_is_the_pattern_of_the_jacobian(name):
    task = tasks.load(name)
    graph = graphax.trace(task.fun, task.argnums)(*task.args)
    edges = final_edges(embedded(draw(graph, "markowitz")))
    assert edges <= {(u, w) for u in graph.inputs for w in graph.output_vertices}
    jacobian = jax.tree.leaves(jax.jit(jax.jacrev(task.fun, task.argnums))(*task.args))
    pairs = [(u, w) for w in graph.outputs for u in graph.inputs]
    for pair, block in zip(pairs, jacobian, strict=True):
        assert pair in edges or not np.any(block)


def test_forms_of_edges():
    assert form_of(dense((3,), (4,))) is Form.DENSE
    assert form_of(identity((3,))) is Form.TIED
    assert form_of(identity(())) is Form.DENSE

    def form(fun, x=X):
        (edge,) = graphax.trace(fun)(x).edges.values()
        return form_of(edge)

    assert form(jnp.sin) is Form.TIED
    assert form(lambda x: x[1:]) is Form.TIED
    assert form_of(graphax.jacve(lambda x: jnp.roll(x, 1), sparse=True)(X).structure) is Form.SUM
    assert form(lambda x: jnp.prod(x)) is Form.DENSE


@pytest.mark.parametrize("name", ODD)
def test_odd_graphs_can_be_drawn(name):
    graph = graphax.trace(ODD[name])(X)
    for order in (None, "reverse"):
        drawing = draw(graph, order)
        nodes = parts(drawing.svg, "g", "data-node")
        assert set(nodes) == {str(node) for node in (*graph.inputs, *graph.vertices)}
        marked = {number for number, node in nodes.items() if "output" in node.get("class").split()}
        assert marked == {str(node) for node in graph.outputs if node is not None}
        assert len(embedded(drawing)["sides"][0]) == (len(graph.eliminable) if order else 0)


def test_a_function_without_array_arguments_can_be_drawn():
    graph = graphax.trace(lambda x: 2.0 * jnp.ones(3))(())
    assert not parts(draw(graph, "reverse").svg, "g", "data-node")


def test_vertices_are_shaded_by_when_they_go():
    graph = trace("RobotArm_6DOF")
    order = orders.reverse(graph)
    nodes = parts(draw(graph, order).svg, "g", "data-node")

    def fill(vertex):
        style = next(box for box in nodes[str(vertex)] if box.get("class") == "box").get("style", "")
        return style.removeprefix("fill:")

    assert (fill(order[0]), fill(order[-1])) == ("#fde725", "#440154")
    light = [sum(int(fill(vertex)[at : at + 2], 16) for at in (1, 3, 5)) for vertex in order]
    assert light == sorted(light, reverse=True)
    assert not any(fill(vertex) for vertex in set(graph.vertices) - set(order))
    plain = draw(graph).svg
    assert "fill:#" not in plain


def test_tooltips_tell_equation_shape_source_and_structure():
    def fun(x, m):
        return m @ jnp.sin(x)

    graph = graphax.trace(fun, (0, 1))(X, np.ones((4, 3)))
    svg = draw(graph, "forward").svg
    title = parts(svg, "g", "data-node")["1"].find(SVG + "title").text
    (line,) = [line for line in str(graph).splitlines() if " sin " in line]
    equation = re.search(r"\w+:f64\[3\] = sin \w+", line)[0]
    assert title.startswith("vertex 1: sin") and equation in title
    assert "test_drawing.py:" in title and "fun)" in title and os.sep not in title
    assert "goes in step 1 of 1: 12 multiplications, 0 additions" in title
    title = parts(svg, "path", "data-edge")["1,2"].find(SVG + "title").text
    assert "edge 1 → 2" in title and "(a) <- (b) value" in title and "holds 12 numbers" in title
    assert "input 2" in parts(svg, "g", "data-node")["-2"].find(SVG + "title").text


def test_the_page_tells_the_line_of_code_that_a_vertex_comes_from(tmp_path):
    def fun(x):
        return jnp.sin(x) * 2  # a line to be read

    data = embedded(draw(graphax.trace(fun)(X), "forward"))
    places = {place.split(":")[0]: code for place, code in data["lines"]}
    assert places == {"test_drawing.py": "return jnp.sin(x) * 2  # a line to be read"}
    assert all(os.sep not in place for place, _ in data["lines"])
    scope = {"jnp": jnp}
    for name, shown in (("/tmp/ipykernel_12/345.py", "notebook:1"), ("a" * 400 + ".py", "…a")):
        exec(compile("f = lambda x: jnp.sin(x)", name, "exec"), scope)
        ((place, code),) = embedded(draw(graphax.trace(scope["f"])(X)))["lines"]
        assert place.startswith(shown) and code == "" and len(place) < 150


def test_two_orders_share_a_page():
    graph = trace("RobotArm_6DOF")
    drawing = draw(graph, "markowitz", beside=orders.reverse(graph))
    data = embedded(drawing)
    for steps, order in zip(data["sides"], (orders.markowitz(graph), orders.reverse(graph)), strict=True):
        assert [vertex for vertex, *_ in steps] == list(order)
        assert sum(step[1] for step in steps) == graph.cost(order).mults
        assert {at for step in steps for *_, at in triples(step[3])} <= set(range(len(data["structures"])))
    assert drawing.svg == draw(graph, "markowitz").svg
    assert "markowitz order: 179 multiplications" in drawing.html and "order as given: 221" in drawing.html
    assert len(drawing.html) < 1.2 * len(draw(graph, "markowitz").html)  # the graph is there once


def test_wider_edges_hold_more_numbers():
    def width(size):
        graph = graphax.trace(jnp.sin)(np.ones(size))
        return float(parts(draw(graph).svg, "path", "data-edge")["-1,1"].get("stroke-width"))

    widths = [width(size) for size in (1, 10, 1000, 10**6)]
    assert widths == sorted(widths) and len(set(widths)) > 2 and widths[-1] <= 6 * widths[0]


def test_user_text_is_escaped():
    graph = hostile_graph()
    drawing = draw(graph, "reverse")
    root = ET.fromstring(drawing.svg)
    assert "onerror" in "".join(root.itertext())  # it is there, as text
    assert {element.tag for element in root.iter()} <= {
        SVG + tag for tag in ("svg", "style", "rect", "g", "path", "text", "title", "circle")
    }
    scripts = Scripts(drawing.html)
    assert len(scripts.texts) == 2 and "hacked" not in scripts.texts[1]
    assert not re.search(r"[<>&]", scripts.texts[0])
    assert any("<img src=x" in place for place, _ in embedded(drawing)["lines"])
    assert "<img" not in drawing.html
    record = orders.Order(graph.fingerprint, graph.eliminable, 0, 0, method=HOSTILE, task=HOSTILE)
    drawing = draw(graph, record)
    ET.fromstring(drawing.svg)
    assert len(Scripts(drawing.html).texts) == 2


def test_the_page_needs_no_network():
    page = draw(trace("RobotArm_6DOF"), "reverse").html
    assert Scripts(page).addresses == ["#step=0"]  # the link to a step
    assert "@import" not in page and "url(" not in page and "fetch(" not in page
    assert set(re.findall(r"https?://[^\s\"'<]+", page)) == {"http://www.w3.org/2000/svg"}
    for button in re.findall(r"<button[^>]*>", page):
        assert "aria-label=" in button


def test_style_sheets_scripts_and_templates_are_shipped():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["*"]
    names = {Path(file.name) for file in files("graphax.drawing").iterdir() if file.is_file()}
    data = {name for name in names if name.suffix not in (".py", ".pyc")}
    assert {str(name) for name in data} == {
        *("elimination.js", "pane.js", "page.js", "page.css", "page.html", "picture.css")
    }
    assert all(any(name.match(pattern) for pattern in patterns) for name in data)


def test_draw_is_a_function_and_no_folder():
    importlib.import_module("graphax.drawing")
    assert callable(graphax.draw) and graphax.draw is graphax.drawing.draw


def test_files_are_written_by_suffix(tmp_path):
    drawing = draw(graphax.trace(ODD["a loop"])(X), "reverse")
    drawing.save(tmp_path / "a.svg")
    drawing.save(str(tmp_path / "deep" / "b.HTML"))
    assert (tmp_path / "a.svg").read_text(encoding="utf-8").strip() == drawing.svg
    assert (tmp_path / "deep" / "b.HTML").read_text(encoding="utf-8").strip() == drawing.html.strip()
    for path in ("c.png", "svg", ""):
        with pytest.raises(ValueError, match=r"must end in \.svg .* or \.html"):
            drawing.save(path)
    assert sorted(os.listdir(tmp_path)) == ["a.svg", "deep"]


def test_notebooks_show_the_page_in_a_frame_of_its_own():
    drawing = draw(trace("RobotArm_6DOF"), "reverse")
    assert drawing._repr_svg_() == drawing.svg
    shown = drawing._repr_html_()
    found = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: found.append((tag, dict(attrs)))
    parser.feed(shown)
    assert [tag for tag, _ in found] == ["iframe"] and found[0][1]["srcdoc"] == drawing.html
    assert len(repr(drawing)) < 200


def test_mistakes_are_refused_with_a_mend():
    graph = trace("RobotArm_6DOF")
    with pytest.raises(TypeError, match=r"draw takes a graph, got function; .*graphax\.trace"):
        draw(ODD["a loop"])
    with pytest.raises(ValueError, match="misses"):
        draw(graph, (1, 2))
    with pytest.raises(ValueError, match="unknown order"):
        draw(graph, "markowits")
    with pytest.raises(ValueError, match="unknown order"):
        draw(graph, "markowitz", beside="markowits")
    with pytest.raises(ValueError, match=r"beside is compared with order, .* draw\(graph, order, beside"):
        draw(graph, beside="markowitz")


def test_drawings_are_the_same_every_time():
    graph = trace("Encoder")
    assert draw(graph, "markowitz") == draw(graph, "markowitz")


def test_two_thousand_vertices_take_a_few_seconds():
    graph = trace("random_scalar:seed=1,operations=2000,inputs=8,outputs=5")
    order = orders.reverse(graph)
    start = time.perf_counter()
    drawing = draw(graph, order)
    assert time.perf_counter() - start < 20  # it takes two
    assert len(parts(drawing.svg, "g", "data-node")) == 2008
    assert len(drawing.html) < 2e6
    data = embedded(drawing)
    assert max(data["width"], data["height"]) < 15_000
