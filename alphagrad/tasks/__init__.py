"""Functions that elimination orders are measured on: published benchmarks and random programs."""

from ._best_known import best_known
from ._load import load, names
from ._task import Task
from ._user_file import where
from .random_programs import random_scalar, random_tensor

__all__ = [
    "Task",
    "best_known",
    "load",
    "names",
    "random_scalar",
    "random_tensor",
    "where",
]
