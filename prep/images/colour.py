"""Mean, standard deviation and covariance of colours, and their principal components.

Every result is the same to the bit on every machine: sums are exact integers, and the floats are
made by additions, products, quotients and square roots, which IEEE 754 rounds correctly. A
LAPACK gives other last digits elsewhere, and eigenvectors of either sign.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from prep.parsing import Fields, number, refuse
from prep.settings.choices import RGB

CHANNELS = ("R", "G", "B")
Matrix = tuple[RGB, RGB, RGB]

FULL_SCALE = 255.0  # the largest sample of 8 bits
_SWEEPS = 16  # Jacobi's method converges quadratically: six are enough for any 3 × 3 matrix.
_PLANES = ((0, 1), (0, 2), (1, 2))


@dataclass(frozen=True, slots=True, kw_only=True)
class ColourStatistics:
    """Moments of the samples of a set of images, all channels from 0 to ``scale``.

    Attributes:
        mean: of R, G and B.
        std: population standard deviation of each; None if only the mean is known.
        covariance: population covariance of R, G and B, 3 × 3; None if not known.
        scale: the largest possible sample, 255 or 1.
    """

    mean: RGB
    std: RGB | None = None
    covariance: Matrix | None = None
    scale: float = FULL_SCALE

    @property
    def components(self) -> tuple[RGB, Matrix] | None:
        """Eigenvalues of the covariance, largest first, and their unit eigenvectors, a row each."""
        return None if self.covariance is None else principal_components(self.covariance)

    @property
    def lighting_basis(self) -> Matrix | None:
        """The matrix B, 3 × 3, for AlexNet's change of lighting, ``image + B @ alpha``.

        Krizhevsky et al. 2012, section 4.1: [p₁ p₂ p₃][α₁λ₁ α₂λ₂ α₃λ₃]ᵀ is added to each pixel of
        an image, with α drawn from a normal distribution of standard deviation 0.1. As eigenvalues
        are squares, that depends on the unit; like other implementations, this takes λ of samples
        from 0 to 1. Pixels of the image are from 0 to ``scale``.
        """
        if (components := self.scaled(1.0).components) is None:
            return None
        values, vectors = components
        r, g, b = (
            (
                self.scale * values[0] * vectors[0][c],
                self.scale * values[1] * vectors[1][c],
                self.scale * values[2] * vectors[2][c],
            )
            for c in range(3)
        )
        return r, g, b

    def scaled(self, scale: float) -> ColourStatistics:
        """Return the statistics of the same samples from 0 to ``scale``."""
        if scale == self.scale:
            return self
        ratio = scale / self.scale
        square = ratio * ratio
        return replace(
            self,
            mean=_times(self.mean, ratio),
            std=self.std and _times(self.std, ratio),
            covariance=self.covariance and _each_times(self.covariance, square),
            scale=scale,
        )

    def to_json(self) -> dict[str, Any]:
        """Return ``R``, ``G`` and ``B`` of the mean, and all else that is known beside them."""
        return {
            **dict(zip(CHANNELS, self.mean, strict=True)),
            "scale": int(self.scale),
            **({} if self.std is None else {"std": by_channel(self.std)}),
            **covariance_json(self.covariance),
        }

    @classmethod
    def from_json(cls, value: object) -> ColourStatistics:
        """Read what :meth:`to_json` gave, or ``{"R": …, "G": …, "B": …}``; ignore other members.

        Raises:
            ValueError: it is something else.
        """
        if not isinstance(value, Mapping):
            refuse("mean", 'an object with "R", "G" and "B"', value)
        names = (*CHANNELS, "scale", "std", "covariance")
        fields = Fields({name: value[name] for name in names if name in value}, "a mean")
        scale = fields.any("scale", FULL_SCALE)
        if isinstance(scale, bool) or scale not in (1, FULL_SCALE):
            refuse("scale", "1 or 255", scale)
        r, g, b = (fields.number(channel, most=scale) for channel in CHANNELS)
        return cls(
            mean=(r, g, b),
            std=stored_channels(fields.any("std", None), "std", scale),
            covariance=stored_covariance(fields.any("covariance", None), scale),
            scale=float(scale),
        )


def by_channel(values: RGB | None) -> dict[str, float] | None:
    """Return ``{"R": …, "G": …, "B": …}``, the form in which means are stored.

    >>> by_channel((1.0, 2.0, 3.0))
    {'R': 1.0, 'G': 2.0, 'B': 3.0}
    """
    return None if values is None else dict(zip(CHANNELS, values, strict=True))


def covariance_json(covariance: Matrix | None) -> dict[str, Any]:
    """Return a covariance with its eigenvalues and eigenvectors as JSON; nothing for None."""
    if covariance is None:
        return {}
    values, vectors = principal_components(covariance)
    return {
        "covariance": [list(row) for row in covariance],
        "eigenvalues": list(values),
        "eigenvectors": [list(vector) for vector in vectors],
    }


def stored_channels(value: object, name: str, most: float = FULL_SCALE) -> RGB | None:
    """Read what :func:`by_channel` gave; raise ValueError if it is not that."""
    if value is None:
        return None
    fields = Fields(value, f"a {name} by channel")
    r, g, b = (fields.number(channel, most=most) for channel in CHANNELS)
    fields.end()
    return r, g, b


def stored_covariance(value: object, scale: float = FULL_SCALE) -> Matrix | None:
    """Read the rows of a covariance; raise ValueError unless it is symmetric and possible."""
    if value is None:
        return None
    most = scale * scale / 4  # of samples half at 0 and half at the largest
    rows = value if isinstance(value, list) else refuse("covariance", "3 rows", value)
    if len(rows) != 3 or any(not isinstance(row, list) or len(row) != 3 for row in rows):
        refuse("covariance", "3 rows of 3 numbers", value)
    r, g, b = (
        tuple(number(each, "covariance", least=-most, most=most) for each in row) for row in rows
    )
    if (r[1], r[2], g[2]) != (g[0], b[0], b[1]):
        refuse("covariance", "the same number on either side of the diagonal", value)
    return (r[0], r[1], r[2]), (g[0], g[1], g[2]), (b[0], b[1], b[2])


def principal_components(matrix: Matrix) -> tuple[RGB, Matrix]:
    """Return the eigenvalues of a symmetric matrix, largest first, and their eigenvectors.

    By Jacobi's cyclic method (Golub and Van Loan, Matrix Computations, section 8.5). Eigenvectors
    are of length 1, a row each. The first of the largest components of each is positive. An
    eigenvalue that rounding would make negative is 0.

    >>> principal_components(((2.0, 0.0, 0.0), (0.0, 3.0, 0.0), (0.0, 0.0, 1.0)))
    ((3.0, 2.0, 1.0), ((0.0, 1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)))
    """
    a = [list(row) for row in matrix]
    v = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    for _ in range(_SWEEPS):
        if not any(a[p][q] for p, q in _PLANES):
            break
        for p, q in _PLANES:
            _rotate(a, v, p, q)
    order = sorted(range(3), key=lambda i: -a[i][i])
    first, second, third = (_oriented((v[0][i], v[1][i], v[2][i])) for i in order)
    x, y, z = (max(0.0, a[i][i]) for i in order)
    return (x, y, z), (first, second, third)


def _rotate(a: list[list[float]], v: list[list[float]], p: int, q: int) -> None:
    """Make ``a[p][q]`` zero by a rotation, which is also applied to the columns of ``v``."""
    off = a[p][q]
    if abs(off) <= 1e-18 * math.sqrt(abs(a[p][p] * a[q][q])):  # far below rounding
        a[p][q] = a[q][p] = 0.0
        return
    theta = (a[q][q] - a[p][p]) / (2 * off)
    t = math.copysign(1 / (abs(theta) + math.sqrt(theta * theta + 1)), theta)
    c = 1 / math.sqrt(t * t + 1)
    s = t * c
    a[p][p] -= t * off
    a[q][q] += t * off
    a[p][q] = a[q][p] = 0.0
    r = 3 - p - q
    a[r][p], a[r][q] = c * a[r][p] - s * a[r][q], s * a[r][p] + c * a[r][q]
    a[p][r], a[q][r] = a[r][p], a[r][q]
    for row in v:
        row[p], row[q] = c * row[p] - s * row[q], s * row[p] + c * row[q]


def _oriented(vector: RGB) -> RGB:
    """Return a vector of length 1 with the first of its largest components positive."""
    largest = max(vector, key=abs)
    length = math.copysign(math.sqrt(sum(x * x for x in vector)), largest)
    x, y, z = (component / length + 0.0 for component in vector)  # No -0.0.
    return x, y, z


def _times(values: RGB, factor: float) -> RGB:
    r, g, b = values
    return r * factor, g * factor, b * factor


def _each_times(rows: Matrix, factor: float) -> Matrix:
    r, g, b = rows
    return _times(r, factor), _times(g, factor), _times(b, factor)
