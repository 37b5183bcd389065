"""What tells one graph from all others: a hash of its program, written in one canonical way."""

from __future__ import annotations

import dataclasses
import enum
import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.extend import core
from jax.sharding import PartitionSpec

from ._numbering import Numbering
from ._tables import tables
from ._trace import (
    Atom,
    Constant,
    Equation,
    Program,
    Variable,
    bind,
    inline,
    is_differentiable,
    scan_counts,
    with_moving,
)
from .rules import array_type, jvp_program

# Parameters that say how precisely, where or under which name something is computed, and not what.
_NOT_WHAT = frozenset(
    {
        "accuracy", "backend", "compiler_options_kvs", "compiler_params", "cost_estimate", "ctx_mesh",
        "debug_info", "in_layouts", "in_shardings", "interpret", "mesh", "metadata", "name",
        "name_and_src_info", "out_dtype", "out_layouts", "out_sharding", "out_shardings", "precision",
        "preferred_element_type", "sharding", "weak_type",
    }
)  # fmt: skip
# Functions with a derivative rule of their own.
_CUSTOM = frozenset({"custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr"})


def fingerprint(numbering: Numbering, outputs: Sequence[int | None]) -> str:
    """A hash of everything that decides what a graph is.

    These are the equations with their parameters, the programs inside loops, branches and custom derivative
    rules, literals (to single precision), shapes and kinds of types, the wiring, the differentiated inputs,
    the outputs, and those closed-over arrays whose values decide which entries meet: index tables and
    selections. Other closed-over values, the widths of types, names, devices and shardings are not in it; nor
    are the structures of edges, so that a better algebra of structures makes no graph another.

    Args:
        numbering: the numbered program.
        outputs: the node of every differentiated output, or None.
    """
    program = _canonical_program(numbering.program, numbering)
    return _digest(f"{program}\n{numbering.wrt} {tuple(outputs)}")


def _digest(text: str | bytes) -> str:
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()


def _canonical_program(program: Program, numbering: Numbering | None = None, with_rules: bool = True) -> str:
    """A program as text; variables are numbered as they appear.

    Args:
        program: the program.
        numbering: which of its variables carry a derivative; None if that is not known.
        with_rules: whether custom derivative rules belong to it. Those of a rule's own program do not: a rule
            may well call the function that it belongs to.
    """
    canonical = functools.partial(_canonical_value, with_rules=with_rules)
    active = numbering and numbering.active
    numbers: dict[Variable, str] = {}

    def name(atom: Atom) -> str:
        if isinstance(atom, Constant):
            return canonical(atom.value)
        if atom in numbers:
            return numbers[atom]
        numbers[atom] = f"v{len(numbers)}"
        return f"{numbers[atom]}{_canonical_type(atom.aval)}"

    lines = [" ".join(map(name, program.inputs))]
    for equation in program.equations:
        operands = " ".join(map(name, equation.inputs))
        results = " ".join(map(name, equation.outputs))
        carries = active is None or not active.isdisjoint(equation.outputs)
        has_rule = with_rules and carries and equation.primitive.name in _CUSTOM
        rule = _canonical_rule(equation, numbering) if has_rule else ""
        params = _canonical_params(equation, canonical)
        lines.append(f"{results} = {equation.primitive.name} {operands} {params} {rule}")
    lines.append("return " + " ".join(map(name, program.outputs)))
    lines += [f"{name(variable)} is {canonical(value)}" for variable, value in tables(program, active)]
    return "\n".join(lines)


def _canonical_params(equation: Equation, canonical: Callable[[Any], str]) -> str:
    params = dict(equation.params)
    if equation.primitive.name == "scan":  # whose operands releases of JAX describe differently
        params = params | {"counts": scan_counts(params), "ft_in": None, "ft_out": None}
    return " ".join(
        f"{key}={text}"
        for key, value in sorted(params.items())
        if key not in _NOT_WHAT and (text := canonical(value))
    )


def _canonical_value(value: Any, with_rules: bool = True) -> str:
    """A parameter, a literal or an array as text that is the same in every process.

    None and types are empty, functions their name; of objects that hold no such values only the type is
    said, for their own text may name an address.
    """
    if value is None or isinstance(value, np.dtype) or isinstance(value, type):
        return ""
    if isinstance(value, str | bytes):
        return repr(value)
    if isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, bool | int | float | complex):
        return _canonical_number(value)
    if isinstance(value, PartitionSpec):
        return f"spec{_canonical_value(tuple(value))}"
    if isinstance(value, tuple | list):
        return "(" + ",".join(_canonical_value(item, with_rules) or "_" for item in value) + ")"
    if isinstance(value, Mapping):
        return (
            "{" + ",".join(sorted(f"{key}:{_canonical_value(value[key], with_rules)}" for key in value)) + "}"
        )
    if isinstance(value, set | frozenset):
        return "{" + ",".join(sorted(_canonical_value(item, with_rules) for item in value)) + "}"
    if isinstance(value, core.ClosedJaxpr | core.Jaxpr):
        return _canonical_inner(value, with_rules)
    if isinstance(value, jax.Array | np.ndarray | np.generic):
        return _canonical_array(value)
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return _canonical_type(value)
    if dataclasses.is_dataclass(value):
        items = {item.name: getattr(value, item.name, None) for item in dataclasses.fields(value)}
        return type(value).__name__ + _canonical_value({k: v for k, v in items.items() if k not in _NOT_WHAT})
    return getattr(value, "__qualname__", type(value).__qualname__)


