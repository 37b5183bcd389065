"""Agents that learn to play games whose solutions are algorithms: elimination orders, above all."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphax import __version__ as __version__
else:

    def __getattr__(name: str) -> str:
        if name == "__version__":  # only who asks for it waits for JAX
            from graphax import __version__

            return __version__
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
