"""Statements that hold functions: loops, branches, mapped and wrapped functions, custom derivative rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from program_drawing import Draw, Scope, pick
from program_text import Block, Statement, Type


def _scan(draw: Draw, scope: Scope) -> Statement | None:
    """With several carries, some not differentiated, some not changed, and with stacked results."""
    carried = _carries(draw, scope)
    stacked = _with_lanes(draw, scope) if draw.chance(0.7) else []
    kinds = [kind for _, kind in carried]
    outs = [pick(draw.rng, _RESULTS) for _ in range(draw.rng.integers(0, 2))]
    if not kinds and not outs:
        return None
    parameters, slices = [(draw.name("c"), kind) for kind in kinds], _lanes(draw, scope, stacked)
    statements, results = draw.body(scope, [*parameters, *slices], [*kinds, *outs], draw.number())
    for at, (name, _) in enumerate(parameters):
        if draw.chance(0.12):
            results[at] = name
    block = Block(
        draw.name("f"),
        "t, xs",
        statements,
        f"{_tuple(results[: len(kinds)])}, {_tuple(results[len(kinds) :])}",
        tuple(
            f"{_tuple(n for n, _ in some)} = {whole}"
            for some, whole in ((parameters, "t"), (slices, "xs"))
            if some
        ),
        before=("@jax.checkpoint",) if draw.chance(0.1) else (),
    )
    options = ", reverse=True" if draw.chance(0.3) else ""
    options += ", unroll=2" if draw.chance(0.1) else ""
    options += "" if slices else f", length={draw.rng.integers(1, 4)}"
    inits = _tuple(value for value, _ in carried)
    targets = [_tuple(draw.name("v") for _ in some) for some in (kinds, outs)]
    expression = f"lax.scan({block.name}, {inits}, {_tuple(stacked) if slices else None}{options})"
    return Statement(", ".join(targets), (), expression, (block,))


def _tuple(names: Iterable[str]) -> str:
    names = list(names)
    return f"({', '.join(names)}{',' if len(names) == 1 else ''})"


def _fori(draw: Draw, scope: Scope) -> Statement | None:
    return _for(draw, scope, str(draw.rng.integers(1, 4)))


def _fori_traced(draw: Draw, scope: Scope) -> Statement | None:
    draw.features.add("while")
    return _for(draw, scope, f"abs({draw.operand('i', scope)}) % 4")


def _for(draw: Draw, scope: Scope, count: str) -> Statement | None:
    carried = _carries(draw, scope)
    if not carried:
        return None
    counter = draw.name("k")
    parameters = [(draw.name("c"), kind) for _, kind in carried]
    kinds = [kind for _, kind in carried]
    statements, results = draw.body(scope, [(counter, Type((), "int64")), *parameters], kinds, draw.number())
    unpacking = (f"{_tuple(name for name, _ in parameters)} = t",)
    body = Block(draw.name("f"), f"{counter}, t", statements, _tuple(results), unpacking)
    targets = _tuple(draw.name("v") for _ in carried)
    inits = _tuple(value for value, _ in carried)
    return Statement(targets, (), f"lax.fori_loop(0, {count}, {body.name}, {inits})", (body,))


def _carries(draw: Draw, scope: Scope) -> list[tuple[str, Type]]:
    """Initial values of what a loop carries: arrays of the program, constants, a counter, a flag."""
    found = [(n, scope.types[n]) for n in (draw.float_of(scope) for _ in range(draw.rng.integers(0, 3))) if n]
    if draw.chance(0.4):
        found.append((draw.operand("i", scope), Type((), "int64")))
    if draw.chance(0.3):
        found.append((pick(draw.rng, ["1.0", "np.float64(0.5)", "jnp.float64(0.0)"]), Type((), "float64")))
    if draw.chance(0.15):
        found.append(("jnp.zeros(3)", Type((3,), "float64")))
    if draw.chance(0.15):
        found.append((draw.operand("P", scope), Type((), "bool")))
    return [found[at] for at in draw.rng.permutation(len(found))]


def _while(draw: Draw, scope: Scope) -> Statement | None:
    """A counter and a condition on a value."""
    draw.features.add("while")
    carried = _carries(draw, scope)
    if not carried:
        return None
    counter = draw.name("k")
    parameters = [(draw.name("c"), kind) for _, kind in carried]
    names = _tuple([counter, *(name for name, _ in parameters)])
    statements, results = draw.body(
        scope, [(counter, Type((), "int64")), *parameters], [kind for _, kind in carried], draw.number()
    )
    body = Block(draw.name("f"), "t", statements, _tuple([f"{counter} + 1", *results]), (f"{names} = t",))
    limit = f"t[0] < {draw.rng.integers(1, 4)}"
    floats = [at for at, (_, kind) in enumerate(parameters) if kind.is_float]
    if floats and draw.chance(0.5):
        limit = f"({limit}) & (jnp.sum(t[{pick(draw.rng, floats) + 1}]) < 0.9)"
    test = Block(draw.name("f"), "t", (), limit)
    targets = _tuple([draw.name("k"), *(draw.name("v") for _ in carried)])
    inits = _tuple(["0", *(value for value, _ in carried)])
    return Statement(targets, (), f"lax.while_loop({test.name}, {body.name}, {inits})", (test, body))


def _map(draw: Draw, scope: Scope) -> Statement | None:
    """All operands have lanes."""
    lanes = _with_lanes(draw, scope)
    if not lanes:
        return None
    parameters = _lanes(draw, scope, lanes)
    block, targets = _function(draw, scope, parameters, draw.number(), unpacked_from="xs")
    return Statement(targets, (), f"lax.map({block.name}, {_tuple(lanes)})", (block,))


def _vmap(draw: Draw, scope: Scope) -> Statement | None:
    """Some operands have lanes, along their first or last axis, others are the same for all."""
    lanes = _with_lanes(draw, scope)
    if not lanes:
        return None
    operands, axes, parameters = [], [], []
    for name in lanes:
        shape = scope.types[name].shape
        last = len(shape) == 2 and shape[0] == shape[1] and draw.chance(0.5)
        operands.append(name)
        axes.append("1" if last else "0")
        parameters.append((draw.name("a"), Type(shape[:1] if last else shape[1:], "float64")))
    shared = draw.float_of(scope)
    if shared and draw.chance(0.5):
        operands.append(shared)
        axes.append("None")
        parameters.append((draw.name("a"), scope.types[shared]))
    block, targets = _function(draw, scope, parameters, draw.number())
    return Statement(targets, (), f"jax.vmap({block.name}, {_tuple(axes)})({', '.join(operands)})", (block,))


def _with_lanes(draw: Draw, scope: Scope) -> list[str]:
    """One or two arrays with the same number of lanes."""
    first = draw.float_of(scope, lambda kind: len(kind.shape) > 0)
    if first is None:
        return []
    length = scope.types[first].shape[0]
    second = draw.float_of(scope, lambda kind: kind.shape[:1] == (length,))
    return [first, second] if second and second != first and draw.chance(0.5) else [first]


def _lanes(draw: Draw, scope: Scope, arrays: Sequence[str]) -> list[tuple[str, Type]]:
    """A parameter for a lane of each array."""
    kinds = [scope.types[name] for name in arrays]
    return [(draw.name("a"), kind._replace(shape=kind.shape[1:])) for kind in kinds]


def _cond(draw: Draw, scope: Scope) -> Statement | None:
    return _branches(draw, scope, f"lax.cond({draw.operand('P', scope)}, ", ", ", 2)


def _switch(draw: Draw, scope: Scope) -> Statement | None:
    return _branches(draw, scope, f"lax.switch({draw.operand('i', scope)}, [", "], ", 3)


def _branches(draw: Draw, scope: Scope, before: str, after: str, count: int) -> Statement | None:
    """Branches with parameters of the same types, and results of the same types."""
    names = _operands(draw, scope)
    if not names:
        return None
    kinds = [pick(draw.rng, _RESULTS) for _ in range(draw.rng.integers(1, 3))]
    blocks = []
    for _ in range(count):
        parameters = [(draw.name("a"), scope.types[name]) for name in names]
        statements, results = draw.body(scope, parameters, kinds, int(draw.rng.integers(0, 3)))
        heads = ", ".join(name for name, _ in parameters)
        blocks.append(Block(draw.name("f"), heads, statements, _tuple(results)))
    functions = ", ".join(block.name for block in blocks)
    targets = _tuple(draw.name("v") for _ in kinds)
    return Statement(targets, (), f"{before}{functions}{after}{', '.join(names)})", tuple(blocks))


_RESULTS = [Type((), "float64"), Type((3,), "float64"), Type((2, 3), "float64"), Type((), "int64")]


def _operands(draw: Draw, scope: Scope) -> list[str]:
    drawn = [draw.float_of(scope) for _ in range(draw.rng.integers(1, 4))]
    return list(dict.fromkeys(name for name in drawn if name))


def _function(
    draw: Draw,
    scope: Scope,
    parameters: Sequence[tuple[str, Type]],
    number: int,
    without: Sequence[str] = (),
    unpacked_from: str = "",
) -> tuple[Block, str]:
    """A function of one or two results, floating ones, and the names that they are bound to."""
    kinds = [pick(draw.rng, _RESULTS[:2]) for _ in range(draw.rng.integers(1, 3))]
    statements, results = draw.body(scope, parameters, kinds, number, without)
    heads = ", ".join(name for name, _ in parameters)
    unpacking = (f"{_tuple(name for name, _ in parameters)} = {unpacked_from}",) if unpacked_from else ()
    block = Block(draw.name("f"), unpacked_from or heads, statements, _tuple(results), unpacking)
    return block, _tuple(draw.name("v") for _ in kinds)


def _call(draw: Draw, scope: Scope) -> Statement | None:
    """A function under a transformation that leaves its value as it is."""
    names = _operands(draw, scope)
    block, targets = _function(draw, scope, [(draw.name("a"), scope.types[n]) for n in names], draw.number())
    wrapped = pick(draw.rng, ["jax.jit", "jax.jit", "jax.checkpoint", "jax.named_call"])
    return Statement(targets, (), f"{wrapped}({block.name})({', '.join(names)})", (block,))


def _gradient(draw: Draw, scope: Scope) -> Statement | None:
    """A derivative inside of the program, along its first operand."""
    name = draw.float_of(scope)
    if not name:
        return None
    without = (*LOOPS_WITHOUT_END, "custom_vjp")
    block, targets = _function(draw, scope, [(draw.name("a"), scope.types[name])], 1, without)
    if draw.chance(0.5):
        total = f"lambda t: sum(map(jnp.mean, {block.name}(t)))"
        return Statement(draw.name("v"), (), f"jnp.tanh(jax.grad({total})({name}))", (block,))
    pushed = f"jax.jvp({block.name}, ({name},), (jnp.ones_like({name}),))[1]"
    return Statement(targets, (), f"jax.tree.map(jnp.tanh, {pushed})", (block,))


_VALUES = [
    "jnp.sin({x})",
    "jnp.floor({x} + 0.3)",
    "jnp.where({x} > 0, {x}, 0.0)",
    "jnp.tanh({x}) * {y}",
    "{x} * 1.0",
    "0.5 * {x} * {x}",
]
_TANGENT_RULES = [
    "{t} * jnp.cos({x})",
    "{t} - jnp.mean({t})",
    "jnp.cumsum({t}) * 0.3",
    "{t} * nn.sigmoid(3.0 * {x})",
    "jnp.roll({t}, 1) * {x}",
    "{t} * (jnp.abs({x}) < 1.0)",
    "jnp.sum({t} * {x}) * jnp.ones_like({t}) * 0.3",
    "jnp.zeros_like({t})",
    "0.5 * {t} * {y} * {x}",
]


def _custom_jvp(draw: Draw, scope: Scope) -> Statement | None:
    """With its true derivative or with another, entry by entry or not."""
    operands = _vector_and_scalar(draw, scope)
    if not operands:
        return None
    name, rule = draw.name("f"), draw.name("f")
    names = [draw.name("x") for _ in operands]
    value, tangent = _value_and_rule(draw, names, "ts[0]")
    if len(names) == 2 and draw.chance(0.6):
        tangent += f" + ts[1] * jnp.sin({names[0]})"
    primal = f"{name}({', '.join(names)})" if draw.chance(0.6) else value
    function = Block(name, ", ".join(names), (), value, before=("@jax.custom_jvp",))
    unpacking, after = (f"{_tuple(names)} = xs",), (f"{name}.defjvp({rule})",)
    derivative = Block(rule, "xs, ts", (), f"({primal}, {tangent})", unpacking, after=after)
    return Statement(draw.name("v"), (), f"{name}({', '.join(operands)})", (function, derivative))


def _custom_vjp(draw: Draw, scope: Scope) -> Statement | None:
    """With a backward rule that is linear in the cotangent, the true one or another."""
    operands = _vector_and_scalar(draw, scope)
    if not operands:
        return None
    draw.features.add("custom_vjp")
    name, forward, backward = (draw.name("f") for _ in range(3))
    names = [draw.name("x") for _ in operands]
    value, rule = _value_and_rule(draw, names, "ct")
    cotangents = [rule, f"jnp.sum(ct * {names[0]}) * 0.3"][: len(names)]
    unpacking, after = (f"{_tuple(names)} = res",), (f"{name}.defvjp({forward}, {backward})",)
    blocks = (
        Block(name, ", ".join(names), (), value, before=("@jax.custom_vjp",)),
        Block(forward, ", ".join(names), (), f"{value}, {_tuple(names)}"),
        Block(backward, "res, ct", (), _tuple(cotangents), unpacking, after=after),
    )
    return Statement(draw.name("v"), (), f"{name}({', '.join(operands)})", blocks)


def _vector_and_scalar(draw: Draw, scope: Scope) -> list[str]:
    """A vector, and now and then a scalar; nothing where there is no vector."""
    vector = draw.float_of(scope, lambda kind: len(kind.shape) == 1)
    scalar = draw.float_of(scope, lambda kind: not kind.shape)
    if vector is None:
        return []
    return [vector, scalar] if scalar is not None and draw.chance(0.4) else [vector]


def _value_and_rule(draw: Draw, names: Sequence[str], tangent: str) -> tuple[str, str]:
    """Expressions for what a function returns, and for what becomes of a tangent of its first argument."""
    texts = {"x": names[0], "y": names[1] if len(names) == 2 else "0.7", "t": tangent}
    value, rule = (pick(draw.rng, some).format(**texts) for some in (_VALUES, _TANGENT_RULES))
    # Under vmap the function has to have lanes where its rule has some.
    return f"{value} + 0.1 * {names[1]}" if len(names) == 2 else value, rule


#: Loops that JAX has no reverse mode of.
LOOPS_WITHOUT_END = ("while", "fori traced")
#: Those that stand here twice are drawn twice as often.
CONSTRUCTS: dict[str, Callable[[Draw, Scope], Statement | None]] = {
    "scan": _scan,
    "scan again": _scan,
    "fori": _fori,
    "fori traced": _fori_traced,
    "while": _while,
    "map": _map,
    "vmap": _vmap,
    "vmap again": _vmap,
    "cond": _cond,
    "switch": _switch,
    "call": _call,
    "gradient": _gradient,
    "custom_jvp": _custom_jvp,
    "custom_vjp": _custom_vjp,
}
