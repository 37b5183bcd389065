"""Schemes modulo 2 as bits: each factor of a product is one integer."""

from __future__ import annotations

import numpy as np

from ._scheme import Format, Scheme


def pack(scheme: Scheme) -> np.ndarray:
    """The factors of a scheme modulo 2 as bits: (3, rank) integers; products that vanish are left out."""
    factors = [
        (factor.astype(np.uint64) << np.arange(factor.shape[1], dtype=np.uint64)).sum(axis=1, dtype=np.uint64)
        for factor in (scheme.u & 1, scheme.v & 1, scheme.w & 1)
    ]
    packed = np.stack(factors)
    return packed[:, packed.all(axis=0)]


def unpack(format: Format, factors: np.ndarray) -> Scheme:
    """The scheme over "Z2" of factors as bits."""
    n, m, p = format
    u, v, w = (
        (factor[:, None] >> np.arange(width, dtype=np.uint64) & np.uint64(1)).astype(np.int64)
        for factor, width in zip(factors, (n * m, m * p, p * n), strict=True)
    )
    return Scheme(format, u, v, w, "Z2")
