"""A Python function becomes one flat program: a list of equations with every call inlined."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.extend import core, source_info_util

# Operations that this package adds to a program have, as JAX's own do, the user's line that asked for them.
source_info_util.register_exclusion(f"{Path(__file__).parent}{os.sep}")

# Primitives that only call a jaxpr, and the parameter that holds it.
_CALLS = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "checkpoint": "jaxpr",
    "remat": "jaxpr",
    "remat2": "jaxpr",
}

# Primitives that stand for a program wherever derivatives pass through them, and how its jaxpr is made of an
# equation.
_STANDING_FOR: dict[str, Callable[[Any], core.ClosedJaxpr]] = {}


def register_program(name: str, of_equation: Callable[[Any], core.ClosedJaxpr]) -> None:
    """Say what a primitive stands for wherever derivatives pass through it."""
    _STANDING_FOR[name] = of_equation


@dataclass(frozen=True, eq=False)
class Constant:
    """A static scalar operand: a literal of the jaxpr."""

    value: Any
    aval: Any

    def __repr__(self) -> str:
        return f"{self.value}:{short_type(self.aval)}"


@dataclass(frozen=True, eq=False)
class Variable:
    """A variable of the flat program. Variables are told apart by identity."""

    aval: Any


Atom = Constant | Variable


@dataclass(frozen=True)
class Surroundings:
    """What was in force where the user's code applied a primitive.

    Attributes:
        source_info: the lines of the code, and the names of the scopes and calls around them.
        contexts: the settings, of the calls around it first: how random bits are generated, where to
            compute, metadata for XLA.
        callers: the source of the calls around it, of the innermost last.
    """

    source_info: Any
    contexts: tuple[Any, ...] = ()
    callers: tuple[Any, ...] = ()

    def around(self, inner: Any) -> Surroundings:
        """Those of an equation of a jaxpr that is called in these."""
        info, contexts = inner.source_info, self.contexts
        if len(self.source_info.name_stack):
            info = info.replace(name_stack=self.source_info.name_stack + info.name_stack)
        contexts = contexts if inner.ctx in contexts[-1:] else (*contexts, inner.ctx)
        return Surroundings(info, contexts, (*self.callers, self.source_info))

    def named(self, call: Any) -> Surroundings:
        """Those inside of a call, whose name is a scope."""
        if "name" not in call.params:
            return self
        stack = self.source_info.name_stack.extend(f"{call.primitive.name}({call.params['name']})")
        return replace(self, source_info=self.source_info.replace(name_stack=stack))

    @contextmanager
    def entered(self) -> Iterator[None]:
        """As ``jax.core.eval_jaxpr`` does it; scopes are entered within the present ones."""
        info = self.source_info
        stack = source_info_util.current_name_stack() + info.name_stack
        with ExitStack() as entered:
            entered.enter_context(source_info_util.user_context(info.traceback, name_stack=stack))
            for context in self.contexts:
                entered.enter_context(context.manager)
            try:
                yield
            except Exception as error:
                # The line where the user's code asked for what failed.
                if info.traceback is not None and not getattr(error, "__notes__", ()):
                    error.add_note(f"This is what became of {source_info_util.summarize(info)}")
                raise


@contextmanager
def usual_promotion() -> Iterator[None]:
    """The types and ranks of arrays meet as they usually do, whatever the user's own code is held to."""
    config: Any = jax.config
    with ExitStack() as entered:
        if config.jax_numpy_dtype_promotion != "standard":
            entered.enter_context(jax.numpy_dtype_promotion("standard"))
        if config.jax_numpy_rank_promotion != "allow":
            entered.enter_context(jax.numpy_rank_promotion("allow"))
        yield


#: Of what is applied wherever the program is evaluated.
ANYWHERE = Surroundings(source_info_util.new_source_info())


@dataclass(frozen=True, eq=False)
class Equation:
    """One application of a primitive."""

    primitive: core.Primitive
    params: dict[str, Any]
    inputs: tuple[Atom, ...]
    outputs: tuple[Variable, ...]
    surroundings: Surroundings
    has_effects: bool = False

    def evaluate(self, values: Sequence[Any]) -> list[Any]:
        """Apply the primitive in its surroundings.

        Args:
            values: one array for every input.

        Returns:
            one array for every output.
        """
        if self.surroundings is ANYWHERE:
            return bind(self.primitive, self.params, values)
        with self.surroundings.entered():
            return bind(self.primitive, self.params, values)

    @property
    def source(self) -> str:
        """Where in the user's code the equation comes from, as ``file.py:line (function)``.

        Inside of a library's function that is where the user called it.
        """
        infos = (self.surroundings.source_info, *reversed(self.surroundings.callers))
        return next(filter(None, map(source_info_util.summarize, infos)), "")


