// What all pages of runs do: light or dark, copying, curves.
"use strict";

const root = document.documentElement;
const redraws = [];

const remembered = (() => {
  try { return localStorage.getItem("alphagrad-theme"); } catch { return null; }  // where nothing is kept
})();
if (remembered) root.dataset.theme = remembered;
const isDark = () => getComputedStyle(root).colorScheme === "dark"
  || (!root.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
const redraw = () => redraws.forEach((draw) => draw());
document.getElementById("theme").addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  try { localStorage.setItem("alphagrad-theme", root.dataset.theme); } catch { /* then it is not remembered */ }
  redraw();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);

for (const button of document.querySelectorAll(".copy")) {
  button.addEventListener("click", async () => {
    const text = button.nextElementSibling;
    try {
      await navigator.clipboard.writeText(text.textContent);
      button.textContent = "Copied";
    } catch {  // not allowed here: it is selected instead
      getSelection().selectAllChildren(text);
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
}

// Canvases take colours as they are, not names of them.
const probe = document.body.appendChild(document.createElement("span"));
probe.hidden = true;
function colour(name) {
  probe.style.color = `var(--${name})`;
  return getComputedStyle(probe).color;
}

const number = (value) => value == null ? "–"
  : Math.abs(value) >= 1e4 || Number.isInteger(value) ? Math.round(value).toLocaleString("en")
    : String(Number(value.toPrecision(4)));
const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 6 });

// The last number at or before a place: curves of others have points between those of this one.
function latest(values, at) {
  for (let place = at ?? values.length - 1; place >= 0; place--) if (values[place] != null) return values[place];
  return null;
}

// A curve with one point at each place, the last of those that it has there.
function distinct(xs, ys) {
  const points = new Map(xs.map((x, at) => [x, ys[at]]));
  return [[...points.keys()], [...points.values()]];
}

function plot(place, picture, over) {
  const { column, name } = picture.over[over];
  const curves = picture.curves.filter((curve) => column in curve.x);
  const joined = curves.length ? uPlot.join(curves.map((curve) => distinct(curve.x[column], curve.y))) : [[0], [null]];
  if (joined[0].length === 1 && joined[0][0] > 0) for (const column of joined) column.unshift(column === joined[0] ? 0 : null);
  const values = curves.flatMap((curve) => curve.y).filter((value) => value != null);
  const low = Math.min(...values), high = Math.max(...values);
  const near = (value) => value >= Math.min(low / 1.6, low - (high - low)) && value <= Math.max(high * 1.3, high + 0.3 * (high - low));
  const lines = picture.lines.map(([label, value], at) => ({
    label, value: () => number(value), show: near(value), width: 1.25, dash: [[6, 4], [2, 3], [10, 3, 2, 3]][at % 3],
    stroke: () => colour(`curve-${(at + 2) % 8}`), points: { show: false },
  }));
  const series = [
    { label: name, value: (u, value) => number(value ?? latest(u.data[0])) },
    ...curves.map((curve, at) => ({
      label: curve.label, stroke: () => colour(`curve-${at % 8}`), width: 2, spanGaps: true,
      dash: at < 8 ? undefined : [4, 2],
      paths: curve.steps ? uPlot.paths.stepped({ align: 1 }) : undefined,
      points: { show: joined[0].length < 3 },
      value: (u, _, which, at) => number(latest(u.data[which], at)),
    })),
    ...lines,
  ];
  const axis = {
    stroke: () => colour("faint"), grid: { stroke: () => colour("grid"), width: 1 },
    ticks: { stroke: () => colour("grid"), width: 1 }, font: "12px system-ui, sans-serif",
  };
  const data = [...joined, ...picture.lines.map(([, value]) => joined[0].map(() => value))];
  const size = () => ({ width: place.clientWidth, height: place.clientWidth > 600 ? 320 : 200 });
  place.replaceChildren();
  return new uPlot({
    ...size(), series, scales: { x: { time: false }, y: { range: range } }, cursor: { y: false },
    axes: [
      { ...axis, label: name, labelSize: 22, labelFont: "12px system-ui, sans-serif", values: (_, ticks) => ticks.map((tick) => short.format(tick)) },
      { ...axis, size: 56, values: (_, ticks) => ticks.map((tick) => short.format(tick)) },
    ],
  }, data, place);
}

// Some room above and below, also around a single value.
function range(_, low, high) {
  if (low == null) return [0, 1];
  const room = 0.06 * (high - low || Math.abs(high) || 1);
  return [low >= 0 ? Math.max(0, low - room) : low - room, high + room];
}

function enliven(figure, picture) {
  const place = figure.querySelector(".plot"), choice = (figure.querySelector("select") ? figure : figure.parentElement).querySelector("select");
  let drawn = plot(place, picture, 0), at = null;
  const turn = () => {
    drawn = plot(place, picture, Number(choice?.value ?? 0));
    operable(place);
  };
  choice?.addEventListener("change", turn);
  redraws.push(() => { drawn.redraw(false); turn(); });
  new ResizeObserver(() => {
    if (place.clientWidth !== drawn.width) drawn.setSize({ width: place.clientWidth, height: place.clientWidth > 600 ? 320 : 200 });
  }).observe(place);
  place.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };
    if (!(event.key in moves) || event.target !== place) return;
    event.preventDefault();
    const last = drawn.data[0].length - 1;
    at = Math.min(last, Math.max(0, (at ?? last) + moves[event.key]));
    drawn.setCursor({ left: drawn.valToPos(drawn.data[0][at], "x"), top: 10 });
  });
  operable(place);
}

// Curves are switched on and off by their names, with the keyboard as well.
function operable(place) {
  for (const head of place.querySelectorAll(".u-series:not(:first-child) th")) {
    head.tabIndex = 0;
    head.setAttribute("role", "button");
    head.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); head.click(); }
    });
  }
}

const pictures = JSON.parse(document.getElementById("data").textContent) ?? [];
for (const figure of document.querySelectorAll(".chart")) enliven(figure, pictures[figure.dataset.picture]);
