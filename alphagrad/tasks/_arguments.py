"""Example arguments from their types as JAX prints them, such as `f32[3],i32[],bool[2,4]`."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import numpy as np

EXAMPLE = 'args="f32[3],f32[3,3]"'

_TYPES = {
    "bool": "bool",
    "bf16": "bfloat16",
    **{f"f{bits}": f"float{bits}" for bits in (16, 32, 64)},
    **{f"c{bits}": f"complex{bits}" for bits in (64, 128)},
    **{f"i{bits}": f"int{bits}" for bits in (8, 16, 32, 64)},
    **{f"u{bits}": f"uint{bits}" for bits in (8, 16, 32, 64)},
}
_ARGUMENT = re.compile(r"\s*(?P<weak>~?)(?P<kind>[A-Za-z]\w*)\s*\[(?P<shape>[\d\s,]*)\]\s*(?:,|$)")
_HALF = {"float64": "f32", "complex128": "c64", "int64": "i32", "uint64": "u32"}


def example_arguments(text: str) -> tuple[jax.Array, ...]:
    """Arrays of the types that a text describes.

    Args:
        text: types and shapes as JAX prints them, with commas between: `f32[3,3]` is a matrix, `f32[]` a
            scalar, and `~f32[]` a number of Python, which gives way to the type of what it meets (is
            weakly typed). Long names, as in `float32[3]`, do too.

    Returns:
        for every argument a fixed draw between 0.5 and 1.5 (complex numbers: both parts), or zeros if it is
        no floating one.

    Raises:
        ValueError: when the text cannot be read, has `~` before what is no number of Python, or asks for
            64-bit numbers while JAX has them switched off.
    """
    kinds: list[tuple[np.dtype, tuple[int, ...], bool]] = []
    at = 0
    while at < len(text):
        match = _ARGUMENT.match(text, at)
        shape = _read_shape(match["shape"]) if match else None
        if match is None or shape is None:
            raise ValueError(
                f"args={text!r} cannot be read at {text[at:].strip()!r}; write types and shapes as JAX "
                f"prints them, as in {EXAMPLE}, and f32[] for a scalar"
            )
        argument = match[0].strip(" ,")
        dtype = _read_type(match["kind"], argument)
        if match["weak"] and (shape or jnp.result_type(dtype.type(0).item()) != dtype):
            raise ValueError(
                f"args= has {argument!r}, but `~` is for a number of Python, as in ~f32[]; leave it out"
            )
        kinds.append((dtype, shape, bool(match["weak"])))
        at = match.end()
    if not kinds:
        raise ValueError(f"args= names no argument; write their types and shapes, as in {EXAMPLE}")
    rng = np.random.default_rng(0)
    drawn = ((_draw(rng, dtype, shape), weak) for dtype, shape, weak in kinds)
    return tuple(jnp.asarray(array.item()) if weak else array for array, weak in drawn)


def _read_shape(text: str) -> tuple[int, ...] | None:
    if not text.strip():
        return ()
    sizes = [size.strip() for size in text.split(",")]
    return tuple(map(int, sizes)) if all(map(str.isdecimal, sizes)) else None


def _read_type(name: str, argument: str) -> np.dtype:
    long_name = _TYPES.get(name, name)
    if long_name not in _TYPES.values():
        raise ValueError(
            f"args= has the unknown type {name!r} in {argument!r}; types are {', '.join(_TYPES)}"
        )
    if long_name in _HALF and jnp.result_type(float) != np.float64:
        narrow = argument.replace(name, _HALF[long_name], 1)
        raise ValueError(
            f"args= asks for {argument}, but JAX has 64-bit numbers switched off; write {narrow} (an order "
            "serves both, unless the function itself tells them apart), or set JAX_ENABLE_X64=1"
        )
    return jnp.dtype(long_name)


def _draw(rng: np.random.Generator, dtype: np.dtype, shape: tuple[int, ...]) -> jax.Array:
    if not jnp.issubdtype(dtype, jnp.inexact):
        return jnp.zeros(shape, dtype)
    drawn = rng.uniform(0.5, 1.5, shape)
    if jnp.issubdtype(dtype, jnp.complexfloating):
        drawn = drawn + 1j * rng.uniform(0.5, 1.5, shape)
    return jnp.asarray(drawn, dtype)
