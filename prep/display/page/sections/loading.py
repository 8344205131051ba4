"""The lines of code that load the data."""

from __future__ import annotations

from collections import Counter
from typing import Any

from prep.display.page.facts import Facts
from prep.display.page.section import Section, View, make_section
from prep.output.layout import OutputLayout
from prep.planning.label_form import LabelForm
from prep.settings.choices import IMAGE_FILES


def load(view: View) -> Section | None:
    """Return the code that loads a complete split; None if there is none."""
    facts, plan = view.facts, view.facts.plan
    splits = complete_splits(facts)
    if not splits:
        return None
    settings = plan.settings
    values = {
        "root": str(facts.root),
        "remote": facts.root.is_remote,  # Libraries mostly can't open its URLs.
        "split": splits[0],
        "format": plan.config.format,
        "missing": [split for split in facts.splits if split not in splits],
        "height": settings.height,
        "width": settings.width,
        "channels": settings.channels,
        "same_size": settings.same_size,
        "encoding": settings.encoding,
        "extension": IMAGE_FILES.get(settings.encoding, "npy"),
        "one_hot": plan.labels.width,
        "compression": plan.compression,
        "image": plan.features.image,
        "label": plan.features.label,
        **_labels(plan.label_form),
        **_published(facts, splits[0]),
    }
    return make_section("load", "Load the data", values, short="Load")


def _labels(form: LabelForm) -> dict[str, Any]:
    """Return how labels are called, and how TensorFlow reads them."""
    size, type_name = form.shape[0] if form.shape else None, form.dtype.name
    words = {"class": "one-hot", "multi": "a 1 for each of its classes", "soft": "by class number"}
    return {
        "target": form.target,
        "label_words": f"one {type_name}"
        if size is None
        else f"{size} {type_name}, {words[form.target]}",
        "label_feature": f"tf.io.RaggedFeature(tf.{type_name})"
        if form.length is None
        else f"tf.io.FixedLenFeature([{size or ''}], tf.{type_name})",
        "classes": size,
    }


def _published(facts: Facts, split: str) -> dict[str, bool]:
    """Return which of the files that other readers need are there, on this machine."""
    layout, root = OutputLayout(facts.root), facts.root
    first = next(shard for shard in facts.plan.shards if shard.split == split)
    return {
        "described": not root.is_remote and layout.dataset_info.is_file(),
        "indexed": not root.is_remote and layout.index_of(first).is_file(),
    }


def complete_splits(facts: Facts) -> list[str]:
    """Return the splits with images whose shards are all committed, training splits first."""
    planned = Counter(shard.split for shard in facts.plan.shards)
    there = [s for s, t in facts.totals.items() if t.shards == planned[s] and t.images]
    return sorted(there, key=lambda split: split not in facts.references)
