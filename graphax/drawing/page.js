// The page: panes that go through their eliminations together, figures, chart, keys, colours, address.
(() => {
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const $ = id => document.getElementById(id);
const number = n => n.toLocaleString("en-US");
const still = matchMedia("(prefers-reduced-motion: reduce)");

// The graph, which all panes share.
const nodes = new Map(), rows = new Map();
for (const [number, x, y, width, name, label, equation, line, roles] of data.nodes) {
  const [place, code] = line < 0 ? ["", ""] : data.lines[line];
  const isOutput = data.outputs.includes(number);
  const node = {number, x, y, width, name, label, equation, place, code, roles, isOutput};
  nodes.set(number, node);
  if (!rows.has(y)) rows.set(y, []);
  rows.get(y).push(node);
}
const shapes = new Map();
let at = 0;
for (const [source, target] of triples(data.edges)) shapes.set(source + "," + target, routed(data.routes[at++]));
const graph = {
  ...data, nodes, rows, shapes, levels: [...rows.keys()].sort((a, b) => a - b),
  structures: data.structures.map(([kind, form, width, rank, text]) => ({kind, form, width, rank, text})),
};
const sides = data.sides.map((steps, at) => {
  const elimination = new Elimination(graph, steps);
  return {elimination, pane: new Pane($("pane" + at), graph, elimination)};
});
const panes = sides.map(side => side.pane), first = sides[0].elimination, last = first.last;
window.elimination = sides;

// Sizes.
const fit = to => { for (const pane of panes) pane.zoom(to(pane)); };
fit(pane => pane.readable);
for (const pane of panes) {
  const {scroller} = pane;
  scroller.scrollTo((graph.width * pane.scale - scroller.clientWidth) / 2, 0);
  scroller.addEventListener("wheel", event => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    fit(pane => pane.scale * Math.exp(-event.deltaY / 300));
  }, {passive: false});
}
new ResizeObserver(() => { for (const pane of panes) pane.refresh(); }).observe($("panes"));
$("in").onclick = () => fit(pane => pane.scale * 1.3);
$("out").onclick = () => fit(pane => pane.scale / 1.3);
$("whole").onclick = () => {
  const {scale, whole} = panes[0];
  fit(pane => Math.abs(scale - whole) > 0.01 * whole ? pane.whole : pane.readable);
};

// Light and dark: what the user's system says, unless the user has said something here.
const media = [...document.styleSheets[0].cssRules].filter(rule => rule.media?.mediaText.includes("scheme"));
const asked = media[0].media.mediaText, system = matchMedia(asked);
const remembered = value => {
  try {
    if (value) localStorage.setItem("graphax-theme", value);
    return localStorage.getItem("graphax-theme");
  } catch { return value; }  // a frame may have no memory
};
let theme = remembered();
function paint() {
  const dark = theme ? theme === "dark" : system.matches;
  for (const rule of media) rule.media.mediaText = theme ? (dark ? "all" : "not all") : asked;
  document.documentElement.style.colorScheme = theme || "";
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  $("theme").setAttribute("aria-pressed", dark);
  for (const pane of panes) pane.refresh();
}
$("theme").onclick = () => {
  theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  theme = remembered(theme) || theme;
  paint();
};
system.addEventListener("change", paint);
addEventListener("storage", event => {
  if (event.key === "graphax-theme") { theme = event.newValue; paint(); }
});
addEventListener("message", event => {  // a page that shows this one in a frame says what it is itself
  if (event.source === parent && ["light", "dark"].includes(event.data?.theme)) {
    theme = event.data.theme;
    paint();
  }
});
paint();

// What is under the pointer, or was touched.
function about(found, elimination) {
  if (found.edge) {
    const {source, target, now} = found.edge;
    return `edge ${source} → ${target}\n${graph.structures[now].text}`;
  }
  const {node} = found, turn = elimination.turn.get(node.number);
  const what = node.number > 0 ? `vertex ${node.number}: ${node.name}` : `node ${node.number}`;
  const goes = turn && `goes in step ${number(turn)} of ${number(elimination.steps.length)}`;
  return [[what, node.roles].filter(Boolean).join(", "), node.equation, node.code, node.place, goes]
    .filter(Boolean).join("\n");
}
function tell(found, elimination, x, y) {
  const tip = $("tip");
  tip.hidden = !found;
  if (!found) return;
  tip.textContent = about(found, elimination);
  const {offsetWidth, offsetHeight} = tip;
  tip.style.left = Math.max(4, Math.min(x + 14, innerWidth - offsetWidth - 6)) + "px";
  tip.style.top = (y + 18 + offsetHeight < innerHeight ? y + 16 : Math.max(4, y - offsetHeight - 10)) + "px";
}
for (const {pane, elimination} of sides) {
  const {scroller} = pane;
  let pointer = null;
  scroller.addEventListener("pointermove", event => {
    if (!pointer) {
      requestAnimationFrame(() => {
        const found = pointer && pane.at(pointer.clientX, pointer.clientY);
        if (pointer) tell(found, elimination, pointer.clientX, pointer.clientY);
        scroller.style.cursor = found?.node && elimination.turn.has(found.node.number) ? "pointer" : "";
        pointer = null;
      });
    }
    pointer = event;
  });
  const leave = () => { pointer = null; tell(null); };
  scroller.addEventListener("pointerleave", leave);
  scroller.addEventListener("scroll", leave);
  scroller.addEventListener("click", event => {
    const found = pane.at(event.clientX, event.clientY), step = elimination.turn.get(found?.node?.number);
    tell(found, elimination, event.clientX, event.clientY);
    if (step) { play(false); go(step); }
  });
}
let play = () => {}, go = () => {};
if (!last) {
  for (const pane of panes) pane.draw();
  return;
}

// Positions.
let position = 0;
function show(to, smooth) {
  position = Math.max(0, Math.min(last, to));
  sides.forEach(({elimination, pane}, side) => {
    const count = elimination.moveTo(position), {step} = elimination;
    if (step) pane.follow(nodes.get(step[0]), smooth && !still.matches);
    else if (position) pane.follow(nodes.get(data.outputs[data.outputs.length - 1]), false);
    else pane.follow(data.nodes.length ? nodes.get(data.nodes[0][0]) : {x: 0, y: 0}, false);
    report(side, elimination, count);
  });
  compare();
  const all = number(first.steps.length), inside = position >= 1 && position < last;
  $("step").textContent = inside ? `Step ${number(position)} of ${all}`
    : position ? "The Jacobian" : `Before the first of ${all} steps`;
  $("first").disabled = $("back").disabled = position === 0;
  $("last").disabled = $("forward").disabled = position === last;
  $("slider").value = position;
  $("slider").setAttribute("aria-valuetext", $("step").textContent);
  $("link").href = "#step=" + position;
  $("mark").setAttribute("transform", `translate(${acrossAt(Math.min(position, last - 1))} 0)`);
  document.documentElement.dataset.step = position;
  document.documentElement.dataset.running = first.running;
}
function report(side, elimination, count) {
  const {step} = elimination, node = step && nodes.get(step[0]);
  const words = $("vertex" + side);
  words.querySelector("b").textContent = node ? `vertex ${node.number}: ${node.name}`
    : position ? "Only edges from inputs to outputs are left." : "Play, or step forward.";
  words.querySelector("code").textContent = node ? node.equation : "";
  words.querySelector(".code").textContent = node ? node.code : "";
  words.querySelector(".place").textContent = node ? node.place : "";
  const figures = {
    mults: step && step[1], adds: step && step[2], joins: step && `${count.arriving} × ${count.leaving}`,
    fills: step && count.fills, changes: step && count.changes,
    running: elimination.running, total: elimination.total,
  };
  for (const name in figures) {
    const value = figures[name], cell = $(name + side);
    cell.textContent = value === null ? "–" : typeof value === "number" ? number(value) : value;
    cell.value = value;
  }
}
function compare() {
  if (sides.length === 1) return;
  for (const name of ["mults", "adds", "fills", "changes", "running", "total"]) {
    const less = $(name + 1).value - $(name + 0).value, cell = $(name + "d");
    cell.textContent = $(name + 0).value === null ? "–" : (less > 0 ? "+" : less < 0 ? "−" : "±")
      + number(Math.abs(less));
    cell.className = less > 0 ? "more" : less < 0 ? "less" : "";
  }
}

// The chart: a line of the running cost for every order; of one alone also a bar for every step.
const chart = $("chart"), box = {left: 6, right: 330, top: 14, bottom: 110};
const acrossAt = step => box.left + (box.right - box.left) * step / first.steps.length;
{
  const most = Math.max(1, ...sides.map(side => side.elimination.total));
  const up = (value, top) => box.bottom - (box.bottom - box.top) * value / Math.max(1, top);
  const added = (name, attributes, text) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const key in attributes) element.setAttribute(key, attributes[key]);
    if (text) element.textContent = text;
    chart.append(element);
    return element;
  };
  if (sides.length === 1) {
    const top = Math.max(1, ...first.steps.map(step => step[1]));
    const bars = first.steps.map(([, mults], at) => mults
      ? `M${acrossAt(at + 0.5).toFixed(1)} ${box.bottom}V${up(mults, top).toFixed(1)}` : "");
    const width = Math.max(0.6, (box.right - box.left) / first.steps.length - 1);
    added("path", {class: "bars", d: bars.join(""), "stroke-width": width});
    added("text", {x: box.left, y: 10}, `most in a step: ${number(top)}`);
  }
  added("path", {class: "axis", d: `M${box.left} ${box.bottom}H${box.right}`});
  sides.forEach(({elimination}, side) => {
    const line = elimination.costs.map((cost, at) =>
      `${at ? "L" : "M"}${acrossAt(at).toFixed(1)} ${up(cost, most).toFixed(1)}`);
    added("path", {class: "run run" + side, d: line.join("")});
  });
  added("text", {x: box.right, y: 10, "text-anchor": "end"}, `in all: ${sides.map(side =>
    number(side.elimination.total)).join(" and ")}`);
  added("text", {x: box.left, y: 124}, "step 1");
  added("text", {x: box.right, y: 124, "text-anchor": "end"}, `step ${number(first.steps.length)}`);
  added("path", {id: "mark", class: "marker", d: `M0 ${box.top}V${box.bottom}`});
  chart.onclick = event => {
    const frame = chart.getBoundingClientRect(), x = (event.clientX - frame.left) * 336 / frame.width;
    play(false);
    go(Math.max(1, Math.min(last - 1,
      Math.ceil((x - box.left) / (box.right - box.left) * first.steps.length))));
  };
}

