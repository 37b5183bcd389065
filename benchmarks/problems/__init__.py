"""Functions with sparse derivatives, of the sizes that people have, to measure on."""

from ._problem import Problem
from .grids import grids
from .layers import layers
from .meshes import meshes
from .sequences import sequences
from .trajectories import trajectories

PROBLEMS: dict[str, Problem] = {
    problem.name: problem
    for collection in (grids, layers, sequences, trajectories, meshes)
    for problem in collection.problems
}
