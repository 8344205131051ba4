"""Files that hold images or labels in forms that are not read, told by their first bytes."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

from prep.sources.folders.names import is_document
from prep.sources.folders.tree import Tree
from prep.storage.locate import locate
from prep.text import quoted

_HEAD = 64
_MOST = 8  # Files that are looked at.
_TABLE = "save the table as CSV, and give that as the source"
_EXPORT = "write the images to files, one for each, and give their folder as the source"
_ARRAYS = f"{_EXPORT}, or pass the arrays from Python"
# By the first bytes; https://www.garykessler.net/library/file_sigs.html
_FORMS: tuple[tuple[bytes, str], ...] = (
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", f"is a document of Office, such as a workbook; {_TABLE}"),
    (b"MATLAB ", f"is a file of MATLAB; {_TABLE}"),
    (b"\x89HDF\r\n\x1a\n", f"is an HDF5 file; {_ARRAYS}"),
    (b"\x93NUMPY", f"is an array of NumPy; {_ARRAYS}"),
    (b"\x80\x02", f"is a pickle of Python; {_ARRAYS}"),
    (b"\x80\x03", f"is a pickle of Python; {_ARRAYS}"),
    (b"\x80\x04", f"is a pickle of Python; {_ARRAYS}"),
    (b"\x80\x05", f"is a pickle of Python; {_ARRAYS}"),
    (b"\0\0\x08\x01", f"is a file of labels as MNIST has them (IDX); {_ARRAYS}"),
    (b"\0\0\x08\x03", f"is a file of images as MNIST has them (IDX); {_ARRAYS}"),
    (b"SQLite format 3\0", f"is a database of SQLite; {_TABLE}"),
    (b"Obj\x01", f"is an Avro file; {_EXPORT}"),
    (b"ORC", f"is an ORC file; {_TABLE}"),
    (b"\x0a\x23\xd7\xce", f"is a RecordIO file of MXNet; {_EXPORT}"),
    (b"\xff\xd8\xff", "is one image; give its folder, an archive or a list as the source"),
    (b"\x89PNG\r\n\x1a\n", "is one image; give its folder, an archive or a list as the source"),
)
_WORKBOOKS = (b"[Content_Types].xml", b"_rels/.rels", b"xl/", b"mimetypeapplication/vnd.oasis")


def unread_form(head: bytes) -> str | None:
    r"""Return what a file is that holds images or labels but is not read, and what to do.

    Args:
        head: its first bytes, 64 or more.

    Returns:
        words that follow the name of the file; None if it is nothing of this kind.

    >>> unread_form(b"\x89HDF\r\n\x1a\n")[:16], unread_form(b"path,label\n")
    ('is an HDF5 file;', None)
    """
    if head.startswith(b"PK\x03\x04") and head[30:64].startswith(_WORKBOOKS):
        return f"is a workbook of Excel or the like; {_TABLE}"
    return next((told for magic, told in _FORMS if head.startswith(magic)), None)


def unread_in(tree: Tree) -> str | None:
    """Return the first file in some folders that is in such a form, and what it is."""
    if tree.is_packed:
        return None
    for path in itertools.islice(_others(tree), _MOST):
        try:
            with (locate(tree.source) / os.fsdecode(path)).open_regular() as file:
                told = unread_form(bytes(file.read(_HEAD)))
        except OSError:  # It is named among those that are no images.
            continue
        if told is not None:
            return f"{quoted(os.fsdecode(path))} {told}"
    return None


def _others(tree: Tree) -> Iterator[bytes]:
    """Yield the files in a tree that are no images, but for texts and the like."""
    for folder in tree.walk(b"", set()):
        for name in folder.files:
            if not is_document(name) or name.endswith((b".xlsx", b".xls", b".mat")):
                yield os.path.join(folder.path, name)
