"""Fixtures, and the location of optional real data; tests that need it are skipped without it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Fixtures that many modules share.
pytest_plugins = [
    "tests.support.browser",
    "tests.support.clusters",
    "tests.support.shared_folder",
    "tests.support.storages",
    "tests.support.emulators",
]

REPO = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("PREP_TEST_DATA") or REPO.parent / "shared" / "data")


# How long a test takes says more about the machine than about the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def photos() -> Path:
    """Real photos, as ``<split>/<class>/*.JPEG``, with their ``label_map.json``."""
    return _real(DATA / "photos")


@pytest.fixture(scope="session")
def bad_files() -> Path:
    """Hostile and odd image files, told apart by their ``MANIFEST.tsv``."""
    return _real(DATA / "bad")


@pytest.fixture(autouse=True)
def _pages_only_where_they_matter(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Makes no ``report.html`` in this process, for that takes a second, except for some tests.

    Those are marked ``pages``. The command, in a process of its own, always makes one.
    """
    if request.node.get_closest_marker("pages") is None:
        monkeypatch.setattr("prep.operations.publish._update_page", lambda *_: None)


def _real(folder: Path) -> Path:
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is absent (PREP_TEST_DATA names another folder)")
    return folder
