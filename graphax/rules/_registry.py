"""What a rule is, and which primitive has which."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
from jax.extend import core

from .._certain_forms import ZERO
from .._trace import Equation, bind, with_moving
from ..sparse import Block, Support

T = TypeVar("T")

#: Whether a sparse Jacobian is wanted; if "static", one whose entries are where they are whatever indices are
#: traced: at every place that may be taken at run time.
Sparse = bool | Literal["static"]


@dataclass(frozen=True)
class Call:
    """One application of a primitive, as a rule sees it.

    Attributes:
        primitive: the primitive.
        params: its parameters.
        operands: one array for every operand.
        static: for every operand the number that a literal of the program stands for, or None.
        wanted: for every operand whether its local Jacobian is asked for.
        reached: for every operand whether it depends on a differentiated input, wanted or not.
        num_results: how many results there are.
        needed: for every result whether its Jacobian is asked for.
        jacobians: the Jacobians of a program that the primitive holds; see :class:`Jacobians`.
        finite: for every operand whether it is known to be finite, arguments of the function being so.
        known: the value of an operand, by its position, where it depends on no argument of the function and
            is known while tracing (such as closed-over index arrays), else None. With ``at_once=True`` None,
            too, where something would have to be compiled to know it.
        certain: for an operand, by its position, what is certain of its entries by the way it is made, as
            :class:`graphax._certain.Certain` has it; None where nothing is, and for dense Jacobians.
        sparse: whether a sparse Jacobian is wanted, so that zeros of static arrays are left out of blocks.
        placed: whether that may have entries at places that are known at run time only.
        memory: what a rule has found out about the call, which is asked several times before it is applied.
        shared: what rules have found out that holds for other calls of the program, too.

    Example:
        >>> def rule(call):  # y = sin(x), entry by entry
        ...     (x,) = call.operands
        ...     return call.evaluate(), [call.row(lambda at: sparse.diag(jnp.cos(x)))]
    """

    primitive: core.Primitive
    params: dict[str, Any]
    operands: Sequence[Any]
    static: Sequence[Any]
    wanted: Sequence[bool]
    reached: Sequence[bool]
    num_results: int
    needed: Sequence[bool]
    jacobians: Jacobians
    finite: Sequence[bool] | None = None
    known: Callable[..., np.ndarray | None] = lambda at, at_once=False: None
    certain: Callable[[int], np.ndarray | None] = lambda at: None
    sparse: bool = False
    placed: bool = False
    memory: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)
    shared: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def moving(self) -> list[int]:
        """The positions of the wanted operands."""
        return [at for at, want in enumerate(self.wanted) if want]

    def row(self, made: Callable[[int], T]) -> list[T | None]:
        """What is made of the position of every wanted operand, None for the others.

        Args:
            made: from the position of an operand to what is made of it, such as its block.

        Returns:
            a list with an entry for every operand.
        """
        return [made(at) if want else None for at, want in enumerate(self.wanted)]

    def factor(self, at: int) -> Any:
        """An operand as the value of a block: a static array where a sparse Jacobian lacks its zeros.

        Args:
            at: the position of the operand.

        Returns:
            an array.
        """
        known = self.known(at) if self.sparse and np.ndim(self.operands[at]) else None
        return self.operands[at] if known is None or known.all() else known

    def all_certain(self) -> list[np.ndarray | None]:
        """For every operand what is certain of its entries."""
        return [self.certain(at) for at in range(len(self.operands))]

    def support(self, at: int) -> Support | None:
        """Where an operand may have numbers, if it has zeros by the way it is made.

        Args:
            at: the position of the operand.

        Returns:
            None where nothing is known.
        """
        certain = self.certain(at)
        return None if certain is None else Support(lambda: certain != ZERO)

    def evaluate(self) -> list[Any]:
        """The results of the primitive."""
        return bind(self.primitive, self.params, self.operands)

    def of_operand(self, at: int) -> Callable[[Any], list[Any]]:
        """The results as a function of one operand.

        Args:
            at: the position of the operand.

        Returns:
            a function from the operand to the list of results.
        """

        def fun(operand: Any) -> list[Any]:
            return self.with_operands([*self.operands[:at], operand, *self.operands[at + 1 :]]).evaluate()

        return fun

    def with_operands(self, operands: Sequence[Any]) -> Call:
        """The same call of other operands.

        Args:
            operands: one array for every operand.

        Returns:
            a call.
        """
        return replace(self, operands=operands)

    def with_moving(self, operands: Sequence[Any], moving: Sequence[Any]) -> Call:
        """The same call of other operands, the wanted ones taken from ``moving`` in their order.

        Args:
            operands: one array for every operand.
            moving: one for every wanted operand.

        Returns:
            a call.
        """
        return self.with_operands(with_moving(operands, self.wanted, moving))


class Jacobians(Protocol):
    """Evaluate a program that a primitive holds, with its Jacobians by vertex elimination."""

    @property
    def named(self) -> bool:
        """Whether the elimination order is a name, and no sequence that fits one program alone."""
        ...

    def by(self, order: str) -> Jacobians:
        """The same in another order, given by its name."""
        ...

    def static(self) -> Jacobians:
        """The same with all places of entries known while tracing, as where steps or branches share them."""
        ...

    def __call__(
        self,
        program: core.ClosedJaxpr,
        operands: Sequence[Any],
        wanted: Sequence[bool],
        needed: Sequence[bool] | None = None,
        finite: Sequence[bool] | None = None,
        certain: Sequence[np.ndarray | None] | None = None,
    ) -> tuple[list[Any], Blocks]:
        """The results, and their blocks as a rule returns them.

        Args:
            program: the program.
            operands: one array for every input of the program.
            wanted: for every input whether to differentiate with respect to it.
            needed: for every result whether to differentiate it; all of them if left out, or if the order is
                a sequence: its numbers are those of the whole program.
            finite: for every input whether it is known to be finite; all of them if left out.
            certain: for every input what is certain of its entries; nothing if left out.
        """
        ...


class Inexpressible(Exception):
    """No graph of local Jacobians expresses exactly what JAX gives; raised by rules, among others.

    The whole function is then differentiated by JAX's own mode.

    Args:
        reason: a clause that says what it is, such as "the primitive 'psum' sums over a mapped axis".
        remedy: what the user can do about it, an imperative such as "take jacve outside of the vmap".
        source: the line of the user's code; whoever knows the equation adds it to what a rule raised.

    Example:
        >>> from graphax.rules import Inexpressible
        >>> print(Inexpressible("'psum' sums over a mapped axis", "take jacve outside of the vmap"))
        'psum' sums over a mapped axis; take jacve outside of the vmap
    """

    def __init__(self, reason: str, remedy: str, source: str | None = None) -> None:
        super().__init__(reason, remedy, source)
        self.reason = reason
        self.remedy = remedy
        self.source = source

    def __str__(self) -> str:
        return f"{self.reason}{f' ({self.source})' if self.source else ''}; {self.remedy}"


Blocks = list[list[Block | None]]
"""For every result a list with a block for every operand, or None where no derivative flows.

