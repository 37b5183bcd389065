"""Small programs as one compiled kernel.

A function whose arrays are small is one straight-line program of scalars, and so is its Jacobian. Here such
programs are expanded, differentiated by elimination at the grain of scalars, and compiled to one kernel that
goes over a batch once.
"""

from . import _lowering  # noqa: F401  (it registers how the primitive is lowered)
from ._differentiate import jacobians_by_kernel
from ._expand import NoKernel
from ._fuse import fuse, program_of

__all__ = ["NoKernel", "fuse", "jacobians_by_kernel", "program_of"]
