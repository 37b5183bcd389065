"""Imported first by whatever needs the extra `train`: says so where that is not installed."""

from importlib.util import find_spec

#: The modules that the extra brings.
MODULES = (
    "equinox",
    "jaxtyping",
    "mctx",
    "numba",
    "optax",
    "rich",
    "tensorboardX",
    "yaml",
)

_missing = [name for name in MODULES if find_spec(name) is None]
if _missing:
    raise ImportError(
        f"games, agents, schemes and commands of alphagrad need {', '.join(_missing)}, not installed here: "
        "pip install 'alphagrad[train]'"
    )
