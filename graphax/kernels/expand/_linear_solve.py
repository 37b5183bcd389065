"""Linear systems that JAX differentiates implicitly: of ``A x = b`` by ``A dx = db - dA x``."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.extend import core

from ..._trace import Program, inline, with_moving
from ...rules._elementwise import array_type
from ._custom import coefficients, entries_of, fresh_like
from ._expansion import Call, Expressions, register
from ._reductions import combined

#: Rows of a matrix, each with the entries that are not structurally zero, by their columns.
Rows = list[dict[int, int]]


@register("custom_linear_solve")
def _linear_solve(call: Call) -> list[Expressions]:
    """The solutions, and auxiliary results, which have no derivative."""
    lengths = call.params["const_lengths"]
    first, skipped = sum(lengths), lengths.matvec + lengths.vecmat
    solver, rights = call.operands[skipped : skipped + lengths.solve], call.operands[first:]
    program = inline(call.params["jaxprs"].solve)
    inputs = [*solver, *rights]
    results, _ = call.expansion.run(program, inputs, [False] * len(inputs))
    if not call.expansion.order:
        return results
    count = len(rights)
    system = _System(call, program, solver, results[:count])
    moving = iter(system.solution(call.expansion.order))
    given = call.expansion.given
    return [
        np.array(
            [next(moving) if at < count else given(x, (), ()) for x in result.ravel().tolist()], np.int64
        ).reshape(result.shape)
        for at, result in enumerate(results)
    ]


class _System:
    """A linear system: its inverse, and what both depend on."""

    def __init__(
        self, call: Call, solve: Program, solver: list[Expressions], solutions: list[Expressions]
    ) -> None:
        """
        Args:
            call: the system.
            solve: the program that solves it.
            solver: what that program closes over.
            solutions: the solutions, without derivatives.
        """
        self._call = call
        lengths = call.params["const_lengths"]
        self._held, self._moves = call.operands[: lengths.matvec], call.moving[: lengths.matvec]
        self._parameters = entries_of(itertools.compress(self._held, self._moves))
        rights = call.operands[sum(lengths) :]
        self._rights = entries_of(rights)
        self._plain = entries_of(solutions)
        self._shapes = [array.shape for array in solutions]
        held = [array_type(atom.aval) for atom in call.equation.inputs[: lengths.matvec]]
        vectors = [array_type(output.aval) for output in call.equation.outputs[: len(solutions)]]
        self._product = (
            _derivative_of_product(
                call.params["jaxprs"].matvec, tuple(held), tuple(vectors), tuple(self._moves)
            )
            if self._parameters
            else None
        )
        unknown = fresh_like(call, [atom.aval for atom in call.equation.inputs[sum(lengths) :]])
        found = call.expansion.run_rule(solve, [*solver, *unknown], [False] * (len(solver) + len(unknown)))
        self._inverse = self._coefficients(entries_of(found[: len(rights)]), entries_of(unknown))
        known = [call.scalars.value(x) for x in self._rights]
        if self._parameters and None not in known:
            # Those of a matrix that is inverted: the entries of the inverse are there already.
            self._plain = [self._product_with(row, known) for row in self._inverse]

    def _product_with(self, row: dict[int, int], known: list[Any]) -> int:
        """The product of a row of the inverse and right-hand sides that are known."""
        scalars = self._call.scalars
        terms = [scalars.mul(x, self._rights[at]) for at, x in row.items() if known[at] != 0]
        return combined(scalars.add, terms) if terms else scalars.const(0, self._call.kind)

    def solution(self, order: int) -> list[int]:
        """The solutions with derivatives up to an order."""
        if not order:
            return self._plain
        inverse = self.inverse(order - 1)
        by_parameters = self._by_parameters(inverse, self.solution(order - 1))
        operands = [*self._rights, *self._parameters]
        return [
            self._given(x, operands, row, partials)
            for x, row, partials in zip(self._plain, inverse, by_parameters, strict=True)
        ]

    def inverse(self, order: int) -> Rows:
        """The inverse of the system with derivatives up to an order."""
        if not order or not self._parameters:
            return self._inverse
        inner = self.inverse(order - 1)
        nothing = self._call.scalars.zero(self._call.kind)
        rows: Rows = [{} for _ in inner]
        for column in range(len(inner)):
            by_parameters = self._by_parameters(inner, [row.get(column, nothing) for row in inner])
            for row, plain, partials in zip(rows, self._inverse, by_parameters, strict=True):
                if column in plain:
                    row[column] = self._given(plain[column], self._parameters, {}, partials)
        return rows

    def _given(self, x: int, operands: list[int], row: dict[int, int], partials: dict[int, int]) -> int:
        shift = len(operands) - len(self._parameters)
        found = [(operands[at], partial) for at, partial in row.items()]
        found += [(operands[shift + at], partial) for at, partial in partials.items()]
        return self._call.expansion.given(x, [operand for operand, _ in found], [p for _, p in found])

    def _by_parameters(self, inverse: Rows, vector: list[int]) -> Rows:
        """The derivatives, by the parameters of the system, of ``A^-1 b`` where that is the vector."""
        if self._product is None:
            return [{} for _ in inverse]
        scalars = self._call.scalars
        products = self._products(self._product, vector)
        rows: Rows = []
        for row in inverse:
            found: dict[int, int] = {}
            for k, factor in row.items():
                for at, entry in products[k].items():
                    term = scalars.neg(scalars.mul(factor, entry))
                    found[at] = scalars.add(found[at], term) if at in found else term
            rows.append(found)
        return rows

    def _products(self, program: Program, vector: list[int]) -> Rows:
        """The derivatives of ``A x`` by the parameters of A, for a vector x."""
        ends = np.cumsum([int(np.prod(shape)) for shape in self._shapes])
        parts = np.split(np.array(vector, np.int64), ends[:-1])
        arrays = [part.reshape(shape) for part, shape in zip(parts, self._shapes, strict=True)]
        inputs = self._call.equation.inputs[: len(self._held)]
        tangents = fresh_like(self._call, [atom.aval for atom in itertools.compress(inputs, self._moves)])
        operands = [*self._held, *arrays, *tangents]
        found = self._call.expansion.run_rule(
            program, operands, [*self._moves, *[True] * len(arrays), *[False] * len(tangents)]
        )
        return self._coefficients(entries_of(found), entries_of(tangents))

    def _coefficients(self, results: list[int], variables: list[int]) -> Rows:
        return coefficients(self._call, "a linear system", results, variables)


@functools.lru_cache(maxsize=256)
def _derivative_of_product(
    matvec: core.ClosedJaxpr, held: tuple[Any, ...], vectors: tuple[Any, ...], moves: tuple[bool, ...]
) -> Program:
    """From the parameters of A, vectors and tangents of the parameters to the tangent of ``A x``."""
    fun = core.jaxpr_as_fun(matvec)

    def derivative(held: Sequence[Any], vectors: Sequence[Any], tangents: Sequence[Any]) -> Any:
        def product(*moving: Any) -> list[Any]:
            return fun(*with_moving(held, moves, moving), *vectors)

        return jax.jvp(product, list(itertools.compress(held, moves)), list(tangents))[1]

    tangents = list(itertools.compress(held, moves))
    return inline(jax.make_jaxpr(derivative)(list(held), list(vectors), tangents)).anywhere()
