"""What a run leaves behind: its folder, its table, its page."""

from ..orders.table import Row, cost_cells, cost_rows, cost_table, write_value
from .folder import RunFolder, TrainingFolder, checkpoint_in, read_metrics, run_path
from .page import (
    Cells,
    Picture,
    Text,
    learning_curve,
    rank_curve,
    rank_of_games,
    run_times,
    search_curve,
    write_page,
    write_report,
)
from .progress import ProgressLine

__all__ = [
    "Cells",
    "Picture",
    "ProgressLine",
    "Row",
    "RunFolder",
    "Text",
    "TrainingFolder",
    "checkpoint_in",
    "cost_cells",
    "cost_rows",
    "cost_table",
    "learning_curve",
    "rank_curve",
    "rank_of_games",
    "read_metrics",
    "run_path",
    "run_times",
    "search_curve",
    "write_page",
    "write_report",
    "write_value",
]
