"""Image files in all variants of their formats, with the correct pixels."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

from tests.support.pictures import Pixels, image_file, picture
from tests.support.tiffs import Page, tiff_file

Samples = npt.NDArray[Any]

HEIGHT, WIDTH = 45, 61  # Neither rows nor tiles come out even.
WHOLE = picture(HEIGHT, WIDTH)
GRAY = np.ascontiguousarray(WHOLE[:, :, 1])
ALPHA = np.tile(np.linspace(0, 255, WIDTH).astype(np.uint8), (HEIGHT, 1))
PREMULTIPLIED = np.rint(WHOLE * (ALPHA[:, :, None] / 255)).astype(np.uint8)
NEAR = 0.75  # of 255 in the mean: what is rounded once or twice
LOSSY = 4.0


class Variant(NamedTuple):
    """An image file, and what is right for it.

    Attributes:
        kind: the format, and what is in the file: a row of the table.
        how: in which of many ways it is stored.
        data: the file.
        right: its pixels as 8-bit RGB over white, as its maker knows them.
        tolerance: how far from that a decoder may be in the mean, of 255.
    """

    kind: str
    how: str
    data: bytes
    right: Pixels
    tolerance: float = NEAR


def as_rgb(pixels: Pixels) -> Pixels:
    """Gray as three equal samples."""
    return np.repeat(pixels[:, :, None], 3, 2) if pixels.ndim == 2 else pixels


def over_white(pixels: Pixels, alpha: Pixels) -> Pixels:
    """Return more or less transparent pixels over white."""
    share = alpha[:, :, None] / 255
    return np.rint(as_rgb(pixels) * share + 255 * (1 - share)).astype(np.uint8)


def deepened(pixels: Pixels, bits: int) -> Samples:
    """Samples of more bits: below the eight of ``pixels`` there is noise."""
    noise = np.random.default_rng(1).integers(0, 1 << bits - 8, pixels.shape, np.uint16)
    return pixels.astype(np.uint16) << bits - 8 | noise


def flattened(pixels: Pixels, bits: int) -> tuple[Samples, Pixels]:
    """(samples of fewer bits, what they mean in eight)."""
    samples = pixels >> 8 - bits
    return samples, (samples.astype(np.uint16) * 255 // ((1 << bits) - 1)).astype(np.uint8)


def inked(inks: Samples) -> Pixels:
    """Return the look of four inks without a colour profile."""
    left = 255 - inks.astype(int)
    return np.rint(left[:, :, :3] * left[:, :, 3:] / 255).astype(np.uint8)


# --- TIFF -----------------------------------------------------------------------------------------

_Content = tuple[str, Samples, Pixels, dict[str, Any]]  # kind, samples, what they mean, page
_WHITE_IS_0, _BLACK_IS_0, _RGB, _PALETTE, _CMYK, _LAB = 0, 1, 2, 3, 5, 8
_TRANSPARENT, _ASSOCIATED, _UNSPECIFIED = (
    {"tags": {338: ("H", [value])}} for value in (2, 1, 0)
)  # ExtraSamples


def _shallow() -> Iterator[_Content]:
    for bits in (1, 2, 4):
        samples, right = flattened(GRAY, bits)
        for name, photometric, meant in (("", 1, right), (", white is 0", 0, 255 - right)):
            yield f"{bits}-bit gray{name}", samples, meant, {
                "photometric": photometric, "bits": bits
            }  # fmt: skip
    for bits in (1, 2, 4, 8):
        samples = GRAY >> 8 - bits
        colours = np.random.default_rng(2).integers(0, 1 << 16, (3, 1 << bits), np.uint16)
        yield (
            f"{bits}-bit palette",
            samples,
            (colours >> 8).astype(np.uint8)[:, samples].transpose(1, 2, 0),
            {"photometric": _PALETTE, "bits": bits, "tags": {320: ("H", colours.ravel().tolist())}},
        )


def _of_bytes(bits: int, deep: Callable[[Samples], Samples]) -> Iterator[_Content]:
    """Yield the variants that exist with 8 and with 16 bits."""
    rgba, inks = np.dstack([WHOLE, ALPHA]), np.dstack([255 - WHOLE, ALPHA // 3])
    clear = over_white(WHOLE, ALPHA)
    rgb: dict[str, Any] = {"photometric": _RGB}
    yield f"{bits}-bit gray", deep(GRAY), GRAY, {}
    yield f"{bits}-bit gray, white is 0", deep(GRAY), 255 - GRAY, {"photometric": _WHITE_IS_0}
    yield f"{bits}-bit RGB", deep(WHOLE), WHOLE, rgb
    yield (
        f"{bits}-bit gray, transparency",
        deep(np.dstack([GRAY, ALPHA])),
        over_white(GRAY, ALPHA),
        _TRANSPARENT,
    )
    yield f"{bits}-bit RGB, transparency", deep(rgba), clear, rgb | _TRANSPARENT
    yield (
        f"{bits}-bit RGB, premultiplied",
        deep(np.dstack([PREMULTIPLIED, ALPHA])),
        clear,
        rgb | _ASSOCIATED,
    )
    yield f"{bits}-bit RGB, a fourth sample", deep(rgba), WHOLE, rgb | _UNSPECIFIED
    yield f"{bits}-bit CMYK", deep(inks), inked(inks), {"photometric": _CMYK}


def _odd() -> Iterator[_Content]:
    for bits in (10, 12, 14):
        yield f"{bits}-bit gray", deepened(GRAY, bits), GRAY, {"bits": bits}
        rgb = {"bits": bits, "photometric": _RGB}
        yield f"{bits}-bit RGB", deepened(WHOLE, bits), WHOLE, rgb
    yield "8-bit signed gray", GRAY.view(np.int8), GRAY, {}
    yield "16-bit signed gray", deepened(GRAY, 16).view(np.int16), GRAY, {}
    yield "32-bit gray", deepened(GRAY, 16).astype(np.uint32) << 16, GRAY, {}
    for bits in (16, 32, 64):
        yield f"{bits}-bit floating-point gray", (GRAY / 255).astype(f"f{bits // 8}"), GRAY, {}
    light = (WHOLE / 255).astype(np.float32)
    yield "32-bit floating-point RGB", light, WHOLE, {"photometric": _RGB}


def _contents() -> Iterator[_Content]:
    yield from _shallow()
    yield from _of_bytes(8, lambda samples: samples)
    yield from _of_bytes(16, lambda samples: deepened(samples, 16))
    yield from _odd()


_CODINGS = ("none", "lzw", "zlib", "packbits", "zstd", "lzma")
_WITH_PREDICTOR = ("lzw", "zlib", "zstd")


def tiffs(every: int = 1) -> Iterator[Variant]:
    """Byte orders, planes, strips and tiles, compressions and predictors, of all contents.

    Args:
        every: only every so many.
    """
    ways = ((content, how) for content in _contents() for how in _ways(content))
    for (kind, samples, right, page), (order, how, stored) in itertools.islice(
        ways, 0, None, every
    ):
        data = tiff_file(Page(samples=samples, **page | stored), order=order)
        yield Variant(f"TIFF, {kind}", how, data, as_rgb(right))


def _ways(content: _Content) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(byte order, name, page) of each way to store it."""
    _, samples, _, page = content
    layouts: list[dict[str, Any]] = [{}, {"rows": 7}, {"tile": (16, 32)}]
    names = ("one strip", "strips", "tiles")
    orders = (("<", "little-endian"), (">", "big-endian"))
    for (order, name), (layout, pieces) in itertools.product(
        orders, zip(names, layouts, strict=True)
    ):
        for planar in (False, True) if samples.ndim == 3 else (False,):
            for coding, predictor in _codings(samples, page):
                how = [name, layout, coding, *["planes"] * planar, *["predictor"] * predictor]
                stored = {"compression": coding, "predictor": predictor, "planar": planar}
                yield order, ", ".join(how), stored | pieces


