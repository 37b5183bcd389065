"""How the public functions are called: what they differentiate, where an order may stand, what is refused."""

from __future__ import annotations

import functools
import inspect
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar, cast

import numpy as np

from .choose import Order

Argnums = int | Sequence[int]
_Derivative = TypeVar("_Derivative", bound=Callable[..., Any])


def order_may_come_second(derivative: _Derivative) -> _Derivative:
    """Takes a named or loaded order in second place, with what stood there in third; or no function at all.

    The other arguments keep their places, so that ``jacve(fun, "reverse", (0, 1))`` is
    ``jacve(fun, (0, 1), order="reverse")``. A sequence of numbers in second place is argnums. Without a
    function, where it may be left out, what is returned takes it: a decorator.
    """
    signature = inspect.signature(derivative)
    optional = signature.parameters["fun"].default is None

    @functools.wraps(derivative)
    def called(*args: Any, **kwargs: Any) -> Any:
        if len(args) > 1 and isinstance(args[1], str | Order):
            if "order" in kwargs:
                raise TypeError(f"{derivative.__name__} got two orders: {args[1]!r} and {kwargs['order']!r}")
            kwargs["order"] = args[1]
            args = (args[0], *args[2:])
        if optional and (args[0] if args else kwargs.get("fun")) is None:
            given = signature.bind_partial(*args, **kwargs).arguments
            given.pop("fun", None)
            return functools.partial(called, **given)
        return derivative(*args, **kwargs)

    return cast(_Derivative, called)


def check_callable(fun: Any) -> Callable[..., Any]:
    if not callable(fun):
        raise TypeError(f"graphax differentiates a function, got {type(fun).__name__}")
    return fun


def check_has_aux(has_aux: Any) -> None:
    """Whether a flag stands where the flag belongs."""
    if not isinstance(has_aux, bool | np.bool_):
        raise TypeError(
            f"has_aux must be True or False, got {has_aux!r}; an elimination order is given by order=..., "
            "the arguments to differentiate by argnums=..."
        )


def argument_positions(argnums: Argnums, num_args: int) -> tuple[tuple[int, ...], bool]:
    """The positions of the differentiated arguments, and whether there is one and no sequence of them.

    Raises:
        TypeError: when ``argnums`` is neither an integer nor a sequence of integers.
        ValueError: when one is out of range or named twice.
    """
    single = not isinstance(argnums, Iterable)
    try:
        given = tuple(operator.index(at) for at in ((argnums,) if single else argnums))
    except TypeError:
        raise TypeError(f"argnums must be an integer or a sequence of integers, got {argnums!r}") from None
    found = tuple(at + num_args if at < 0 else at for at in given)
    for at, position in zip(given, found, strict=True):
        if not 0 <= position < num_args:
            raise ValueError(
                f"argnums names argument {at}, but the function was called with {num_args} positional "
                "arguments; differentiated arguments must be passed by position, vertex numbers by order=..."
            )
    if len(set(found)) != len(found):
        raise ValueError(f"argnums names an argument twice: {given}")
    return found, single


def as_pair(result: Any) -> tuple[Any, Any]:
    """What a function with auxiliary data returns, checked to be a pair."""
    if not isinstance(result, tuple) or len(result) != 2:
        raise TypeError(
            "with has_aux=True the function must return a pair (result, auxiliary data), "
            f"got {type(result).__name__}"
        )
    return result
