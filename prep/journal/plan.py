"""Read the plan of an output, and say what is wrong with it."""

from __future__ import annotations

import contextlib

import pyarrow as pa

from prep import image_list, storage
from prep.errors import PrepError, SourceError
from prep.layout import OutputLayout
from prep.parsing import LARGEST, parse_json
from prep.planning import count_shards
from prep.stored_plan import FORMAT, StoredPlan
from prep.text import quoted, reason_of, shown

_BELIEVED = 10_000  # shards of a plan, without looking for what else speaks for them


def read_plan(layout: OutputLayout) -> StoredPlan | None:
    """Read the plan that an output holds or is to hold; None where there is none.

    Raises:
        PrepError: there is one, and it can't be read.
        StorageUnavailable: a storage does not answer.
    """
    try:
        value = parse_json(storage.read_at_most(layout.plan, LARGEST))
        if isinstance(value, dict) and value.get("format") != FORMAT:
            raise PrepError(
                f"{layout.plan}: format {shown(value.get('format'))}, expected "
                f"{FORMAT}; it was made by another version: use that, or another output"
            )
        return StoredPlan.from_json(value)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        storage.require_answer(layout.root, error)
        # What is there may be as it should be: this is no reason to replace it.
        raise PrepError(
            f"{layout.plan}: can't be read: {reason_of(error)}; make it "
            "readable, or choose another output"
        ) from None
    except ValueError as error:
        raise PrepError(
            f"{layout.plan}: is damaged, or was not written by prep: {reason_of(error)}; "
            "a run with `overwrite=True` starts afresh"
        ) from None


def no_plan(layout: OutputLayout) -> SourceError:
    """The error of who looks for an output where there is none, which says how much is absent."""
    absent, there = None, True
    root = quoted(str(layout.root))
    with contextlib.suppress(OSError):
        absent = storage.absent_bucket(layout.root)
        there = layout.root.exists()
    if absent:
        return SourceError(f"output: {root}: {absent} does not exist; expected a bucket")
    found = f"{root} holds no run (there is no plan in it)" if there else f"{root} does not exist"
    return SourceError(f"output: {found}; give the path that was the `output` of a run")


def require_listed(layout: OutputLayout, stored: StoredPlan) -> None:
    """Make sure that a plan of very many shards has the image list for it.

    Whoever looks at each of a plan's shards calls this first: a plan takes 20 bytes to claim a
    million of them.

    Raises:
        PrepError: there is none, or one of other length.
        StorageUnavailable: a storage does not say.
    """
    images = sum(stored.images.values())
    if count_shards(stored.images, stored.images_per_shard) <= _BELIEVED:
        return
    try:
        listed = f"{image_list.count(layout.manifest):,} images"
    except (OSError, ValueError, pa.ArrowException) as error:
        if isinstance(error, OSError):
            storage.require_answer(layout.root, error)
        listed = "nothing that can be read"
    if listed != f"{images:,} images":
        raise PrepError(
            f"{layout.plan}: claims {images:,} images, where {layout.manifest.name} "
            f"beside it lists {listed}; restore the one of the two that was changed, or start "
            "afresh with a run with `overwrite=True`"
        )
