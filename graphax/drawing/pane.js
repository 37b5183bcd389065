// A pane that shows an elimination: a canvas as large as the window, beneath an element that scrolls. Only what
// can be seen is drawn, so that a step takes as long for thousands of vertices as for some.
const ROW = 32, DASHES = {dense: [], tied: [7, 3], sum: [2, 2.5]};
const READABLE = 0.35;  // letters and dashes are drawn from this scale on

class Pane {
  constructor(root, graph, elimination) {
    Object.assign(this, {root, graph, elimination, scale: 1, waiting: 0});
    this.scroller = root.querySelector(".scroller");
    this.room = root.querySelector(".room");
    this.canvas = root.querySelector("canvas");
    this.brush = this.canvas.getContext("2d");
    this.scroller.addEventListener("scroll", () => this.refresh());
  }

  // Zoom: the whole graph where that can be read, else its width.
  get across() { return (this.scroller.clientWidth - 2) / this.graph.width; }
  get whole() { return Math.min(this.across, (this.scroller.clientHeight - 2) / this.graph.height, 1.5); }
  get readable() { return this.whole > 0.7 ? this.whole : Math.min(1.15, Math.max(0.6, this.across)); }

  zoom(to) {
    const {scroller, graph} = this;
    const [x, y] = this.place(scroller.clientWidth / 2, scroller.clientHeight / 2);
    this.scale = Math.min(4, Math.max(Math.min(0.05, this.whole), to));
    this.room.style.width = graph.width * this.scale + "px";
    this.room.style.height = graph.height * this.scale + "px";
    scroller.scrollTo(x * this.scale - scroller.clientWidth / 2, y * this.scale - scroller.clientHeight / 2);
    this.refresh();
  }

  // Where the graph's origin is in the window: it scrolls, and stands in the middle where there is room.
  get origin() {
    const {scroller, graph, scale} = this;
    const margin = (room, size) => Math.max(0, (room - size * scale) / 2);
    return [
      margin(scroller.clientWidth, graph.width) - scroller.scrollLeft,
      margin(scroller.clientHeight, graph.height) - scroller.scrollTop,
    ];
  }

  // A point of the window as one of the graph.
  place(x, y) {
    const [left, top] = this.origin;
    return [(x - left) / this.scale, (y - top) / this.scale];
  }

  // Scrolls to a node, unless it is well in sight.
  follow(node, smooth) {
    const {scroller, scale} = this, {clientWidth, clientHeight} = scroller;
    const [left, top] = this.origin, x = left + node.x * scale, y = top + node.y * scale;
    const by = {
      left: x < 40 || x > clientWidth - 40 ? x - clientWidth / 2 : 0,
      top: y < clientHeight * 0.15 || y > clientHeight * 0.85 ? y - clientHeight / 2 : 0,
    };
    if (by.left || by.top) scroller.scrollBy({...by, behavior: smooth ? "smooth" : "auto"});
    this.refresh();
  }

  refresh() {
    if (!this.waiting) this.waiting = requestAnimationFrame(() => { this.waiting = 0; this.draw(); });
  }