@dataclass(frozen=True)
class Program:
    """A jaxpr without calls.

    Attributes:
        inputs: the variables of the arguments.
        constants: variables whose values the function closes over, with these values.
        equations: in the order of the traced program, calls replaced by their bodies.
        outputs: the results.
    """

    inputs: tuple[Variable, ...]
    constants: tuple[tuple[Variable, Any], ...]
    equations: tuple[Equation, ...]
    outputs: tuple[Atom, ...]

    def __call__(self, *values: Any) -> list[Any]:
        """The outputs, for one array for every input."""
        return self.evaluated(values, Equation.evaluate)

    def evaluated(
        self, values: Sequence[Any], evaluate: Callable[[Equation, Sequence[Any]], Sequence[Any]]
    ) -> list[Any]:
        """The outputs, where something evaluates every equation.

        Args:
            values: one array for every input.
            evaluate: from an equation and its operands to its results.
        """
        known: dict[Variable, Any] = dict(self.constants)
        known.update(zip(self.inputs, values, strict=True))

        def read(atom: Atom) -> Any:
            return known[atom] if isinstance(atom, Variable) else np.asarray(atom.value, atom.aval.dtype)

        for equation in self.equations:
            results = evaluate(equation, [read(atom) for atom in equation.inputs])
            known.update(zip(equation.outputs, results, strict=True))
        return [read(atom) for atom in self.outputs]

    def anywhere(self) -> Program:
        """The same program for every place in the user's code."""
        equations = tuple(replace(equation, surroundings=ANYWHERE) for equation in self.equations)
        return replace(self, equations=equations)


def opened(program: Program, moving: Container[Atom]) -> Program:
    """A program in which nothing that moves is operand of a primitive that only stands for a program."""
    if not any(_opens(equation, moving) for equation in program.equations):
        return program
    constants, equations = list(program.constants), list[Equation]()
    same: dict[Atom, Atom] = {}
    for equation in program.equations:
        inputs = tuple(same.get(atom, atom) for atom in equation.inputs)
        if not _opens(equation, moving):
            equations.append(replace(equation, inputs=inputs))
            continue
        closed = _STANDING_FOR[equation.primitive.name](equation)
        around = equation.surroundings
        results = _inline_into(closed.jaxpr, closed.consts, inputs, around, constants, equations)
        same.update(zip(equation.outputs, results, strict=True))
    outputs = tuple(same.get(atom, atom) for atom in program.outputs)
    return Program(program.inputs, tuple(constants), tuple(equations), outputs)


def _opens(equation: Equation, moving: Container[Atom]) -> bool:
    return equation.primitive.name in _STANDING_FOR and any(atom in moving for atom in equation.inputs)


def bind(primitive: core.Primitive, params: dict[str, Any], values: Sequence[Any]) -> list[Any]:
    """Apply a primitive as it stands in a jaxpr; always returns a list."""
    bound = primitive.get_bind_params(params)
    # Releases of JAX differ in whether a call's functions come apart from its other parameters.
    functions, params = bound if isinstance(bound, tuple) else ((), bound)
    try:
        results = primitive.bind(*functions, *values, **params)
    except ValueError:
        # Inside of a shard_map constants of ours are the same on all devices, what they meet need not be.
        varying = varying_as(values, *values)
        if all(new is old for new, old in zip(varying, values, strict=True)):
            raise
        results = primitive.bind(*functions, *varying, **params)
    return list(results) if primitive.multiple_results else [results]


def with_moving(values: Sequence[Any], wanted: Sequence[bool], moving: Sequence[Any]) -> list[Any]:
    """The values, those that are wanted taken from ``moving`` in their order."""
    remaining = iter(moving)
    return [next(remaining) if want else value for value, want in zip(values, wanted, strict=True)]


def varying_as(values: Any, *like: Any) -> Any:
    """Arrays that vary, inside of a shard_map, along all axes of devices that they or others vary along.

    Args:
        values: arrays.
        like: the others.
    """
    if jax.sharding.get_abstract_mesh().empty:
        return values
    axes = frozenset().union(*(varying_axes(jax.typeof(other)) for other in like))

    def vary(array: Any) -> Any:
        missing = tuple(sorted(axes - varying_axes(jax.typeof(array))))
        return lax.pcast(array, missing, to="varying") if missing else array

    return jax.tree.map(vary, values)


def varying_axes(aval: Any) -> frozenset[str]:
    """The axes of devices along which an array of this type varies, inside of a shard_map."""
    kind = getattr(aval, "manual_axis_type", None)  # releases of JAX differ in where they are held
    return getattr(aval, "vma", frozenset()) if kind is None else kind.varying


