"""The lines of code that load the data."""

from __future__ import annotations

from collections import Counter

from prep.display.page.facts import Facts
from prep.display.page.section import Section, View, make_section
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
    }
    return make_section("load", "Load the data", values, short="Load")


def complete_splits(facts: Facts) -> list[str]:
    """Return the splits with images whose shards are all committed, training splits first."""
    planned = Counter(shard.split for shard in facts.plan.shards)
    there = [s for s, t in facts.totals.items() if t.shards == planned[s] and t.images]
    return sorted(there, key=lambda split: split not in facts.references)
