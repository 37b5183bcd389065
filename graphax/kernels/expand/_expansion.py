"""A program of small arrays is carried out on scalar expressions, equation by equation."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from jax.core import Tracer

from ..._trace import Atom, Constant, Equation, Program, Variable, is_differentiable
from ...rules._registry import find_rule
from .._scalars import KINDS, Scalars

#: An array of expressions: their numbers.
Expressions = np.ndarray


class NoKernel(Exception):
    """A program has no form as straight-line code of scalars, or one that is too long.

    Args:
        reason: a clause that says what it is, such as "the primitive 'svd' is not expanded".
        source: the line of the user's code; whoever knows the equation adds it to what a rule raised.
    """

    def __init__(self, reason: str, source: str | None = None) -> None:
        super().__init__(reason, source)
        self.reason = reason
        self.source = source

    def __str__(self) -> str:
        return f"{self.reason}{f' ({self.source})' if self.source else ''}"


class Call:
    """One application of a primitive, as a rule sees it.

    Attributes:
        expansion: what goes on.
        equation: the equation.
        operands: an array of expressions for every operand.
        moving: for every operand whether it may have a derivative.
    """

    __slots__ = ("equation", "expansion", "moving", "operands")

    def __init__(
        self, expansion: Expansion, equation: Equation, operands: list[Expressions], moving: list[bool]
    ) -> None:
        self.expansion = expansion
        self.equation = equation
        self.operands = operands
        self.moving = moving

    @property
    def scalars(self) -> Scalars:
        return self.expansion.scalars

    @property
    def params(self) -> dict[str, Any]:
        return self.equation.params

    @property
    def name(self) -> str:
        return self.equation.primitive.name

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the first result."""
        return self.equation.outputs[0].aval.shape

    @property
    def kind(self) -> str:
        """The kind of the first result."""
        return kind_of(self.equation.outputs[0].aval)

    def kind_of(self, at: int) -> str:
        """The kind of an operand."""
        return kind_of(self.equation.inputs[at].aval)

    def spread(self, at: int) -> list[int]:
        """The entries of an operand, broadcast to the shape of the first result."""
        operand, shape = self.operands[at], self.shape
        if operand.shape != shape:
            operand = np.broadcast_to(operand, shape)
        return operand.ravel().tolist()

    def shaped(self, entries: Sequence[int]) -> list[Expressions]:
        """The first result, from its entries in rows."""
        return [np.array(entries, np.int64).reshape(self.shape)]


Rule = Callable[[Call], list[Expressions]]
R = TypeVar("R", bound=Rule)

_RULES: dict[str, Rule] = {}
#: The rules for arrays that these stand beside.
_BESIDE: dict[str, Any] = {}


def register(*names: str) -> Callable[[R], R]:
    """Give primitives a rule that makes arrays of expressions for their results."""

    def put(rule: R) -> R:
        _RULES.update(dict.fromkeys(names, rule))
        _BESIDE.update((name, find_rule(name)) for name in names)
        return rule

    return put


def kind_of(aval: Any) -> str:
    """The kind of the entries of an array.

    Raises:
        NoKernel: if there is none for its dtype.
    """
    dtype = getattr(aval, "dtype", None)
    kind = None if dtype is None else _KIND_OF.get(dtype)
    if kind is None:
        raise NoKernel(f"there are no scalars of dtype {dtype}")
    return kind


_KIND_OF = {np.dtype(dtype): kind for kind, dtype in KINDS.items()}


