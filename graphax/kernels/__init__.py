"""Small programs as one compiled kernel."""
