"""The Fourier transform: dense along the transformed dimensions, and applied faster than multiplied by."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ._batched import batched_rule, register_batched, ties_of_dims
from ._registry import Blocks, Call, register_pulling, register_pushing


@register_batched("fft")
def _fft(call: Call) -> tuple[list[Any], Blocks]:
    apart = np.ndim(call.operands[0]) - len(call.params["fft_lengths"])
    return batched_rule(call, lambda at: ties_of_dims(range(apart), constant=True), quick="both")


@register_pulling("fft")
@register_pushing("fft")
def _moving_through(call: Call, moved: int) -> bool:
    """The Jacobian takes a transform for every number of one, and its products take far longer than that."""
    return moved <= math.prod(call.params["fft_lengths"])
