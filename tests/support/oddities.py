"""Images that are each the most extreme in something, and a run of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image

import prep
from prep.output.journal import Journal
from prep.shards.writer import RunRef, write_shard
from tests.support.pictures import image_file, jpeg, picture, stored, write_tree

SIZE = 64


def flat(width: int, height: int, rgb: tuple[int, int, int]) -> Image.Image:
    return Image.new("RGB", (width, height), rgb)


def cmyk() -> bytes:
    return image_file(Image.fromarray(picture(80, 90)).convert("CMYK"), "JPEG", quality=90)


def gray() -> Image.Image:
    return Image.fromarray(picture(70, 80, 3)).convert("L")


def see_through() -> bytes:
    clear = Image.fromarray(picture(66, 70, 5)).convert("RGBA")
    clear.putalpha(100)
    return image_file(clear, "PNG")


FILES = {
    "a-photo.jpg": jpeg(picture(70, 80)),
    "b-gray.png": image_file(gray(), "PNG"),
    "c-cmyk.jpg": cmyk(),
    "d-turned.jpg": stored(picture(90, 70), 6, "JPEG"),
    "e-clear.png": see_through(),
    "f-dark.png": image_file(flat(64, 64, (3, 2, 1)), "PNG"),
    "g-light.png": image_file(flat(100, 100, (250, 255, 245)), "PNG"),
    "h-small.png": image_file(flat(30, 20, (0, 0, 255)), "PNG"),
    "i-wide.png": image_file(flat(640, 64, (255, 0, 0)), "PNG"),
    "j-tall.png": image_file(flat(64, 320, (0, 255, 0)), "PNG"),
    "k-none.jpg": b"no image",
    "l-grayish.png": image_file(flat(64, 64, (101, 100, 100)), "PNG"),
}


def written(root: Path, images_per_shard: int, **options: Any) -> prep.RunPlan:
    """A run of these files, its shards written one after the other in this process."""
    if not (root / "in").exists():
        write_tree(
            root / "in", {"train": {"cat": FILES}, "val": {"cat": {"x.jpg": FILES["a-photo.jpg"]}}}
        )
    out = root / f"out-{images_per_shard}"
    made = prep.plan(
        prep.Config(
            source=root / "in",
            output=out,
            size=SIZE,
            images_per_shard=images_per_shard,
            **options,
        )
    )
    journal = Journal(str(out))
    journal.begin(made)
    reference = RunRef(output=str(out), digest=made.fingerprint.digest, run="1")
    for shard in made.shards:
        write_shard(shard, reference)
    return made
