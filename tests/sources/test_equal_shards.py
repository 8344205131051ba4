"""The same images make the same shards, wherever they come from."""

from __future__ import annotations

import csv
import io
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import prep
from prep.execution.writing import write_serially
from prep.output.journal import Journal
from prep.shards.formats.example import example, label_entry
from prep.shards.formats.tfrecord import frame
from prep.shards.writer import RunRef
from tests.support.clusters import contents
from tests.support.pictures import write_tree
from tests.support.storages import S3, Sftp
from tests.support.tables import arrow, parquet, tables_of_folders, write_files

TREE = {"train": {"cat": 3, "dog": 4}, "val": {"cat": 2, "gold fish": 1}}
SETTINGS: dict[str, Any] = {"size": 32, "images_per_shard": 3}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders in splits."""
    return write_tree(tmp_path_factory.mktemp("equal") / "photos", TREE)


@pytest.fixture(scope="module")
def expected(folders: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The shards of class folders."""
    return shards(folders, tmp_path_factory.mktemp("shards"))


def shards(source: Any, output: Path, **config: Any) -> dict[str, bytes]:
    """Write all shards in this process; return them by name."""
    plan = prep.plan(prep.Config(source=source, output=output, **SETTINGS, **config))
    journal = Journal(str(output))
    journal.begin(plan)
    run = RunRef(output=journal.output, digest=plan.fingerprint.digest, run="1")
    write_serially(plan.shards, run)
    return contents(output, "*/*.tfrecord")


def images_in(folders: Path) -> Iterator[tuple[str, bytes]]:
    """Yield all images in an order that is not that of their names."""
    for path in sorted(folders.glob("*/*/*"), key=lambda path: path.name[::-1]):
        yield str(path.relative_to(folders)), path.read_bytes()


def tar(folders: Path, format: int = tarfile.GNU_FORMAT, prefix: str = "") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as archive:
        for name, data in images_in(folders):
            add(archive, prefix + name, data)
    return out.getvalue()


def add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


def tar_of_tars(folders: Path) -> bytes:
    """A tar that has ``train/cat.tar`` in place of a folder ``train/cat``."""
    inner: dict[str, list[tuple[str, bytes]]] = {}
    for name, data in images_in(folders):
        split, class_name, image = name.split("/")
        inner.setdefault(f"{split}/{class_name}.tar", []).append((image, data))
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, members in inner.items():
            file = io.BytesIO()
            with tarfile.open(fileobj=file, mode="w") as of_class:
                for image, data in members:
                    add(of_class, image, data)
            add(archive, name, file.getvalue())
    return out.getvalue()


