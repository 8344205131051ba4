"""Lists as images, annotations and categories in JSON: COCO and iNaturalist."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, NoReturn

from prep.errors import SourceError
from prep.sources.labels import BETWEEN
from prep.sources.lists.list_table import ListTable, rows_of_text
from prep.text import MANY, counted, kind_of, quoted, some


def table_of_annotations(name: str, value: dict[str, Any], given: Mapping[str, Any]) -> ListTable:
    """Return the table of images with annotations that name a category each, as COCO has them.

    https://cocodataset.org/#format-data
    """
    return _Annotations(name, value, given).table()


class _Annotations:
    """Images, annotations and categories.

    The label of an image is the name of its category, or the names of all its categories; with
    ``columns.label`` it is another of their keys, such as ``id`` or ``supercategory``.
    """

    def __init__(self, name: str, value: dict[str, Any], given: Mapping[str, Any]) -> None:
        self._name = name
        self._images = self._objects(value, "images", "id")
        self._annotations = self._objects(value, "annotations", "image_id", "category_id")
        self._categories = {str(c["id"]): c for c in self._objects(value, "categories", "id")}
        label = given.get("label", "name")
        self._key = {"category_id": "id", "category": "name"}.get(label, label)
        self._file = given.get("image", "file_name")

    def _objects(self, value: dict[str, Any], part: str, *keys: str) -> list[dict[str, Any]]:
        found = value.get(part, [])
        if not isinstance(found, list):
            self._refuse(f"{quoted(part)} is {kind_of(found)}; expected a list of objects")
        for number, item in enumerate(found, 1):
            if not isinstance(item, dict) or any(item.get(key) is None for key in keys):
                self._refuse(
                    f"item {number} of {quoted(part)} is no object with {' and '.join(keys)}; "
                    "expected the format of COCO"
                )
        return found

    def table(self) -> ListTable:
        """Return a row for each image."""
        labels = self._labels()
        rows = []
        for number, image in enumerate(self._images, 1):
            file = image.get(self._file)
            if not isinstance(file, str):
                self._refuse(
                    f"image {number} has no {quoted(self._file)}; name it with `columns.image`"
                )
            rows.append((file, labels.get(str(image["id"]), "")))
        ids = [str(image["id"]) for image in self._images]
        return rows_of_text(
            self._name,
            "COCO",
            (self._file, self._key),
            rows,
            lambda wanted: [f"image {ids[row]}" for row in wanted],
            class_names=self._class_names(),
            fixed={"image": self._file, "label": self._key},
        )

    def _labels(self) -> dict[str, str]:
        """Return the label of each image, by its id."""
        found: defaultdict[str, set[str]] = defaultdict(set)
        for annotation in self._annotations:
            found[str(annotation["image_id"])].add(str(annotation["category_id"]))
        unknown = sorted({c for ids in found.values() for c in ids} - self._categories.keys())
        if unknown:
            self._refuse(
                f"annotations name {counted(len(unknown), 'category id')} that 'categories' "
                f"lacks: {some(unknown, most=MANY)}"
            )
        absent = sorted(found.keys() - {str(image["id"]) for image in self._images})
        if absent:
            self._refuse(
                f"annotations of {counted(len(absent), 'image')} that 'images' lacks: "
                f"{some(absent, most=MANY)}"
            )
        names = {number: self._label(category) for number, category in self._categories.items()}
        self._require_distinct(names)
        return {
            image: BETWEEN.join(sorted({names[number] for number in ids}))
            for image, ids in found.items()
        }

    def _label(self, category: Mapping[str, Any]) -> str:
        label = category.get(self._key)
        if not isinstance(label, str) or not label:
            keys = ", ".join(map(quoted, category))
            self._refuse(
                f"category {category['id']} has no {quoted(self._key)}; choose another key for "
                f"the labels, such as `columns.label='id'`; there are {keys}"
            )
        return label

    def _require_distinct(self, names: Mapping[str, str]) -> None:
        """Raise SourceError if two categories have one name, which hardly are one class."""
        seen: dict[str, str] = {}
        for number, label in names.items():
            if label in seen and self._key == "name":
                self._refuse(
                    f"categories {seen[label]} and {number} are both called {quoted(label)}; pass "
                    "`columns.label='id'` to tell them apart by their ids"
                )
            seen[label] = number

    def _class_names(self) -> dict[str, str]:
        if self._key == "name":
            return {}
        return {
            str(category[self._key]): category["name"]
            for category in self._categories.values()
            if isinstance(category.get("name"), str) and self._key == "id"
        }

    def _refuse(self, what: str) -> NoReturn:
        raise SourceError(f"source: {quoted(self._name)}: {what}")