class Expansion:
    """The state of an expansion.

    Attributes:
        scalars: the table of expressions.
        order: the highest order of the derivatives that will be taken.
        in_rule: whether a program is expanded that holds derivatives.
    """

    def __init__(self, scalars: Scalars, *, limit: int, order: int) -> None:
        self.scalars = scalars
        self.order = order
        self.in_rule = False
        self._limit = limit
        self._most = len(scalars) + limit
        self._prepared: dict[int, tuple[Program, list[Equation]]] = {}
        self._finite: list[bool] = []
        self._fresh = 0

    # ---- the walk

    def run(
        self, program: Program, inputs: Sequence[Expressions], moving: Sequence[bool]
    ) -> tuple[list[Expressions], list[bool]]:
        """The results of a program, and for each whether it may have a derivative.

        Args:
            program: the program.
            inputs: an array of expressions for every input.
            moving: for every input whether it may have a derivative.

        Raises:
            NoKernel: if something in the program has no rule, or if the limit is passed.
        """
        known = id(program)
        if known not in self._prepared:
            self._prepared[known] = program, self._prepare(program)
        env = dict(zip(program.inputs, inputs, strict=True))
        moves = {variable for variable, does in zip(program.inputs, moving, strict=True) if does}
        constants = dict(program.constants)

        def read(atom: Atom) -> Expressions:
            if isinstance(atom, Constant):
                return self.lift(atom.value, atom.aval)
            if atom not in env:
                env[atom] = self.lift(constants[atom], atom.aval)
            return env[atom]

        for equation in self._prepared[known][1]:
            call = Call(
                self, equation, list(map(read, equation.inputs)), [atom in moves for atom in equation.inputs]
            )
            try:
                if self.order and True in call.moving and find_rule(call.name) is not _BESIDE[call.name]:
                    raise NoKernel(f"the primitive '{call.name}' has a rule that is not the package's")
                results = _RULES[call.name](call)
                self.allow(0)
            except NoKernel as error:
                raise error if error.source else NoKernel(error.reason, equation.source) from None
            env.update(zip(equation.outputs, results, strict=True))
            if True in call.moving and equation.primitive.name != "stop_gradient":
                moves.update(output for output in equation.outputs if is_differentiable(output.aval))
        return list(map(read, program.outputs)), [atom in moves for atom in program.outputs]

    def run_rule(
        self, program: Program, inputs: Sequence[Expressions], moving: Sequence[bool]
    ) -> list[Expressions]:
        """The results of a program that holds derivatives: they are differentiated once less."""
        outside = self.order, self.in_rule
        self.order, self.in_rule = self.order - 1, True
        try:
            return self.run(program, inputs, moving)[0]
        finally:
            self.order, self.in_rule = outside

    def _prepare(self, program: Program) -> list[Equation]:
        """The equations that are needed for the results, each of which can be expanded as far as one sees."""
        needed = {atom for atom in program.outputs if isinstance(atom, Variable)}
        live: list[Equation] = []
        for equation in reversed(program.equations):
            if needed.isdisjoint(equation.outputs) and not equation.has_effects:
                continue
            name = equation.primitive.name
            if equation.has_effects or name not in _RULES:
                raise NoKernel(f"the primitive '{name}' is not expanded into scalars", equation.source)
            try:
                for output in equation.outputs:
                    kind_of(output.aval)
                    self.allow(math.prod(output.aval.shape))
            except NoKernel as error:
                raise NoKernel(f"{error.reason}, as of a result of '{name}'", equation.source) from None
            needed.update(atom for atom in equation.inputs if isinstance(atom, Variable))
            live.append(equation)
        return live[::-1]

    def allow(self, further: int) -> None:
        """Check that so many further expressions are within the limit.

        Raises:
            NoKernel: if they are not.
        """
        if len(self.scalars) + further > self._most:
            raise NoKernel(f"more than {self._limit} scalars would be needed")

    # ---- what rules need

    def lift(self, value: Any, aval: Any) -> Expressions:
        """Constants, as expressions."""
        kind = kind_of(aval)
        if isinstance(value, Tracer):
            raise NoKernel("a derivative rule or a branch closes over a value that is traced")
        numbers = np.asarray(value, KINDS[kind])
        self.allow(numbers.size)
        const = self.scalars.const
        entries = [const(number, kind) for number in numbers.ravel()]
        return np.array(entries, np.int64).reshape(numbers.shape)

    def given(self, x: int, operands: Sequence[int], partials: Sequence[int]) -> int:
        """A value whose derivatives by operands are these, unless none will be taken of it.

        Operands that are constants are left out, and partials of one that comes twice are added up.
        """
        scalars = self.scalars
        if not self.order or scalars.kinds[x][0] != "f":
            return x
        found: dict[int, int] = {}
        for operand, partial in zip(operands, partials, strict=True):
            if scalars.value(operand) is None and not scalars.is_zero(partial):
                found[operand] = scalars.add(found[operand], partial) if operand in found else partial
        if not found and scalars.value(x) is not None:
            return x
        return scalars.given(x, tuple(found), tuple(found.values()))

    def given_by_itself(
        self, x: int, operands: Sequence[int], partials: Callable[[int], Sequence[int]]
    ) -> int:
        """A value whose derivatives are expressions of the value, as often as they will be taken."""
        found = x
        for _ in range(self.order):
            found = self.given(x, operands, partials(found))
        return found

    def choose(self, index: int, options: Sequence[int]) -> int:
        """The option with a number; the first or last one where there is none with that number."""
        scalars, kind = self.scalars, self.scalars.kinds[index]

        def among(first: int, last: int) -> int:
            if last - first == 1:
                return options[first]
            middle = (first + last + 1) // 2
            before = scalars.compare("lt", index, scalars.const(middle, kind))
            return scalars.select(before, among(first, middle), among(middle, last))

        if kind == "b1":
            return scalars.select(index, options[-1], options[0])
        if scalars.ops[index] == "convert" and scalars.kinds[scalars.args[index][0]] == "b1":
            return scalars.select(scalars.args[index][0], options[:2][-1], options[0])
        return among(0, len(options))

    def finite(self, x: int) -> bool:
        """Whether an expression is finite wherever the inputs are, overflow aside."""
        scalars, finite = self.scalars, self._finite
        for y in range(len(finite), x + 1):
            op, args = scalars.ops[y], scalars.args[y]
            if op == "const":
                finite.append(bool(np.isfinite(args[0])))
            elif op == "div":
                finite.append(finite[args[0]] and bool(scalars.value(args[1])))
            elif op == "given":
                finite.append(finite[args[0]])
            else:
                finite.append(op in _LEAVES or (op in _POLELESS and all(finite[z] for z in args)))
        return finite[x]

    def fresh(self, shape: tuple[int, ...], kind: str) -> Expressions:
        """An array of inputs that belong to no operand, others each time."""
        first, count = self._fresh, math.prod(shape)
        self._fresh += count
        variables = [self.scalars.input(-1, first + at, kind) for at in range(count)]
        return np.array(variables, np.int64).reshape(shape)


_LEAVES = frozenset({"input", "zero"})
_POLELESS = frozenset(
    """abs add and asinh atan ceil convert cos eq erf erfc floor is_finite le lt max min mul ne neg not or
    round select sign sin sub tanh xor""".split()
)
