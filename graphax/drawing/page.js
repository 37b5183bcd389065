"use strict";
(() => {
const data = JSON.parse(document.getElementById("data").textContent);
const $ = id => document.getElementById(id);
const pane = $("pane"), picture = pane.querySelector("svg");
const full = picture.viewBox.baseVal;
const ROW = 32, steps = data.steps, last = steps.length ? steps.length + 1 : 0;
const outputs = new Set(data.outputs);

// Zoom: the whole graph where that can be read, else its width.
let scale = 1;
function zoom(to) {
  const x = (pane.scrollLeft + pane.clientWidth / 2) / scale;
  const y = (pane.scrollTop + pane.clientHeight / 2) / scale;
  scale = Math.min(4, Math.max(0.05, to));
  picture.setAttribute("width", full.width * scale);
  picture.setAttribute("height", full.height * scale);
  pane.scrollTo(x * scale - pane.clientWidth / 2, y * scale - pane.clientHeight / 2);
}
const across = () => (pane.clientWidth - 2) / full.width;
const whole = () => Math.min(across(), (pane.clientHeight - 2) / full.height, 1.5);
const readable = () => whole() > 0.7 ? whole() : Math.min(1.15, Math.max(0.6, across()));
zoom(readable());
pane.scrollTo((full.width * scale - pane.clientWidth) / 2, 0);
$("in").onclick = () => zoom(scale * 1.3);
$("out").onclick = () => zoom(scale / 1.3);
$("whole").onclick = () => zoom(Math.abs(scale - whole()) > 0.01 ? whole() : readable());
if (!last) return;

const nodes = new Map(), rows = new Map();
for (const [number, x, y, width, name, equation, source] of data.nodes) {
  const node = {number, x, y, width, name, equation, source, step: Infinity};
  nodes.set(number, node);
  if (!rows.has(y)) rows.set(y, []);
  rows.get(y).push(node);
}
for (const group of picture.querySelectorAll(".node")) nodes.get(+group.dataset.node).group = group;
steps.forEach(([vertex], at) => { nodes.get(vertex).step = at + 1; });

// Edges: where they start and end, their structure now (-1: gone) and their path.
const edges = new Map(), leaving = new Map(), arriving = new Map();
const top_ = document.createElementNS(picture.namespaceURI, "g");
const bottom = picture.querySelector(".edges");
bottom.after(top_);
function edgeAt(source, target) {
  const key = source + "," + target;
  let edge = edges.get(key);
  if (!edge) {
    edge = {source, target, now: -1, born: 0, path: null, mark: ""};
    edges.set(key, edge);
    for (const [map, end] of [[leaving, source], [arriving, target]]) {
      if (!map.has(end)) map.set(end, new Set());
      map.get(end).add(edge);
    }
  }
  return edge;
}
for (let at = 0; at < data.edges.length; at += 3) {
  edgeAt(data.edges[at], data.edges[at + 1]).now = data.edges[at + 2];
}
for (const path of bottom.querySelectorAll(".edge")) edges.get(path.dataset.edge).path = path;
const around = (map, vertex) => [...(map.get(vertex) || [])].filter(edge => edge.now >= 0);

// A new edge bows out to the side on which it runs over the fewest boxes.
const levels = [...rows.keys()].sort((a, b) => a - b);
function hits(x, y, bow, x2, y2, born) {
  let found = Math.abs(bow) / 250;
  const level = levels.findIndex(l => l > y);
  for (let at = level; at < levels.length && levels[at] < y2; at++) {
    for (const shift of [-ROW / 2, ROW / 2]) {
      // The share of the height is only nearly the curve's parameter; that is near enough.
      const t = (levels[at] + shift - y) / (y2 - y), s = 1 - t;
      const px = s * s * s * x + 3 * s * t * (s * (x + bow) + t * (x2 + bow)) + t * t * t * x2;
      if (px < 8 || px > data.width - 8) found += 1.5;
      for (const node of rows.get(levels[at])) {
        if (node.step > born && Math.abs(px - node.x) < node.width / 2 + 5) found += 1;
      }
    }
  }
  return found;
}
function newPath(edge) {
  const from = nodes.get(edge.source), to = nodes.get(edge.target);
  const lean = 0.8 * (to.x - from.x) / data.width;  // ends side by side rather than in one point
  const x = from.x + lean * from.width, y = from.y + ROW / 2;
  const x2 = to.x - lean * to.width, y2 = to.y - ROW / 2;
  const reach = Math.max(90, data.width * 0.75), born = edge.born;
  let bow = 0, least = hits(x, y, 0, x2, y2, born);
  for (let share = 1; share <= 6 && least > 0.2; share++) {
    for (const side of [1, -1]) {
      const found = hits(x, y, side * reach * share / 6, x2, y2, born);
      if (found < least) { least = found; bow = side * reach * share / 6; }
    }
  }
  const path = document.createElementNS(picture.namespaceURI, "path");
  const third = (y2 - y) / 3;
  path.setAttribute("d", `M${x} ${y}C${x + bow} ${y + third} ${x2 + bow} ${y2 - third} ${x2} ${y2}`);
  path.append(document.createElementNS(picture.namespaceURI, "title"));
  bottom.append(path);
  return path;
}
function paint(edge) {
  if (edge.now < 0) { if (edge.path) edge.path.style.display = "none"; return; }
  if (!edge.path) edge.path = newPath(edge);
  const [classes, width, , text] = data.structures[edge.now], path = edge.path;
  path.style.display = "";
  const long = nodes.get(edge.target).y - nodes.get(edge.source).y - ROW > data.long ? " long" : "";
  path.setAttribute("class", classes + long + (edge.mark ? " " + edge.mark : ""));
  path.setAttribute("stroke-width", edge.mark ? width + 1.8 : width);
  path.firstElementChild.textContent = `edge ${edge.source} → ${edge.target}\n${text}`;
  const home = edge.mark ? top_ : bottom;
  if (path.parentNode !== home) home.append(path);
}

// Positions. Every advance remembers what it changed, so that it can be taken back.
let position = 0;
const past = [], dirty = new Set();
let marked = [];
function set(edge, now, log) {
  log.push([edge, edge.now]);
  if (edge.now < 0) edge.born = position;
  edge.now = now;
  dirty.add(edge);
}
function advance() {
  const log = [];
  if (position >= 1) {
    const vertex = steps[position - 1][0];
    for (const edge of around(leaving, vertex)) set(edge, -1, log);
    if (!outputs.has(vertex)) for (const edge of around(arriving, vertex)) set(edge, -1, log);
  }
  position++;
  if (position <= steps.length) {
    const changes = steps[position - 1][3];
    for (let at = 0; at < changes.length; at += 3) {
      set(edgeAt(changes[at], changes[at + 1]), changes[at + 2], log);
    }
  }
  past.push(log);
}
function retreat() {
  for (const [edge, before] of past.pop().reverse()) { edge.now = before; dirty.add(edge); }
  position--;
}
const running = [0];
for (const [, mults] of steps) running.push(running[running.length - 1] + mults);
const soFar = at => running[Math.min(at, steps.length)];

function show(to, smooth) {
  to = Math.max(0, Math.min(last, to));
  const before = position;
  while (position < to) advance();
  while (position > to) retreat();
  for (const edge of marked) { edge.mark = ""; dirty.add(edge); }
  marked = [];
  const step = position >= 1 && position <= steps.length ? steps[position - 1] : null;
  let count = {leaving: 0, arriving: 0, fills: 0, changes: 0};
  const mark = (edge, name) => { edge.mark = name; marked.push(edge); dirty.add(edge); };
  if (step) {
    for (const edge of around(leaving, step[0])) { mark(edge, "leaving"); count.leaving++; }
    for (const edge of around(arriving, step[0])) { mark(edge, "leaving"); count.arriving++; }
    for (const [edge, old] of past[position - 1]) {
      if (edge.now < 0) continue;
      mark(edge, old < 0 ? "new" : "changed");
      count[old < 0 ? "fills" : "changes"]++;
    }
  }
  for (const edge of dirty) paint(edge);
  dirty.clear();
  const high = Math.min(steps.length, Math.max(before, position));
  for (let at = Math.max(1, Math.min(before, position)); at <= high; at++) {
    const list = nodes.get(steps[at - 1][0]).group.classList;
    list.toggle("gone", at < position);
    list.toggle("now", at === position);
  }
  report(step, count);
  if (step) follow(nodes.get(step[0]), smooth);
  else if (position) follow(nodes.get(data.outputs[data.outputs.length - 1]), smooth);
  document.documentElement.dataset.step = position;
  document.documentElement.dataset.running = soFar(position);
}

const number = n => n.toLocaleString("en-US");
function report(step, count) {
  const node = step && nodes.get(step[0]);
  const all = number(steps.length);
  $("step").textContent = step ? `Step ${number(position)} of ${all}: vertex ${node.number}, ${node.name}`
    : position ? "The Jacobian" : `Before the first of ${all} steps`;
  const hint = position ? "Only edges from inputs to outputs are left." : "Play, or step forward.";
  $("equation").textContent = node ? node.equation : hint;
  if (node && node.source) {
    const source = document.createElement("span");
    source.textContent = node.source;
    $("equation").append(source);
  }
  $("mults").textContent = step ? number(step[1]) : "–";
  $("adds").textContent = step ? number(step[2]) : "–";
  $("joins").textContent = step ? `${count.arriving} × ${count.leaving}` : "–";
  $("fills").textContent = step ? number(count.fills) : "–";
  $("changes").textContent = step ? number(count.changes) : "–";
  $("running").textContent = number(soFar(position));
  $("total").textContent = number(soFar(last));
  $("first").disabled = $("back").disabled = position === 0;
  $("last").disabled = $("forward").disabled = position === last;
  $("slider").value = position;
  $("slider").setAttribute("aria-valuetext", $("step").textContent);
  moveMarker();
}
function follow(node, smooth) {
  const drawing = picture.getBoundingClientRect(), frame = pane.getBoundingClientRect();
  const offset = (full.width - data.width) / 2;
  const x = drawing.left - frame.left + (node.x + offset) * scale;
  const y = drawing.top - frame.top + node.y * scale;
  const left = x < 40 || x > frame.width - 40 ? x - frame.width / 2 : 0;
  const top = y < frame.height * 0.15 || y > frame.height * 0.85 ? y - frame.height / 2 : 0;
  const still = !smooth || matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (left || top) pane.scrollBy({left, top, behavior: still ? "auto" : "smooth"});
}

// The chart: a bar for every step, a line for the running cost, each on a scale of its own.
const chart = $("chart"), box = {left: 6, right: 330, top: 14, bottom: 110};
const peak = Math.max(1, ...steps.map(step => step[1])), total = Math.max(1, soFar(last));
const chartX = at =>
  box.left + (box.right - box.left) * (steps.length > 1 ? (at - 1) / (steps.length - 1) : 0.5);
const chartY = share => box.bottom - (box.bottom - box.top) * share;
function draw(kind, attributes, text) {
  const element = document.createElementNS(picture.namespaceURI, kind);
  for (const key in attributes) element.setAttribute(key, attributes[key]);
  if (text !== undefined) element.textContent = text;
  chart.append(element);
  return element;
}
const thick = Math.max(0.6, Math.min(10, 0.7 * (box.right - box.left) / steps.length));
draw("path", {class: "axis", d: `M${box.left} ${box.bottom}H${box.right}`});
const each = write => steps.map((step, at) => write(chartX(at + 1).toFixed(1), step[1], at)).join("");
const bar = (x, mults) => `M${x} ${box.bottom}V${chartY(mults / peak).toFixed(1)}`;
const point = (x, _, at) => `${at ? "L" : "M"}${x} ${chartY(running[at + 1] / total).toFixed(1)}`;
draw("path", {class: "bars", "stroke-width": thick, d: each(bar)});
draw("path", {class: "run", d: each(point)});
draw("text", {x: box.left, y: 9}, `most in a step: ${number(peak)}`);
draw("text", {x: box.right, y: 9, "text-anchor": "end"}, `in all: ${number(soFar(last))}`);
draw("text", {x: box.left, y: 124}, "step 1");
draw("text", {x: box.right, y: 124, "text-anchor": "end"}, `step ${number(steps.length)}`);
const marker = draw("path", {class: "marker"}), dot = draw("circle", {class: "dot", r: 3.5});
function moveMarker() {
  const x = chartX(Math.max(1, Math.min(position, steps.length)));
  marker.setAttribute("d", `M${x} ${box.top}V${box.bottom}`);
  dot.setAttribute("cx", x);
  dot.setAttribute("cy", chartY(soFar(position) / total));
}
chart.onclick = event => {
  const frame = chart.getBoundingClientRect();
  const x = (event.clientX - frame.left) / frame.width * 336;
  go(Math.round(1 + (x - box.left) / (box.right - box.left) * (steps.length - 1)));
};

// Playing, buttons, keys, and the address.
let timer = 0, writer = 0;
function go(to) {
  show(to, true);
  clearTimeout(writer);
  writer = setTimeout(() => {
    try {
      history.replaceState(null, "", "#step=" + position);
    } catch { /* a page inside a notebook has no address */ }
  }, 300);
}
function play(on) {
  clearInterval(timer);
  timer = 0;
  if (on) {
    if (position === last) show(0, false);
    const next = () => { go(position + 1); if (position === last) play(false); };
    timer = setInterval(next, 1000 / +$("speed").value);
  }
  const label = on ? "Pause" : "Play";
  $("play").setAttribute("aria-label", label);
  $("play").title = label;
  $("play").querySelector("path").setAttribute("d", on ? "M3 2h4v12H3zM9 2h4v12H9z" : "M3 2l11 6-11 6z");
}
const place = {first: () => 0, back: () => position - 1, forward: () => position + 1, last: () => last};
for (const name in place) $(name).onclick = () => { play(false); go(place[name]()); };
$("play").onclick = () => play(!timer);
$("speed").onchange = () => { if (timer) play(true); };
$("slider").oninput = () => { play(false); go(+$("slider").value); };
const keys = {ArrowLeft: "back", ArrowRight: "forward", Home: "first", End: "last"};
addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("select, input")) return;
  if (event.key in keys) $(keys[event.key]).click();
  else if (event.key === " " && !event.target.closest("button")) $("play").click();
  else return;
  event.preventDefault();
});
picture.addEventListener("click", event => {
  const group = event.target.closest(".node");
  const step = group && nodes.get(+group.dataset.node).step;
  if (step && step <= steps.length) { play(false); go(step); }
});
function fromAddress() {
  const [name, value] = location.hash.slice(1).split("=");
  show(name === "last" ? last : name === "step" ? Math.round(+value) || 0 : position, false);
}
addEventListener("hashchange", fromAddress);
fromAddress();
})();
