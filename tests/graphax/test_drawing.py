"""Pictures of graphs, and the page that steps through an elimination."""

import importlib
import itertools
import json
import os
import re
import shutil
import subprocess
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
from small_graphs import in_convention

import graphax
from alphagrad import tasks
from graphax import draw, orders
from graphax.drawing._edges import Form, form_of
from graphax.drawing._layout import lay_out
from graphax.sparse import dense, identity

SVG = "{http://www.w3.org/2000/svg}"
X = np.array([0.3, 1.2, 0.7])
TASKS = ("RoeFlux_1d", "Encoder", "RobotArm_6DOF")
ODD = {
    "nothing to eliminate": lambda x: jnp.sin(x),
    "an output that is an input": lambda x: (x, jnp.sin(x) * 2),
    "nothing but inputs": lambda x: x,
    "no derivative at all": lambda x: jnp.floor(x),
    "an output that others read": lambda x: (jnp.sin(x), jnp.cos(jnp.sin(x))),
    "an output twice": lambda x: [jnp.exp(x * 2)] * 2,
    "sums of shifted diagonals": lambda u: jnp.sin(u) * (jnp.roll(u, -1) - jnp.roll(u, 1)),
    "a loop": lambda x: jax.lax.fori_loop(0, 3, lambda _, c: jnp.sin(c) * 2, x),
}


def trace(name):
    task = tasks.load(name)
    return graphax.trace(task.fun, task.argnums)(*task.args)


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


@pytest.mark.parametrize("order", [None, "markowitz"])
@pytest.mark.parametrize("name", TASKS)
def test_the_picture_has_a_node_for_every_vertex_and_an_edge_for_every_edge(name, order):
    graph = trace(name)
    drawing = draw(graph, order)
    for svg in (drawing.svg, re.search(r"<svg.*?</svg>", drawing.html, re.S)[0]):
        assert set(parts(svg, "g", "data-node")) == {str(node) for node in (*graph.inputs, *graph.vertices)}
        assert set(parts(svg, "path", "data-edge")) == {f"{u},{w}" for u, w in graph.edges}


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
        assert [vertex for vertex, *_ in data["steps"]] == list(order)
        totals = tuple(sum(step[at] for step in data["steps"]) for at in (1, 2))
        assert totals == graph.cost(order)


def final_edges(data):
    """The edges that are left when the page's steps have been taken."""
    triples = lambda flat: zip(*[iter(flat)] * 3, strict=True)  # noqa: E731
    edges = {(u, w) for u, w, _ in triples(data["edges"])}
    for vertex, _, _, changed in data["steps"]:
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
        assert len(embedded(drawing)["steps"]) == (len(graph.eliminable) if order else 0)


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


def test_wider_edges_hold_more_numbers():
    def width(size):
        graph = graphax.trace(jnp.sin)(np.ones(size))
        return float(parts(draw(graph).svg, "path", "data-edge")["-1,1"].get("stroke-width"))

    widths = [width(size) for size in (1, 10, 1000, 10**6)]
    assert widths == sorted(widths) and len(set(widths)) > 2 and widths[-1] <= 6 * widths[0]


HOSTILE = "</script><script>document.documentElement.dataset.hacked=1</script><b>&\"'\u2028\x01"


def hostile_graph():
    name = '</title></script><img src=x onerror=alert(1)>&"'
    source = "def fun(x):\n    return jnp.sin(x) * x\n"
    scope = {"jnp": jnp}
    exec(compile(source, HOSTILE.replace("/", "") + name.replace("/", "|") + ".py", "exec"), scope)
    return graphax.trace(scope["fun"])(X)


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
    assert any("<img src=x" in str(item) for node in embedded(drawing)["nodes"] for item in node)
    assert "<img" not in drawing.html
    record = orders.Order(graph.fingerprint, graph.eliminable, 0, 0, method=HOSTILE, task=HOSTILE)
    drawing = draw(graph, record)
    ET.fromstring(drawing.svg)
    assert len(Scripts(drawing.html).texts) == 2


def test_the_page_needs_no_network():
    page = draw(trace("RobotArm_6DOF"), "reverse").html
    assert not Scripts(page).addresses
    assert "@import" not in page and "url(" not in page and "fetch(" not in page
    assert set(re.findall(r"https?://[^\s\"'<]+", page)) == {"http://www.w3.org/2000/svg"}
    for button in re.findall(r"<button[^>]*>", page):
        assert "aria-label=" in button


def test_style_sheets_scripts_and_templates_are_shipped():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["*"]
    names = {Path(file.name) for file in files("graphax.drawing").iterdir() if file.is_file()}
    data = {name for name in names if name.suffix not in (".py", ".pyc")}
    assert {str(name) for name in data} == {"page.css", "page.html", "page.js", "picture.css"}
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


# In a browser.

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")

ERRORS = """<script>addEventListener("error", event => {
  document.documentElement.dataset.error = event.message + " line " + event.lineno;
});</script>"""