// Playing, buttons, keys, and the address.
$("link").hidden = location.protocol === "about:";  // in a frame it would lead to the page around it
let timer = 0, writer = 0;
go = to => {
  tell(null);
  show(to, true);
  clearTimeout(writer);
  writer = setTimeout(() => {
    try {
      history.replaceState(null, "", "#step=" + position);
    } catch { /* a frame may have no address */ }
  }, 300);
};
play = on => {
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
};
const place = {first: () => 0, back: () => position - 1, forward: () => position + 1, last: () => last};
for (const name in place) $(name).onclick = () => { play(false); go(place[name]()); };
$("play").onclick = () => play(!timer);
$("speed").onchange = () => { if (timer) play(true); };
$("slider").oninput = () => { play(false); go(+$("slider").value); };
const keys = {
  ArrowLeft: "back", ArrowRight: "forward", Home: "first", End: "last", "+": "in", "-": "out", "0": "whole",
};
addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("select, input")) return;
  if (event.key in keys) $(keys[event.key]).click();
  else if (event.key === " " && !event.target.closest?.("button, a")) $("play").click();
  else return;
  event.preventDefault();
});
function fromAddress() {
  const [name, value] = location.hash.slice(1).split("=");
  show(name === "last" ? last : name === "step" ? Math.round(+value) || 0 : position, false);
}
addEventListener("hashchange", fromAddress);
fromAddress();
})();
