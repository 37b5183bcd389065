"""Functions that elimination orders are measured on: published benchmarks and random programs."""

from ._best_known import best_known as best_known
from ._load import load as load
from ._load import names as names
from ._task import Task as Task
from ._user_file import where as where
from .random_programs import random_scalar as random_scalar
from .random_programs import random_tensor as random_tensor
