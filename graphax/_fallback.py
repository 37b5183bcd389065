"""What elimination cannot express exactly is differentiated by JAX's own mode, with a warning."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple, TypeVar

import jax
from jax import lax

from ._application import NEEDS_VALUE, NOT_THE_USERS, Application, Auxiliary, as_array, check_output
from ._trace import is_complex, is_differentiable
from .rules import Inexpressible, real_view


class FallbackWarning(UserWarning):
    """A function was differentiated by JAX's own mode, as a whole: its Jacobian is right, its cost JAX's.

    It names what vertex elimination cannot express exactly, where it stands, and the remedy.
    ``warnings.filterwarnings("error", category=graphax.FallbackWarning)`` makes it an error.

    Example:
        >>> import warnings
        >>> def f(x):
        ...     return jnp.sin(x) if x > 0 else x  # the value of x decides what is traced
        >>> with warnings.catch_warnings(record=True) as caught:
        ...     warnings.simplefilter("always")
        ...     derivative = graphax.jacve(f)(1.0)
        >>> [warning.category.__name__ for warning in caught]
        ['FallbackWarning']
    """


@contextmanager
def refusing() -> Iterator[None]:
    """Where nothing falls back to JAX's modes, what elimination cannot express is a TypeError."""
    try:
        yield
    except Inexpressible as error:
        raise TypeError(str(error)) from error


class ByMode(NamedTuple):
    """A value and its derivatives by one of JAX's modes.

    Attributes:
        results: the leaves of the result.
        tree: of the result.
        aux: the auxiliary data.
        names: of the leaves of the result, for messages.
        jacobians: for every leaf of the result that carries a derivative a row with an array between its
            real view and that of every differentiated leaf of the arguments that does.
    """

    results: list[Any]
    tree: Any
    aux: Any
    names: list[str]
    jacobians: list[list[Any]]


def differentiate(application: Application, forward_first: bool) -> ByMode:
    """Value and Jacobian by JAX's own mode: the one that fits the shapes, or else the one that works.

    Args:
        application: the function and its arguments.
        forward_first: whether forward mode is to be tried first, whatever the shapes.
    """
    moving = [place for place in application.moving if is_differentiable(application.leaves[place])]
    parts = [real_view(application.leaves[place]) for place in moving]
    static: list[tuple[Any, list[str], Auxiliary]] = []

    def of_parts(parts: Sequence[Any]) -> Any:
        values = {
            place: lax.complex(part[..., 0], part[..., 1]) if is_complex(application.leaves[place]) else part
            for place, part in zip(moving, parts, strict=True)
        }
        result, aux = application(values)
        leaves, tree = jax.tree.flatten(jax.tree.map(as_array, result))
        names = [f"the result{jax.tree_util.keystr(path)}" for path, _ in jax.tree.leaves_with_path(result)]
        for name, leaf in zip(names, leaves, strict=True):
            check_output(name, leaf)
        arrays, others = Auxiliary.split(aux)
        static.append((tree, names, others))
        return [real_view(leaf) for leaf in leaves if is_differentiable(leaf)], (leaves, arrays)

    modes = [jax.jacfwd, jax.jacrev]
    if not (forward_first or _is_wide(parts, of_parts)):
        modes.reverse()
    try:
        found, (leaves, arrays) = modes[0](of_parts, has_aux=True)(parts)
    except Exception as error:  # `while_loop` has no reverse mode, `custom_vjp` no forward mode
        try:
            found, (leaves, arrays) = modes[1](of_parts, has_aux=True)(parts)
        except Exception:
            if isinstance(error, AssertionError):  # of JAX's, where a rule is not linear
                raise TypeError(f"neither of JAX's modes can differentiate the function: {error}") from error
            raise error from None
    tree, names, others = static[-1]
    return ByMode(leaves, tree, others.joined(arrays), names, found)


def _is_wide(parts: Sequence[Any], of_parts: Any) -> bool:
    """Whether there are more numbers in the results than in the arguments."""
    try:
        results, _ = jax.eval_shape(of_parts, parts)
    except NEEDS_VALUE:
        results, _ = of_parts(parts)
    dimensions = [size for array in (*parts, *results) for size in array.shape]
    if not all(isinstance(size, int) for size in dimensions):
        return False  # symbolic
    sizes = [sum(math.prod(array.shape) for array in arrays) for arrays in (parts, results)]
    return sizes[0] < sizes[1]


T = TypeVar("T")
_heard: ContextVar[list[str] | None] = ContextVar("_heard", default=None)


def warn_of_fallback(text: str) -> None:
    """Warn of a fallback, at the end of the surrounding :func:`with_one_warning`."""
    heard = _heard.get()
    assert heard is not None
    heard.append(text)


def with_one_warning(compute: Callable[[], T]) -> T:
    """What is computed; however many functions inside fall back, one warning tells of the outermost."""
    outside = _heard.get()
    heard: list[str] = []
    token = _heard.set(heard)
    try:
        found = compute()
    finally:
        _heard.reset(token)
    if heard and outside is not None:
        outside.append(heard[-1])
    elif heard:
        warnings.warn(heard[-1], FallbackWarning, stacklevel=_frames_above())
    return found


def _frames_above() -> int:
    """How far above the caller the user's code is, as ``warnings.warn`` counts."""
    depth, frame = 0, sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(NOT_THE_USERS):
        depth, frame = depth + 1, frame.f_back
    return depth + 1
