"""The report of a run: made of totals, stored as ``report.json``, and looked at."""

from prep.report.making import Effort, all_versions, make_report
from prep.report.report import RunReport
from prep.report.shown import describe_conflicts, describe_leaks, describe_passed

__all__ = [
    "Effort",
    "RunReport",
    "all_versions",
    "describe_conflicts",
    "describe_leaks",
    "describe_passed",
    "make_report",
]
