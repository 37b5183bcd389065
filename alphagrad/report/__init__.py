"""What a run leaves behind: its folder, its table, its page."""

from .folder import RunFolder, TrainingFolder, checkpoint_in, new_folder, read_metrics
from .page import Picture, learning_curve, run_times, search_curve, write_report
from .progress import ProgressLine
from .table import Row, cost_cells, cost_rows, cost_table, write_value

__all__ = [
    "Picture",
    "ProgressLine",
    "Row",
    "RunFolder",
    "TrainingFolder",
    "checkpoint_in",
    "cost_cells",
    "cost_rows",
    "cost_table",
    "learning_curve",
    "new_folder",
    "read_metrics",
    "run_times",
    "search_curve",
    "write_report",
    "write_value",
]
