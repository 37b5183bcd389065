"""A function applied to arguments: which of them are differentiated, which traced, and what comes of it."""

from __future__ import annotations

import functools
import inspect
import os
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.core import ShapedArray

from ._arguments import Argnums, argument_positions, as_pair
from ._numbering import Numbering, number_vertices
from ._trace import is_complex, is_differentiable, trace_program
from .rules import Inexpressible

#: What tracing raises where Python needs the value of an array.
NEEDS_VALUE = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
    jax.errors.NonConcreteBooleanIndexError,
)
#: Files whose frames are not the user's code.
NOT_THE_USERS = tuple(f"{Path(file).parent}{os.sep}" for file in (jax.__file__, __file__))


class Auxiliary(NamedTuple):
    """What a function returns beside its result: arrays, and anything else, which no trace touches."""

    tree: Any
    leaves: list[Any]  # _ARRAY in the place of an array

    @classmethod
    def split(cls, aux: Any) -> tuple[list[jax.Array], Auxiliary]:
        leaves, tree = jax.tree.flatten(aux)
        arrays = [leaf for leaf in leaves if isinstance(leaf, jax.Array)]
        return arrays, cls(tree, [_ARRAY if isinstance(leaf, jax.Array) else leaf for leaf in leaves])

    def joined(self, arrays: Sequence[Any]) -> Any:
        remaining = iter(arrays)
        return self.tree.unflatten(next(remaining) if leaf is _ARRAY else leaf for leaf in self.leaves)


_ARRAY = object()


class Traced(NamedTuple):
    """The program of an application, and the values that it is to be linearised at."""

    numbering: Numbering
    values: list[Any]
    out_types: list[Any]  # of the result's leaves; arrays of the auxiliary data follow them
    out_names: list[str]
    out_tree: Any
    aux: Auxiliary

    @property
    def num_outputs(self) -> int:
        return len(self.out_types)


