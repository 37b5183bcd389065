"""Functions that elimination orders are measured on: published benchmarks and random programs."""

from tasks._load import load as load
from tasks._load import names as names
from tasks._task import Task as Task
from tasks.random_programs import random_scalar as random_scalar
from tasks.random_programs import random_tensor as random_tensor
