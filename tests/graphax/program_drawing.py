"""Drawing statements: what they may read, and which operands fit an expression."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import jax
import numpy as np
from program_expressions import FAMILIES
from program_text import Block, Statement, Type, compiled, names_in

#: Arrays have no more entries and dimensions.
_LARGEST, _DEEPEST = 9, 2
_ATTEMPTS = 60


def pick(rng: np.random.Generator, options: Sequence):
    """One of some options, all equally likely."""
    return options[int(rng.integers(len(options)))]


@dataclass
class Scope:
    """The names that a statement may read, with their types, those of the surrounding functions included.

    Attributes:
        types: of the names, the latest last.
        read: those that something reads.
        active: those that depend on a differentiated argument, as far as names tell.
        outer: how many belong to the surrounding functions.
    """

    types: dict[str, Type] = field(default_factory=dict)
    read: set[str] = field(default_factory=set)
    active: set[str] = field(default_factory=set)
    outer: int = 0

    def add(self, name: str, kind: Type, active: bool) -> None:
        self.types[name] = kind
        if active and kind.is_float:
            self.active.add(name)

    def inner(self) -> Scope:
        return Scope(dict(self.types), set(self.types), set(self.active), len(self.types))

    def names(self, fits: Callable[[Type], bool]) -> list[str]:
        return [name for name, kind in self.types.items() if fits(kind)]

    def own(self, fits: Callable[[Type], bool]) -> list[str]:
        """Those that do not belong to a surrounding function."""
        return [name for name in list(self.types)[self.outer :] if fits(self.types[name])]

    def unread(self, fits: Callable[[Type], bool]) -> list[str]:
        return [name for name in self.names(fits) if name not in self.read]


#: What an operand has to be, by its letter.
FITS: dict[str, Callable[[Type], bool]] = {
    **dict.fromkeys("fgh", lambda kind: kind.is_float),
    **dict.fromkeys("sr", lambda kind: kind.is_float and not kind.shape),
    **dict.fromkeys("uv", lambda kind: kind.is_float and len(kind.shape) == 1),
    **dict.fromkeys("MN", lambda kind: kind.is_float and len(kind.shape) == 2),
    "Q": lambda kind: kind.is_float and len(kind.shape) == 2 and kind.shape[0] == kind.shape[1],
    **dict.fromkeys("ij", lambda kind: kind.dtype.startswith("int") and not kind.shape),
    "I": lambda kind: kind.dtype.startswith("int") and len(kind.shape) == 1,
    **dict.fromkeys("pq", lambda kind: kind.dtype == "bool"),
    "P": lambda kind: kind.dtype == "bool" and not kind.shape,
}
#: What is read where nothing of the kind is known, or now and then.
CONSTANTS = {
    "fgh": ("0.5", "np.array([0.5, 0.0, -1.0])"),
    "sr": ("0.7", "np.float64(-0.4)"),
    "uv": ("np.array([0.5, 0.0, -1.0])", "jnp.array([-0.3, 0.8])"),
    "MN": ("np.array([[0.5, 0.0, -1.0], [0.2, 0.9, 0.3]])",),
    "Q": ("np.array([[0.5, -0.1], [0.3, 0.8]])",),
    "ij": ("0", "1", "-1", "2", "7"),
    "I": ("np.array([1, 0, 1])", "jnp.array([0, 5])"),
    "pq": ("np.array([True, False, True])",),
    "P": ("True",),
}
_LARGE_FAMILIES = {"elementwise": 14, "selections": 8, "masked": 8, "indexing": 6, "updates": 7, "shapes": 5}
_WEIGHTS = {name: _LARGE_FAMILIES.get(name, 3) for name in FAMILIES}
#: Statements that hold functions; how often they are drawn among the others.
_CONTROL = 0.3
_DEPTH = 2


@dataclass
class Draw:
    """What is being drawn.

    Attributes:
        rng: where the choices come from.
        constructs: what makes statements that hold functions, by name; None where the scope lacks something.
        without: constructs that are not drawn.
        features: what has been drawn.
        depth: how many functions surround a statement.
        count: of names so far.
    """

    rng: np.random.Generator
    constructs: Mapping[str, Callable[[Draw, Scope], Statement | None]]
    without: set[str] = field(default_factory=set)
    features: set[str] = field(default_factory=set)
    depth: int = 0
    count: int = 0

    def name(self, letter: str) -> str:
        self.count += 1
        return f"{letter}{self.count}"

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def statements(self, scope: Scope, number: int) -> list[Statement]:
        found = []
        for _ in range(number):
            statement = self.statement(scope)
            active = not scope.active.isdisjoint(statement.reads)
            for name, kind in zip(statement.targets, statement.types, strict=True):
                scope.add(name, kind, active)
            scope.read |= statement.reads
            found.append(statement)
        return found

    def statement(self, scope: Scope) -> Statement:
        """A statement that can be traced.

        Raises:
            RuntimeError: when none is found, which would be this module's mistake.
        """
        for _ in range(_ATTEMPTS):
            features = set(self.features)
            if self.depth < _DEPTH and self.chance(_CONTROL):
                names = [name for name in self.constructs if name not in self.without]
                candidate = self.constructs[pick(self.rng, names)](self, scope)
            else:
                candidate = self.plain(scope)
            typed = candidate and _typed(candidate, scope)
            if typed:
                if any(kind.dtype == "float32" for kind in typed.types):
                    self.features.add("float32")
                return typed
            self.features = features
        raise RuntimeError("no statement fits the scope")

    def plain(self, scope: Scope) -> Statement | None:
        families, weights = list(_WEIGHTS), np.array(list(_WEIGHTS.values()))
        family = families[self.rng.choice(len(families), p=weights / weights.sum())]
        expression = self.filled(pick(self.rng, FAMILIES[family]), scope)
        if scope.types.keys().isdisjoint(names_in(expression)):
            return None
        if "float32" in expression:
            self.features.add("float32")
        return Statement(self.name("v"), (), expression)

    def filled(self, expression: str, scope: Scope) -> str:
        """An expression with its operands."""
        letters = sorted(set(re.findall(r"\{(\w)\}", expression)))
        operands = {letter: self.operand(letter, scope) for letter in letters}
        return re.sub(r"\{(\w)\}", lambda match: operands[match[1]], expression)

    def operand(self, letter: str, scope: Scope) -> str:
        known = scope.names(FITS[letter])
        if letter in "pqP" and self.chance(0.6):
            return self.filled("({s} > 0.1)" if letter == "P" else pick(self.rng, COMPARISONS), scope)
        if not known or self.chance(0.04):
            return pick(self.rng, next(known for letters, known in CONSTANTS.items() if letter in letters))
        return self.preferred(known, scope)

    def preferred(self, names: Sequence[str], scope: Scope) -> str:
        """One of some names; those that nothing reads yet, and those that carry a derivative, more often."""
        active = [name for name in names if name in scope.active]
        names = active if active and self.chance(0.85) else names
        fresh = [name for name in names if name not in scope.read]
        return pick(self.rng, fresh if fresh and self.chance(0.6) else names)

    def float_of(self, scope: Scope, fits: Callable[[Type], bool] = lambda kind: True) -> str | None:
        """The name of some double precision array."""
        known = scope.names(lambda kind: kind.dtype == "float64" and fits(kind))
        return self.preferred(known, scope) if known else None

    def body(
        self,
        scope: Scope,
        parameters: Sequence[tuple[str, Type]],
        wanted: Sequence[Type],
        number: int,
        without: Sequence[str] = (),
    ) -> tuple[tuple[Statement, ...], list[str]]:
        """The statements of a function, and expressions of the wanted types for what it returns."""
        inner = scope.inner()
        for name, kind in parameters:
            inner.add(name, kind, active=True)
        before, self.without = self.without, self.without | set(without)
        self.depth += 1
        statements = tuple(self.statements(inner, number))
        self.depth -= 1
        self.without = before
        return statements, [self.result(inner, kind) for kind in wanted]

    def result(self, scope: Scope, wanted: Type) -> str:
        """An expression of a type, of the latest values where possible."""
        if not wanted.is_float:
            return self.filled({"bool": "{P}"}.get(wanted.dtype, "({i} + 1) % 4"), scope)
        exact = scope.own(lambda kind: kind == wanted)
        fresh = [name for name in exact if name not in scope.read]
        if fresh or (exact and self.chance(0.5)):
            return pick(self.rng, fresh or exact)
        others = scope.unread(lambda kind: kind.is_float) or scope.own(lambda kind: kind.is_float)
        if not others:
            return wanted.constant
        value = f"jnp.mean({pick(self.rng, others)})"
        if exact:
            return f"0.5 * ({value} + {pick(self.rng, exact)})"
        return f"jnp.broadcast_to({value}, {wanted.shape}).astype({wanted.dtype!r})"

    def number(self) -> int:
        return int(self.rng.integers(1, 4 if self.depth == 0 else 3))


COMPARISONS = ["({f} > 0)", "({f} > 0.2)", "({f} <= {g})", "({i} > 1)", "({I} == 1)", "({f} == 0)"]


def _typed(statement: Statement, scope: Scope) -> Statement | None:
    """The statement with the types that it has, or None where it cannot be traced."""
    reads = sorted(statement.reads & set(scope.types))
    arguments = ", ".join(reads)
    block = Block("trial", arguments, (statement,), ", ".join(statement.targets) + ",")
    run = compiled("\n".join(block.lines()), "trial")
    try:
        found = jax.eval_shape(run, *[scope.types[name].struct for name in reads])
    except Exception:
        return None  # shapes that do not go together
    types = tuple(Type(one.shape, str(one.dtype)) for one in found)
    known = all(one.dtype in ("float64", "float32", "int64", "int32", "bool") for one in types)
    fits = all(0 < np.prod(one.shape) <= _LARGEST and len(one.shape) <= _DEEPEST for one in types)
    return replace(statement, types=types) if known and fits else None
