"""Settings shared by all benchmarks."""

from __future__ import annotations

import os
from pathlib import Path

SIZE = 256
QUALITY = 90
SPLIT = "train"

HERE = Path(__file__).parent
DATA = HERE / "data"
SCRATCH = DATA / "out"
RESULTS = HERE / "results"
# Where real photos may lie, beside the checkout or where tests look for them.
_TEST_DATA = os.environ.get("PREP_TEST_DATA", HERE.parent.parent / "shared" / "data")
DEFAULT_PHOTOS = Path(_TEST_DATA) / "photos"
