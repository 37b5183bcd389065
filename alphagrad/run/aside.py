"""Work beside everything else, in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def aside(fun: Callable[..., T], *arguments: object) -> Future[T]:
    """A call that goes on beside everything else; nobody has to wait for it but the end of the process.

    An executor would be waited for where it goes out of scope.

    Args:
        fun: what to call.
        arguments: of the call.

    Returns:
        its result, or the exception that it raised.
    """
    future: Future[T] = Future()

    def work() -> None:
        try:
            future.set_result(fun(*arguments))
        except BaseException as error:  # it is raised where the result is asked for
            future.set_exception(error)

    threading.Thread(target=work, name=getattr(fun, "__name__", None)).start()
    return future
