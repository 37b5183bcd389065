"""stand-in until merged"""

from typing import Literal

Objective = Literal["mults", "flops", "memory", "runtime"]


def check_objective(o):
    pass


def fastest(graph, candidates):
    return candidates[-1]
