"""Small programs as one compiled kernel.

A function whose arrays are small is one straight-line program of scalars, and so is its Jacobian. Here such
programs are expanded, differentiated by elimination at the grain of scalars, and compiled to one kernel that
goes over a batch once.
"""

from . import _lowering  # noqa: F401  (it registers how the primitive is lowered)
from ._differentiate import jacobians_by_kernel
from ._fuse import fuse, program_of
from ._show import KernelView, Operations, show_kernel
from .expand import NoKernel

__all__ = [
    "KernelView",
    "NoKernel",
    "Operations",
    "fuse",
    "jacobians_by_kernel",
    "program_of",
    "show_kernel",
]
