"""The computational graph of a function: numbered vertices, structured edges, what may be eliminated."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jax.extend import core

from ._trace import (
    Atom,
    Constant,
    Equation,
    Program,
    Variable,
    is_differentiable,
    read,
    short_type,
)
from .rules import Call, dense_rule, find_rule
from .rules._elementwise import static_number
from .sparse import Block, Structure

if TYPE_CHECKING:
    from ._elimination import OpCount, UnitEdges

Edge = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Numbering:
    """Which variables of a program are vertices, and which of them can carry a derivative.

    Attributes:
        program: the flat program.
        wrt: positions of the differentiated ones among the program's inputs.
        number: the vertex number of every variable that has one; inputs count down from -1.
        active: variables that depend on a differentiated input and that an output depends on.
    """

    program: Program
    wrt: tuple[int, ...]
    number: dict[Variable, int]
    active: frozenset[Variable]

    @property
    def inputs(self) -> tuple[int, ...]:
        """The node of every differentiated input."""
        return tuple(-1 - at for at in range(len(self.wrt)))


def number_vertices(program: Program, wrt: Sequence[int], num_outputs: int) -> Numbering:
    """Number the vertices 1, 2, 3, ... by the position of their equation.

    Every equation counts, before anything is pruned; one with several results takes a number for each
    result that can carry a derivative (one if none can).

    Args:
        program: the flat program.
        wrt: positions of the differentiated inputs.
        num_outputs: how many of the program's outputs are differentiated; any others are auxiliary.
    """
    number: dict[Variable, int] = {}
    last = 0
    for equation in program.equations:
        carriers = [output for output in equation.outputs if is_differentiable(output.aval)]
        for output in carriers:
            last += 1
            number[output] = last
        if not carriers:
            last += 1
    for at, position in enumerate(wrt):
        number[program.inputs[position]] = -1 - at

    moving = {program.inputs[position] for position in wrt}
    for equation in program.equations:
        if not moving.isdisjoint(equation.inputs):
            moving.update(output for output in equation.outputs if is_differentiable(output.aval))
    useful = set(program.outputs[:num_outputs])
    for equation in reversed(program.equations):
        if not useful.isdisjoint(equation.outputs):
            useful.update(equation.inputs)
    active = frozenset(v for v in moving & useful if isinstance(v, Variable))
    return Numbering(program, tuple(wrt), number, active)


def linearize(numbering: Numbering, values: Sequence[Any]) -> tuple[list[Any], dict[Edge, Block]]:
    """Evaluate a program together with the local Jacobians of its equations.

    Args:
        numbering: the numbered program.
        values: one array for every input of the program.

    Returns:
        the values of the outputs, and the block of every edge, in the order of the program.
    """
    program, active = numbering.program, numbering.active
    env = dict(zip(program.inputs, values, strict=True))
    env.update((variable, jax.numpy.asarray(value)) for variable, value in program.constants)
    edges: dict[Edge, Block] = {}
    for equation in program.equations:
        operands = [read(env, atom) for atom in equation.inputs]
        wanted = [atom in active for atom in equation.inputs]
        if any(wanted) and not active.isdisjoint(equation.outputs):
            results, blocks = _apply_rule(equation, operands, wanted)
            _collect(numbering, equation, wanted, blocks, edges)
        else:
            results = equation.evaluate(operands)
        env.update(zip(equation.outputs, results, strict=True))
    return [read(env, atom) for atom in program.outputs], edges


def _apply_rule(
    equation: Equation, operands: list[Any], wanted: list[bool]
) -> tuple[list[Any], list[list[Block | None]]]:
    static = [static_number(atom.value) if isinstance(atom, Constant) else None for atom in equation.inputs]
    for at, atom in enumerate(equation.inputs):
        if isinstance(atom, Constant):
            operands[at] = np.asarray(atom.value, atom.aval.dtype)
    call = Call(equation.primitive, equation.params, operands, static, wanted, len(equation.outputs))
    return (find_rule(equation.primitive) or dense_rule)(call)


def _collect(
    numbering: Numbering,
    equation: Equation,
    wanted: list[bool],
    blocks: list[list[Block | None]],
    edges: dict[Edge, Block],
) -> None:
    for output, row in zip(equation.outputs, blocks, strict=True):
        if output not in numbering.active:
            continue
        target = numbering.number[output]
        for atom, want, block in zip(equation.inputs, wanted, row, strict=True):
            if not want or block is None:
                continue
            edge = (numbering.number[atom], target)  # type: ignore[index]
            edges[edge] = edges[edge] + block if edge in edges else block


@dataclass(frozen=True, eq=False)
class ComputationalGraph:
    """Vertices and structured edges between the differentiated inputs and the outputs of a function.

    Made by :func:`graphax.trace`. Inputs are the nodes -1, -2, ... in the order of the differentiated
    array leaves; vertices are numbered from 1 by the position of their equation.

    Attributes:
        numbering: the program and its vertex numbers.
        outputs: for every differentiated output leaf its node, or None if it depends on no input.
        edges: the structure of every edge ``(source, target)`` on a path from an input to an output.
    """

    numbering: Numbering
    outputs: tuple[int | None, ...]
    edges: dict[Edge, Structure]

    @property
    def inputs(self) -> tuple[int, ...]:
        """The nodes of the differentiated inputs."""
        return self.numbering.inputs

    @cached_property
    def vertices(self) -> tuple[int, ...]:
        """The vertices that lie on a path from an input to an output, ascending."""
        return tuple(sorted({target for _, target in self.edges}))

    @cached_property
    def eliminable(self) -> tuple[int, ...]:
        """The vertices that an order has to name: those that another vertex reads."""
        return tuple(sorted({source for source, _ in self.edges if source > 0}))

    @cached_property
    def output_vertices(self) -> frozenset[int]:
        """The vertices that are outputs."""
        return frozenset(node for node in self.outputs if node is not None and node > 0)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of structure alone: primitives, shapes, wiring and literals, not values or dtypes.

        It is the same in every process and for every input value.
        """
        return _fingerprint(self.numbering, self.outputs)

    def cost(self, order: Sequence[int], unit_edges: UnitEdges = "free") -> OpCount:
        """What eliminating the vertices in this order costs, from structures alone.

        Args:
            order: vertex numbers.
            unit_edges: the convention, as for :func:`graphax.count_ops`.

        Raises:
            ValueError: when the order is not one of this graph's.
        """
        # Costs are the business of the layers above; only this convenience looks up.
        from ._elimination import order_cost
        from .orders import check_order

        return order_cost(self, check_order(self, order), unit_edges)

    def __str__(self) -> str:
        return _describe(self)


