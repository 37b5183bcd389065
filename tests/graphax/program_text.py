"""Programs as Python text: statements in blocks, which can be printed, run, and made smaller.

A statement binds names to the value of an expression; the functions that the expression calls are blocks of
statements of their own, defined just before it. The names of a program are all different, so that any
statement may be replaced by constants of the same types.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

#: What the text of a program may name.
LIBRARY = {"jax": jax, "jnp": jnp, "lax": lax, "np": np, "nn": jax.nn}


class Type(NamedTuple):
    """The type of an array."""

    shape: tuple[int, ...]
    dtype: str

    @property
    def is_float(self) -> bool:
        return self.dtype.startswith("float")

    @property
    def struct(self) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(self.shape, self.dtype)

    @property
    def constant(self) -> str:
        """An expression for some array of the type; the entries of floating ones differ."""
        if not self.is_float:
            return f"jnp.ones({self.shape}, {self.dtype!r})"
        entries = np.linspace(0.7, -0.4, int(np.prod(self.shape))).reshape(self.shape)
        return f"jnp.array({entries.round(3).tolist()}, {self.dtype!r})"


@dataclass(frozen=True)
class Statement:
    """``pattern = expression``, after the definitions of the functions that the expression calls.

    Attributes:
        pattern: what stands on the left, such as ``(v1, v2), v3``.
        types: of the names in the pattern, in their order.
        expression: what stands on the right.
        blocks: the functions.
    """

    pattern: str
    types: tuple[Type, ...]
    expression: str
    blocks: tuple[Block, ...] = ()

    @property
    def targets(self) -> list[str]:
        return names_in(self.pattern)

    @property
    def reads(self) -> set[str]:
        """The names that occur on the right and in the functions."""
        return set(names_in(self.expression)).union(*(names_in("\n".join(b.lines())) for b in self.blocks))

    def lines(self) -> list[str]:
        return [
            *(line for block in self.blocks for line in block.lines()),
            f"{self.pattern} = {self.expression}",
        ]


@dataclass(frozen=True)
class Block:
    """A function of the program.

    Attributes:
        name: its name.
        parameters: as they stand in its head.
        statements: its body.
        result: the expression that it returns.
        unpacking: lines that stand before the body.
        before: lines before its head (decorators).
        after: lines after its end.
    """

    name: str
    parameters: str
    statements: tuple[Statement, ...]
    result: str
    unpacking: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        body = [*self.unpacking, *(line for statement in self.statements for line in statement.lines())]
        body.append(f"return {self.result}")
        return [
            *self.before,
            f"def {self.name}({self.parameters}):",
            *("    " + x for x in body),
            *self.after,
        ]

    def without_dead_code(self) -> Block:
        """The same with the statements alone that the result needs."""
        needed, kept = set(names_in(self.result)), []
        for statement in reversed(self.statements):
            if needed.intersection(statement.targets):
                inner = tuple(block.without_dead_code() for block in statement.blocks)
                kept.append(replace(statement, blocks=inner))
                needed |= kept[-1].reads
        return replace(self, statements=tuple(reversed(kept)))

    def simpler(self) -> Iterator[Block]:
        """Blocks with one statement made constant, later ones and whole functions first."""
        for at in reversed(range(len(self.statements))):
            for statement in _simpler(self.statements[at]):
                yield replace(self, statements=(*self.statements[:at], statement, *self.statements[at + 1 :]))


def _simpler(statement: Statement) -> Iterator[Statement]:
    constants = ", ".join(kind.constant for kind in statement.types)
    pattern = ", ".join(statement.targets)
    if (pattern, constants) == (statement.pattern, statement.expression):
        return
    yield Statement(pattern, statement.types, constants)
    for at, block in enumerate(statement.blocks):
        for simpler in block.simpler():
            blocks = (*statement.blocks[:at], simpler, *statement.blocks[at + 1 :])
            yield replace(statement, blocks=blocks)


@dataclass(frozen=True)
class Program:
    """A function of arrays, and where it is evaluated.

    Attributes:
        block: its text; the parameters are the names of ``point``, and it returns a tuple.
        point: the arguments.
        argnums: which of them are differentiated.
        features: what the program holds that some mode of JAX, or some tolerance, does not suit.
    """

    block: Block
    point: tuple[np.ndarray, ...]
    argnums: tuple[int, ...]
    features: frozenset[str]

    @property
    def text(self) -> str:
        return "\n".join(self.block.lines())

    @functools.cached_property
    def fun(self) -> Callable[..., Any]:
        return compiled(self.text, self.block.name)

    def __str__(self) -> str:
        names = self.block.parameters.split(", ")
        given = [
            f"{n} = np.{x!r}".replace("dtype=", "dtype=np.") for n, x in zip(names, self.point, strict=True)
        ]
        return "\n".join([*given, f"argnums = {self.argnums}", self.text])

    def simpler(self) -> Iterator[Program]:
        """Programs that compute less: of fewer results, with fewer statements, with fewer arguments."""
        results = self.block.result.removesuffix(",").split(", ")
        for at in range(len(results)) if len(results) > 1 else ():
            kept = [*results[:at], *results[at + 1 :]]
            yield self.with_block(replace(self.block, result=", ".join(kept) + ","))
        for block in self.block.simpler():
            yield self.with_block(block)
        for at in self.argnums if len(self.argnums) > 1 else ():
            yield replace(self, argnums=tuple(other for other in self.argnums if other != at))

    def with_block(self, block: Block) -> Program:
        """The same arguments, as far as they are needed, of another function."""
        block = block.without_dead_code()
        names = block.parameters.split(", ")
        read = set(names_in("\n".join(block.lines()[1:])))
        kept = [at for at, name in enumerate(names) if name in read]
        argnums = tuple(kept.index(at) for at in self.argnums if at in kept)
        if not argnums:
            return replace(self, block=block)
        block = replace(block, parameters=", ".join(names[at] for at in kept))
        return replace(self, block=block, point=tuple(self.point[at] for at in kept), argnums=argnums)


def names_in(text: str) -> list[str]:
    """The names of variables and functions of a program in a text, in order."""
    return re.findall(r"\b[a-z]\d+\b", text)


def compiled(text: str, name: str) -> Callable[..., Any]:
    """The function of this name that a text defines."""
    namespace: dict[str, Any] = dict(LIBRARY)
    exec(compile(text, "<random program>", "exec"), namespace)
    return namespace[name]
