"""The mean of a set of images, as it is handed out, with what is known of its error."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from prep.images.colour import ColourStatistics, Matrix, stored_channels
from prep.operations.averaging.image_sums import Weight
from prep.output.receipt import ImageNote
from prep.output.report.verdict import Verdict
from prep.text import Displayable

Scale = Literal[1, 255]


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleFacts:
    """The random sample that a mean is of.

    Attributes:
        fraction: of the images, as was asked for.
        seed: of the draw.
        drawn: number of images that were drawn, also those that could not be read.
        of: number of images that they were drawn from.
    """

    fraction: float
    seed: int
    drawn: int
    of: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ApproximationFacts:
    """What was measured of decoding at an eighth of the size, on the images themselves.

    Attributes:
        images: number of images that were decoded so.
        checked: number of these that were decoded in full as well.
        bias: mean error of their means, ``{"R": …, "G": …, "B": …}``, which was subtracted from
            the result.
    """

    images: int
    checked: int
    bias: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanReport(Displayable):
    """Mean, standard deviation and covariance of the channels, each from 0 to ``scale``.

    Attributes:
        mean, std: ``{"R": …, "G": …, "B": …}``; ``std`` is None if only the mean is known.
        covariance: of R, G and B, 3 × 3; None as for ``std``. The JSON has its ``eigenvalues``,
            largest first, and ``eigenvectors``, a row each, beside it.
        scale: the largest possible sample, 255 or 1.
        images: number of images that they are of.
        weight: whether each ``image`` or each ``pixel`` counts the same.
        refused: files that could not be read.
        standard_error: of the mean, by channel; None if the mean is exact.
        sample: the sample that they are of; None if they are of all images.
        approximation: None if all images were decoded in full.
    """

    mean: dict[str, float]
    std: dict[str, float] | None
    images: int
    weight: Weight
    refused: tuple[ImageNote, ...]
    covariance: Matrix | None
    scale: Scale = 255
    standard_error: dict[str, float] | None = None
    sample: SampleFacts | None = None
    approximation: ApproximationFacts | None = None

    @property
    def moments(self) -> ColourStatistics:
        """The same numbers as a value that readers compute with."""
        mean, std = stored_channels(self.mean, "mean"), stored_channels(self.std, "std")
        assert mean is not None
        return ColourStatistics(
            mean=mean, std=std, covariance=self.covariance, scale=float(self.scale)
        )

    @property
    def verdict(self) -> Verdict:
        """Done, or done with refusals: images that can't be read are left out."""
        refused = len(self.refused)
        return Verdict.of_counts(self.images + refused, refused, allowed=refused)

    def to_json(self) -> dict[str, Any]:
        """Convert to JSON values: ``R``, ``G`` and ``B`` of the mean, and the rest beside them.

        Members that say how far the mean may be off are there only if it is not exact.
        """
        return {
            **self.moments.to_json(),
            "images": self.images,
            "weight": self.weight,
            "refused": [{"path": r.path, "reason": r.reason} for r in self.refused],
            **{name: value for name, value in self._of_error().items() if value is not None},
        }

    def _of_error(self) -> dict[str, Any]:
        return {
            "standard_error": self.standard_error,
            "sample": self.sample and asdict(self.sample),
            "approximation": self.approximation and asdict(self.approximation),
        }
