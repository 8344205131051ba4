"""Live counts → a terminal, a notebook, a log, or another program."""

from prep.progress.cell import scene_of
from prep.progress.events import JsonLines, emit
from prep.progress.shown import ShowOn, stages_for
from prep.progress.work import Display, ShowWork, Silent, Stages, Work

__all__ = [
    "Display",
    "JsonLines",
    "ShowOn",
    "ShowWork",
    "Silent",
    "Stages",
    "Work",
    "emit",
    "scene_of",
    "stages_for",
]