  draw() {
    const {brush, canvas, scroller, scale, elimination} = this;
    const ratio = devicePixelRatio || 1, width = scroller.clientWidth, height = scroller.clientHeight;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      canvas.style.width = width + "px";
      canvas.style.height = height + "px";
    }
    const [left, top] = this.origin, colour = colours();
    brush.setTransform(1, 0, 0, 1, 0, 0);
    brush.clearRect(0, 0, canvas.width, canvas.height);
    brush.setTransform(ratio * scale, 0, 0, ratio * scale, ratio * left, ratio * top);
    this.hair = 1 / (ratio * scale);  // the width that is drawn fastest
    this.seen = [...this.place(0, 0), ...this.place(width, height)];
    this.shown = [...elimination.present].filter(edge => meet(this.shape(edge).box, this.seen));
    // What is marked lies above the rest, and what holds nothing below.
    this.shown.sort((a, b) => (a.mark ? 1 : 0) - (b.mark ? 1 : 0) || this.kind(a) - this.kind(b));
    for (const edge of this.shown) this.drawEdge(edge, colour);
    brush.setLineDash([]);
    for (const [y, row] of this.graph.rows) {
      if (y + ROW < this.seen[1] || y - ROW > this.seen[3]) continue;
      for (const node of row) {
        if (this.sees(node.number)) this.drawNode(node, colour);
      }
    }
    if (elimination.step) {
      brush.setTransform(ratio, 0, 0, ratio, 0, 0);
      this.drawLabel(this.graph.nodes.get(elimination.step[0]), left, top, colour);
    }
  }

  kind(edge) { return this.graph.structures[edge.now].rank; }

  shape(edge) {
    if (!edge.shape) {
      edge.shape = this.graph.shapes.get(edge.key) || bowed(this.graph, this.elimination, edge);
    }
    return edge.shape;
  }

  drawEdge(edge, colour) {
    const {brush} = this, {kind, form, width} = this.graph.structures[edge.now];
    const shape = this.shape(edge), [, top, , bottom] = shape.box;
    const solid = this.scale < READABLE || bottom - top > this.graph.long;
    const passing = !edge.mark && !this.sees(edge.source) && !this.sees(edge.target);
    brush.globalAlpha = passing ? 0.25 : 1;  // so that the others can be told
    brush.strokeStyle = colour[edge.mark || kind];
    brush.lineWidth = passing ? this.hair : width + (edge.mark ? 1.8 : 0);
    brush.setLineDash(solid || passing ? [] : DASHES[form]);
    if (this.trace(shape)) brush.stroke();
    brush.globalAlpha = 1;
  }

  sees(number) {
    const {x, y, width} = this.graph.nodes.get(number);
    return meet([x - width, y - ROW, x + width, y + ROW], this.seen);
  }

  // Begins a path of those curves of a shape that are in sight; says whether there are any.
  trace(shape) {
    const {brush, seen} = this;
    let joined = false, some = false;
    brush.beginPath();
    for (const curve of shape.curves) {
      const visible = meet(curve.box, seen);
      if (visible && !joined) brush.moveTo(curve[0], curve[1]);
      if (visible) brush.bezierCurveTo(...curve.slice(2));
      joined = visible;
      some ||= visible;
    }
    return some;
  }

  drawNode(node, colour) {
    const {brush, elimination} = this, {x, y, width} = node, isInput = node.number < 0;
    const radius = isInput ? ROW / 2 : 5, now = elimination.step && elimination.step[0] === node.number;
    const turn = elimination.turn.get(node.number);
    const shade = turn === undefined ? -1 : (turn - 1) / Math.max(elimination.steps.length - 1, 1);
    brush.globalAlpha = elimination.isGone(node.number) ? 0.18 : 1;
    const box = (grow, line, stroke, fill) => {
      brush.beginPath();
      brush.roundRect(x - width / 2 - grow, y - ROW / 2 - grow, width + 2 * grow, ROW + 2 * grow, radius + grow);
      if (fill) { brush.fillStyle = fill; brush.fill(); }
      brush.lineWidth = line;
      brush.strokeStyle = stroke;
      brush.stroke();
    };
    if (node.isOutput) box(3.5, 1.6, colour.ink);
    const fill = shade >= 0 ? shaded(this.graph.scale, shade) : isInput ? colour.paper : colour.box;
    box(0, now ? Math.max(4, 2.5 / this.scale) : isInput ? 2 : 1, now ? colour.now : colour.border, fill);
    if (this.scale >= READABLE) {
      brush.fillStyle = shade < 0 ? colour.ink : shade <= this.graph.light ? "#10141a" : "#ffffff";
      brush.textAlign = "center";
      brush.font = `700 11.5px ${SANS}`;
      brush.fillText(String(node.number).replace("-", "−"), x, y - 2.5);
      brush.font = `9px ${SANS}`;
      brush.fillText(node.label, x, y + 9.5);
    }
    brush.globalAlpha = 1;
  }

  // The line of code below the vertex that goes, where no other vertex stands.
  drawLabel(node, left, top, colour) {
    if (!node.place) return;
    const {brush, scroller, scale} = this, room = Math.min(scroller.clientWidth - 24, 520);
    const x = left + node.x * scale, above = top + (node.y + ROW / 2) * scale + 3;
    brush.font = `11px ${MONO}`;
    const letter = brush.measureText("x").width, [place] = node.place.split(" (");
    const code = scale < READABLE ? "" : cut(node.code, Math.floor(room / letter) - place.length - 2);
    const width = letter * (place.length + (code && code.length + 2)) + 16, height = 19;
    const at = Math.max(4, Math.min(x - width / 2, scroller.clientWidth - 4 - width));
    brush.fillStyle = colour.paper;
    brush.strokeStyle = colour.now;
    brush.lineWidth = 1;
    brush.beginPath();
    brush.roundRect(at, above, width, height, 5);
    brush.fill();
    brush.stroke();
    brush.textAlign = "left";
    brush.fillStyle = colour.soft;
    brush.fillText(place, at + 8, above + 13);
    brush.fillStyle = colour.ink;
    brush.fillText(code, at + 8 + letter * (place.length + 2), above + 13);
  }

  // The node or the edge at a point of the window.
  at(clientX, clientY) {
    const box = this.scroller.getBoundingClientRect();
    const [x, y] = this.place(clientX - box.left, clientY - box.top);
    for (const [level, row] of this.graph.rows) {
      if (Math.abs(level - y) > ROW / 2 + 4) continue;
      const node = row.find(node => Math.abs(node.x - x) <= node.width / 2 + 4);
      if (node) return {node};
    }
    const {brush} = this;
    brush.save();
    brush.setTransform(1, 0, 0, 1, 0, 0);
    brush.setLineDash([]);
    brush.lineWidth = 10;
    const edge = (this.shown || []).findLast(
      edge => this.trace(this.shape(edge)) && brush.isPointInStroke(x, y));
    brush.restore();
    return edge ? {edge} : null;
  }
}

