// An elimination of the graph: which edges there are at a position, and what each step does to them.
//
// Position 0 is the graph as it was, position p of n the edges that step p joins beside what comes of them,
// and position n + 1 the result. Every advance remembers what it changed, so that it can be taken back.
class Elimination {
  constructor(graph, steps) {
    this.steps = steps;
    this.last = steps.length ? steps.length + 1 : 0;
    this.turn = new Map(steps.map(([vertex], at) => [vertex, at + 1]));
    this.costs = [0];
    for (const [, mults] of steps) this.costs.push(this.costs[this.costs.length - 1] + mults);
    this.outputs = new Set(graph.outputs);
    this.position = 0;
    this.past = [];
    this.marked = [];
    this.edges = new Map();
    this.leaving = new Map();
    this.arriving = new Map();
    this.present = new Set();
    for (const [source, target, structure] of triples(graph.edges)) {
      const edge = this.edgeAt(source, target);
      edge.now = structure;
      this.present.add(edge);
    }
  }

  get step() { return this.steps[this.position - 1] || null; }
  get running() { return this.costs[Math.min(this.position, this.steps.length)]; }
  get total() { return this.costs[this.steps.length]; }
  isGone(vertex) { return this.turn.get(vertex) < this.position; }

  edgeAt(source, target) {
    const key = source + "," + target;
    let edge = this.edges.get(key);
    if (!edge) {
      edge = {key, source, target, now: -1, born: 0, mark: "", shape: null};
      this.edges.set(key, edge);
      for (const [map, end] of [[this.leaving, source], [this.arriving, target]]) {
        if (!map.has(end)) map.set(end, []);
        map.get(end).push(edge);
      }
    }
    return edge;
  }

  around(map, vertex) { return (map.get(vertex) || []).filter(edge => edge.now >= 0); }

  hold(edge, now) {
    edge.now = now;
    if (now < 0) this.present.delete(edge); else this.present.add(edge);
  }

  advance() {
    const log = [];
    const set = (edge, now) => {
      log.push([edge, edge.now]);
      if (edge.now < 0) edge.born = this.position;
      this.hold(edge, now);
    };
    if (this.step) {
      const vertex = this.step[0];
      for (const edge of this.around(this.leaving, vertex)) set(edge, -1);
      if (!this.outputs.has(vertex)) for (const edge of this.around(this.arriving, vertex)) set(edge, -1);
    }
    this.position++;
    if (this.step) {
      for (const [source, target, now] of triples(this.step[3])) set(this.edgeAt(source, target), now);
    }
    this.past.push(log);
  }

  retreat() {
    for (const [edge, before] of this.past.pop().reverse()) this.hold(edge, before);
    this.position--;
  }

  // Goes to a position, marks what its step joins and makes, and counts that.
  moveTo(position) {
    while (this.position < position) this.advance();
    while (this.position > position) this.retreat();
    for (const edge of this.marked) edge.mark = "";
    this.marked = [];
    const count = {leaving: 0, arriving: 0, fills: 0, changes: 0};
    const mark = (edge, name) => { edge.mark = name; this.marked.push(edge); };
    if (!this.step) return count;
    for (const side of ["leaving", "arriving"]) {
      for (const edge of this.around(this[side], this.step[0])) { mark(edge, "leaving"); count[side]++; }
    }
    for (const [edge, before] of this.past[position - 1]) {
      if (edge.now < 0) continue;
      mark(edge, before < 0 ? "new" : "changed");
      count[before < 0 ? "fills" : "changes"]++;
    }
    return count;
  }
}

function* triples(flat) {
  for (let at = 0; at < flat.length; at += 3) yield flat.slice(at, at + 3);
}
