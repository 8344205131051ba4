"""Variants of PNG, BMP, TGA, PNM, GIF, WebP, JPEG 2000 and AVIF; see ``tests.support.variants``."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from tests.support.pictures import Pixels, image_file, jpeg
from tests.support.variants import (
    ALPHA,
    GRAY,
    HEIGHT,
    LOSSY,
    NEAR,
    WHOLE,
    WIDTH,
    Samples,
    Variant,
    as_rgb,
    deepened,
    flattened,
    inked,
    over_white,
)
from tests.support.writers import (
    animated_webp,
    bmp_file,
    chunk,
    packed,
    png_file,
    rle4,
    rle8,
    subsampled_jpeg2000,
    tga_file,
)

_RGBA = np.dstack([WHOLE, ALPHA])
_LA = np.dstack([GRAY, ALPHA])
_CLEAR = over_white(WHOLE, ALPHA)
_CLEAR_GRAY = over_white(GRAY, ALPHA)


def _palette(bits: int) -> Pixels:
    return np.random.default_rng(bits).integers(0, 256, (1 << bits, 3), np.uint8)


# --- PNG ------------------------------------------------------------------------------------------


def pngs() -> Iterator[Variant]:
    """All colour types, depths and transparencies, interlaced and filtered or not."""
    for kind, samples, bits, colour_type, before, right in _png_contents():
        for interlaced in (False, True):
            for filtered in (False, True):
                how = ["interlaced"] * interlaced + ["filtered"] * filtered
                data = png_file(
                    samples.reshape(HEIGHT, WIDTH, -1),
                    bits,
                    colour_type,
                    interlaced=interlaced,
                    before=before,
                    filtered=filtered,
                )
                yield Variant(f"PNG, {kind}", ", ".join(how) or "plain", data, as_rgb(right))


def _png_contents() -> Iterator[tuple[str, Samples, int, int, bytes, Pixels]]:
    for bits in (1, 2, 4, 8, 16):
        samples, right = (deepened(GRAY, 16), GRAY.copy()) if bits == 16 else flattened(GRAY, bits)
        yield f"{bits}-bit gray", samples, bits, 0, b"", right
        samples[10:30, 10:40] = key = int(samples[3, 5])
        right[10:30, 10:40] = right[3, 5]
        unkeyed = np.where(samples == key, 255, right).astype(np.uint8)
        before = chunk(b"tRNS", struct.pack(">H", key))
        yield f"{bits}-bit gray, a transparent one", samples, bits, 0, before, unkeyed
    for bits in (1, 2, 4, 8):
        indices, colours = GRAY >> 8 - bits, _palette(bits)
        right = colours[indices]
        before = chunk(b"PLTE", colours.tobytes())
        yield f"{bits}-bit palette", indices, bits, 3, before, right
        alphas = np.random.default_rng(9).integers(0, 256, len(colours), np.uint8)
        before += chunk(b"tRNS", alphas.tobytes())
        seen = over_white(right, alphas[indices])
        yield f"{bits}-bit palette, transparency", indices, bits, 3, before, seen
    for bits in (8, 16):
        rgb = WHOLE.copy() if bits == 8 else deepened(WHOLE, 16)
        yield f"{bits}-bit RGB", rgb, bits, 2, b"", WHOLE
        rgb[10:30, 10:40] = rgb[3, 5]
        key = rgb[3, 5].tolist()
        unkeyed = np.where((rgb == key).all(2, keepdims=True), 255, WHOLE).astype(np.uint8)
        before = chunk(b"tRNS", struct.pack(">HHH", *key))
        yield f"{bits}-bit RGB, a transparent one", rgb, bits, 2, before, unkeyed
        la = _LA if bits == 8 else deepened(_LA, 16)
        yield f"{bits}-bit gray, transparency", la, bits, 4, b"", _CLEAR_GRAY
        rgba = _RGBA if bits == 8 else deepened(_RGBA, 16)
        yield f"{bits}-bit RGB, transparency", rgba, bits, 6, b"", _CLEAR


# --- BMP, TGA, PNM --------------------------------------------------------------------------------


def bmps() -> Iterator[Variant]:
    """Palettes, bit fields, run lengths, headers of all ages, from the top or from the bottom."""
    for bits in (1, 4, 8):
        indices, colours = GRAY >> 8 - bits, _palette(bits)
        rows = [packed(row, bits) for row in indices]
        right = colours[indices]
        for top_down in (False, True):
            how = "from the top" if top_down else "from the bottom"
            data = bmp_file(rows, WIDTH, bits, palette=colours, top_down=top_down)
            yield Variant(f"BMP, {bits}-bit palette", how, data, right)
        data = bmp_file(rows, WIDTH, bits, palette=colours, header=12)
        yield Variant(f"BMP, {bits}-bit palette", "OS/2", data, right)
    for bits, encode, compression in ((8, rle8, 1), (4, rle4, 2)):
        indices, colours = GRAY >> 8 - bits, _palette(bits)
        rows = [encode(indices), *[b""] * (HEIGHT - 1)]
        data = bmp_file(rows, WIDTH, bits, palette=colours, compression=compression)
        yield Variant(f"BMP, {bits}-bit palette", "run lengths", data, colours[indices])
    bgr = WHOLE[:, :, ::-1]
    unused = np.dstack([bgr, np.full_like(ALPHA, 77)])
    five, six = (np.rint(WHOLE / 255 * most).astype(np.uint16) for most in (31, 63))
    of_15 = five[:, :, 0] << 10 | five[:, :, 1] << 5 | five[:, :, 2]
    of_16 = five[:, :, 0] << 11 | six[:, :, 1] << 5 | five[:, :, 2]
    fields = _fields(WHOLE, (16, 8, 0))
    swapped = _fields(WHOLE, (0, 8, 16))
    bgra = np.dstack([bgr, ALPHA])
    rgb_masks = (0xFF0000, 0xFF00, 0xFF)
    contents: list[tuple[str, Samples, int, dict[str, Any], Pixels]] = [
        ("24-bit", bgr, 24, {}, WHOLE),
        ("24-bit", bgr, 24, {"header": 12}, WHOLE),
        ("24-bit", bgr, 24, {"header": 124}, WHOLE),
        ("32-bit, a fourth byte", unused, 32, {}, WHOLE),
        ("16-bit, 5-5-5", of_15, 16, {}, WHOLE),
        ("16-bit, 5-5-5", of_15, 16, {"compression": 3, "masks": (0x7C00, 0x3E0, 0x1F)}, WHOLE),
        ("16-bit, 5-6-5", of_16, 16, {"compression": 3, "masks": (0xF800, 0x7E0, 0x1F)}, WHOLE),
        ("32-bit fields", fields, 32, {"compression": 3, "masks": rgb_masks}, WHOLE),
        (
            "32-bit fields, red last",
            swapped,
            32,
            {"compression": 3, "masks": rgb_masks[::-1]},
            WHOLE,
        ),
        (
            "32-bit, transparency",
            bgra,
            32,
            {"compression": 3, "masks": (*rgb_masks, 0xFF000000), "header": 124},
            _CLEAR,
        ),
    ]
    for kind, samples, bits, options, right in contents:
        rows = [row.tobytes() for row in samples]
        for top_down in (False, True) if options.get("header") != 12 else (False,):
            if "masks" in options and options.get("header", 40) == 40:
                options = options | {"header": 40 + 4 * len(options["masks"])}
            how = f"header {options.get('header', 40)}, " + ("top" if top_down else "bottom")
            data = bmp_file(rows, WIDTH, bits, top_down=top_down, **options)
            yield Variant(f"BMP, {kind}", how, _as_v3(data), right, 3.0 if bits == 16 else NEAR)


def _as_v3(data: bytes) -> bytes:
    """The masks that follow a header of 40 bytes are not counted to it."""
    (size,) = struct.unpack_from("<I", data, 14)
    return data[:14] + struct.pack("<I", 40) + data[18:] if size == 52 else data


def _fields(pixels: Pixels, shifts: tuple[int, int, int]) -> Samples:
    wide = pixels.astype("<u4")
    r, g, b = (wide[:, :, i] << shift for i, shift in enumerate(shifts))
    return r | g | b


def tgas() -> Iterator[Variant]:
    """Gray, palettes, colours and transparency, packed or not, from the top or from the bottom."""
    colours, bgr = _palette(8), WHOLE[:, :, ::-1]
    five = np.rint(WHOLE / 255 * 31).astype("<u2")
    of_15 = (five[:, :, 0] << 10 | five[:, :, 1] << 5 | five[:, :, 2]).view(np.uint8)
    contents: list[tuple[str, Samples, int, int, dict[str, Any], Pixels]] = [
        ("gray", GRAY[:, :, None], 3, 8, {}, GRAY),
        ("palette", GRAY[:, :, None], 1, 8, {"palette": colours}, colours[GRAY]),
        ("15-bit", of_15.reshape(HEIGHT, WIDTH, 2), 2, 16, {}, WHOLE),
        ("24-bit", bgr, 2, 24, {}, WHOLE),
        ("32-bit, transparency", np.dstack([bgr, ALPHA]), 2, 32, {}, _CLEAR),
    ]
    for kind, samples, number, bits, options, right in contents:
        for rle in (False, True):
            for top_down in (False, True):
                data = tga_file(samples, number, bits, rle=rle, top_down=top_down, **options)
                how = ("run lengths, " if rle else "") + ("top" if top_down else "bottom")
                tolerance = 4.5 if bits == 16 else NEAR
                yield Variant(f"TGA, {kind}", how, data, as_rgb(right), tolerance)


def pnms() -> Iterator[Variant]:
    """P1 to P6, of all depths."""
    bits, of_bits = flattened(GRAY, 1)
    size = f"{WIDTH} {HEIGHT}"
    plain = "\n".join(" ".join(map(str, row)) for row in 1 - bits)
    yield Variant("PBM", "P1", f"P1\n# a comment\n{size}\n{plain}\n".encode(), as_rgb(of_bits))
    rows = b"".join(packed(row, 1) for row in 1 - bits)
    yield Variant("PBM", "P4", f"P4\n{size}\n".encode() + rows, as_rgb(of_bits))
    for most in (255, 15, 100, 1023, 4095, 65535):
        for name, pixels, ascii_, binary in (("PGM", GRAY, 2, 5), ("PPM", WHOLE, 3, 6)):
            samples = deepened(pixels, 16).astype(np.uint32) * most // 65535
            right = as_rgb(np.rint(samples * 255 / most).astype(np.uint8))
            words = "\n".join(" ".join(map(str, row)) for row in samples.reshape(HEIGHT, -1))
            head = f"{size}\n{most}\n"
            yield Variant(
                f"{name}, greatest value {most}",
                f"P{ascii_}",
                f"P{ascii_}\n{head}{words}\n".encode(),
                right,
            )
            data = samples.astype("u1" if most < 256 else ">u2").tobytes()
            yield Variant(
                f"{name}, greatest value {most}",
                f"P{binary}",
                f"P{binary}\n{head}".encode() + data,
                right,
            )


# --- GIF, WebP, JPEG 2000, AVIF -------------------------------------------------------------------


def gifs() -> Iterator[Variant]:
    """Interlaced or not, transparent, animated, and on a larger canvas."""
    indexed = Image.fromarray(WHOLE).quantize(32)
    colours = np.asarray(indexed.convert("RGB"))
    other = Image.fromarray(255 - WHOLE).quantize(32)
    for interlace in (0, 1):
        data = image_file(indexed, "GIF", interlace=interlace)
        yield Variant("GIF", "interlaced" if interlace else "plain", data, colours)
    holed = np.where((np.asarray(indexed) == 3)[:, :, None], 255, colours).astype(np.uint8)
    yield Variant("GIF, transparency", "plain", image_file(indexed, "GIF", transparency=3), holed)
    data = image_file(indexed, "GIF", save_all=True, append_images=[other])
    yield Variant("GIF, animated", "plain", data, colours)
    canvas = np.full((HEIGHT + 9, WIDTH + 7, 3), 255, np.uint8)
    canvas[:HEIGHT, :WIDTH] = colours
    for name, data in (
        ("plain", image_file(indexed, "GIF")),
        ("transparency", image_file(indexed, "GIF", transparency=40)),
        ("animated", image_file(indexed, "GIF", save_all=True, append_images=[other])),
    ):
        wider = data[:6] + struct.pack("<HH", WIDTH + 7, HEIGHT + 9) + data[10:]
        yield Variant("GIF, a first frame smaller than the canvas", name, wider, canvas)


def webps() -> Iterator[Variant]:
    """Lossy, lossless, transparent, animated, and on a larger canvas."""
    rgba = Image.fromarray(_RGBA)
    exact = {"lossless": True, "exact": True}
    yield Variant("WebP, lossy", "", image_file(WHOLE, "WEBP", quality=95), WHOLE, LOSSY)
    yield Variant("WebP, lossless", "", image_file(WHOLE, "WEBP", lossless=True), WHOLE)
    yield Variant(
        "WebP, lossy, transparency", "", image_file(rgba, "WEBP", quality=95), _CLEAR, LOSSY
    )
    yield Variant("WebP, lossless, transparency", "", image_file(rgba, "WEBP", **exact), _CLEAR)
    data = image_file(
        rgba, "WEBP", save_all=True, append_images=[Image.fromarray(255 - _RGBA)], **exact
    )
    yield Variant("WebP, animated", "", data, _CLEAR)
    canvas = np.full((HEIGHT + 9, WIDTH + 7, 3), 255, np.uint8)
    canvas[4 : 4 + HEIGHT, 2 : 2 + WIDTH] = WHOLE
    frame = (image_file(WHOLE, "WEBP", lossless=True), 2, 4, WIDTH, HEIGHT)
    data = animated_webp([frame, frame], WIDTH + 7, HEIGHT + 9)
    yield Variant("WebP, a first frame smaller than the canvas", "", data, canvas)


def jpeg2000s() -> Iterator[Variant]:
    """Gray, colours, transparency, 16 bits, in a box or bare, in tiles, and lossy."""
    contents: list[tuple[str, Any, Pixels]] = [
        ("8-bit gray", GRAY, GRAY),
        ("16-bit gray", deepened(GRAY, 16), GRAY),
        ("8-bit gray, transparency", _LA, _CLEAR_GRAY),
        ("8-bit RGB", WHOLE, WHOLE),
        ("8-bit RGB, transparency", _RGBA, _CLEAR),
    ]
    ways: list[tuple[str, dict[str, Any]]] = [
        ("boxed", {}),
        ("bare", {"no_jp2": True}),
        ("tiles", {"tile_size": (32, 32)}),
        ("lossy", {"irreversible": True, "quality_mode": "dB", "quality_layers": [50]}),
    ]
    for kind, samples, right in contents:
        for how, options in ways:
            if how == "tiles" and samples.dtype == np.uint16:
                continue  # Pillow writes them wrong.
            data = image_file(Image.fromarray(samples), "JPEG2000", **options)
            tolerance = LOSSY if how == "lossy" else NEAR
            yield Variant(f"JPEG 2000, {kind}", how, data, as_rgb(right), tolerance)

    for how, sides in (
        ("evenly", (2 * WIDTH, 2 * HEIGHT)),
        ("but for the last column", (2 * WIDTH - 1, 2 * HEIGHT)),
        ("but for the last row", (2 * WIDTH, 2 * HEIGHT - 1)),
    ):
        doubled = WHOLE.repeat(2, 0).repeat(2, 1)[: sides[1], : sides[0]]
        kind = "JPEG 2000, subsampled" + ", a remainder" * (how != "evenly")
        yield Variant(kind, how, subsampled_jpeg2000(WHOLE, *sides), doubled)


def jpegs() -> Iterator[Variant]:
    """Gray, colours at each sampling, four inks; baseline and progressive."""
    for sampling in ("4:2:0", "4:2:2", "4:4:4"):
        for progressive in (False, True):
            data = jpeg(WHOLE, quality=95, subsampling=sampling, progressive=progressive)
            how = sampling + ", progressive" * progressive
            yield Variant("JPEG, YCbCr", how, data, WHOLE, LOSSY)
    data = jpeg(WHOLE, quality=95, keep_rgb=True)
    yield Variant("JPEG, RGB", "", data, WHOLE, LOSSY)
    yield Variant("JPEG, gray", "", jpeg(GRAY, quality=95), as_rgb(GRAY), LOSSY)
    inks = np.dstack([255 - WHOLE, ALPHA // 3])
    data = image_file(Image.fromarray(inks, "CMYK"), "JPEG", quality=95)
    yield Variant("JPEG, CMYK", "with Adobe's marker", data, inked(inks), LOSSY)
    start = data.index(b"\xff\xee")
    end = start + 2 + int.from_bytes(data[start + 2 : start + 4])
    bare = data[:start] + data[end:]
    yield Variant("JPEG, CMYK", "without it", bare, inked(inks), LOSSY)


def avifs() -> Iterator[Variant]:
    """Gray, colours at each sampling, transparency, animated, and turned by the container."""
    for sampling in ("4:2:0", "4:2:2", "4:4:4"):
        data = image_file(WHOLE, "AVIF", quality=95, subsampling=sampling, speed=8)
        yield Variant("AVIF, RGB", sampling, data, WHOLE, LOSSY)
    data = image_file(GRAY, "AVIF", quality=95, subsampling="4:0:0", speed=8)
    yield Variant("AVIF, gray", "4:0:0", data, as_rgb(GRAY), LOSSY)
    rgba = Image.fromarray(_RGBA)
    data = image_file(rgba, "AVIF", quality=95, speed=8)
    yield Variant("AVIF, RGB, transparency", "4:2:0", data, _CLEAR, LOSSY)
    still = Image.fromarray(WHOLE)
    other = Image.fromarray(255 - WHOLE)
    data = image_file(still, "AVIF", quality=95, speed=8, save_all=True, append_images=[other])
    yield Variant("AVIF, animated", "4:2:0", data, WHOLE, LOSSY)


def rasters() -> Iterator[Variant]:
    """All of the above."""
    return itertools.chain(
        pngs(), bmps(), tgas(), pnms(), gifs(), webps(), jpeg2000s(), avifs(), jpegs()
    )
