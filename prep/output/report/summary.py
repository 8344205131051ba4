"""Summarise a report in words, as pairs of a name and a value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from prep.images.likeness.neighbours import RADIUS
from prep.output.index.tfds_files import tfds_obstacle
from prep.planning.description import balance_facts
from prep.sources.folders.names import role_of
from prep.text import counted, measured, rate, shown, size_text, triple

if TYPE_CHECKING:
    from prep.output.report.report import RunReport


def rows_of(report: RunReport) -> list[tuple[str, str]]:
    """Return the summary, as pairs of a name and a value."""
    images = report.images
    rows = [
        (
            "images",
            f"{images['written']:,} written, {images['refused']:,} refused, "
            f"of {images['planned']:,} planned",
        ),
        *(
            (
                f"  {name}",
                f"{counted(split['written'], 'image')} in {counted(split['shards'], 'shard')}, "
                f"{size_text(split['bytes'])}",
            )
            for name, split in report.splits.items()
        ),
    ]
    rows += [fact for fact in balance_facts(report.balance) if fact[1].count("asked for")]
    if report.refused:
        reasons = report.refused_by_reason().items()
        rows.append(("refused", ", ".join(f"{n:,} {reason}" for reason, n in reasons)))
    if report.repaired:
        rows.append(("repaired", f"{report.repaired:,}, which lacked only their end marker"))
    if report.damaged:
        rows.append(("damaged", f"{report.damaged:,}, kept as asked, with a part of each lost"))
    rows += [("depth", line) for line in report.depth_warnings()]
    rows += _duplicate_rows(report)
    if report.outdated:
        rows.append(("outdated", f"{summarise_outdated(report.outdated)}: see outdated.csv"))
    rows += [("read as", report.read_as)] if report.read_as else []
    rows += [("passed over", describe_passed(passed)) for passed in report.passed_over]
    if report.retries:
        rows.append(("retried", f"{counted(report.retries, 'time')} to read or to write"))
    from_before = f", {report.resumed_shards:,} of them from before"
    resumed = from_before if report.resumed_shards and not report.was_complete else ""
    rows += [
        ("shards", f"{report.shards:,}{resumed}"),
        ("size", f"{size_text(report.bytes)}, from {size_text(report.source_bytes)}"),
        ("time", _describe_time(report)),
        ("mean RGB", triple(report.mean)),
        ("std RGB", triple(report.std)),
        ("mean of", _describe_mean_of(report)),
        *_reader_rows(report),
        ("output", report.output),
    ]
    if report.page:
        rows.append(("report", report.page))
    return rows


def _describe_time(report: RunReport) -> str:
    """Describe how long the work took, and what came before it."""
    work = f"{measured(report.seconds - report.start_seconds)} of work"
    if report.images_per_second:
        work += f": {rate(report.images_per_second)} images/s"
    if report.was_complete:
        return f"nothing to do this time; it took {work}"
    return f"{measured(report.start_seconds)} to start, {work}" if report.start_seconds else work


def describe_passed(passed: Mapping[str, Any]) -> str:
    """Describe what was passed over for one reason."""
    return f"{passed['count']:,} × {passed['reason']}, such as {shown(passed['example'])}"


def summarise_outdated(outdated: Mapping[str, int]) -> str:
    """Describe how many records are not what the source says, as they were written before.

    >>> summarise_outdated({"gone": 2, "changed": 1})
    'records of 2 images gone from the source, of 1 image changed'
    """
    words = {"gone": "gone from the source"}
    parts = [f"of {counted(n, 'image')} {words.get(kind, kind)}" for kind, n in outdated.items()]
    return "records " + ", ".join(parts)


def _reader_rows(report: RunReport) -> list[tuple[str, str]]:
    """Say which files for readers TFRecords do not have, and why."""
    format, compression = report.config.get("format"), report.config.get("compression")
    if format not in (None, "tfrecord"):
        return []
    obstacle = tfds_obstacle(
        "tfrecord", compression, {name: split["shards"] for name, split in report.splits.items()}
    )
    return [("readers", obstacle)] if obstacle else []


def _describe_mean_of(report: RunReport) -> str:
    named = any(role_of(name) == "train" for name in report.mean_of)
    unsure = "" if named or not report.mean_of else "; no split is named as one to train on"
    return f"split {', '.join(report.mean_of) or 'none'}{unsure}"


def _duplicate_rows(report: RunReport) -> list[tuple[str, str]]:
    found = report.duplicates
    rows = []
    if found["images"]:
        copies = f"{counted(found['images'], 'image')} with the same bytes as another"
        rows.append(("duplicates", f"{copies}: see duplicates.csv"))
    planned = {name: split["planned"] for name, split in report.splits.items()}
    leaks = describe_leaks(found, planned)
    if leaks:
        rows.append(("leaks", f"{'; '.join(leaks)}{_example(found, 'leak')}"))
    if found["conflicts"]:
        rows.append(("conflicts", f"{describe_conflicts(found)}{_example(found, 'conflict')}"))
    return rows + _near_rows(report.near_duplicates, planned)


def _near_rows(found: Mapping[str, Any], planned: Mapping[str, int]) -> list[tuple[str, str]]:
    if not found:
        return []
    rows = [("look-alikes", describe_near_duplicates(found))]
    leaks = describe_near_leaks(found, planned)
    if leaks:
        rows.append(("leaks", f"{'; '.join(leaks)}{_example(found, 'leak')}"))
    if found["conflicts"]:
        number = counted(found["conflicts"], "group")
        said = f"{number} of images that look alike {_lies(found['conflicts'])} in several classes"
        rows.append(("conflicts", f"{said}{_example(found, 'conflict')}"))
    return rows


def describe_near_duplicates(
    found: Mapping[str, Any], table: str = ": see near_duplicates.csv"
) -> str:
    """Describe how many images look alike.

    Args:
        found: the near-duplicates of a report.
        table: where to find all of them, to be put after their number.
    """
    if found["dropped"]:
        dropped = counted(found["dropped"], "image")
        said = f"{dropped} left out that looked like another{table}"
    elif found["images"]:
        groups = counted(found["groups"], "group")
        images = counted(found["images"], "image")
        said = f"{images} that look alike, in {groups}{table}"
    else:
        said = f"No two of {counted(found['compared'], 'image')} look alike"
    if found["crowded"]:
        said += (
            f"; {found['crowded']:,} look like so many others that each was compared with some of "
            "these only"
        )
    if found["distance"] < RADIUS:
        said += (
            f"; there are so many images that only hashes count that differ in at most "
            f"{found['distance']} bits, not {RADIUS}"
        )
    return said


def describe_all_leaks(
    duplicates: Mapping[str, Any], near: Mapping[str, Any], images: Mapping[str, int]
) -> list[str]:
    """Describe which splits hold copies of images of others, or images that look alike.

    Args:
        duplicates, near: of a report.
        images: planned, by split.
    """
    return describe_leaks(duplicates, images) + describe_near_leaks(near, images)


def describe_near_leaks(near: Mapping[str, Any], images: Mapping[str, int]) -> list[str]:
    """Describe which splits hold images that look like those of others, and how many.

    >>> describe_near_leaks({"leaks": {"val": {"train": 1}}}, {"train": 40, "val": 13})
    ['1 of 13 val images looks like a train image']
    """
    return [
        f"{number:,} of {counted(images.get(split, number), f'{split} image')} "
        + (f"looks like a {other} image" if number == 1 else f"look like {other} images")
        for split, of in near.get("leaks", {}).items()
        for other, number in of.items()
    ]


def describe_leaks(duplicates: Mapping[str, Any], images: Mapping[str, int]) -> list[str]:
    """Describe which splits hold copies of images of others, and how many.

    Args:
        duplicates: of a report.
        images: planned, by split.

    >>> describe_leaks({"leaks": {"val": {"train": 13}}}, {"train": 40, "val": 13})
    ['13 of 13 val images are copies of train images']
    """
    return [
        f"{number:,} of {counted(images.get(split, number), f'{split} image')} "
        + (f"is a copy of a {other} image" if number == 1 else f"are copies of {other} images")
        for split, of in duplicates.get("leaks", {}).items()
        for other, number in of.items()
    ]


def describe_conflicts(duplicates: Mapping[str, Any]) -> str:
    """Describe how many images lie in more than one class."""
    number = duplicates["conflicts"]
    return f"{counted(number, 'image')} {_lies(number)} in more than one class"


def _lies(number: int) -> str:
    return "lies" if number == 1 else "lie"


def _example(duplicates: Mapping[str, Any], kind: str) -> str:
    paths = duplicates["examples"].get(kind)
    return f", such as {paths[0]} and {paths[1]}" if paths else ""
