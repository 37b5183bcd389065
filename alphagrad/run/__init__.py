"""What every run has, whatever it looks for: settings, a folder, progress, a report."""
