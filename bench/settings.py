"""Settings shared by all benchmarks."""

from __future__ import annotations

from pathlib import Path

SIZE = 256
QUALITY = 90
SPLIT = "train"

HERE = Path(__file__).parent
DATA = HERE / "data"
SCRATCH = DATA / "out"
RESULTS = HERE / "results"
# Where real photos may lie beside the checkout.
DEFAULT_PHOTOS = HERE.parent.parent / "shared" / "data" / "photos"
