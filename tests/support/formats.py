"""Results for each variant of each format: ``python -m tests.support.formats --write``.

Every file of the grid is decoded here, and by libvips and ImageMagick where they are installed, and
held against the pixels that its maker knows. The table is docs/formats.md.
"""

from __future__ import annotations

import itertools
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np
from PIL import Image

from prep.errors import RefusedImage
from prep.images.decoders.decode import decode
from prep.images.decoders.process import configure_process
from tests.support.pictures import Pixels
from tests.support.raster_variants import rasters
from tests.support.variants import LOSSY, Variant, odd_tiffs, tiffs

PAGE = Path(__file__).resolve().parents[2] / "docs" / "formats.md"
_TABLE = "<!-- The table is made by python -m tests.support.formats --write. -->\n"

#: The kinds that are refused as unsupported: all of them, or those in whose ways this word stands.
UNSUPPORTED = {
    "TIFF, 8-bit gray, transparency": "planes",
    "TIFF, 16-bit gray, transparency": "",
    "TIFF, 10-bit gray": "",
    "TIFF, 10-bit RGB": "",
    "TIFF, 12-bit gray": "big-endian",
    "TIFF, 12-bit RGB": "",
    "TIFF, 14-bit gray": "",
    "TIFF, 14-bit RGB": "",
    "TIFF, 8-bit signed gray": "",
    "TIFF, 16-bit signed gray": "",
    "TIFF, 32-bit gray": "",
    "TIFF, 16-bit floating-point gray": "",
    "TIFF, 32-bit floating-point gray": "",
    "TIFF, 64-bit floating-point gray": "",
    "TIFF, 32-bit floating-point RGB": "",
    "TIFF, WebP": "",
    "TIFF, CIELAB": "planes",
    "BigTIFF, big-endian": "",
    "PNG, 16-bit RGB, a transparent one": "",
    "BMP, 32-bit fields, red last": "",
    "JPEG 2000, subsampled, a remainder": "",
}
#: Where another decoder makes something else of it, and why; it is not taken for a fault here.
OTHERWISE = {
    ("libvips", "JPEG, CMYK"): "takes inks to be those of a printer that it knows",
    ("libvips", "TIFF, 8-bit CMYK"): "takes inks to be those of a printer that it knows",
    ("libvips", "TIFF, 16-bit CMYK"): "takes inks to be those of a printer that it knows",
    ("libvips", "TIFF, 8-bit RGB, a fourth sample"): "takes it for transparency",
    ("libvips", "TIFF, 16-bit RGB, a fourth sample"): "takes it for transparency",
    ("libvips", "TIFF, a thumbnail first"): "takes the first picture",
    ("libvips", "GIF, a first frame smaller than the canvas"): "fills up with a colour",
    ("ImageMagick", "BMP, 32-bit, a fourth byte"): "takes it for transparency",
    ("ImageMagick", "TIFF, 8-bit RGB, a fourth sample"): "takes it for transparency",
    ("ImageMagick", "TIFF, 16-bit RGB, a fourth sample"): "takes it for transparency",
    ("ImageMagick", "TIFF, a thumbnail first"): "takes the first picture",
    ("ImageMagick", "TIFF, 2-bit gray, white is 0"): "takes it for its negative",
    ("ImageMagick", "TIFF, 4-bit gray, white is 0"): "takes it for its negative",
    ("ImageMagick", "TIFF, CIELAB"): "means another white",
    ("ImageMagick", "JPEG 2000, 8-bit gray, transparency"): "ignores transparency",
    ("ImageMagick", "JPEG 2000, subsampled"): "leaves it as small as its components",
    ("ImageMagick", "AVIF, RGB, transparency"): "ignores transparency",
    ("ImageMagick", "WebP, a first frame smaller than the canvas"): "fills up with a colour",
}


def is_supported(variant: Variant) -> bool:
    """Return whether a variant is meant to be decoded."""
    word = UNSUPPORTED.get(variant.kind)
    return word is None or word not in variant.how


def grid() -> Iterator[Variant]:
    """All variants of all formats."""
    return itertools.chain(rasters(), tiffs(), odd_tiffs())


def difference(a: Pixels, b: Pixels) -> float:
    """In the mean, of 255; infinite between pictures of different sizes."""
    if a.shape != b.shape:
        return float("inf")
    return float(np.abs(a.astype(int) - b).mean())


# --- other decoders -------------------------------------------------------------------------------


def by_libvips(variants: Sequence[Variant]) -> list[Pixels | None]:
    """Return images as libvips decodes them; None where it says that it can't."""
    import pyvips

    def read(data: bytes) -> Pixels:
        image: Any = pyvips.Image.new_from_buffer(data, "", fail_on="warning")
        deep = image.format == "ushort"
        if image.hasalpha():
            image = image.flatten(background=[65535 if deep else 255] * (image.bands - 1))
        pixels = image.colourspace("srgb").numpy()
        return np.broadcast_to(pixels.reshape(*pixels.shape[:2], -1), (*pixels.shape[:2], 3))

    found: list[Pixels | None] = []
    for variant in variants:
        try:
            found.append(read(variant.data))
        except (pyvips.Error, ValueError):
            found.append(None)
    return found


