"""Programs as compilers see them: inlined, equal equations once, nothing that is known or not needed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import numpy as np
from jax.extend import core

from .._trace import Constant, Program, scan_counts


@dataclass(frozen=True, eq=False)
class Value:
    """An array of a program; values are told apart by identity.

    Attributes:
        shape: its shape.
        dtype: its type.
        known: whether it is computed when the program is compiled: it depends on no argument, and on nothing
            that compilers rather compute again than keep.
    """

    shape: tuple[int, ...]
    dtype: Any
    known: bool = False

    @cached_property
    def size(self) -> int:
        """How many entries it has."""
        return math.prod(self.shape)

    @cached_property
    def itemsize(self) -> int:
        """How many bytes an entry has."""
        return getattr(self.dtype, "itemsize", 4)


@dataclass(frozen=True, eq=False)
class Equation:
    """One application of a primitive.

    Attributes:
        name: of the primitive.
        params: as JAX has them.
        inputs, outputs: its arrays.
        needed: which of the outputs somebody reads.
        source_info: where it comes from, as JAX has it.
    """

    name: str
    params: Mapping[str, Any]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    needed: tuple[bool, ...]
    source_info: Any = None

    @cached_property
    def size(self) -> int:
        """How many entries its results have."""
        return sum(value.size for value in self.outputs)

    @cached_property
    def body(self) -> tuple[Flat, tuple[bool, ...]]:
        """The body of a scan, with those of its results that what is needed depends on."""
        whole = flat(self.params["jaxpr"])
        consts, carried = scan_counts(dict(self.params))
        needed = self.needed
        while True:
            body = whole.only(needed)
            reads = body.reads[consts : consts + carried]
            more = tuple(want or (at < carried and reads[at]) for at, want in enumerate(needed))
            if more == needed:
                return body, needed
            needed = more


@dataclass(frozen=True, eq=False)
class Flat:
    """A program as one list of equations.

    Attributes:
        inputs: its arguments.
        equations: those that are needed, in the order of the program.
        outputs: its results.
        reads: for every argument whether an equation, or a result, needs it.
    """

    inputs: tuple[Value, ...]
    equations: tuple[Equation, ...]
    outputs: tuple[Value, ...]

    @cached_property
    def reads(self) -> tuple[bool, ...]:
        read = {id(value) for equation in self.equations for value in read_by(equation)}
        read.update(map(id, self.outputs))
        return tuple(id(value) in read for value in self.inputs)

    def only(self, needed: Sequence[bool]) -> Flat:
        """The program of some of its results."""
        if all(needed):
            return self
        outputs = tuple(itertools.compress(self.outputs, needed))
        return Flat(self.inputs, tuple(_alive(self.equations, outputs)), outputs)


def flat(program: Any) -> Flat:
    """A program that is about to be compiled.

    Args:
        program: a ``jax.extend.core.ClosedJaxpr``, an open one, or a :class:`Program`; or one that is flat.
    """
    if isinstance(program, Flat):
        return program
    jaxpr = _as_jaxpr(program) if isinstance(program, Program) else getattr(program, "jaxpr", program)
    builder = _Builder()
    inputs = [_value(variable) for variable in jaxpr.invars]
    constants = [_value(variable, known=True) for variable in jaxpr.constvars]
    outputs = builder.run(jaxpr, constants, inputs)
    return Flat(tuple(inputs), tuple(_alive(builder.equations, outputs)), tuple(outputs))


def _as_jaxpr(program: Program) -> Any:
    """What a builder reads of a jaxpr."""
    equations = [
        SimpleNamespace(
            primitive=equation.primitive,
            params=equation.params,
            invars=equation.inputs,
            outvars=equation.outputs,
            effects=equation.has_effects,
            source_info=equation.surroundings.source_info,
        )
        for equation in program.equations
    ]
    constants = [variable for variable, _ in program.constants]
    return SimpleNamespace(
        invars=program.inputs, constvars=constants, eqns=equations, outvars=program.outputs
    )


class _Builder:
    """Collects equations."""

    def __init__(self) -> None:
        self.equations: list[Equation] = []
        self._literals: dict[Any, Value] = {}
        self._found: dict[Any, tuple[Value, ...]] = {}

    def run(self, jaxpr: Any, constants: Sequence[Value], inputs: Sequence[Value]) -> list[Value]:
        """The results of a program for these arguments."""
        values: dict[Any, Value] = {}
        values.update(zip(jaxpr.constvars, constants, strict=True))
        values.update(zip(jaxpr.invars, inputs, strict=True))

        def read(atom: Any) -> Value:
            return self._literal(atom) if isinstance(atom, _LITERALS) else values[atom]

        for equation in jaxpr.eqns:
            results = self._apply(equation, [read(atom) for atom in equation.invars])
            values.update(zip(equation.outvars, results, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def _apply(self, equation: Any, inputs: list[Value]) -> Sequence[Value]:
        name, params = equation.primitive.name, equation.params
        called = _called(name, params, len(inputs))
        if called is not None:
            jaxpr = getattr(called, "jaxpr", called)
            return self.run(jaxpr, [_value(variable, known=True) for variable in jaxpr.constvars], inputs)
        if name in _SAME:
            return inputs
        if name in _NEUTRAL and any(_is(_NEUTRAL[name], atom) for atom in equation.invars):
            kept = inputs[0] if _is(_NEUTRAL[name], equation.invars[-1]) else inputs[-1]
            if kept.shape == equation.outvars[0].aval.shape:
                return [kept]
        key = _key(name, params, inputs)
        if key is not None and key in self._found:
            return self._found[key]
        known = all(value.known for value in inputs) and not (name in _UNFOLDED or any(programs_in(params)))
        outputs = tuple(_value(variable, known) for variable in equation.outvars)
        if not known:
            needed = (True,) * len(outputs)
            self.equations.append(
                Equation(name, params, tuple(inputs), outputs, needed, equation.source_info)
            )
        if key is not None and not equation.effects:
            self._found[key] = outputs
        return outputs

    def _literal(self, atom: Any) -> Value:
        number = _number(atom)
        key = (str(atom.aval), number.item()) if np.ndim(number) == 0 and hasattr(number, "item") else None
        if key is None:
            return _value(atom, known=True)
        return self._literals.setdefault(key, _value(atom, known=True))


#: What does nothing to an array.
_SAME = frozenset({"stop_gradient", "copy", "copy_p", "optimization_barrier", "sharding_constraint"})
#: Numbers with which an operation does nothing, on either side.
_NEUTRAL = {"add": 0, "mul": 1}
#: What compilers do not compute once and for all, of small arguments as it is.
_UNFOLDED = frozenset({"iota", "pad"})
#: Primitives that hold a program and do more with it than to call it.
_NOT_CALLS = frozenset(
    "scan while cond scatter reduce reduce_window reduce_precision sort select_and_scatter "
    "select_and_gather_add custom_linear_solve pallas_call".split()
)


def _is(number: int, atom: Any) -> bool:
    return isinstance(atom, _LITERALS) and np.ndim(_number(atom)) == 0 and bool(_number(atom) == number)


_LITERALS = (core.Literal, Constant)


def _number(literal: Any) -> Any:
    return literal.value if isinstance(literal, Constant) else literal.val


def _called(name: str, params: Mapping[str, Any], count: int) -> Any:
    """The program that a primitive only calls; None for other primitives."""
    if name in _NOT_CALLS or name.startswith(("scatter", "reduce")):
        return None
    for word in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
        program = params.get(word)
        jaxpr: Any = getattr(program, "jaxpr", program)
        if hasattr(jaxpr, "eqns") and len(jaxpr.invars) == count:
            return program
    return None


def programs_in(params: Mapping[str, Any]) -> Iterator[Any]:
    """The programs among the parameters of a primitive."""
    for value in params.values():
        for one in value if isinstance(value, (tuple, list)) else (value,):
            if hasattr(getattr(one, "jaxpr", one), "eqns"):
                yield one


def _value(variable: Any, known: bool = False) -> Value:
    aval = variable.aval
    shape = tuple(size if isinstance(size, int) else 1 for size in getattr(aval, "shape", ()))
    return Value(shape, getattr(aval, "dtype", None), known)


def _key(name: str, params: Mapping[str, Any], inputs: Sequence[Value]) -> Any:
    """What tells an equation from those that compute something else; None if that cannot be told."""
    key = name, tuple(map(id, inputs)), tuple(params.items())
    try:
        hash(key)
    except TypeError:
        return None
    return key


def _alive(equations: Sequence[Equation], outputs: Sequence[Value]) -> list[Equation]:
    """The equations on which results depend."""
    needed = set(map(id, outputs))
    kept: list[Equation] = []
    for equation in reversed(equations):
        read = tuple(id(value) in needed for value in equation.outputs)
        if any(read):
            if read != equation.needed:
                equation = replace(equation, needed=read)
            kept.append(equation)
            needed.update(map(id, read_by(equation)))
    return kept[::-1]


def read_by(equation: Equation) -> Sequence[Value]:
    """The arrays that have to be there for what is needed of an equation."""
    if equation.name != "scan":
        return equation.inputs
    body, outputs = equation.body
    consts, carried = scan_counts(dict(equation.params))
    reads = list(body.reads)
    for at in range(carried):  # what is carried is read at the end, too
        reads[consts + at] |= outputs[at]
    return [value for value, read in zip(equation.inputs, reads, strict=True) if read]
