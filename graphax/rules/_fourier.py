"""The Fourier transform: dense along the transformed dimensions."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._batched import batched_rule, register_batched, ties_of_dims
from ._registry import Blocks, Call


@register_batched("fft")
def _fft(call: Call) -> tuple[list[Any], Blocks]:
    apart = np.ndim(call.operands[0]) - len(call.params["fft_lengths"])
    return batched_rule(call, lambda at: ties_of_dims(range(apart), constant=True))
