"""Which results of an equation depend on which of its operands, as far as derivatives go.

What JAX's own `jvp` passes nothing through (`stop_gradient`, `floor`, a comparison) ends a derivative here
too, and of several results each has its own dependence. Loops and branches are looked into, by their rules;
a primitive without a rule, or with one that is read off its `jvp`, is asked for that: a tangent that comes
out depends on those tangents that its program reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from weakref import WeakKeyDictionary

from jax.extend import core

from .._trace import Atom, Equation, Program, Variable, inline, is_differentiable
from ._elementwise import ELEMENTWISE, array_type, jvp_program
from ._registry import Inputs, find_dependence, find_rule, register_dependence

NOTHING: Inputs = frozenset()


def follow(
    program: Program, sources: Mapping[Variable, Inputs]
) -> tuple[dict[Atom, Inputs], list[list[Inputs]]]:
    """Follow derivatives through a program.

    Args:
        program: the program.
        sources: the differentiated variables, and the inputs that they stand for.

    Returns:
        for every variable that a derivative reaches the inputs that it depends on, and for every equation the
        positions of the operands that each of its results depends on; no results where no derivative arrives.
    """
    found: dict[Atom, Inputs] = {**sources}
    links = []
    for equation in program.equations:
        own = [frozenset([at]) if atom in found else NOTHING for at, atom in enumerate(equation.inputs)]
        ways = results_of(equation, own) if any(own) else []
        links.append(ways)
        for output, way in zip(equation.outputs, ways, strict=False):
            if way:
                found[output] = _union(found[equation.inputs[at]] for at in way)
    return found, links


def dependence(closed: core.ClosedJaxpr, sources: Sequence[Inputs]) -> list[Inputs]:
    """For every result of a program what it depends on.

    Args:
        closed: the program.
        sources: for every input what it depends on; nothing if it is not differentiated.
    """
    moving = tuple(map(bool, sources))
    known = _DIRECT.setdefault(closed, {})
    if moving not in known:
        known[moving] = _direct(inline(closed), moving)
    return [_union(sources[at] for at in inputs) for inputs in known[moving]]


#: For programs inside others and their moving inputs what :func:`_direct` found: every layer asks again.
_DIRECT: WeakKeyDictionary[core.ClosedJaxpr, dict[tuple[bool, ...], list[Inputs]]] = WeakKeyDictionary()


def _direct(program: Program, moving: Sequence[bool]) -> list[Inputs]:
    """For every result the moving inputs that it depends on."""
    sources = {
        variable: frozenset([at])
        for at, variable in enumerate(program.inputs)
        if moving[at] and is_differentiable(variable.aval)
    }
    found, _ = follow(program, sources)
    return [found.get(atom, NOTHING) for atom in program.outputs]


def results_of(equation: Equation, operands: Sequence[Inputs]) -> list[Inputs]:
    """For every result of an equation what it depends on, from the same for its operands."""
    carriers = [is_differentiable(output.aval) for output in equation.outputs]
    if not any(carriers):
        return []
    known = find_dependence(equation.primitive) or (_on_all if find_rule(equation.primitive) else by_jvp)
    found = known(equation, operands)
    return [inputs if carries else NOTHING for inputs, carries in zip(found, carriers, strict=True)]


def _on_all(equation: Equation, operands: Sequence[Inputs]) -> list[Inputs]:
    return [_union(operands)] * len(equation.outputs)


def on_own(equation: Equation, operands: Sequence[Inputs]) -> list[Inputs]:
    """Every result is a rearrangement of the operand at its place."""
    return list(operands[: len(equation.outputs)])


@register_dependence(*ELEMENTWISE)
def _entrywise(equation: Equation, operands: Sequence[Inputs]) -> list[Inputs]:
    """As :func:`by_jvp`; elementwise primitives have the same for all parameters and types."""
    moving = tuple(at for at, inputs in enumerate(operands) if inputs)
    key = equation.primitive, moving
    if key not in _KNOWN:
        (_KNOWN[key],) = _tangents(equation, moving)
    return [_union(operands[at] for at in _KNOWN[key])]


_KNOWN: dict[tuple[core.Primitive, tuple[int, ...]], Inputs] = {}


def by_jvp(equation: Equation, operands: Sequence[Inputs]) -> list[Inputs]:
    """As the primitive's jvp has it."""
    moving = frozenset(at for at, inputs in enumerate(operands) if inputs)
    ways = _tangents(equation, sorted(moving))
    if find_rule(equation.primitive) is None or equation.params.get("symbolic_zeros"):
        # Such a jvp may ask which tangents there are, and has to be told the same when it is differentiated.
        ways = [moving if way else NOTHING for way in ways]
    return [_union(operands[at] for at in way) for way in ways]


def _tangents(equation: Equation, moving: Sequence[int]) -> list[Inputs]:
    """For every tangent that a primitive's jvp returns the operands whose tangents it reads."""
    wanted = tuple(at in moving for at in range(len(equation.inputs)))
    try:
        types = tuple(array_type(atom.aval) for atom in equation.inputs)
        program = jvp_program(equation.primitive, equation.params, types, wanted)
    except Exception:  # whatever rules raise that are not ours; it is an error where a derivative is needed
        return [frozenset(moving)] * len(equation.outputs)
    found: dict[Atom, Inputs] = {
        tangent: frozenset([at]) for at, tangent in zip(moving, program.inputs[len(types) :], strict=True)
    }
    for inner in program.equations:
        read = _union(found.get(atom, NOTHING) for atom in inner.inputs)
        found.update((output, read) for output in inner.outputs)
    return [found.get(atom, NOTHING) for atom in program.outputs[len(equation.outputs) :]]


def _union(several: Iterable[Inputs]) -> Inputs:
    return NOTHING.union(*several)
