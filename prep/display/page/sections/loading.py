"""The lines that load the data, as they stand in the page."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from prep.display.page.facts import Facts
from prep.display.page.section import Section, View, make_section
from prep.planning.plan import RunPlan
from prep.storage import store
from prep.text import one_line


def load(view: View) -> Section | None:
    """The lines that load the data, of a split that is there."""
    there = complete(view.facts)
    if not there:
        return None
    missing = [one_line(split) for split in view.facts.splits if split not in there]
    values = {**lines(view.facts), "missing": ", ".join(missing)}
    return make_section("load", "Load the data", values, short="Load")


def complete(facts: Facts) -> list[str]:
    """The splits that can be loaded: all of their shards are committed, and hold anything.

    Those that one trains on come first.
    """
    planned = Counter(shard.split for shard in facts.plan.shards)
    there = [s for s, t in facts.totals.items() if t.shards == planned[s] and t.images]
    return sorted(there, key=lambda split: split not in facts.references)


def lines(facts: Facts) -> dict[str, str]:
    """The code that loads the data."""
    split = complete(facts)[0]
    return {
        "with_prep": with_prep(facts.root, split),
        "with_tensorflow": with_tensorflow(facts.root, facts.plan, split),
        "elements_are": describe_elements(facts.plan),
    }


def with_prep(root: Path, split: str) -> str:
    """Three lines that give batches of a split, by :func:`prep.load`."""
    return (
        "import prep\n"
        f"dataset = prep.load({str(root)!r}, {split!r})\n"
        "dataset = dataset.shuffle(2000).batch(128).prefetch(2)\n"
    )


def with_tensorflow(root: Path, plan: RunPlan, split: str) -> str:
    """The same without this package."""
    compression = f", compression_type={plan.compression!r}" if plan.compression else ""
    return "\n".join(
        (
            *_imports(root),
            "import tensorflow as tf",
            "",
            "def parse(record):",
            "    features = {",
            '        "image_raw": tf.io.FixedLenFeature([], tf.string),',
            f'        "label": tf.io.FixedLenFeature({_label_shape(plan)}, tf.int64),',
            "    }",
            "    example = tf.io.parse_single_example(record, features)",
            f"    image = {_decoding(plan)}",
            f'    return tf.reshape(image, {_shape(plan)}), example["label"]',
            "",
            *_files(root / split),
            f"dataset = tf.data.TFRecordDataset(files{compression}).map(parse)",
            "",
        )
    )


def _imports(root: Path) -> list[str]:
    return ["import fsspec"] if store.is_remote(root) else ["from pathlib import Path"]


def _files(folder: Path) -> list[str]:
    if store.is_remote(folder):  # Which TensorFlow mostly can't open by itself.
        return [f'files = sorted(fsspec.open_local("simplecache::{folder}/*.tfrecord"))']
    return [
        f"folder = Path({str(folder)!r})",
        'files = sorted(str(path) for path in folder.glob("*.tfrecord"))',
    ]


def describe_elements(plan: RunPlan) -> str:
    """What comes out of either.

    For instance: images are uint8, 256 × 256 × 3; labels are int64.
    """
    size, width = plan.settings.size, plan.labels.width
    label = "one int64" if width is None else f"{width} int64, one-hot"
    if plan.settings.encoding == "float32":
        kind = "float32, 0 to 255 with the mean subtracted"
    else:
        kind = "uint8, 0 to 255, the mean not subtracted"
    return f"Each element is an image ({size} × {size} × 3, RGB, {kind}) and its label ({label})."


def _label_shape(plan: RunPlan) -> str:
    return "[]" if plan.labels.width is None else f"[{plan.labels.width}]"


def _shape(plan: RunPlan) -> str:
    return f"({plan.settings.size}, {plan.settings.size}, 3)"


def _decoding(plan: RunPlan) -> str:
    if plan.settings.encoding == "jpeg":
        options = 'channels=3, dct_method="INTEGER_ACCURATE"'
        return f'tf.io.decode_jpeg(example["image_raw"], {options})'
    kind = "tf.uint8" if plan.settings.encoding == "raw" else "tf.float32"
    return f'tf.io.decode_raw(example["image_raw"], {kind})'