def build_graph(
    numbering: Numbering, num_outputs: int, blocks: dict[Edge, Block]
) -> tuple[ComputationalGraph, dict[Edge, Block]]:
    """The graph of a linearised program, and the blocks of its edges; what is on no path is pruned."""
    outputs = tuple(
        numbering.number[atom] if isinstance(atom, Variable) and atom in numbering.active else None
        for atom in numbering.program.outputs[:num_outputs]
    )
    down = _reachable(numbering.inputs, blocks)
    up = _reachable([node for node in outputs if node is not None], [(w, v) for v, w in blocks])
    alive = {edge: block for edge, block in blocks.items() if edge[0] in down and edge[1] in up}
    reached = down | set(numbering.inputs)
    outputs = tuple(node if node in reached else None for node in outputs)
    structures = {edge: block.structure for edge, block in alive.items()}
    return ComputationalGraph(numbering, outputs, structures), alive


def _reachable(sources: Iterable[int], edges: Iterable[Edge]) -> set[int]:
    successors: dict[int, list[int]] = {}
    for source, target in edges:
        successors.setdefault(source, []).append(target)
    seen = set(sources)
    stack = list(seen)
    while stack:
        for target in successors.get(stack.pop(), ()):
            if target not in seen:
                seen.add(target)
                stack.append(target)
    return seen


def abstract_graph(numbering: Numbering, num_outputs: int) -> ComputationalGraph:
    """The graph of a program from shapes alone; no array is computed."""
    found: list[ComputationalGraph] = []

    def run(*values: Any) -> None:
        _, blocks = linearize(numbering, values)
        found.append(build_graph(numbering, num_outputs, blocks)[0])

    jax.eval_shape(run, *[_shape_of(variable) for variable in numbering.program.inputs])
    return found[0]


