"""The schema of a table: which column holds images, and the names of its classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prep.errors import ConfigError, SourceError
from prep.parsing import parse_json, parse_yaml
from prep.sources.lists.roles import is_role
from prep.storage.location import Location
from prep.text import nearest, quoted

if TYPE_CHECKING:
    import pyarrow as pa

#: The child of a struct that holds the bytes of an image, as Hugging Face has it.
BYTES = "bytes"
_METADATA = b"huggingface"
_INFO, _README = "dataset_info.json", "README.md"
# First bytes of the formats that images in tables have: JPEG, PNG, GIF, BMP, TIFF, WebP, JPEG 2000.
_MAGIC = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"RIFF", b"\0\0\0\x0cjP")
_LARGEST_README = 4 << 20  # 4 MiB


@dataclass(frozen=True, slots=True)
class ImageColumn:
    """A column of images: its name, and its path in a Parquet file: ``image.bytes``."""

    name: str
    path: str


def looks_like_image(data: bytes) -> bool:
    r"""Return whether bytes begin as an image does.

    >>> looks_like_image(b"\xff\xd8\xff\xe0"), looks_like_image(b"a.jpg")
    (True, False)
    """
    return data.startswith(_MAGIC)


def struct_columns(schema: pa.Schema) -> list[ImageColumn]:
    """Return the columns that hold the bytes of images in a struct, as Hugging Face has them."""
    import pyarrow.types as types

    return [
        ImageColumn(field.name, f"{field.name}.{BYTES}")
        for field in schema
        if types.is_struct(field.type)
        and field.type.get_field_index(BYTES) >= 0
        and _is_binary(field.type.field(BYTES).type)
    ]


def binary_columns(schema: pa.Schema) -> list[ImageColumn]:
    """Return the columns of bytes, which may be those of images."""
    return [ImageColumn(field.name, field.name) for field in schema if _is_binary(field.type)]


def _is_binary(kind: pa.DataType) -> bool:
    import pyarrow.types as types

    if types.is_dictionary(kind):
        return _is_binary(kind.value_type)
    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def choose_column(
    columns: Sequence[ImageColumn], schema: pa.Schema, asked: str | None, name: str
) -> ImageColumn:
    """Return the column of images that is asked for, or the only one, or the one that is named so.

    Args:
        columns: those that hold images.
        asked: ``columns.image`` of a configuration.
        name: the path or URL of the file, for messages.

    Raises:
        ConfigError: the column that is asked for holds no images.
        SourceError: none does, or several do.
    """
    told = ", ".join(quoted(column.name) for column in columns)
    if asked is not None:
        known = [*columns, *binary_columns(schema)]
        found = next((column for column in known if column.name == asked), None)
        if found is not None:
            return found
        near = nearest(asked, [column.name for column in columns])
        raise ConfigError(
            f"columns.image: got {quoted(asked)}, which is no column of images in {quoted(name)}; "
            + (f"did you mean {quoted(near)}? " if near else "")
            + f"columns of images: {told or 'none'}"
        )
    named = [column for column in columns if is_role(column.name, "image")]
    if len(columns) == 1 or len(named) == 1:
        return columns[0] if len(columns) == 1 else named[0]
    if columns:
        raise SourceError(
            f"source: {quoted(name)}: columns {told} all hold images; name the one to prepare with "
            "`columns.image`"
        )
    raise SourceError(f"source: {quoted(name)}: {_without_images(schema)}")


def _without_images(schema: pa.Schema) -> str:
    """Describe a schema that has no column of images, with a remedy."""
    import pyarrow.types as types

    several = [
        field.name
        for field in schema
        if (types.is_list(field.type) or types.is_large_list(field.type))
        and (_is_binary(field.type.value_type) or types.is_struct(field.type.value_type))
    ]
    if several:
        return (
            f"column {quoted(several[0])} holds several images in a row; expected one: write a "
            "table with a row for each image"
        )
    found = ", ".join(map(quoted, schema.names)) or "none"
    return (
        f"no column holds the bytes of images; columns found: {found}; expected bytes, or a struct "
        "of bytes and path"
    )


def class_names(schema: pa.Schema) -> dict[str, tuple[str, ...]]:
    """Return the names of classes in a schema's metadata, by the column that numbers them."""
    text = (schema.metadata or {}).get(_METADATA)
    if text is None:
        return {}
    try:
        value = parse_json(text)
    except ValueError:
        return {}
    info = value.get("info") if isinstance(value, dict) else None
    return _of_features(info.get("features") if isinstance(info, dict) else None)


def class_names_beside(folder: Location) -> dict[str, tuple[str, ...]]:
    """Return the names of classes that files of Hugging Face's libraries in a folder tell.

    They are ``dataset_info.json``, which ``datasets`` writes beside its tables, and the metadata of
    a ``README.md``, as https://huggingface.co/docs/hub/datasets-cards has it.
    """
    info = _read(folder / _INFO)
    if info is not None:
        try:
            value = parse_json(info)
        except ValueError:
            value = None
        if isinstance(value, dict) and (found := _of_features(value.get("features"))):
            return found
    return _of_card(_read(folder / _README) or b"")


def _read(file: Location) -> bytes | None:
    try:
        return file.read_patiently() if file.is_file() else None
    except OSError as error:
        file.require_answer(error, "source: can't read what describes a table")
        return None


def _of_card(data: bytes) -> dict[str, tuple[str, ...]]:
    """Return the names of classes in the metadata that a README begins with."""
    parts = data[:_LARGEST_README].decode(errors="replace").split("---\n", 2)
    if len(parts) < 3 or parts[0].strip():
        return {}
    try:
        value = parse_yaml(parts[1])
    except ValueError:
        return {}
    infos = value.get("dataset_info") if isinstance(value, dict) else None
    infos = infos if isinstance(infos, list) else [infos]
    found = [_of_features(i.get("features")) for i in infos if isinstance(i, dict)]
    return found[0] if found and all(names == found[0] for names in found) else {}


def _of_features(features: Any) -> dict[str, tuple[str, ...]]:
    """Return the names of classes in features, which are a mapping, or a list in YAML."""
    if isinstance(features, list):
        features = {
            item.get("name"): _class_label(item) for item in features if isinstance(item, dict)
        }
    if not isinstance(features, dict):
        return {}
    found = {}
    for column, feature in features.items():
        if isinstance(feature, dict) and isinstance(feature.get("feature"), dict):
            feature = feature["feature"]  # Of a list of classes.
        names = feature.get("names") if isinstance(feature, dict) else None
        listed = _in_order(names)
        if isinstance(column, str) and listed:
            found[column] = listed
    return found


def _class_label(item: Mapping[str, Any]) -> Any:
    """Return the classes of a feature in YAML, which may be those of a list."""
    for kind in (item.get("dtype"), item.get("sequence"), item.get("list")):
        if isinstance(kind, dict) and kind.get("class_label"):
            return kind["class_label"]
    return None


def _in_order(names: Any) -> tuple[str, ...]:
    """Return the names of classes, of a list or of a mapping of number to name; none if unsure."""
    if isinstance(names, Mapping):
        by_number = {str(number): name for number, name in names.items()}
        names = [by_number.get(str(number)) for number in range(len(by_number))]
    if not isinstance(names, list) or not all(isinstance(name, str | int) for name in names):
        return ()
    return tuple(map(str, names))
