"""The Fourier transform: dense along the transformed dimensions, and applied faster than multiplied by."""

from __future__ import annotations

import math
from collections.abc import Container
from typing import Any

import numpy as np

from .._trace import Program, Variable
from ._batched import batched_rule, register_batched, ties_of_dims
from ._registry import Blocks, Call, register_pulling, register_pushing


@register_batched("fft")
def _fft(call: Call) -> tuple[list[Any], Blocks]:
    apart = np.ndim(call.operands[0]) - len(call.params["fft_lengths"])
    return batched_rule(call, lambda at: ties_of_dims(range(apart), constant=True), quick="both")


def are_long_transforms(program: Program, active: Container[Variable], moved: int) -> bool:
    """Whether derivatives go through Fourier transforms in a program, of no fewer numbers than are moved."""
    lengths = [
        math.prod(equation.params["fft_lengths"])
        for equation in program.equations
        if equation.primitive.name == "fft" and equation.outputs[0] in active
    ]
    return bool(lengths) and moved <= min(lengths)


@register_pulling("fft")
@register_pushing("fft")
def _moving_through(call: Call, moved: int) -> bool:
    """The Jacobian takes a transform for every number of one, and its products take far longer than that."""
    return moved <= math.prod(call.params["fft_lengths"])
