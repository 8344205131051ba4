"""What a scheduler knows of runs, and shows of them: the ``/prep`` page, and its metrics."""

from prep.dashboard.plugin import BEGIN_CALL, END_CALL, LOOK_CALL, RunsPlugin

__all__ = ["BEGIN_CALL", "END_CALL", "LOOK_CALL", "RunsPlugin"]