def trace_program(fun: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[Program, Any]:
    """Trace a function of arrays and inline its calls.

    Args:
        fun: a function of pytrees of arrays.
        args, kwargs: example arguments, or anything with a shape and a dtype.

    Returns:
        the flat program over the leaves of the arguments, and the pytree of output shapes.
    """
    jaxpr, shape = jax.make_jaxpr(fun, return_shape=True)(*args, **kwargs)
    return inline(jaxpr), shape


def inline(closed: core.ClosedJaxpr | core.Jaxpr) -> Program:
    """The flat program of a jaxpr; the constants of an open one are given to it elsewhere."""
    if not isinstance(closed, core.ClosedJaxpr):  # in some releases a closed one is a Jaxpr, too
        closed = core.ClosedJaxpr(closed, closed.constvars)
    constants: list[tuple[Variable, Any]] = []
    equations: list[Equation] = []
    inputs = tuple(Variable(var.aval) for var in closed.jaxpr.invars)
    outputs = _inline_into(closed.jaxpr, closed.consts, inputs, ANYWHERE, constants, equations)
    return Program(inputs, tuple(constants), tuple(equations), tuple(outputs))


def _inline_into(
    jaxpr: core.Jaxpr,
    consts: Sequence[Any],
    inputs: Sequence[Atom],
    outside: Surroundings,
    constants: list[tuple[Variable, Any]],
    equations: list[Equation],
) -> list[Atom]:
    """Append the equations of a jaxpr applied to ``inputs``; returns its outputs."""
    atoms: dict[core.Var, Atom] = {}

    def read(atom: Any) -> Atom:
        if isinstance(atom, core.Literal):
            return Constant(atom.val, atom.aval)
        return atoms[atom]

    for var, value in zip(jaxpr.constvars, consts, strict=True):
        variable = Variable(var.aval)
        constants.append((variable, value))
        atoms[var] = variable
    atoms.update(zip(jaxpr.invars, inputs, strict=True))
    for eqn in jaxpr.eqns:
        operands = tuple(read(atom) for atom in eqn.invars)
        surroundings = outside.around(eqn)
        called = eqn.params.get(_CALLS.get(eqn.primitive.name, "")) or _portable_branch(eqn)
        if called is not None and eqn.primitive.name == "cond":
            operands = operands[1:]
        if called is not None:
            body, body_consts = (
                (called.jaxpr, called.consts) if isinstance(called, core.ClosedJaxpr) else (called, ())
            )
            inside = surroundings.named(eqn)
            results: Sequence[Atom] = _inline_into(body, body_consts, operands, inside, constants, equations)
        else:
            results = tuple(Variable(var.aval) for var in eqn.outvars)
            effects = bool(eqn.effects)
            equations.append(Equation(eqn.primitive, eqn.params, operands, results, surroundings, effects))
        atoms.update(zip(eqn.outvars, results, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _portable_branch(eqn: Any) -> Any:
    """The branch for ordinary devices, where a choice by platform only sets kernels of Mosaic apart."""
    platforms = eqn.params.get("branches_platforms")
    if eqn.primitive.name != "cond" or platforms is None or None not in platforms:
        return None
    special = {name for names in platforms for name in names or ()}
    return eqn.params["branches"][platforms.index(None)] if special == {"mosaic"} else None


def read(env: dict[Variable, Any], atom: Atom) -> Any:
    """The value of an atom."""
    return atom.value if isinstance(atom, Constant) else env[atom]


def communicates(equation: Any) -> bool:
    """Whether an equation combines the values along an axis that a surrounding transformation names.

    Axes of an array are integers, of Python or of NumPy; names are anything else.
    """
    params = equation.params
    if equation.primitive.name == "pvary":  # changes a type, no value
        return False
    axes = params.get("axes", params.get("axis_name", ()))
    if any(not hasattr(axis, "__index__") for axis in (axes if isinstance(axes, tuple) else (axes,))):
        return True
    if equation.primitive.name == "shard_map":  # names its axes itself
        return False
    return any(communicates(eqn) for jaxpr in core.jaxprs_in_params(params) for eqn in jaxpr.eqns)


def scan_counts(params: dict[str, Any]) -> tuple[int, int]:
    """How many of a scan's operands are constants, and how many are carried."""
    if "num_consts" in params:
        return params["num_consts"], params["num_carry"]
    consts, carried, _ = params["ft_in"].unpack()  # newer releases of JAX hold the operands' trees
    return len(consts), len(carried)


def holds(jaxpr: core.Jaxpr, names: Sequence[str]) -> bool:
    """Whether a program holds one of these primitives, however deep."""
    return any(
        eqn.primitive.name in names
        or any(holds(getattr(inner, "jaxpr", inner), names) for inner in core.jaxprs_in_params(eqn.params))
        for eqn in jaxpr.eqns
    )


def is_split(aval: Any) -> bool:
    """Whether arrays of this type are split among devices, explicitly."""
    sharding = getattr(aval, "sharding", None)
    return sharding is not None and any(part is not None for part in sharding.spec)


def is_differentiable(aval: Any) -> bool:
    """Whether an array of this type can carry a derivative."""
    dtype = getattr(aval, "dtype", None)
    return dtype is not None and jax.numpy.issubdtype(dtype, np.inexact)


def is_complex(aval: Any) -> bool:
    """Whether an array or its type is complex."""
    return jax.numpy.issubdtype(jax.numpy.result_type(aval), np.complexfloating)


def short_type(aval: Any) -> str:
    """An array type as jaxprs print it, such as ``f32[3,4]``."""
    return aval.str_short(short_dtypes=True) if hasattr(aval, "str_short") else str(aval)
