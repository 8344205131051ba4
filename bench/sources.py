"""What it costs to read archives, shards, tables and lists: ``python -m bench.sources``.

Everything is compared with class folders, or with Python's own modules, in turns in one run; the
ratios are medians over the rounds. All files are warm.
"""

from __future__ import annotations

import csv
import io
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import click
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

import prep
from bench.photos import collect_originals, link_set, photos_option
from bench.settings import DATA
from prep.shards.formats.example import example, label_entry
from prep.shards.formats.tfrecord import frame
from prep.sources.archives.tar import index_tar
from prep.sources.archives.zip import index_zip
from prep.sources.manifest import entries_of
from prep.sources.registry import open_source, planned_source
from prep.storage.locate import locate

_MEMBER = 1024  # bytes of each member of the archives that are only listed
_IMAGE = 20_000  # bytes of each image in the shards that are only listed
_LINKS = 30_000  # to one file, which filesystems allow
_MIB = 1 << 20
_ROWS = 100  # of a group, as Hugging Face writes images


class Row(NamedTuple):
    """One line of the table: what was measured, its value and unit, and what it is compared to."""

    what: str
    value: float
    unit: str
    than: str = ""


def say(text: str) -> None:
    """Write a line of progress."""
    print(text, file=sys.stderr, flush=True)


def seconds(work: Callable[[], object]) -> float:
    """Return the processor time of this process that some work takes."""
    started = time.process_time()
    work()
    return time.process_time() - started


