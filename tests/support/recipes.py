"""The sources that the page docs/where-your-images-are.md and others start from, in miniature."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable
from pathlib import Path

from tests.support.imagenet import class_tars, contents, downloads, kaggle, tar_of, write

PHOTOS = [
    f"{split}/{name}/{number}.jpg"
    for split, count in (("train", 3), ("val", 1))
    for name in ("cat", "dog")
    for number in range(count)
]
_PETS = {"cats/tabby": 2, "cats/siamese": 1, "dogs/pug": 2}


def make_sources(folder: Path) -> Path:
    """Write a source of each kind into a folder, which is returned."""
    write(folder, {f"photos/{name}": contents(name) for name in PHOTOS})
    flowers = ("rose/a.jpg", "rose/2024/b.jpg", "tulip/a.jpg")
    write(folder, {f"flowers/{name}": contents(name) for name in flowers})
    for name, count in _PETS.items():
        places = [f"animals/{name}/{number}.jpg" for number in range(count)]
        write(folder, {place: contents(place) for place in places})
    write(folder / "tiny-imagenet-200", _tiny_imagenet())
    write(folder / "imagenet", downloads())
    write(folder / "kaggle", kaggle())
    write(folder, _archives())
    write(folder, _lists())
    write(folder, _tables())
    write(folder, _samples())
    names = [f"train/{name}.{number}.jpg" for name in ("cat", "dog") for number in range(3)]
    write(folder / "dogs-vs-cats", {name: contents(name) for name in [*names, "test/1.jpg"]})
    return folder


def _tiny_imagenet() -> dict[str, bytes | str]:
    wnids = ("n01443537", "n01629819")
    train = [f"train/{wnid}/images/{wnid}_{number}.JPEG" for wnid in wnids for number in range(2)]
    val = [f"val_{number}.JPEG" for number in range(2)]
    return {
        "wnids.txt": "".join(f"{wnid}\n" for wnid in wnids),
        "words.txt": "n01443537\tgoldfish\nn01629819\tEuropean fire salamander\n",
        **{name: contents(name) for name in train},
        **{f"val/images/{name}": contents(name) for name in val},
        "val/val_annotations.txt": "".join(
            f"{name}\t{wnid}\t0\t0\t9\t9\n" for name, wnid in zip(val, wnids, strict=True)
        ),
        "test/images/test_0.JPEG": contents("test_0.JPEG"),
    }


def zip_of(names: Iterable[str]) -> bytes:
    """Return a zip file of images."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, contents(name))
    return file.getvalue()


def _archives() -> dict[str, bytes | str]:
    import gzip

    photos = tar_of(PHOTOS)
    return {
        "photos.zip": zip_of(PHOTOS),
        "photos.tar": photos,
        "photos.tar.gz": gzip.compress(photos),
        "extra.tar": tar_of(["train/bird/0.jpg"]),
        "more.zip": zip_of(["cat/8.jpg", "dog/9.jpg"]),
        "class-tars/cat.tar": tar_of(["1.jpg", "2.jpg"]),
        "class-tars/dog.tar": tar_of(["1.jpg", "2.jpg"]),
        "winter21_whole.tar": tar_of(class_tars()),
    }


def _samples() -> dict[str, bytes | str]:
    from prep.shards.formats.example import example, label_entry
    from prep.shards.formats.tfrecord import frame
    from tests.support import tars

    def shard(split: str, count: int) -> bytes:
        members = {}
        for number in range(count):
            about = {"breed": ("tabby", "pug")[number % 2], "animal": {"kind": "pet"}}
            members[f"{number}.jpg"] = contents(f"{split} {number}")
            members[f"{number}.cls"] = b"%d" % (number % 2)
            members[f"{number}.json"] = json.dumps(about).encode()
        return tars.tar_of(members)

    return {
        "wds/train-000000.tar": shard("train", 4),
        "wds/val-000000.tar": shard("val", 2),
        "wds/classnames.txt": "cat\ndog\n",
        **{
            f"records/{split}-00000-of-00001": b"".join(
                frame(example(contents(f"{split} {number}"), label_entry([number])))
                for number in (1, 2)
            )
            for split in ("train", "validation")
        },
        "records/labels.txt": "0:cat\n1:dog\n",
    }


def _tables() -> dict[str, bytes | str]:
    from tests.support import tables

    def table(split: str, count: int) -> tables.pa.Table:
        images = [(f"{n}.jpg", contents(f"{split} {n}")) for n in range(count)]
        labels = [n % 2 for n in range(count)]
        found = tables.table_of(images, labels, ["healthy", "rust"], column="labels")
        return found.append_column("leaf", tables.pa.array([n // 2 for n in range(count)]))

    return {
        "beans/data/train-00000-of-00001.parquet": tables.parquet(table("train", 8), rows=3),
        "beans/data/validation-00000-of-00001.parquet": tables.parquet(table("val", 3), rows=3),
        "beans-train.arrow": tables.arrow(table("train", 8)),
    }


def _lists() -> dict[str, bytes | str]:
    rows = [(f"photos/{name}", *name.split("/")[1::-1]) for name in PHOTOS]
    images = [{"id": n, "file_name": path} for n, (path, _, _) in enumerate(rows)]
    known = {"cat": 1, "dog": 2}
    return {
        "list.csv": "path,label,split\n" + "".join(f"{','.join(row)}\n" for row in rows),
        "train.txt": "".join(f"{path} {known[label]}\n" for path, label, _ in rows),
        "HAM10000_metadata.csv": "lesion_id,image_id,dx\nH1,I1,nv\nH2,I2,mel\nH3,I3,nv\n",
        **{f"ham/images/I{number}.jpg": contents(f"I{number}.jpg") for number in (1, 2, 3)},
        "instances_val2017.json": json.dumps(
            {
                "images": images,
                "annotations": [
                    {"id": n, "image_id": n, "category_id": known[label]}
                    for n, (_, label, _) in enumerate(rows)
                ],
                "categories": [{"id": number, "name": name} for name, number in known.items()],
            }
        ),
        "names.json": '{"tench": 0, "crane": 1}',
    }
