"""Read ``report.json``, which others may have written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from prep.images.colour import by_channel, stored_channels, stored_covariance
from prep.images.depths import FULL, Depths
from prep.images.mean_image import stored_mean
from prep.images.traits import EXTREMES, Group, Seen, Traits
from prep.parsing import Fields, counts, number, refuse, text, whole
from prep.planning.plan import refusals_allowed
from prep.planning.splitting.balance import stored_balance


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
    """Return what :func:`describe_traits` gave; raise ValueError if it is not that."""
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


_IMAGES = {"planned", "written", "refused"}
_EXAMPLES = {"leak", "conflict"}


def report_attributes(value: object) -> dict[str, Any]:
    """Return the attributes of a stored report; raise ValueError if it is not a possible one."""
    fields = Fields(value, "a report")
    images = fields.counts("images")
    splits = {name: _split(of) for name, of in fields.object("splits").items()}
    if images.keys() != _IMAGES:
        refuse("images", ", ".join(sorted(_IMAGES)), images)
    config = fields.object("config")
    whole(config.get("depth", FULL), "depth", least=8, most=FULL)
    report = {
        "output": fields.text("output"),
        "images": images,
        "repaired": fields.whole("repaired"),
        "damaged": fields.whole("damaged"),
        "duplicates": _duplicates(fields.any("duplicates")),
        "shards": fields.whole("shards"),
        "bytes": fields.whole("bytes"),
        "source_bytes": fields.whole("source_bytes"),
        "seconds": fields.number("seconds"),
        "start_seconds": fields.number("start_seconds", default=0.0),
        "images_per_second": fields.number("images_per_second"),
        "resumed_shards": fields.whole("resumed_shards"),
        "retries": fields.whole("retries"),
        "mean": _channels(fields.any("mean"), "mean"),
        "std": _channels(fields.any("std"), "std"),
        "covariance": stored_covariance(fields.any("covariance", default=None)),
        "splits": splits,
        "classes": {split: counts(of, "classes") for split, of in fields.object("classes").items()},
        "refused": tuple(map(_stored_refusal, fields.list("refused"))),
        "config": config,
        "fingerprint": fields.text("fingerprint"),
        "versions": {
            name: text(version, "versions") for name, version in fields.object("versions").items()
        },
        "depths": {
            split: Depths.of_report(of).for_report()
            for split, of in fields.object("depths", default={}).items()
        },
        "traits": {
            split: stored_traits(of) for split, of in fields.object("traits", default={}).items()
        },
        "mean_image": {
            split: stored_mean(of) for split, of in fields.object("mean_image", default={}).items()
        },
        "mean_of": tuple(text(split, "mean_of") for split in fields.list("mean_of", default=[])),
        "read_as": fields.text("read_as", default=""),
        "passed_over": tuple(map(_passed, fields.list("passed_over", default=[]))),
        "class_names": {
            name: text(title, "class_names")
            for name, title in fields.object("class_names", default={}).items()
        },
        "balance": {
            split: stored_balance(of) for split, of in fields.object("balance", default={}).items()
        },
        "outdated": counts(fields.any("outdated", default={}), "outdated"),
        "refusals_allowed": fields.whole("refusals_allowed", default=_allowed(images, config)),
    }
    near = fields.any("near_duplicates", default={})
    report["near_duplicates"] = _near_duplicates(near) if near else {}
    for derived in ("verdict", "eigenvalues", "eigenvectors"):  # The numbers tell them.
        fields.any(derived, default=None)
    fields.end()
    return report


def _allowed(images: dict[str, int], config: dict[str, Any]) -> int:
    """Return how many images could be refused, for a report of a version that did not say so."""
    share = number(config.get("max_refused", 0.0), "max_refused", most=1)
    return refusals_allowed(images["planned"], share, asked=False)


def _split(value: object) -> dict[str, Any]:
    fields = Fields(value, "a split of a report")
    names = ("planned", "written", "refused", "shards", "bytes")
    split: dict[str, Any] = {name: fields.whole(name) for name in names}
    split |= {name: _channels(fields.any(name), name) for name in ("mean", "std")}
    fields.end()
    return split


def _duplicates(value: object) -> dict[str, Any]:
    fields = Fields(value, "the duplicates of a report")
    duplicates: dict[str, Any] = {
        "images": fields.whole("images"),
        "across_splits": fields.whole("across_splits"),
        # Not in a report that was written before they were counted.
        "leaks": {
            split: counts(of, "leaks") for split, of in fields.object("leaks", default={}).items()
        },
        "conflicts": fields.whole("conflicts", default=0),
        "examples": {
            kind: _pair(paths) for kind, paths in fields.object("examples", default={}).items()
        },
    }
    if not duplicates["examples"].keys() <= _EXAMPLES:
        refuse("examples", " and ".join(sorted(_EXAMPLES)), duplicates["examples"])
    fields.end()
    return duplicates


def _near_duplicates(value: object) -> dict[str, Any]:
    fields = Fields(value, "the near-duplicates of a report")
    counted = (
        *("compared", "distance", "crowded", "images", "groups"),
        *("across_splits", "conflicts", "dropped"),
    )
    near: dict[str, Any] = {
        **{name: fields.whole(name) for name in counted},
        "leaks": {split: counts(of, "leaks") for split, of in fields.object("leaks").items()},
        "examples": {kind: _pair(paths) for kind, paths in fields.object("examples").items()},
    }
    if not near["examples"].keys() <= _EXAMPLES:
        refuse("examples", " and ".join(sorted(_EXAMPLES)), near["examples"])
    fields.end()
    return near


def _pair(value: object) -> list[str]:
    if not isinstance(value, list) or len(value) != 2:
        refuse("examples", "two paths", value)
    return [text(path, "examples") for path in value]


def _channels(value: object, name: str) -> dict[str, float] | None:
    return by_channel(stored_channels(value, name))


def _passed(value: object) -> dict[str, Any]:
    fields = Fields(value, "what was passed over")
    passed = {
        "reason": fields.text("reason"),
        "count": fields.whole("count"),
        "example": fields.text("example"),
    }
    fields.end()
    return passed


def _stored_refusal(value: object) -> dict[str, str]:
    fields = Fields(value, "a refused image")
    refusal = {name: fields.text(name) for name in ("path", "reason", "detail")}
    fields.end()
    return refusal