def in_turns(works: dict[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Return the median of what each returns, all of them once a round."""
    found: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            found[name].append(work())
    return {name: statistics.median(times) for name, times in found.items()}


# Listing ------------------------------------------------------------------------------------------


def measure_listing(folder: Path, members: int, rounds: int) -> list[Row]:
    """Measure what each member of an archive costs to list."""
    tar, zipped = folder / "listed.tar", folder / "listed.zip"
    _pack_made_up(tar, zipped, members)

    def with_tarfile() -> None:
        with tarfile.open(tar) as archive:
            assert sum(1 for _ in archive) == members

    def with_zipfile() -> None:
        with zipfile.ZipFile(zipped) as archive:
            assert len(archive.infolist()) == members

    def index(of: Callable[..., object], path: Path) -> Callable[[], float]:
        def anew() -> float:
            os.utime(path)  # Or else the index of the round before would do.
            return seconds(lambda: of(locate(path)))

        return anew

    found = in_turns(
        {
            "tar": index(index_tar, tar),
            "tarfile": lambda: seconds(with_tarfile),
            "zip": index(index_zip, zipped),
            "zipfile": lambda: seconds(with_zipfile),
        },
        rounds,
    )
    each = {name: 1e6 * total / members for name, total in found.items()}
    return [
        Row("list a tar", each["tar"], "µs a member", f"{each['tarfile']:.1f} with tarfile"),
        Row("list a zip", each["zip"], "µs a member", f"{each['zipfile']:.1f} with zipfile"),
    ]


def _pack_made_up(tar: Path, zipped: Path, members: int) -> None:
    say(f"packing {members:,} members")
    data = os.urandom(_MEMBER)
    names = [f"train/n{number % 1000:08d}/n{number:08d}.JPEG" for number in range(members)]
    with open(tar, "wb") as file:
        padding = bytes(-len(data) % 512)
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.write(info.tobuf(tarfile.USTAR_FORMAT) + data + padding)
        file.write(bytes(1024))
    with zipfile.ZipFile(zipped, "w") as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name), data)


def measure_listing_of_samples(folder: Path, samples: int, rounds: int) -> list[Row]:
    """Measure what each image costs to list with its label, in shards of both formats."""
    image = b"\xff\xd8" + os.urandom(_IMAGE)
    names = [f"train/{number % 1000:04d}/{number:08d}.jpg" for number in range(samples)]
    files = dict.fromkeys(names, image)
    shards = {
        "WebDataset": _write_samples(folder / "listed-samples", files),
        "TFRecords": _write_records(folder / "listed-records", files),
    }

    def listing(path: Path) -> Callable[[], float]:
        def anew() -> float:
            for shard in path.iterdir():
                os.utime(shard)  # As for archives.
            source = open_source(str(path))
            config = prep.Config(source=path, output=folder / "never")
            return 1e6 * seconds(lambda: source.catalog(config)) / samples

        return anew

    found = in_turns({name: listing(path) for name, path in shards.items()}, rounds)
    return [Row(f"list {name}", each, "µs an image") for name, each in found.items()]


# Reading ------------------------------------------------------------------------------------------


def pack(source: Path, folder: Path) -> dict[str, Path]:
    """Make archives and tables of a set of photos; return all of them, and the set itself."""
    packed = {
        "folders": source,
        "tar": folder / "photos.tar",
        "stored zip": folder / "stored.zip",
        "deflated zip": folder / "deflated.zip",
        "parquet": folder / "photos.parquet",
        "arrow": folder / "photos.arrow",
    }
    files = sorted(source.glob("*/*/*"))
    contents = {str(path.relative_to(source)): path.read_bytes() for path in files}
    packed["WebDataset"] = _write_samples(folder / "samples", contents)
    packed["TFRecords"] = _write_records(folder / "records", contents)
    del contents
    with tarfile.open(packed["tar"], "w") as archive:
        for path in files:
            archive.add(path, str(path.relative_to(source)))
    for name, method in (
        ("stored zip", zipfile.ZIP_STORED),
        ("deflated zip", zipfile.ZIP_DEFLATED),
    ):
        with zipfile.ZipFile(packed[name], "w", method, compresslevel=1) as zipped:
            for path in files:
                zipped.write(path, path.relative_to(source))
    _write_tables(packed["parquet"], packed["arrow"], source, files)
    for path in (*files, *packed.values()):
        for file in [path] if path.is_file() else path.glob("*-*"):
            _read_anew(file)
    return packed


def _write_tables(parquet: Path, arrow: Path, source: Path, files: Sequence[Path]) -> None:
    """Write photos to tables as Hugging Face's ``datasets`` does, with 100 rows in a group."""
    rows = [{"bytes": path.read_bytes(), "path": path.name} for path in files]
    names = [path.relative_to(source).parts for path in files]
    table = pa.table(
        {
            "image": pa.array(rows, pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
            "label": [class_name for _, class_name, _ in names],
            "split": [split for split, _, _ in names],
        }
    )
    pq.write_table(table, parquet, row_group_size=_ROWS)
    with pa.OSFile(str(arrow), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=_ROWS)


def _write_samples(folder: Path, images: Mapping[str, bytes]) -> Path:
    """Write ``split/class/name`` as tar files of WebDataset, one for each split."""
    folder.mkdir()
    for split, of_split in _by_split(images).items():
        with tarfile.open(folder / f"{split}-000000.tar", "w") as archive:
            for name, data in of_split.items():
                key, label = name.rpartition(".")[0], name.split("/")[1].encode()
                for part, held in (("jpg", data), ("cls", label)):
                    info = tarfile.TarInfo(f"{key}.{part}")
                    info.size = len(held)
                    archive.addfile(info, io.BytesIO(held))
    return folder


def _write_records(folder: Path, images: Mapping[str, bytes]) -> Path:
    """Write ``split/class/name`` as TFRecord files, one for each split."""
    folder.mkdir()
    classes = sorted({name.split("/")[1] for name in images})
    (folder / "labels.txt").write_text("\n".join(classes))
    number = {name: label_entry([position]) for position, name in enumerate(classes)}
    for split, of_split in _by_split(images).items():
        with open(folder / f"{split}-00000-of-00001", "wb") as file:
            for name, data in of_split.items():
                file.write(frame(example(data, number[name.split("/")[1]])))
    return folder


def _by_split(images: Mapping[str, bytes]) -> dict[str, dict[str, bytes]]:
    found: dict[str, dict[str, bytes]] = {}
    for name, data in images.items():
        found.setdefault(name.partition("/")[0], {})[name] = data
    return found


def _read_anew(path: Path) -> None:
    """Have a file in memory as the system reads it: what was just written lies there otherwise.

    It is in smaller pieces then, from which copying takes twice as long.
    """
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        while file.read(_MIB):
            pass


def measure_reading(packed: dict[str, Path], folder: Path, rounds: int) -> list[Row]:
    """Measure what it takes to read each image, as a worker does."""

    def reader(path: Path) -> Callable[[], float]:
        plan = prep.plan(prep.Config(source=path, output=folder / "never"))
        source, entries = (
            planned_source(plan.config.source, plan.source, None),
            [*entries_of(plan.manifest, plan.classes)],
        )

        def read() -> None:
            for _, fetch in source.read_ahead(entries):
                fetch()

        return lambda: 1e6 * seconds(read) / len(entries)

    found = in_turns({name: reader(path) for name, path in packed.items()}, rounds)
    base = found["folders"]
    return [
        Row(f"read an image from {name}", each, "µs", f"{each / base:.2f} of folders")
        for name, each in found.items()
    ]


# Whole runs ---------------------------------------------------------------------------------------


def measure_runs(packed: dict[str, Path], folder: Path, rounds: int) -> list[Row]:
    """Measure whole runs of the command: the processor time of all their processes."""

    def run(path: Path) -> float:
        output = folder / "shards"
        shutil.rmtree(output, ignore_errors=True)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "prep", "run", str(path), str(output), "--quiet"]
        subprocess.run(command, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    found = in_turns(
        {name: lambda path=path: run(path) for name, path in packed.items()},  # type: ignore[misc]
        rounds,
    )
    base = found["folders"]
    return [
        Row(f"run from {name}", total, "s of processor time", f"{total / base:.3f} of folders")
        for name, total in found.items()
    ]


# Lists --------------------------------------------------------------------------------------------


def measure_list(folder: Path, rows: int) -> list[Row]:
    """Measure what a list of so many images costs, in a process of its own."""
    path = _write_list(folder, rows)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        parse, plan, memory = pool.submit(_plan_list, path, folder / "never").result()
    return [
        Row(f"parse a list of {rows:,} rows", parse, "s"),
        Row(f"plan a list of {rows:,} rows", plan, "s"),
        Row(f"memory to plan a list of {rows:,} rows", memory / _MIB, "MiB at most"),
    ]


def _write_list(folder: Path, rows: int) -> Path:
    say(f"linking {rows:,} images")
    images = folder / "images"
    path = folder / "list.csv"
    with open(path, "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "label", "split"])
        for number in range(rows):
            below, at = images / f"{number // _LINKS:04d}", number % _LINKS
            if at == 0:
                below.mkdir(parents=True)
                (below / "0.jpg").write_bytes(b"an image")
            else:
                os.link(below / "0.jpg", below / f"{at}.jpg")
            name = f"images/{below.name}/{at}.jpg"
            table.writerow([name, f"class {number % 1000:03d}", "val" if number % 20 else "train"])
    return path


def _plan_list(path: Path, output: Path) -> tuple[float, float, int]:
    from prep.sources.layouts.base import Place
    from prep.sources.lists.formats.list_forms import read_list

    config = prep.Config(source=path, output=output)
    started = time.perf_counter()
    read_list(Place.at(str(path)), {})
    parsed = time.perf_counter()
    plan = prep.plan(config)
    ended = time.perf_counter()
    assert plan.images
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return parsed - started, ended - parsed, peak


def table(rows: Sequence[Row]) -> Table:
    """Show what was measured."""
    shown = Table(title="sources")
    for column in ("", "measured", "", "compared with"):
        shown.add_column(column, justify="right" if column == "measured" else "left")
    for row in rows:
        shown.add_row(row.what, f"{row.value:,.2f}", row.unit, row.than)
    return shown


@click.command()
@photos_option
@click.option("--images", type=click.IntRange(min=100), default=3_400, help="Photos. [3400]")
@click.option("--members", type=click.IntRange(min=1), default=200_000, help="Listed. [200000]")
@click.option("--rows", type=click.IntRange(min=1), default=1_000_000, help="Of a list. [1000000]")
@click.option("--rounds", type=click.IntRange(min=1), default=5, help="Rounds. [5]")
def main(photos: Path | None, images: int, members: int, rows: int, rounds: int) -> None:
    """Measure archives, shards, tables and lists against class folders."""
    folder = DATA / "sources"
    source = link_set(collect_originals(photos, DATA), DATA, images, copied=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    found: list[Row] = []
    try:
        found += measure_listing(folder, members, rounds)
        found += measure_listing_of_samples(folder, members // 10, rounds)
        Console().print(table(found))
        packed = pack(source, folder)
        found += measure_reading(packed, folder, rounds)
        Console().print(table(found))
        found += measure_runs(packed, folder, rounds)
        Console().print(table(found))
        found += measure_list(folder, rows)
        Console().print(table(found))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
