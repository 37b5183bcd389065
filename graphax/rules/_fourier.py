"""The Fourier transform: dense along the transformed dimensions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ._batched import batched_rule, register_batched, ties_of_dims
from ._registry import Blocks, Call, register_pulling, worth_rows


@register_batched("fft")
def _fft(call: Call) -> tuple[list[Any], Blocks]:
    apart = np.ndim(call.operands[0]) - len(call.params["fft_lengths"])
    return batched_rule(call, lambda at: ties_of_dims(range(apart), constant=True))


@register_pulling("fft")
def _pulling(call: Call, rows: int) -> bool:
    """The Jacobian takes a transform for every number of the shortest one."""
    return worth_rows(rows, math.prod(call.params["fft_lengths"]))