def by_imagemagick(variants: Sequence[Variant]) -> list[Pixels | None]:
    """Return images as ImageMagick decodes them, one process for each kind of animation."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, variant in enumerate(variants):
            ending = (
                variant.kind.partition(",")[0].lower().replace(" ", "").replace("bigtiff", "tif")
            )
            (folder / f"{number:05d}.{ending}").write_bytes(variant.data)
        for ending in {path.suffix for path in folder.iterdir()}:
            moving = ["-coalesce"] if ending in (".gif", ".webp") else ["-auto-orient"]
            flat = ["-background", "white", "-alpha", "remove", "-alpha", "off"]
            plain = ["-colorspace", "sRGB", "-type", "TrueColor", "-depth", "8"]
            subprocess.run(
                ["mogrify", *moving, *flat, *plain, "-format", "ppm", f"*{ending}"],
                cwd=folder,
                stderr=subprocess.DEVNULL,
                check=False,
            )
        return [_first_of(folder, number) for number in range(len(variants))]


def _first_of(folder: Path, number: int) -> Pixels | None:
    for name in (f"{number:05d}.ppm", f"{number:05d}-0.ppm"):
        if (folder / name).exists():
            return np.asarray(Image.open(folder / name).convert("RGB"))
    return None


def has_imagemagick() -> bool:
    """Return whether ImageMagick itself is there."""
    return shutil.which("mogrify") is not None


_DECODERS = {"libvips": by_libvips, "ImageMagick": by_imagemagick}


# --- the table ------------------------------------------------------------------------------------


@dataclass(slots=True)
class Row:
    """Results for the variants of a kind.

    Attributes:
        here: differences from what is right, of those that were decoded.
        refused: by reason, how many were refused.
        others: for each other decoder, how far what it makes is from what is made here.
        wrong: what should not be.
    """

    variants: int = 0
    here: list[float] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)
    others: dict[str, list[float]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def add(self, variant: Variant, others: dict[str, Pixels | None]) -> None:
        """Counts one variant."""
        self.variants += 1
        try:
            pixels = decode(variant.data)
        except RefusedImage as error:
            self.refused[error.reason] = self.refused.get(error.reason, 0) + 1
            if is_supported(variant) or error.reason != "unsupported":
                self.wrong.append(f"{variant.how}: {error}")
            return
        found = difference(pixels, variant.right)
        self.here.append(found)
        if not is_supported(variant) or found > variant.tolerance:
            self.wrong.append(f"{variant.how}: differs by {found:.1f}")
        for name, theirs in others.items():
            differences = self.others.setdefault(name, [])
            if theirs is not None:
                differences.append(difference(pixels, theirs))

    def cells(self, names: Iterable[str]) -> list[str]:
        """The row as text."""
        fates = [f"{len(self.here)} right"] if self.here else []
        fates += [f"{count} {reason}" for reason, count in self.refused.items()]
        numbers = [_worst(self.here, self.variants)]
        numbers += [_worst(self.others.get(name, []), len(self.here)) for name in names]
        return [", ".join(fates), *numbers]


def _worst(differences: Sequence[float], of: int) -> str:
    if not differences:
        return "–"
    worst = max(differences)
    text = "other size" if worst == float("inf") else f"{worst:.1f}"
    return text if len(differences) == of else f"{text} ({len(differences)})"


def table(rows: dict[str, Row], names: Sequence[str]) -> str:
    """The rows as Markdown."""
    head = ["format and contents", "variants", "off by", *names]
    lines = [head, ["---"] * len(head)]
    lines += [[kind, *row.cells(names)] for kind, row in rows.items()]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def compared(variants: Sequence[Variant], names: Iterable[str]) -> dict[str, Row]:
    """Kind by kind, what becomes of variants here and by other decoders."""
    found = {name: _DECODERS[name](variants) for name in names}
    rows: dict[str, Row] = {}
    for number, variant in enumerate(variants):
        theirs = {name: pixels[number] for name, pixels in found.items()}
        rows.setdefault(variant.kind, Row()).add(variant, theirs)
    return rows


def disagreements(rows: dict[str, Row]) -> list[str]:
    """Return unexplained differences between other decoders and ours."""
    return [
        f"{kind}: {name} differs by {max(differences):.1f}"
        for kind, row in rows.items()
        for name, differences in row.others.items()
        if max(differences, default=0) > LOSSY and (name, kind) not in OTHERWISE
    ]


def reasons() -> str:
    """Return the reasons why other decoders differ, as Markdown."""
    return "".join(f"- {name}, {kind}: {why}.\n" for (name, kind), why in OTHERWISE.items())


@click.command()
@click.option("--write", is_flag=True, help=f"Put the table into {PAGE.name}.")
def main(write: bool) -> None:
    """Decode every variant of every format, here and by others."""
    configure_process()
    variants = list(grid())
    names = ["libvips", *["ImageMagick"] * has_imagemagick()]
    rows = compared(variants, names)
    text = table(rows, names)
    click.echo(text)
    if write:
        before, mark, _ = PAGE.read_text().partition(_TABLE)
        PAGE.write_text(f"{before}{mark}{text}\nWhere they differ:\n\n{reasons()}")
    wrong = [f"{kind} ({what})" for kind, row in rows.items() for what in row.wrong]
    wrong += disagreements(rows)
    click.echo(f"{len(variants)} files, {len(rows)} kinds: {len(wrong)} wrong")
    for what in wrong:
        click.echo(what)
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
