"""TFRecord files of others as a layout."""

from __future__ import annotations

import os
import re

from prep.sources.base import Catalog, Wanted
from prep.sources.layouts.base import Place
from prep.sources.layouts.shard_files import first_shard, holds_images
from prep.text import quoted

# ``train.tfrecord``, ``mnist-train.tfrecord-00000-of-00001`` or ``train-00000-of-01024``.
_NAME = re.compile(
    rb".*\.(tfrecords?|tfrec)([-_]\d+-of-\d+)?(\.gz|\.gzip|\.zlib|\.zz)?|.+-\d+-of-\d+",
    re.IGNORECASE | re.DOTALL,
)


class TFRecordLayout:
    """TFRecord files of ``tf.train.Example`` with encoded images, one or a folder of them."""

    title = "TFRecords"
    keys = ("columns", "label_offset")

    def recognizes(self, place: Place) -> str | None:
        """Return what shows that a file begins with a record, or the first of a folder does."""
        from prep.sources.records.record_frames import packing_of

        if not place.is_folder:
            return None if packing_of(place.head) is None else "it begins with a record"
        first = first_shard(place, is_record_name)
        if first is None or packing_of(first.head) is None or holds_images(place):
            return None
        return f"by the records in {quoted(os.path.relpath(first.name, place.name))}"

    def catalog(self, place: Place, wanted: Wanted) -> Catalog:
        from prep.sources.records.tfrecord_catalog import catalog_of_records

        return catalog_of_records(place, wanted)


def is_record_name(name: bytes) -> bool:
    """Return whether a file is named like one of records."""
    return _NAME.fullmatch(name) is not None