def _codings(samples: Samples, page: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    for coding in _CODINGS:
        yield coding, False
    in_bytes = page.get("bits", 8) == 8 and samples.dtype.itemsize <= 2
    if in_bytes and samples.dtype.kind != "f":
        for coding in _WITH_PREDICTOR:
            yield coding, True


# --- more of TIFF ---------------------------------------------------------------------------------


def odd_tiffs() -> Iterator[Variant]:
    """Yield variants special to TIFF: bit orders, lossy codings, sizes, several pictures."""
    samples, right = flattened(GRAY, 1)
    lowest_first = {266: ("H", [2])}
    for coding in ("none", "lzw"):
        page = Page(samples=samples, bits=1, tags=lowest_first, compression=coding)
        yield Variant("TIFF, lowest bit first", coding, tiff_file(page), as_rgb(right))
    for coding in ("group3", "group4", "tiff_ccitt"):
        data = image_file(Image.fromarray(right).convert("1"), "TIFF", compression=coding)
        yield Variant("TIFF, fax", coding, data, as_rgb(right))
    for photometric, name in ((2, "RGB"), (1, "gray")):
        pixels = WHOLE if photometric == 2 else GRAY
        page = Page(samples=pixels, photometric=photometric, compression="jpeg", rows=16)
        yield Variant("TIFF, JPEG", name, tiff_file(page), as_rgb(pixels), LOSSY)
    data = image_file(WHOLE, "TIFF", compression="jpeg", quality=95)
    yield Variant("TIFF, JPEG", "YCbCr", data, WHOLE, LOSSY)
    page = Page(samples=WHOLE, photometric=_RGB, compression="webp")
    yield Variant("TIFF, WebP", "RGB", tiff_file(page), WHOLE)
    lab = ImageCms.profileToProfile(
        Image.fromarray(WHOLE), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"),
        outputMode="LAB",
    )  # fmt: skip
    for planar in (False, True):
        page = Page(samples=np.asarray(lab), photometric=_LAB, planar=planar)
        yield Variant("TIFF, CIELAB", "planes" * planar, tiff_file(page), WHOLE, LOSSY)
    for order, name in (("<", "little-endian"), (">", "big-endian")):
        data = tiff_file(Page(samples=WHOLE, photometric=_RGB), order=order, big=True)
        yield Variant(f"BigTIFF, {name}", "", data, WHOLE)
    small = Page(samples=WHOLE[::4, ::4], photometric=_RGB, tags={254: ("I", [1])})
    large = Page(samples=WHOLE, photometric=_RGB)
    yield Variant("TIFF, a thumbnail first", "", tiff_file(small, large), WHOLE)
    other = Page(samples=255 - WHOLE, photometric=_RGB)
    yield Variant("TIFF, several pictures", "", tiff_file(large, other), WHOLE)