const SANS = 'system-ui, -apple-system, "Segoe UI", sans-serif', MONO = "ui-monospace, Menlo, Consolas, monospace";
const COLOURS = ["paper", "ink", "soft", "box", "border", "now", "new", "changed", "unit", "constant", "copy", "value"];

function colours() {
  const style = getComputedStyle(document.documentElement);
  const found = Object.fromEntries(COLOURS.map(name => [name, style.getPropertyValue("--" + name).trim()]));
  return {...found, leaving: found.now};
}

function meet([left, top, right, bottom], [l, t, r, b]) {
  return left <= r && right >= l && top <= b && bottom >= t;
}

function cut(text, most) {
  return text.length <= most ? text : most < 8 ? "" : text.slice(0, most - 1) + "…";
}

function shaded(scale, shade) {
  const at = shade * (scale.length - 1), low = Math.min(Math.floor(at), scale.length - 2);
  const part = (code, place) => parseInt(code.slice(place, place + 2), 16);
  const mixed = [1, 3, 5].map(place =>
    Math.round(part(scale[low], place) * (1 - at + low) + part(scale[low + 1], place) * (at - low)));
  return `rgb(${mixed})`;
}

// A shape of Bézier curves, each with the box that holds it.
function shaped(curves) {
  const within = curve => {
    const xs = [0, 2, 4, 6].map(at => curve[at]);
    return [Math.min(...xs) - 4, curve[1], Math.max(...xs) + 4, curve[7]];
  };
  for (const curve of curves) curve.box = within(curve);
  const boxes = curves.map(curve => curve.box);
  const left = Math.min(...boxes.map(box => box[0])), right = Math.max(...boxes.map(box => box[2]));
  return {curves, box: [left, boxes[0][1], right, boxes[boxes.length - 1][3]]};
}

// The shape through points from top to bottom that is vertical at each of them.
function routed(points) {
  const curves = [];
  for (let at = 2; at < points.length; at += 2) {
    const [x, y, toX, toY] = points.slice(at - 2, at + 2), middle = (y + toY) / 2;
    curves.push([x, y, x, middle, toX, middle, toX, toY]);
  }
  return shaped(curves);
}

// The shape of a new edge, which bows out to the side on which it runs over the fewest boxes.
function bowed(graph, elimination, edge) {
  const from = graph.nodes.get(edge.source), to = graph.nodes.get(edge.target);
  const lean = 0.8 * Math.max(-1, Math.min(1, (to.x - from.x) / Math.min(graph.width, 2000)));
  const x = from.x + lean * from.width / 2, y = from.y + ROW / 2;  // side by side, not in one point
  const x2 = to.x - lean * to.width / 2, y2 = to.y - ROW / 2;
  const levels = graph.levels.filter(level => level > y && level < y2);
  const reach = Math.min(600, Math.max(90, graph.width * 0.75));
  // The share of the height is only nearly the curve's parameter; that is near enough.
  const hits = bow => {
    let found = Math.abs(bow) / 250;
    for (const level of levels) {
      for (const shift of [-ROW / 2, ROW / 2]) {
        const t = (level + shift - y) / (y2 - y), s = 1 - t;
        const px = s * s * s * x + 3 * s * t * (s * (x + bow) + t * (x2 + bow)) + t * t * t * x2;
        if (px < 8 || px > graph.width - 8) found += 1.5;
        for (const node of graph.rows.get(level)) {
          const there = !(elimination.turn.get(node.number) <= edge.born);
          if (there && Math.abs(px - node.x) < node.width / 2 + 5) found += 1;
        }
      }
    }
    return found;
  };
  let bow = 0;
  if (levels.length <= 40) {  // what is longer crosses too much for the side to matter
    let least = hits(0);
    for (let share = 1; share <= 6 && least > 0.2; share++) {
      for (const side of [1, -1]) {
        const found = hits(side * reach * share / 6);
        if (found < least) { least = found; bow = side * reach * share / 6; }
      }
    }
  }
  const third = (y2 - y) / 3;
  return shaped([[x, y, x + bow, y + third, x2 + bow, y2 - third, x2, y2]]);
}
