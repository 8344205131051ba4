"""Pixels of small images, for tests of what holds of any."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

Pixels = npt.NDArray[np.uint8]


@st.composite
def images(draw: st.DrawFn) -> Pixels:
    """An image of a few pixels; now and then a flat one, where rounding shows most."""
    height, width = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    if draw(st.booleans()):
        return np.full((height, width, 3), draw(st.integers(0, 255)), np.uint8)
    samples = draw(st.binary(min_size=height * width * 3, max_size=height * width * 3))
    return np.frombuffer(samples, np.uint8).reshape(height, width, 3)


image_lists = st.lists(images(), min_size=1, max_size=8)
