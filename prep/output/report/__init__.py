"""The report of a run: made of totals, stored as ``report.json``."""