def _shape_of(variable: Variable) -> jax.ShapeDtypeStruct:
    aval = variable.aval
    return jax.ShapeDtypeStruct(aval.shape, aval.dtype, weak_type=aval.weak_type)


def _fingerprint(numbering: Numbering, outputs: Sequence[int | None]) -> str:
    names: dict[Variable, str] = {}

    def name(atom: Atom) -> str:
        if isinstance(atom, Constant):
            return _literal(atom.value)
        return names.setdefault(atom, f"{len(names)}{atom.aval.shape}")

    program = numbering.program
    lines = [" ".join(name(variable) for variable in program.inputs), str(numbering.wrt)]
    for equation in program.equations:
        operands = " ".join(name(atom) for atom in equation.inputs)
        results = " ".join(name(variable) for variable in equation.outputs)
        params = _stable_params(equation.params)
        lines.append(f"{results} = {equation.primitive.name} {operands} {params}")
    lines.append(str(tuple(outputs)))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _literal(value: Any) -> str:
    """A literal in six digits, so that every floating type spells it alike."""
    number = static_number(value)
    return f"{number:.6g}" if number is not None else str(value)


def _stable_params(params: dict[str, Any]) -> str:
    """The parameters that shape the result; types, precisions and functions are left out."""
    return " ".join(f"{key}={text}" for key, value in sorted(params.items()) if (text := _stable(value)))


def _stable(value: Any) -> str:
    if isinstance(value, bool | int | str):
        return repr(value)
    if isinstance(value, float):
        return _literal(value)
    if isinstance(value, tuple | list):
        return "(" + ",".join(_stable(item) for item in value) + ")"
    if isinstance(value, core.ClosedJaxpr | core.Jaxpr):
        jaxpr = value.jaxpr if isinstance(value, core.ClosedJaxpr) else value
        return "[" + ";".join(f"{e.primitive.name} {_stable_params(e.params)}" for e in jaxpr.eqns) + "]"
    return ""


def _describe(graph: ComputationalGraph) -> str:
    """The numbered equations as a jaxpr prints them, with the lines that they come from."""
    names: dict[Variable, str] = {}

    def name(atom: Atom) -> str:
        if isinstance(atom, Constant):
            return repr(atom)
        return names.setdefault(atom, _letters(len(names)))

    program = graph.numbering.program
    eliminable, vertices = set(graph.eliminable), set(graph.vertices)
    header = " ".join(f"{name(var)}:{short_type(var.aval)}" for var in program.inputs)
    rows = []
    last = 0
    for equation in program.equations:
        numbers = [graph.numbering.number[v] for v in equation.outputs if v in graph.numbering.number]
        last = numbers[-1] if numbers else last + 1
        marks = "".join(
            "*" if number in eliminable else "o" if number in vertices else " "
            for number in numbers or [last]
        )
        label = ",".join(str(number) for number in numbers or [last])
        operands = " ".join(name(atom) for atom in equation.inputs)
        results = " ".join(f"{name(v)}:{short_type(v.aval)}" for v in equation.outputs)
        params = _stable_params(equation.params)
        text = f"{results} = {equation.primitive.name}{f'[{params}]' if params else ''} {operands}"
        rows.append((label, marks, text, equation.source))
    width = max((len(row[0]) for row in rows), default=0)
    body = max((min(len(row[2]), 72) for row in rows), default=0)
    lines = [f"{label:>{width}} {marks} {text:<{body}}  # {source}" for label, marks, text, source in rows]
    results = " ".join(name(atom) for atom in program.outputs)
    legend = (
        f"{len(graph.vertices)} vertices, {len(graph.eliminable)} eliminable (*); "
        "o is an output that no vertex reads"
    )
    return "\n".join([f"inputs {header}", *lines, f"outputs {results}", legend])


def _letters(index: int) -> str:
    """a, b, ..., z, ba, bb, ... as jaxprs name variables."""
    text = ""
    while True:
        index, rest = divmod(index, 26)
        text = chr(ord("a") + rest) + text
        if not index:
            return text
