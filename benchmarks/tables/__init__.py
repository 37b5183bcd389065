"""Tables and figures of the documentation, made from the result files."""

from . import compared, kernels, layers, never_slower, orders, run_time, schemes, sparse, summary
from ._text import FIGURES, TABLES, Data, Made, figure, table

__all__ = [
    "FIGURES", "TABLES", "Data", "Made", "compared", "figure", "kernels", "layers", "never_slower", "orders",
    "run_time", "schemes", "sparse", "summary", "table",
]  # fmt: skip
