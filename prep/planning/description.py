"""Facts about a plan, in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from prep.config.model import Config
from prep.config.split_rules import SplitRules
from prep.config.subset_rules import SubsetRules
from prep.planning.continued import describe_outdated
from prep.settings.image_settings import Size
from prep.sources.base import UNLABELLED
from prep.sources.labelling.label_rules import LabelRules
from prep.text import counted, quoted, size_text

if TYPE_CHECKING:
    from prep.planning.plan import RunPlan


#: The name of the fact that a run could not begin.
OBSTACLE = "can't run"
_ELSEWHERE = {"source", "output", "label_map", "storage_options"}  # Said by other facts, or secret.


def plan_facts(
    plan: RunPlan, expected: Iterable[tuple[str, str]] = (), needed: int | None = None
) -> list[tuple[str, str]]:
    """Names and values, for tables.

    Args:
        expected: facts that were estimated.
        needed: bytes that a run is expected to write, where that was estimated.
    """
    return [
        ("source", f"{plan.shown_source}, {size_text(plan.source_bytes)}"),
        *([("read as", plan.read_as)] if plan.read_as else []),
        ("output", plan.config.output),
        ("classes", _classes(plan)),
        ("labels", plan.labels_from),
        *(("warning", doubt) for doubt in plan.doubts),
        *(("warning", doubt) for doubt in plan.labels.doubts(plan.class_totals)),
        *balance_facts({split: of.to_json() for split, of in plan.balance.items()}),
        ("shards", _shards(plan)),
        *expected,
        *([("outdated", describe_outdated(plan.outdated))] if plan.outdated else []),
        *_state(plan, needed),
        ("settings", _settings(plan.config)),
        *(
            ("passed over", f"{i.count:,} × {i.reason}, such as {quoted(i.example)}")
            for i in plan.ignored
        ),
    ]


def _classes(plan: RunPlan) -> str:
    totals = plan.class_totals
    images = [totals[name] for name in plan.labelled]
    without = totals[UNLABELLED]
    rest = f"{counted(without, 'image')} without a label" if without else ""
    if not images:
        return f"none: {rest}"
    if plan.labels.target == "value":
        return "none, but a value for each image"
    count = f"{len(plan.single_classes):,}"
    if plan.labels.target == "multi":
        count += f" in {counted(len(images), 'combination')}"
    said = f"{count}, with {_span(min(images), max(images))}"
    return f"{said}; {rest}" if rest else said


def balance_facts(balance: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return the balance of each of several splits, as names and values.

    Args:
        balance: of each split, from :meth:`prep.planning.splitting.balance.SplitBalance.to_json`.
    """
    classes = max((of["classes"] for of in balance.values()), default=0)
    few = len(balance) < 2
    return [] if few else [("split", describe_balance(*of, classes)) for of in balance.items()]


def describe_balance(split: str, balance: Mapping[str, Any], classes: int) -> str:
    """Describe the balance of a split in a line.

    Args:
        split: its name.
        balance: see :func:`balance_facts`.
        classes: the number of classes that the splits have.

    >>> describe_balance(
    ...     "val", {"images": 9, "classes": 2, "least": 4, "most": 5, "share": 0.3, "skew": 0.02}, 3
    ... )
    'val: 9 images of 2 of 3 classes, 4 to 5 images each; its mix of classes is 2.0% off'
    """
    of = f"{balance['classes']:,} of " if balance["classes"] < classes else ""
    images = counted(balance["images"], "image")
    each = f"{of}{counted(classes, 'class')}, {_span(balance['least'], balance['most'])}"
    off = describe_share(balance) or f"its mix of classes is {balance['skew']:.1%} off"
    return f"{split}: {images} of {each}; {off}"


def describe_share(balance: Mapping[str, Any]) -> str:
    """Describe what a split has got of its pool, and what was asked for; nothing if it was found.

    Args:
        balance: see :func:`balance_facts`.
    """
    made = balance.get("made")
    if made is None:
        return ""
    off = abs(made["class_images"] - made["class_asked"])
    name = made["class_name"]
    which = "what has no label" if name == UNLABELLED else f"class {quoted(name)}"
    farthest = f"{which} is {off:,.1f} images off its share"
    return f"{made['images'] / made['of']:.1%} of its pool, {made['asked']:.1%} asked for, " + (
        "each class to within one image" if off < 1 else farthest
    )


def _shards(plan: RunPlan) -> str:
    sizes = [shard.images for shard in plan.shards]
    return f"{len(sizes):,}, with {_span(min(sizes), max(sizes))}"


def _span(least: int, most: int) -> str:
    if least == most:
        return f"{counted(least, 'image')} each"
    return f"{least:,} to {counted(most, 'image')} each"


def _state(plan: RunPlan, needed: int | None) -> Iterator[tuple[str, str]]:
    state = plan.state
    if state is None:
        return
    if state.obstacle is not None:
        yield OBSTACLE, str(state.obstacle)
    if state.growth:
        yield "append", state.growth
    if state.complete:
        yield "done already", "all shards are there; a run would write none"
    elif state.committed:
        there = f"{state.committed:,} of {counted(len(plan.shards), 'shard')} are there"
        left = counted(len(plan.shards) - state.committed, "shard")
        yield (
            "done already",
            f"{there}; {left} with {counted(state.images_left or 0, 'image')} would be written",
        )
    if state.suspect is not None:
        yield (
            "warning",
            f"{state.suspect}, may be at work in the output; a run would first watch whether it is",
        )
    if state.free is not None and not state.complete:
        short = needed is not None and needed > state.free
        wanted = f"; too little for about {size_text(needed or 0)}: make room first"
        yield "free space", size_text(state.free) + (wanted if short else "")


def _settings(config: Config) -> str:
    changed = [
        f"{key}: {setting_text(getattr(config, key))}"
        for key, field in type(config).model_fields.items()
        if key not in _ELSEWHERE and getattr(config, key) != field.default
    ]
    return ", ".join(changed) or "all as by default"


def setting_text(value: Any) -> str:
    """Return the value of a key as people write it.

    >>> setting_text(("train", "val")), setting_text({"image": "path", "label": ("a", "b")})
    ('train,val', '{image: path, label: [a, b]}')
    >>> setting_text(Size(224, 336))
    '224x336 (height x width)'
    >>> setting_text(LabelRules.parse({"from": "leaf", "rename": {"pug": "dog"}}))
    '{from: leaf, rename: {pug: dog}}'
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Size):
        return f"{value} (height x width)"
    if isinstance(value, LabelRules | SplitRules | SubsetRules):
        value = value.to_json()
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{name}: {_inner(of)}' for name, of in value.items())}}}"
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _inner(value: Any) -> str:
    """Return a value in a mapping, with a list in brackets, because commas end it."""
    text = setting_text(value)
    return f"[{', '.join(map(str, value))}]" if isinstance(value, (list, tuple)) else text
