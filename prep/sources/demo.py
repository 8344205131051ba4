"""A small made-up image set, from the photos that come with scikit-image."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, ImageOps

from prep.errors import OutputConflict, PrepError
from prep.settings.distribution import install_command

# Photos in scikit-image's own package (see skimage/data/README.txt for their sources), as classes.
_PHOTOS = {
    "astronaut": ("astronaut.png",),
    "cat": ("chelsea.png",),
    "coffee": ("coffee.png",),
    "motorcycle": ("motorcycle_left.png", "motorcycle_right.png"),
    "rocket": ("rocket.jpg",),
    "photographer": ("camera.png",),
}
_SPLITS = {"train": 0.8, "val": 0.2}
# Sizes as in ImageNet: mostly 500 × 375, some larger, a few smaller than the result.
_SHORT_SIDES = (375, 375, 375, 333, 375, 500, 640, 240)
_QUALITIES = (75, 85, 90, 96)
_BROKEN = ("cut-off.jpg", "empty.jpg", "web-page.jpg", "hole.jpg")
_MARKER = ".made-by-prep-demo"


def make_images(root: Path, count: int, seed: int = 0) -> None:
    """Make ``root/<split>/<class>/*.jpg``: crops, zooms and flips of a few photos.

    Some are grayscale, some are stored turned with an Exif orientation, and the files named in
    ``_BROKEN`` can't be used.

    Args:
        root: the folder to make; one that this made before is replaced.
        count: how many images to make in all.

    Raises:
        PrepError: scikit-image is not installed.
        OutputConflict: ``root`` is there, and was not made by this.
    """
    photos = _load_photos()
    if root.exists() and not (root / _MARKER).exists():
        raise OutputConflict(f"output: {root} is there already; choose another folder")
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    (root / _MARKER).touch()
    rng = random.Random(seed)
    for split, class_name, number in _names(count):
        folder = root / split / class_name
        folder.mkdir(parents=True, exist_ok=True)
        picture = _variation(rng.choice(photos[class_name]), rng)
        _save(picture, folder / f"{class_name}-{number:04d}.jpg", rng)
    _break_some(root / "train" / "cat")


def require_free(root: Path) -> None:
    """Raise OutputConflict if ``root`` is no folder, or has images that no demo has made."""
    there = next(path for path in (root, *root.parents) if path.exists())
    if not there.is_dir():
        raise OutputConflict(f"output: {there} is not a folder; choose another one")
    for folder in (root / "images", root / "shards"):
        if folder.exists() and not (root / "images" / _MARKER).exists():
            raise OutputConflict(f"output: {folder} is there already; choose another folder")


def _load_photos() -> dict[str, list[Image.Image]]:
    try:
        import skimage
    except ImportError:
        raise PrepError(
            "the demo takes its photos from scikit-image, which is not installed: "
            f"{install_command('demo')}"
        ) from None
    data = Path(skimage.__file__).parent / "data"
    return {
        name: [Image.open(data / file).convert("RGB") for file in files]
        for name, files in _PHOTOS.items()
    }


def _names(count: int) -> Iterator[tuple[str, str, int]]:
    """Yield (split, class, number) of each image; later classes are smaller, as in real sets."""
    weights = [1 / (1 + rank) for rank in range(len(_PHOTOS))]
    left = count - len(_BROKEN)
    for rank, name in enumerate(_PHOTOS):
        share = round(left * weights[rank] / sum(weights[rank:]))
        left -= share
        train = round(share * _SPLITS["train"])
        for number in range(share):
            yield ("train" if number < train else "val"), name, number


def _variation(photo: Image.Image, rng: random.Random) -> Image.Image:
    zoom = rng.uniform(0.55, 1.0)
    width, height = round(photo.width * zoom), round(photo.height * zoom)
    left, top = rng.randint(0, photo.width - width), rng.randint(0, photo.height - height)
    picture = photo.crop((left, top, left + width, top + height))
    scale = rng.choice(_SHORT_SIDES) / min(width, height)
    picture = picture.resize(
        (round(width * scale), round(height * scale)), Image.Resampling.BICUBIC
    )
    return ImageOps.mirror(picture) if rng.random() < 0.5 else picture


def _save(picture: Image.Image, path: Path, rng: random.Random) -> None:
    quality = rng.choice(_QUALITIES)
    if rng.random() < 0.05:
        picture.convert("L").save(path, quality=quality)
    elif rng.random() < 0.05:
        exif = Image.Exif()
        exif[0x0112] = 6  # Orientation: to be turned clockwise by 90 degrees
        picture.rotate(90, expand=True).save(path, quality=quality, exif=exif)
    else:
        picture.save(path, quality=quality)


def _break_some(folder: Path) -> None:
    whole = next(folder.glob("*.jpg")).read_bytes()
    middle = len(whole) // 2
    contents = {
        "cut-off.jpg": whole[:middle],
        "empty.jpg": b"",
        "web-page.jpg": b"<!doctype html><title>404 Not Found</title>\n",
        "hole.jpg": whole[:middle] + bytes(4096) + whole[middle + 4096 :],
    }
    for name in _BROKEN:
        (folder / name).write_bytes(contents[name])