TRIP = """<script>
const $ = id => document.getElementById(id);
const count = selector => [...document.querySelectorAll("#pane " + selector)]
  .filter(element => element.style.display !== "none").length;
const shown = () => count("path");
const report = [];
const note = () => report.push([
  +document.documentElement.dataset.step, +document.documentElement.dataset.running,
  $("running").textContent,
  count(".now"), count(".gone"), count(".new") + count(".changed") + count(".leaving")]);
const key = name => document.body.dispatchEvent(new KeyboardEvent("keydown", {key: name, bubbles: true}));
note();
while (!$("forward").disabled) { $("forward").click(); note(); }
const end = shown();
while (!$("back").disabled) { $("back").click(); note(); }
const start = shown();
key("ArrowRight"); key("ArrowRight"); key("ArrowLeft"); note();
key("End"); note(); key("Home"); note();
$("slider").value = 5; $("slider").dispatchEvent(new Event("input")); note();
$("last").click(); note(); $("first").click(); note();
$("whole").click(); $("in").click(); $("out").click(); $("play").click(); $("play").click();
const result = document.createElement("pre");
result.id = "report";
result.textContent = JSON.stringify({report, start, end});
document.body.append(result);
</script>"""


def opened(folder, page, address=""):
    """The document after a headless browser has run its scripts."""
    file = folder / "page.html"
    file.write_text(page, encoding="utf-8")
    command = [
        *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *(f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=3000", "--dump-dom"),
        file.as_uri() + address,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    root = re.search(r"<html[^>]*>", done.stdout)[0]
    assert "data-error" not in root, root
    return done.stdout, dict(re.findall(r'data-(\w+)="([^"]*)"', root))


def with_scripts(page, after=""):
    return page.replace("<head>", "<head>" + ERRORS, 1).replace("</body>", after + "</body>", 1)


@needs_chromium
@pytest.mark.parametrize("name", ["RoeFlux_1d", "Encoder"])
def test_a_browser_opens_the_page_at_any_step(name, tmp_path):
    graph = trace(name)
    order = orders.markowitz(graph)
    page = with_scripts(draw(graph, order).html)
    _, root = opened(tmp_path, page, "#last")
    assert int(root["running"]) == graph.cost(order).mults
    dom, root = opened(tmp_path, page, "#step=40")
    data = embedded(draw(graph, order))
    assert root["step"] == "40"
    assert int(root["running"]) == sum(step[1] for step in data["steps"][:40])
    assert f"Step 40 of {len(order)}: vertex {order[39]}" in dom


@needs_chromium
@pytest.mark.parametrize("name", ["RoeFlux_1d", "Encoder"])
def test_a_browser_steps_through_the_page_and_back(name, tmp_path):
    graph = trace(name)
    order = orders.markowitz(graph)
    drawing = draw(graph, order)
    dom, _ = opened(tmp_path, with_scripts(drawing.html, TRIP))
    found = json.loads(re.search(r'<pre id="report">(.*?)</pre>', dom, re.S)[1])
    costs = [mults for _, mults, *_ in embedded(drawing)["steps"]]
    last = len(order) + 1
    trip = [*range(last + 1), *reversed(range(last)), 1, last, 0, 5, last, 0]
    assert [step for step, *_ in found["report"]] == trip
    for step, running, text, now, gone, marked in found["report"]:
        assert running == sum(costs[:step]) == int(text.replace(",", ""))
        assert now == (0 < step < last) and gone == max(0, min(step - 1, len(order)))
        assert marked > 0 if now else marked == 0
    assert found["report"][last][1] == graph.cost(order).mults
    assert found["start"] == len(graph.edges)
    assert found["end"] == len(final_edges(embedded(drawing)))


@needs_chromium
@pytest.mark.parametrize("name", ["nothing to eliminate", "an output that others read"])
def test_a_browser_opens_pages_of_odd_graphs(name, tmp_path):
    graph = graphax.trace(ODD[name])(X)
    for order in (None, "reverse"):
        opened(tmp_path, with_scripts(draw(graph, order).html), "#last")


@needs_chromium
def test_a_browser_plays_the_page_to_its_end(tmp_path):
    def fun(x):
        for _ in range(12):
            x = jnp.sin(x)
        return x

    graph = graphax.trace(fun)(1.0)
    play = """<script>document.getElementById("speed").value = 30;
      document.getElementById("play").click();</script>"""
    dom, root = opened(tmp_path, with_scripts(draw(graph, "forward").html, play))
    assert root["step"] == str(len(graph.eliminable) + 1) and root["running"] == "11"
    assert 'id="play" aria-label="Play"' in dom and "The Jacobian" in dom


@needs_chromium
def test_a_browser_runs_no_user_text(tmp_path):
    graph = hostile_graph()
    for address in ("#step=1", "#step=99", "#step=x", "#last"):
        dom, root = opened(tmp_path, with_scripts(draw(graph, "reverse").html), address)
        assert "hacked" not in root and "<img" not in dom
