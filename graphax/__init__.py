"""Exact Jacobians of JAX functions by sparse cross-country vertex elimination."""

from . import orders, sparse
from ._check import check_jacobian
from ._elimination import OpCount
from ._fallback import FallbackWarning
from ._gradient import gradient
from ._graph import ComputationalGraph
from ._hessian import hessve, value_and_hessve
from ._hessian_diagonal import hessian_diagonal, laplacian
from ._jacobian import count_ops, jacve, trace, value_and_jacve
from ._patterns import DenseWarning, hessian_structure, jacobian_structure
from .drawing import Drawing, draw
from .kernels import fuse, show_kernel
from .orders import Order, load_order, save_order
from .rules import register_rule
from .timing import calibrate
from .tuning import explain, tune

__all__ = [
    "ComputationalGraph",
    "DenseWarning",
    "Drawing",
    "FallbackWarning",
    "OpCount",
    "Order",
    "calibrate",
    "check_jacobian",
    "count_ops",
    "draw",
    "explain",
    "fuse",
    "gradient",
    "hessian_diagonal",
    "hessian_structure",
    "hessve",
    "jacobian_structure",
    "jacve",
    "laplacian",
    "load_order",
    "orders",
    "register_rule",
    "save_order",
    "show_kernel",
    "sparse",
    "trace",
    "tune",
    "value_and_hessve",
    "value_and_jacve",
]

__version__ = "0.1.0"
