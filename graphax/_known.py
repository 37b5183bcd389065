"""What a program knows of itself: values that depend on none of its inputs.

Most of them are indices and predicates, made by a few operations. NumPy carries these out at once, where XLA
would compile every one of them first.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from ._trace import Atom, Constant, Equation, Program, Variable

# From an equation and the values of its operands to the value of its result; None where that is not the same.
_ByNumpy = Callable[[Equation, Sequence[Any]], "np.ndarray | None"]


def _iota(equation: Equation, values: Sequence[Any]) -> np.ndarray | None:
    if values:  # of symbolic sizes
        return None
    shape, dimension = equation.params["shape"], equation.params["dimension"]
    along = [-1 if at == dimension else 1 for at in range(len(shape))]
    numbers = np.arange(shape[dimension], dtype=equation.outputs[0].aval.dtype)
    return np.broadcast_to(numbers.reshape(along), shape)


def _broadcast_in_dim(equation: Equation, values: Sequence[Any]) -> np.ndarray | None:
    if len(values) != 1:
        return None
    (array,), shape = values, equation.params["shape"]
    places = dict(zip(equation.params["broadcast_dimensions"], np.shape(array), strict=True))
    return np.broadcast_to(np.reshape(array, [places.get(at, 1) for at in range(len(shape))]), shape)


def _concatenate(equation: Equation, values: Sequence[Any]) -> np.ndarray:
    return np.concatenate(values, equation.params["dimension"])


def _reshape(equation: Equation, values: Sequence[Any]) -> np.ndarray | None:
    return np.reshape(values[0], equation.outputs[0].aval.shape) if len(values) == 1 else None


def _select(equation: Equation, values: Sequence[Any]) -> np.ndarray | None:
    if len(values) != 3 or values[0].dtype != bool:
        return None
    return np.asarray(np.where(values[0], values[2], values[1]))


def _convert(equation: Equation, values: Sequence[Any]) -> np.ndarray | None:
    wanted = equation.outputs[0].aval.dtype
    kinds = values[0].dtype.kind, wanted.kind
    exact = kinds in (("f", "c"), ("c", "c")) and values[0].dtype.itemsize <= wanted.itemsize
    return values[0].astype(wanted) if exact or set(kinds) <= set("iub") else None


def _numbers(fun: Callable[..., Any]) -> _ByNumpy:
    """Of real numbers, where every operation rounds once, and integers, which wrap around."""

    def by_numpy(equation: Equation, values: Sequence[Any]) -> np.ndarray | None:
        if any(value.dtype.kind not in "iubf" for value in values):
            return None
        with np.errstate(all="ignore"):
            return np.asarray(fun(*values))

    return by_numpy


def _product(equation: Equation, values: Sequence[Any]) -> np.ndarray | None:
    """Complex products round once, too, where one factor lies on an axis."""
    kinds = {value.dtype.kind for value in values}
    on_axis = any(not value.real.any() or not value.imag.any() for value in values if value.dtype.kind == "c")
    if kinds != {"c"} or not on_axis or not all(np.isfinite(value).all() for value in values):
        return _numbers(np.multiply)(equation, values)
    return np.asarray(values[0] * values[1])


def _quotient(equation: Equation, values: Sequence[Any]) -> np.ndarray | None:
    return _numbers(np.divide)(equation, values) if values[0].dtype.kind == "f" else None


def _power(equation: Equation, values: Sequence[Any]) -> np.ndarray | None:
    return _product(equation, [values[0], values[0]]) if equation.params["y"] == 2 else None


_BY_NUMPY: dict[str, _ByNumpy] = {
    "iota": _iota,
    "broadcast_in_dim": _broadcast_in_dim,
    "concatenate": _concatenate,
    "reshape": _reshape,
    "squeeze": _reshape,
    "select_n": _select,
    "convert_element_type": _convert,
    "mul": _product,
    "div": _quotient,
    "integer_pow": _power,
    **{
        name: _numbers(fun)
        for name, fun in {
            "add": np.add,
            "sub": np.subtract,
            "lt": operator.lt,
            "le": operator.le,
            "gt": operator.gt,
            "ge": operator.ge,
            "eq": operator.eq,
            "ne": operator.ne,
            "clamp": lambda least, value, most: np.minimum(np.maximum(value, least), most),
        }.items()
    },
}


def by_numpy(equation: Equation, values: Sequence[Any]) -> np.ndarray | None:
    form = _BY_NUMPY.get(equation.primitive.name)
    if form is None or not all(isinstance(getattr(value, "dtype", None), np.dtype) for value in values):
        return None  # random keys are no numbers
    if any(isinstance(value, jax.Array) and not value.is_fully_addressable for value in values):
        return None
    return form(equation, [np.asarray(value) for value in values])


class KnownValues:
    """The values of a program that depend on none of its inputs, worked out when asked for.

    Args:
        program: the program.
        given: inputs whose values are known.
    """

    def __init__(self, program: Program, given: Mapping[Variable, Any] | None = None) -> None:
        # None stands for what is not known; what is missing has not been asked for.
        self._values: dict[Variable, Any] = dict.fromkeys(program.inputs)
        self._values.update(
            (variable, None if isinstance(value, Tracer) else value) for variable, value in program.constants
        )
        self._values.update(given or {})
        self._program = program

    @cached_property
    def _definitions(self) -> dict[Variable, Equation]:
        return {output: equation for equation in self._program.equations for output in equation.outputs}

    def __call__(self, atom: Atom, at_once: bool = False) -> np.ndarray | None:
        """The value of an atom, or None where it depends on an input.

        Args:
            atom: the atom.
            at_once: whether it is None, too, where it is not worked out yet, nor can be by NumPy.
        """
        if isinstance(atom, Constant):
            return np.asarray(atom.value)
        pending, slow = [atom], set[Variable]()
        while pending:  # a stack of our own: programs may be longer than Python's is deep
            variable = pending[-1]
            if variable in self._values or variable in slow:
                pending.pop()
                continue
            equation = self._definitions[variable]
            inputs = [other for other in equation.inputs if isinstance(other, Variable)]
            missing = [other for other in inputs if other not in self._values]
            if any(self._values.get(other, 0) is None for other in inputs):
                self._values.update(dict.fromkeys(equation.outputs))
            elif not slow.isdisjoint(missing):
                slow.update(equation.outputs)
            elif missing:
                pending.append(missing[0])
            elif not self._evaluate(equation, at_once):
                slow.update(equation.outputs)
        value = self._values.get(atom)
        return None if value is None else np.asarray(value)

    def _evaluate(self, equation: Equation, at_once: bool) -> bool:
        """Work out the results of an equation; False where that has been put off."""
        values = [
            np.asarray(atom.value, atom.aval.dtype) if isinstance(atom, Constant) else self._values[atom]
            for atom in equation.inputs
        ]
        results: list[Any] = [None] * len(equation.outputs)
        result = by_numpy(equation, values)
        if result is not None:
            results = [result]
        elif at_once:
            return False
        elif not equation.has_effects and "callback" not in equation.primitive.name:
            try:
                with jax.ensure_compile_time_eval():
                    results = equation.evaluate(values)
            except (TypeError, ValueError, NotImplementedError, RuntimeError):
                pass  # what can be run under `jit` alone is not known while tracing
        self._values.update(
            (output, None if isinstance(result, Tracer) else result)
            for output, result in zip(equation.outputs, results, strict=True)
        )
        return True
