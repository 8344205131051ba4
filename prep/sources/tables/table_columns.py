"""The columns of a set of tables, and their roles, as its first table has them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from prep.errors import SourceError
from prep.sources.base import Wanted
from prep.sources.layouts.base import Place, columns_given
from prep.sources.layouts.sample_catalog import names_of_classes
from prep.sources.lists.formats.column_files import (
    as_text,
    is_list_of_plain,
    is_plain,
)
from prep.sources.lists.list_table import SAMPLED, ListTable
from prep.sources.lists.roles import (
    Roles,
    columns_of_labels,
    find_roles,
    is_role,
    show_flags,
)
from prep.sources.tables.table_files import TableFile
from prep.sources.tables.table_labels import NumberedColumns, has_label_columns
from prep.sources.tables.table_opening import open_table, reading_table
from prep.sources.tables.table_schema import (
    ImageColumn,
    choose_column,
    class_names,
    class_names_beside,
)
from prep.text import quoted


@dataclass(frozen=True, kw_only=True)
class SetColumns:
    """The columns of a set, as its first table has them.

    Attributes:
        image: that of the images.
        table: all that can be taken for text, and the image's; the first rows.
        roles: of the columns.
        numbered: the columns that hold whole numbers.
        form: the format of the tables, in words.
    """

    image: ImageColumn
    table: ListTable
    roles: Roles
    numbered: NumberedColumns
    form: str

    @property
    def needed(self) -> list[int]:
        """The positions of the columns that have a role, or may be flags of classes."""
        roles, sample = self.roles, self.table.sample
        flags = () if roles.label or not show_flags(sample, roles.rest) else roles.rest
        others = [at for at in (roles.split, roles.group) if at is not None]
        return list(dict.fromkeys([*roles.label, *others, *flags]))


def columns_of_set(place: Place, file: TableFile, wanted: Wanted) -> SetColumns:
    """Return the columns of a set, by its first table."""
    beside = file.place
    given = columns_given(wanted)
    with reading_table(beside), closing(beside.location.open_regular()) as opened:
        found = open_table(beside, opened)
        image = choose_column(found.image_columns(), found.schema, given.get("image"), file.name)
        if found.lacks_images(image):
            raise SourceError(
                f"source: {quoted(file.name)}: column {quoted(image.name)} holds no images, but at "
                "most names of files; give the folder of these files as the source, or write the "
                "table with them, as to_parquet of Hugging Face's datasets does"
            )
        plain = [each.name for each in found.schema if _is_usable(each, given)]
        texts = [as_text(column).to_pylist() for column in found.columns(plain, SAMPLED)]
    others = (n for n in found.schema.names if n not in plain and n != image.name)
    table = ListTable(
        name=place.name,
        form=found.form,
        columns=(*plain, image.name),
        sample=[(*row, "") for row in zip(*texts, strict=True)],
        load=lambda _: (),
        places=lambda _: (),
        unusable=tuple(others),
    )
    roles = find_roles(table, {**given, "image": image.name}, labels=has_label_columns(wanted))
    return SetColumns(
        image=image,
        table=table,
        roles=roles,
        numbered=NumberedColumns(
            columns=frozenset(f.name for f in found.schema if _holds_integers(f.type)),
            names=class_names(found.schema) or _names_beside(place, file),
            beside=names_of_classes(place),
        ),
        form=found.form,
    )


def _is_usable(field: pa.Field, given: Mapping[str, Any]) -> bool:
    """Return whether a column can be taken for text; one of labels may hold lists."""
    for_labels = field.name in columns_of_labels(given) or is_role(field.name, "label")
    return is_plain(field.type) or (for_labels and is_list_of_plain(field.type))


def _holds_integers(kind: pa.DataType) -> bool:
    inner = kind.value_type if is_list_of_plain(kind) else kind
    return bool(pa.types.is_integer(inner))


def _names_beside(place: Place, file: TableFile) -> Mapping[str, tuple[str, ...]]:
    """Return the names of classes that files beside a table, or in folders above it, tell."""
    folder = file.location.parent
    while True:
        found = class_names_beside(folder)
        if found or not place.is_folder or folder == place.location:
            return found
        folder = folder.parent