def _canonical_number(value: complex) -> str:
    """A number, to single precision if it is floating, so that it is the same in every floating type."""
    if isinstance(value, complex):
        return f"{_canonical_number(value.real)}{_canonical_number(value.imag)}j"
    if isinstance(value, int):
        return repr(bool(value) if isinstance(value, bool) else int(value))
    double = float(value)
    single = float(np.float32(double)) if abs(double) <= _LARGEST_SINGLE else double
    # What is one in double precision, too, makes unit edges.
    return repr(double if single in (-1.0, 0.0, 1.0) else single)


_LARGEST_SINGLE = float(np.finfo(np.float32).max)


def _canonical_array(value: Any) -> str:
    """The entries of an array, to single precision if they are no integers."""
    if isinstance(value, Tracer):
        return _canonical_type(value)
    if jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        value = jax.random.key_data(value)
    if value.dtype == jax.dtypes.float0:
        return _canonical_type(value)
    if not value.shape:
        return _canonical_number(np.asarray(value).item())
    kind = _kind(value.dtype)
    wide = {"f": np.float32, "c": np.complex64}.get(kind, np.int64)
    return _canonical_type(value) + _digest(np.asarray(value).astype(wide).tobytes())


def _canonical_type(aval: Any) -> str:
    return f"{_kind(getattr(aval, 'dtype', None))}{getattr(aval, 'shape', aval)}"


@functools.lru_cache(maxsize=256)
def _kind(dtype: Any) -> str:
    """What kind of numbers a type holds, whatever their width."""
    for letter, kind in (("f", np.floating), ("c", np.complexfloating), ("i", np.integer), ("b", np.bool_)):
        if dtype is not None and jnp.issubdtype(dtype, kind):
            return letter
    return str(dtype)


# Programs that several equations hold, perhaps of several graphs, are put down once: without rules and with.
_inner: tuple[WeakKeyDictionary[Any, str], ...] = (WeakKeyDictionary(), WeakKeyDictionary())
_rules: WeakKeyDictionary[Any, dict[tuple[bool, ...], str]] = WeakKeyDictionary()


def _canonical_inner(value: core.ClosedJaxpr | core.Jaxpr, with_rules: bool) -> str:
    """A program that a parameter holds; calls in it are inlined as they are around it."""
    texts = _inner[with_rules]
    if value not in texts:
        texts[value] = _digest(_canonical_program(inline(value), with_rules=with_rules))
    return texts[value]


def _canonical_rule(equation: Equation, numbering: Numbering | None) -> str:
    """The program of a custom derivative, which is known only by tracing it."""
    wanted = tuple(is_differentiable(atom.aval) for atom in equation.inputs)
    if equation.params.get("symbolic_zeros"):
        # Such a rule is told what is differentiated. It may refuse anything else, and JAX remembers of a
        # `custom_vjp` what it was asked last.
        if numbering is None:
            return ""
        wanted = tuple(atom in numbering.moving for atom in equation.inputs)
    known = _rules.setdefault(equation.params["call_jaxpr"], {})
    if wanted not in known:
        known[wanted] = _traced_rule(equation, wanted)
    return known[wanted]


def _traced_rule(equation: Equation, wanted: tuple[bool, ...]) -> str:
    try:
        types = tuple(array_type(atom.aval) for atom in equation.inputs)
        if equation.primitive.name == "custom_jvp_call":
            program = jvp_program(equation.primitive, equation.params, types, wanted)
        else:
            program = _pullback(equation, wanted)
    except Exception:  # whatever a user's rule raises, it is said when a derivative is taken
        return ""
    return _digest(_canonical_program(program, with_rules=False))


def _pullback(equation: Equation, wanted: Sequence[bool]) -> Program:
    """From operands, and cotangents of the results, to cotangents of the wanted operands."""

    def pull(operands: Sequence[Any], cotangents: Sequence[Any]) -> Any:
        def fun(*moving: Any) -> list[Any]:
            return bind(equation.primitive, equation.params, with_moving(operands, wanted, moving))

        return jax.vjp(fun, *[x for want, x in zip(wanted, operands, strict=True) if want])[1](cotangents)

    operands, results = ([array_type(x.aval) for x in side] for side in (equation.inputs, equation.outputs))
    return inline(jax.make_jaxpr(pull)(operands, results))
