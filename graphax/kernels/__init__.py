"""Small programs as one compiled kernel.

A function whose arrays are small is one straight-line program of scalars, and so is its Jacobian. Here such
programs are expanded, differentiated by elimination at the grain of scalars, and compiled to one kernel that
goes over a batch once.
"""

# pyright: reportUnusedImport=false
# `__all__` holds what users import; the rest is for the rest of graphax.
from . import _lowering  # it registers how the primitive is lowered
from ._differentiate import jacobians_by_kernel
from ._fuse import fuse, program_of
from ._show import KernelView, Operations, show_kernel
from .expand import NoKernel

__all__ = [
    "KernelView",
    "Operations",
    "fuse",
    "show_kernel",
]
