"""The colour statistics that readers normalise with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import prep
from prep.errors import SourceError
from prep.training.colour_stats import colour_statistics, lighting_basis
from tests.support.outputs import examine, prepare
from tests.support.pictures import write_tree


@pytest.fixture
def output(tmp_path: Path) -> Path:
    source = write_tree(tmp_path / "in", {"train": {"cat": 3, "dog": 2}, "val": {"dog": 1}})
    root = tmp_path / "out"
    prepare(prep.Config(source=str(source), output=str(root), size=16, images_per_shard=2))
    return root


def rewrite(path: Path, *without: str) -> None:
    values: dict[str, Any] = json.loads(path.read_text())
    path.write_text(json.dumps({name: v for name, v in values.items() if name not in without}))


def test_a_finished_output_has_all_of_them(output: Path) -> None:
    found, report = colour_statistics(output), prep.RunReport.read(output)
    assert found == report.moments
    assert found.covariance == report.covariance
    assert lighting_basis(output) == found.lighting_basis
    assert np.diag(np.array(found.covariance)) == pytest.approx(np.square(found.std or ()))
    assert examine(output).problems == ()


def test_a_mean_of_an_earlier_version_is_completed_from_the_report(output: Path) -> None:
    derived = ("covariance", "eigenvalues", "eigenvectors")
    rewrite(output / "mean_rgb.json", "images", "scale", "std", *derived)
    assert examine(output).problems == ()  # Nor is it wrong.
    whole = colour_statistics(output)
    assert (whole.std, whole.covariance) != (None, None)
    rewrite(output / "report.json", *derived)
    found = colour_statistics(output)
    assert (found.mean, found.std, found.covariance) == (whole.mean, whole.std, None)
    with pytest.raises(SourceError, match=r"no covariance of colours in .* earlier version"):
        lighting_basis(output)


def test_an_edited_mean_is_found(output: Path) -> None:
    path = output / "mean_rgb.json"
    values = json.loads(path.read_text())
    values["eigenvalues"][0] += 1
    path.write_text(json.dumps(values))
    assert [problem.where for problem in examine(output).problems] == ["mean_rgb.json"]


def test_an_output_without_a_readable_mean_is_told_plainly(output: Path) -> None:
    path = output / "mean_rgb.json"
    path.write_text('{"R": "red"}')
    with pytest.raises(SourceError, match=r"can't be read: R: expected a number.*repair"):
        colour_statistics(output)
    path.unlink()
    with pytest.raises(SourceError, match=r"no mean_rgb\.json in .* run the same command again"):
        colour_statistics(output)
