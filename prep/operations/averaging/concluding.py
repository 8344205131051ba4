"""From sums to a mean, its moments and its standard error."""

from __future__ import annotations

import math
from dataclasses import replace

from prep.errors import SourceError
from prep.images.colour import FULL_SCALE, ColourStatistics, by_channel
from prep.operations.averaging.image_sums import Weight
from prep.operations.averaging.mean_report import (
    ApproximationFacts,
    MeanReport,
    SampleFacts,
    Scale,
)
from prep.operations.averaging.summing import Part
from prep.settings.choices import RGB
from prep.text import counted


def conclude(
    part: Part, weight: Weight, scale: Scale, sample: SampleFacts | None = None
) -> MeanReport:
    """Return the mean that follows from sums.

    Args:
        part: the sums over all images that were looked at.
        weight: of the mean.
        scale: of the result.
        sample: how these images were drawn; None if they are all.

    Raises:
        SourceError: no image could be read, or too few for a standard error.
    """
    moments = _moments(part, weight, sample)
    errors = [] if sample is None else [_error_of_sample(part, weight, sample)]
    bias = None
    if part.approximated.images:
        bias, error = _error_of_approximation(part, weight)
        moments = replace(moments, mean=_corrected(moments.mean, bias))
        errors.append(error)
    ratio = scale / FULL_SCALE
    moments = moments.scaled(float(scale))
    mean = by_channel(moments.mean)
    assert mean is not None
    return MeanReport(
        mean=mean,
        std=by_channel(moments.std),
        covariance=moments.covariance,
        scale=scale,
        images=part.sums.images,
        weight=weight,
        refused=tuple(sorted(part.refused, key=lambda note: note.path)),
        standard_error=by_channel(_times(_together(errors), ratio)) if errors else None,
        sample=sample,
        approximation=bias
        and ApproximationFacts(
            images=part.approximated.images,
            checked=part.errors.images,
            bias=by_channel(_times(bias, ratio)) or {},
        ),
    )


def _moments(part: Part, weight: Weight, sample: SampleFacts | None) -> ColourStatistics:
    moments = part.sums.moments(weight)
    if moments is None and sample is not None and not sample.drawn:
        raise SourceError(
            f"sample: none of {counted(sample.of, 'image')} was drawn; expected 2 or more, so use "
            "a larger fraction"
        )
    if moments is None:
        first = f", the first because of: {part.refused[0].reason}" if part.refused else ""
        raise SourceError(
            f"input: none of its {len(part.refused)} images could be read{first}; "
            "expected images or shards; of archives and lists, prep run tells the mean"
        )
    return moments


def _error_of_sample(part: Part, weight: Weight, sample: SampleFacts) -> RGB:
    error = part.sums.standard_error(weight, sample.drawn, sample.of)
    if error is None:
        raise SourceError(
            f"sample: only 1 of {sample.of:,} images was drawn and read; expected 2 or more, to "
            "tell how far the mean may be off, so use a larger fraction"
        )
    return error


def _error_of_approximation(part: Part, weight: Weight) -> tuple[RGB, RGB]:
    """Return the mean error of approximate sums in the result, and its standard error.

    It is that of the images that were decoded in full as well: with these as its second phase, this
    is double sampling (Cochran, Sampling Techniques, 3rd ed., 1977, chapter 12).
    """
    some, all_ = part.approximated, part.sums
    share = some.images / all_.images if weight == "image" else some.pixels / all_.pixels
    bias = part.errors.mean(weight)
    error = part.errors.standard_error(weight, part.errors.images, some.images)
    assert bias is not None
    assert error is not None
    return _times(bias, share), _times(error, share)


def _corrected(mean: RGB, bias: RGB) -> RGB:
    r, g, b = (min(max(m - d, 0.0), FULL_SCALE) for m, d in zip(mean, bias, strict=True))
    return r, g, b


def _together(errors: list[RGB]) -> RGB:
    """Return the standard error of a sum of independent terms."""
    r, g, b = (math.hypot(*channel) for channel in zip(*errors, strict=True))
    return r, g, b


def _times(values: RGB, factor: float) -> RGB:
    r, g, b = values
    return r * factor, g * factor, b * factor