@dataclass(frozen=True)
class Application:
    """A function and its arguments.

    Attributes:
        fun: the function.
        has_aux: whether it returns a pair of the result and auxiliary data.
        leaves: of all its arguments; the differentiated ones are arrays.
        tree: of the positional arguments and the keywords.
        moving: the places of the differentiated leaves, integers included, in the order of the argnums.
        arg_names: what to call them.
        arg_tree: of the differentiated argument, or of the tuple of them.
    """

    fun: Callable[..., Any]
    has_aux: bool
    leaves: list[Any]
    tree: Any
    moving: list[int]
    arg_names: list[str]
    arg_tree: Any

    @classmethod
    def of(
        cls,
        fun: Callable[..., Any],
        argnums: Argnums,
        has_aux: bool,
        allow_int: bool,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> Application:
        """Raises TypeError or ValueError for what cannot be differentiated."""
        positions, single = argument_positions(argnums, len(args))
        leaves, tree = jax.tree.flatten((tuple(args), dict(kwargs)))
        ends = np.cumsum([0, *(len(jax.tree.leaves(arg)) for arg in args)])
        moving = [place for at in positions for place in range(ends[at], ends[at + 1])]
        names = [
            f"argument {at}{jax.tree_util.keystr(path)}"
            for at in positions
            for path, _ in jax.tree.leaves_with_path(args[at])
        ]
        for name, place in zip(names, moving, strict=True):
            _check_input(name, leaves[place], allow_int)
            leaves[place] = as_array(leaves[place])
        arg_tree = jax.tree.structure(args[positions[0]] if single else tuple(args[at] for at in positions))
        return cls(fun, has_aux, leaves, tree, moving, names, arg_tree)

    @property
    def arg_types(self) -> list[Any]:
        """Of the differentiated leaves, integers included."""
        leaves = [self.leaves[place] for place in self.moving]
        return [leaf if isinstance(leaf, jax.ShapeDtypeStruct) else jax.typeof(leaf) for leaf in leaves]

    def __call__(self, values: Mapping[int, Any]) -> tuple[Any, Any]:
        """The result and the auxiliary data, with other leaves in some places."""
        leaves = [values.get(place, leaf) for place, leaf in enumerate(self.leaves)]
        args, kwargs = self.tree.unflatten(leaves)
        result = self.fun(*args, **kwargs)
        return as_pair(result) if self.has_aux else (result, None)

    def of_arrays(self, then: Callable[[Any, Any], Any]) -> tuple[Callable[..., Any], Any, Any]:
        """What to trace: a function called like the user's, of those of its arguments that are arrays.

        Other arguments are traced if they are arrays of JAX, so that the graph does not depend on their
        values. NumPy arrays, numbers, strings and the like stay as they are: the function may count on them.
        Messages of JAX name the user's function and arguments.

        Args:
            then: from the result and the auxiliary data to what is to be returned.

        Returns:
            the function, its arguments and its keywords, with None for what is not traced.
        """
        places = self.traced

        @functools.wraps(self.fun)
        def fun(*args: Any, **kwargs: Any) -> Any:
            arrays = jax.tree.leaves((args, kwargs))
            return then(*self(dict(zip(places, arrays, strict=True))))

        traced = set(places)
        holes = [leaf if place in traced else None for place, leaf in enumerate(self.leaves)]
        return fun, *self.tree.unflatten(holes)

    @property
    def traced(self) -> list[int]:
        """The places of the leaves that are traced."""
        moving = set(self.moving)
        return [
            place
            for place, leaf in enumerate(self.leaves)
            if place in moving or isinstance(leaf, jax.Array | jax.ShapeDtypeStruct | ShapedArray)
        ]

    def trace(self) -> Traced:
        """The program, in whose inputs the differentiated leaves come first.

        Raises:
            Inexpressible: when Python needs the value of an array, or dimensions are symbolic.
            TypeError: when the result has no derivative that could be asked for.
        """
        found: list[Auxiliary] = []

        def then(result: Any, aux: Any) -> Any:
            arrays, others = Auxiliary.split(aux)
            found.append(others)
            return result, arrays

        fun, args, kwargs = self.of_arrays(then)
        try:
            program, (types, _) = trace_program(fun, *args, **kwargs)
        except NEEDS_VALUE as error:
            raise Inexpressible(
                f"Python needs the value of a traced array ({type(error).__name__})",
                "write the function with jax.numpy.where, jax.lax.cond or jax.lax.while_loop",
                users_line(error),
            ) from error
        out_types, out_tree = jax.tree.flatten(types)
        names = [f"the result{jax.tree_util.keystr(path)}" for path, _ in jax.tree.leaves_with_path(types)]
        for name, kind in zip(names, out_types, strict=True):
            check_output(name, kind)
        inputs = dict(zip(self.traced, program.inputs, strict=True))
        order = [*self.moving, *(place for place in self.traced if place not in set(self.moving))]
        program = replace(program, inputs=tuple(inputs[place] for place in order))
        for variable in program.inputs:
            self._check_dimensions(variable.aval)
        moving = [index for index, kind in enumerate(self.arg_types) if is_differentiable(kind)]
        return Traced(
            number_vertices(program, moving, len(out_types)),
            [self.leaves[place] for place in order],
            out_types,
            names,
            out_tree,
            found[-1],
        )

    def _check_dimensions(self, aval: Any) -> None:
        for size in getattr(aval, "shape", ()):
            if not isinstance(size, int | np.integer):
                raise Inexpressible(
                    f"the dimension {size} is symbolic, and structures of Jacobians are made of numbers",
                    "export the Jacobian for static shapes",
                    self.definition,
                )

    @property
    def definition(self) -> str | None:
        """Where the function is defined, as ``file.py:line (function)``, if that is known."""
        code = getattr(inspect.unwrap(self.fun), "__code__", None)
        return code and f"{code.co_filename}:{code.co_firstlineno} ({code.co_name})"

    def check_complex(self, out_names: Sequence[str], out_types: Sequence[Any], options: Any) -> None:
        """Complex derivatives of complex arguments are asked for, and are all that is asked for.

        Args:
            out_names, out_types: of the leaves of the result.
            options: ``holomorphic``.

        Raises:
            TypeError: where they are not.
        """
        moving = [
            (name, kind)
            for name, kind in zip(self.arg_names, self.arg_types, strict=True)
            if is_differentiable(kind)
        ]
        results = list(zip(out_names, out_types, strict=True))
        if options.holomorphic:
            for name, kind in (*moving, *results):
                if not is_complex(kind):
                    raise TypeError(
                        f"holomorphic=True takes complex arguments and results, but {name} has dtype "
                        f"{kind.dtype}; convert it to a complex dtype, or leave holomorphic out"
                    )
            return
        for name, kind in moving:
            for result_name, result in results:
                if is_complex(kind) and is_complex(result):
                    raise TypeError(
                        f"{name} has dtype {kind.dtype} and {result_name} has dtype {result.dtype}; pass "
                        "holomorphic=True if the function is holomorphic, else differentiate with respect to "
                        "real and imaginary parts"
                    )


def users_line(error: BaseException) -> str | None:
    """Where in the user's code an error was raised, as ``file.py:line (function)``."""
    frames = reversed(traceback.extract_tb(error.__traceback__))
    users = (frame for frame in frames if not frame.filename.startswith(NOT_THE_USERS))
    return next((f"{frame.filename}:{frame.lineno} ({frame.name})" for frame in users), None)


def as_array(leaf: Any) -> Any:
    """Python numbers and NumPy arrays become JAX arrays; abstract values stay what they are."""
    return leaf if isinstance(leaf, jax.Array | jax.ShapeDtypeStruct) else jax.numpy.asarray(leaf)


def _check_input(name: str, leaf: Any, allow_int: bool) -> None:
    try:
        dtype = jax.numpy.result_type(leaf)
    except TypeError:
        raise TypeError(
            f"graphax differentiates with respect to arrays, but {name} has type {type(leaf).__name__}; "
            "convert it, or leave it out of argnums"
        ) from None
    if not (allow_int or jax.numpy.issubdtype(dtype, np.inexact)):
        raise TypeError(
            f"graphax differentiates with respect to floating or complex arrays, but {name} has dtype "
            f"{dtype}; convert it, leave it out of argnums, or pass allow_int=True"
        )


def check_output(name: str, kind: Any) -> None:
    """Integers are constant as far as derivatives go; booleans, keys and the like have none at all."""
    if not (is_differentiable(kind) or jax.numpy.issubdtype(kind.dtype, np.integer)):
        raise TypeError(
            f"graphax differentiates functions with floating or complex results, but {name} has dtype "
            f"{kind.dtype}; convert it, or return it as auxiliary data with has_aux=True"
        )
