"""What every run has, whatever it looks for: settings, a folder, progress, a report."""

from .. import _require_train as _require_train
