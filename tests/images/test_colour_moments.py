"""Moments of colours: principal components as NumPy finds them, units, and files by others."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prep.images.colour import ColourStatistics, Matrix, principal_components
from prep.images.stats import channel_sums

rows = st.lists(st.tuples(*[st.integers(0, 255)] * 3), min_size=1, max_size=9)


def covariance_of(pixels: list[tuple[int, int, int]]) -> Matrix:
    found = channel_sums(np.array([pixels], np.uint8)).covariance()
    assert found is not None
    return found


@given(pixels=rows)
def test_principal_components_are_numpys(pixels: list[tuple[int, int, int]]) -> None:
    matrix = np.array(covariance_of(pixels))
    values, vectors = map(np.array, principal_components(covariance_of(pixels)))
    assert values == pytest.approx(np.linalg.eigvalsh(matrix)[::-1], abs=1e-9)
    assert list(values) == sorted(values, reverse=True)
    assert values.min() >= 0
    # Where eigenvalues are equal, eigenvectors are not unique: these two say that they are some.
    assert vectors @ vectors.T == pytest.approx(np.eye(3), abs=1e-12)
    assert (vectors.T * values) @ vectors == pytest.approx(matrix, abs=1e-9)
    for vector in vectors:
        assert vector[np.abs(vector).argmax()] > 0


def test_the_first_component_of_gray_is_gray() -> None:
    values, vectors = principal_components(covariance_of([(3, 3, 3), (90, 90, 90), (7, 7, 7)]))
    assert values[1:] == (0, 0)
    assert vectors[0] == pytest.approx([3**-0.5] * 3, rel=1e-15)


def statistics() -> ColourStatistics:
    samples = np.random.default_rng(0).normal([120, 110, 90], [60, 20, 5], (99, 3))
    found = channel_sums(samples.clip(0, 255).astype(np.uint8)[None]).moments()
    assert found is not None
    return found


def test_scaled_statistics_are_those_of_scaled_samples() -> None:
    ours = statistics()
    unit = ours.scaled(1.0)
    assert unit.mean == pytest.approx([each / 255 for each in ours.mean], rel=1e-15)
    assert unit.std == pytest.approx([each / 255 for each in ours.std or ()], rel=1e-15)
    assert np.array(unit.covariance) == pytest.approx(np.array(ours.covariance) / 255**2, rel=1e-14)
    assert unit.scaled(255.0).mean == pytest.approx(ours.mean, rel=1e-15)
    assert ours.scaled(255.0) is ours


def test_lighting_is_the_formula_of_the_paper_on_numpys_eigenvectors() -> None:
    """AlexNet adds [p₁ p₂ p₃][α₁λ₁ α₂λ₂ α₃λ₃]ᵀ to samples from 0 to 1."""
    ours, alpha = statistics(), np.array([0.1, -0.2, 0.05])
    values, vectors = np.linalg.eigh(np.array(ours.covariance) / 255**2)
    basis = np.array(ours.lighting_basis)
    for i in range(3):  # NumPy has them in ascending order, and of either sign.
        theirs = 255 * values[2 - i] * vectors[:, 2 - i]
        assert np.abs(basis[:, i]) == pytest.approx(np.abs(theirs), rel=1e-9)
        assert abs(np.dot(basis[:, i], theirs)) == pytest.approx(np.dot(theirs, theirs), rel=1e-9)
    unit = np.array(ours.scaled(1.0).lighting_basis)
    assert unit @ alpha == pytest.approx(basis @ alpha / 255, rel=1e-12)
    assert ColourStatistics(mean=(1.0, 2.0, 3.0)).lighting_basis is None


@pytest.mark.parametrize("scale", [1.0, 255.0])
def test_statistics_survive_json(scale: float) -> None:
    ours = statistics().scaled(scale)
    stored = json.loads(json.dumps({**ours.to_json(), "of": ["train"]}))
    assert ColourStatistics.from_json(stored) == ours
    alone = {"R": 1.0, "G": 2.0, "B": 3.0}  # As in the article, and in earlier versions.
    assert ColourStatistics.from_json(alone) == ColourStatistics(mean=(1.0, 2.0, 3.0))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"R": 256.0}, "R: expected a number from 0 to 255"),
        ({"scale": 2}, "scale: expected 1 or 255"),
        ({"scale": 1}, "R: expected a number from 0 to 1"),
        ({"std": {"R": 1.0}}, "expected a std by channel"),
        ({"covariance": [[1.0, 0.0], [0.0, 1.0]]}, "covariance: expected 3 rows"),
        ({"covariance": 7}, "covariance: expected 3 rows"),
        ({"covariance": [[20000.0, 0, 0], [0, 1, 0], [0, 0, 1]]}, "covariance: expected a number"),
        ({"covariance": [[1, 2, 3], [4, 1, 5], [6, 7, 1]]}, "covariance: expected the same"),
    ],
)
def test_what_can_not_be_is_refused(changed: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}"):
        ColourStatistics.from_json({**statistics().to_json(), **changed})