def zipped(folders: Path, compression: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, data in images_in(folders):
            archive.writestr(name, data)
    return out.getvalue()


def listed(folders: Path, prefix: str = "") -> bytes:
    out = io.StringIO()
    table = csv.writer(out)
    table.writerow(["path", "label", "split"])
    for name, _ in images_in(folders):
        split, class_name, _ = name.split("/")
        table.writerow([prefix + name, class_name, split])
    return out.getvalue().encode()


ARCHIVES: dict[str, Callable[[Path], bytes]] = {
    "gnu.tar": tar,
    "pax.tar": lambda folders: tar(folders, tarfile.PAX_FORMAT),
    "ustar.tar": lambda folders: tar(folders, tarfile.USTAR_FORMAT),
    "dotted.tar": lambda folders: tar(folders, prefix="./"),
    "wrapped.tar": lambda folders: tar(folders, prefix="set/"),
    "of-tars.tar": tar_of_tars,
    "stored.zip": zipped,
    "deflated.zip": lambda folders: zipped(folders, zipfile.ZIP_DEFLATED),
    "no-extension": tar,
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_makes_the_shards_of_its_folders(
    name: str, folders: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(ARCHIVES[name](folders))
    assert shards(tmp_path / name, tmp_path / "out") == expected


TABLES: dict[str, Callable[[pa.Table], bytes]] = {
    "parquet": lambda table: parquet(table, rows=2),
    "zstd.parquet": lambda table: parquet(table, rows=3, compression="zstd"),
    "arrow": arrow,
    "lz4.feather": lambda table: arrow(table, rows=2, stream=False, compression="lz4"),
}


@pytest.mark.parametrize("extension", TABLES)
def test_tables_make_the_records_of_the_folders(
    extension: str, folders: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    files = {
        f"{split}.{extension}": TABLES[extension](table)
        for split, table in tables_of_folders(images_in(folders)).items()
    }
    write_files(tmp_path / "set", files)
    found = shards(tmp_path / "set", tmp_path / "out")
    # They are shuffled by group, and so in another order.
    assert sorted(records(found)) == sorted(records(expected))


def records(shards: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """Yield each record of TFRecord shards, with its split."""
    for name, data in shards.items():
        at = 0
        while at < len(data):
            length = int.from_bytes(data[at : at + 8], "little")
            yield name.partition("/")[0], data[at + 12 : at + 12 + length]
            at += 16 + length


def test_a_list_makes_the_shards_of_the_folders(
    folders: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    (tmp_path / "list.csv").write_bytes(listed(folders))
    assert shards(tmp_path / "list.csv", tmp_path / "out", images=folders) == expected


def test_several_sources_make_the_shards_of_the_folders(
    folders: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    for split in TREE:
        with tarfile.open(tmp_path / f"{split}.tar", "w") as archive:
            for name, data in images_in(folders):
                if name.startswith(split):
                    add(archive, name.partition("/")[2], data)
    source = {split: tmp_path / f"{split}.tar" for split in TREE}
    assert shards(source, tmp_path / "out") == expected
    source = {"train": folders / "train", "val": tmp_path / "val.tar"}
    assert shards(source, tmp_path / "mixed") == expected
    # A folder of archives, one for each split.
    (tmp_path / "set").mkdir()
    for split in TREE:
        (tmp_path / f"{split}.tar").rename(tmp_path / f"set/{split}.tar")
    assert shards(tmp_path / "set", tmp_path / "folder") == expected


def test_samples_make_the_shards_of_the_folders(
    folders: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    """By the names of classes, and by their numbers with a file of names."""
    names = ["cat", "dog", "gold fish"]
    for place, told in (("named", names), ("numbered", [*map(str, range(3))])):
        (tmp_path / place).mkdir()
        for split in TREE:
            with tarfile.open(tmp_path / place / f"{split}-000000.tar", "w") as archive:
                for name, data in images_in(folders):
                    _, class_name, image = name.split("/")
                    if name.startswith(split):
                        add(archive, image, data)
                        label = told[names.index(class_name)].encode()
                        add(archive, image.replace(".jpg", ".cls"), label)
    (tmp_path / "numbered/classnames.txt").write_text("\n".join(names))
    for place in ("named", "numbered"):
        assert shards(tmp_path / place, tmp_path / f"out-{place}") == expected


def test_records_make_the_shards_of_the_folders(
    folders: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    """Their numbers are named by a file; in the order of names, as the shards of folders are."""
    names = ["cat", "dog", "gold fish"]
    for split in TREE:
        with (tmp_path / f"{split}-00000-of-00001").open("wb") as file:
            for path in sorted((folders / split).glob("*/*")):
                label = label_entry([names.index(path.parent.name)])
                file.write(frame(example(path.read_bytes(), label)))
    (tmp_path / "labels.txt").write_text("\n".join(names))
    assert shards(tmp_path, tmp_path / "out") == expected


def _equal_from(
    store: S3 | Sftp,
    write: Callable[[str, bytes], object],
    folders: Path,
    expected: dict[str, bytes],
    out: Path,
) -> None:
    for name, make in ARCHIVES.items():
        write(name, make(folders))
    write("list.csv", listed(folders, "photos/"))
    for name, data in images_in(folders):
        write(f"photos/{name}", data)
    for split, table in tables_of_folders(images_in(folders)).items():
        write(f"tables/data/{split}-00000-of-00001.parquet", parquet(table, rows=2))
        write(f"streams/{split}/data-00000-of-00001.arrow", arrow(table, rows=2))
    options = {"storage_options": {"source": dict(store.options)}}
    for name in ("tables", "streams"):
        found = shards(f"{store.url}/{name}", out / name, **options)
        assert sorted(records(found)) == sorted(records(expected)), name
    for name in (*ARCHIVES, "list.csv"):
        assert shards(f"{store.url}/{name}", out / name, **options) == expected, name


def test_a_bucket_makes_the_shards_of_the_folders(
    s3: S3, folders: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    _equal_from(s3, s3.write, folders, expected, tmp_path)


def test_sftp_makes_the_shards_of_the_folders(
    sftp: Sftp, folders: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    def write(name: str, data: bytes) -> None:
        path = sftp.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    _equal_from(sftp, write, folders, expected, tmp_path)