Example:
    >>> of_sum = [[sparse.identity_block((3,)), None]]  # one result, the first of two operands is wanted
"""

Rule = Callable[[Call], tuple[list[Any], Blocks]]
"""From a :class:`Call` to the results of the primitive and their :data:`Blocks`; see :func:`register_rule`.

Example:
    >>> def rule(call):
    ...     (x,) = call.operands
    ...     return [2 * x], [[sparse.diag(jnp.full_like(x, 2.0))]]
"""

R = TypeVar("R", bound=Rule)

#: Positions of operands, or of the inputs of a program.
Inputs = frozenset[int]
#: From an equation, and for every operand the inputs that it depends on, to the same for every result.
Dependence = Callable[[Equation, Sequence[Inputs]], list[Inputs]]

#: Whether so many rows, or columns, are better moved through a call than multiplied by its Jacobian.
Moving = Callable[[Call, int], bool]

#: So many times fewer rows or columns must be moved than a Jacobian takes derivatives.
_FEWER = 2

_RULES: dict[str, Rule] = {}
_DEPENDENCES: dict[str, Dependence] = {}
_PULLING: dict[str, Moving] = {}
_PUSHING: dict[str, Moving] = {}
_PUSHABLE: dict[str, Callable[[Call], bool]] = {}


def register_rule(*primitives: core.Primitive | str) -> Callable[[R], R]:
    """Give a primitive, or several, a rule for their local Jacobians; replaces the one they had.

    Args:
        primitives: the primitives, or their names.

    Returns:
        a decorator for the rule. A rule takes a :class:`Call` and returns the results of the primitive and,
        for every result, a list with one :class:`graphax.sparse.Block` for every operand that is wanted
        (None where no derivative flows or where it is not wanted).

    Example:
        >>> from jax.extend.core import Primitive
        >>> double = Primitive("double")
        >>> @graphax.register_rule(double)
        ... def rule(call):
        ...     (x,) = call.operands
        ...     each = [[axis] for axis in range(x.ndim)]  # a diagonal: labels that both sides share
        ...     return [2 * x], [[sparse.unit_block(each, each, x.shape, 2.0)]]
    """
    names = [primitive if isinstance(primitive, str) else primitive.name for primitive in primitives]

    def register(rule: R) -> R:
        for name in names:
            _RULES[name] = rule
            _DEPENDENCES.pop(name, None)  # that of the rule that was
            _PULLING.pop(name, None)
            _PUSHING.pop(name, None)
            _PUSHABLE.pop(name, None)
        return rule

    return register


def register_dependence(*names: str) -> Callable[[Dependence], Dependence]:
    """Say which results of primitives that have a rule depend on which operands; without it, all on all."""
    return _noted(_DEPENDENCES, names)


def register_pulling(*names: str) -> Callable[[Moving], Moving]:
    """Say when rows are better pulled back through primitives, by JAX, than multiplied by their Jacobians."""
    return _noted(_PULLING, names)


def register_pushing(*names: str) -> Callable[[Moving], Moving]:
    """Say when columns are better pushed forward through primitives, by JAX, than multiplied by Jacobians."""
    return _noted(_PUSHING, names)


def register_pushable(*names: str) -> Callable[[Callable[[Call], bool]], Callable[[Call], bool]]:
    """Say when it is the question whether columns are pushed forward through loops in less time."""
    return _noted(_PUSHABLE, names)


def _noted(table: dict[str, T], names: Sequence[str]) -> Callable[[T], T]:
    """A decorator of what a table is to hold for primitives."""

    def note(what: T) -> T:
        table.update(dict.fromkeys(names, what))
        return what

    return note


def worth_pulling(call: Call, rows: int) -> bool:
    """Whether rows are better pulled back through a call than multiplied by its Jacobian.

    Args:
        call: the call.
        rows: how many numbers the results of the whole function are.
    """
    worth = _PULLING.get(call.primitive.name)
    return worth is not None and worth(call, rows)


def worth_pushing(call: Call, columns: int) -> bool:
    """Whether columns are better pushed forward through a call than multiplied by its Jacobian.

    Args:
        call: the call.
        columns: how many numbers the differentiated arguments of the whole function are.
    """
    worth = _PUSHING.get(call.primitive.name)
    return worth is not None and worth(call, columns)


def is_pushable(call: Call) -> bool:
    """Whether a call is of a loop through which columns may be pushed forward in less time than it takes to
    have its Jacobian.
    """
    asked = _PUSHABLE.get(call.primitive.name)
    return asked is not None and asked(call)


def moving_names() -> list[str]:
    """The primitives through which rows or columns may be moved."""
    return list(_PULLING | _PUSHING | _PUSHABLE)


def far_fewer(moved: int, derivatives: int) -> bool:
    """Whether moving so many rows or columns is better than a Jacobian that takes so many derivatives."""
    return _FEWER * moved <= derivatives


def find_rule(primitive: core.Primitive | str) -> Rule | None:
    """The rule of a primitive, or of its name, or None."""
    return _RULES.get(primitive if isinstance(primitive, str) else primitive.name)


def find_dependence(primitive: core.Primitive) -> Dependence | None:
    """Which results of a primitive depend on which operands, or None where nothing is known."""
    return _DEPENDENCES.get(primitive.name)
