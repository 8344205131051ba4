"""What a report says of the kinds and extremes of images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from prep.fields import Fields
from prep.traits import EXTREMES, Group, Seen, Traits


def describe_traits(traits: Traits, path_of: Callable[[Seen], str]) -> dict[str, Any]:
    """Return traits as a report holds them, with the paths of the extreme images."""
    return {
        "images": traits.images,
        "enlarged": traits.enlarged,
        "formats": _counts(traits.formats),
        "marks": _counts(traits.marks),
        "extremes": {
            name: [_describe_image(image, path_of(image)) for image in images]
            for name, images in traits.extremes.items()
        },
    }


def stored_traits(value: object) -> dict[str, Any]:
    """Return what :func:`describe_traits` gave; raise ValueError where it is not that."""
    fields = Fields(value, "traits")
    extremes = Fields(fields.any("extremes"), "extremes")
    stored = {
        "images": fields.whole("images"),
        "enlarged": fields.whole("enlarged"),
        "formats": fields.counts("formats"),
        "marks": fields.counts("marks"),
        "extremes": {
            name: [_stored_image(image) for image in extremes.list(name)] for name in EXTREMES
        },
    }
    fields.end()
    extremes.end()
    return stored


def _counts(groups: Mapping[str, Group]) -> dict[str, int]:
    return {name: group.images for name, group in sorted(groups.items())}


def _describe_image(image: Seen, path: str) -> dict[str, Any]:
    return {
        "path": path,
        "width": image.width,
        "height": image.height,
        "brightness": image.brightness / 100,
        "chroma": image.chroma / 100,
    }


def _stored_image(value: object) -> dict[str, Any]:
    fields = Fields(value, "an extreme image")
    image: dict[str, Any] = {
        "path": fields.text("path"),
        "width": fields.whole("width", least=1),
        "height": fields.whole("height", least=1),
        "brightness": fields.number("brightness", most=255),
        "chroma": fields.number("chroma", most=255),
    }
    fields.end()
    return image
