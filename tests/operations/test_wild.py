"""A whole run over good, odd and hostile files together."""

from __future__ import annotations

import csv
import os
import shutil
from pathlib import Path

import psutil
from distributed import Client

import prep

GOOD = 200


def test_a_run_over_everything_finishes_with_its_workers_alive(
    bad_files: Path, photos: Path, tmp_path: Path, client: Client
) -> None:
    hostile, good = tmp_path / "photos/train/hostile", tmp_path / "photos/train/good"
    for folder in (hostile, good):
        folder.mkdir(parents=True)
    with open(bad_files / "MANIFEST.tsv", newline="") as manifest:
        truth = {row["file"]: row["truth"] for row in csv.DictReader(manifest, delimiter="\t")}
    named = {f"{number:03d}.jpg": file for number, file in enumerate(sorted(truth))}
    for name, file in named.items():
        shutil.copy(bad_files / file, hostile / name)
    originals = sorted((photos / "train").glob("*/*.JPEG"))[:GOOD]
    for number, path in enumerate(originals):
        os.link(shutil.copy(path, tmp_path / f"{number}.jpg"), good / f"{number:04d}.jpg")
    before = workers(client)

    config = prep.Config(
        source=str(tmp_path / "photos"),
        output=str(tmp_path / "out"),
        images_per_shard=20,
        max_refused=1.0,
    )
    report = prep.run(config, client)

    assert workers(client) == before
    planned = GOOD + len(named)
    assert report.images["planned"] == planned
    assert report.images["written"] + report.images["refused"] == planned
    refused = {named.get(Path(image["path"]).name): image for image in report.refused}
    assert None not in refused  # No photo was.
    for file, kind in truth.items():
        if kind in ("reject", "bomb"):
            assert file in refused
    with open(tmp_path / "out/refused.csv", newline="") as file:
        listed = list(csv.DictReader(file))
    assert len(listed) == len(refused) + report.repaired
    assert prep.verify(tmp_path / "out", client).clean


def workers(client: Client) -> dict[str, float]:
    """Return when the worker processes began, by address."""
    pids = client.run(os.getpid)
    return {address: psutil.Process(pid).create_time() for address, pid in pids.items()}
