"""What a run leaves behind: its folder, its table, its page."""

from .folder import RunFolder, checkpoint_in, new_folder, read_metrics
from .page import learning_curve, write_report
from .table import Row, cost_rows, cost_table

__all__ = [
    "Row",
    "RunFolder",
    "checkpoint_in",
    "cost_rows",
    "cost_table",
    "learning_curve",
    "new_folder",
    "read_metrics",
    "write_report",
]
