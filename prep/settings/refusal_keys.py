"""The keys about images that can't be used, or not as they are."""

from __future__ import annotations

from typing import get_args

from prep.settings.choices import Damaged, Icc, Leaks, NearDuplicates
from prep.settings.key import Key

#: By name, in the order in which people are shown them.
REFUSAL_KEYS: dict[str, Key] = {
    "on_bad_image": Key(
        default="refuse",
        help="If an image can't be used: refuse it (count it, name it and go on), or fail (stop).",
        words=("refuse", "fail"),
        decides_bytes=False,
    ),
    "max_refused": Key(
        default=0.05,
        help="Share of the images that may be refused. A run that refuses more ends with an error, "
        "and keeps all good images. Unless this is set, up to 10 images may be refused anyway.",
        bounds=(0, 1),
        decides_bytes=False,
    ),
    "damaged": Key(
        default="refuse",
        help="Truncated or damaged images: refuse them, or keep what can be decoded, and count "
        "them.",
        words=get_args(Damaged),
        decides_bytes=True,
    ),
    "max_pixels": Key(
        default=100_000_000,
        help="Refuse images with more pixels, without decoding them.",
        bounds=(1, None),
        decides_bytes=True,
    ),
    "max_aspect": Key(
        default=500.0,
        help="Refuse images whose longer side is more than this many times the shorter, without "
        "decoding them.",
        bounds=(1, None),
        decides_bytes=True,
    ),
    "min_size": Key(
        default=1,
        help="Refuse images whose shorter side has fewer pixels.",
        bounds=(1, None),
        decides_bytes=True,
    ),
    "background": Key(
        default="#ffffff",
        help="Colour under transparent images, and around padded ones.",
        kind="a colour as #rrggbb",
        decides_bytes=True,
    ),
    "icc": Key(
        default="ignore",
        help="Embedded colour profiles: ignore them, or convert to sRGB.",
        words=get_args(Icc),
        decides_bytes=True,
    ),
    "depth": Key(
        default=16,
        help="Bits in use in images of 16 bits per sample, such as 12.",
        bounds=(8, 16),
        decides_bytes=True,
    ),
    "image_timeout": Key(
        default=60.0,
        help="Refuse an image as too slow after this many seconds.",
        bounds=(1, 86_400),
        decides_bytes=False,
    ),
    "duplicates": Key(
        default="report",
        help="Images with the same bytes: report them, or keep only one of each group.",
        words=("report", "drop"),
        decides_bytes=True,
        part="images",
    ),
    "near_duplicates": Key(
        default="ignore",
        help="Images that look alike, though their bytes differ: ignore them, report them, or drop "
        "all but one of each group, which decodes all images before the run.",
        words=get_args(NearDuplicates),
        decides_bytes=True,
        part="images",
    ),
    "leaks": Key(
        default="report",
        help="Images of which another split holds a copy, or with near_duplicates one that looks "
        "alike: report them, or end the run with an error once all is written.",
        words=get_args(Leaks),
        decides_bytes=False,
    ),
    "check": Key(
        default="stat",
        help="How to recognise a changed image: by size and time (stat), or by contents (digest, "
        "which reads all images again).",
        words=("stat", "digest"),
        decides_bytes=False,
    ),
}
