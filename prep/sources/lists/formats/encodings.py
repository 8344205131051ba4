"""The text of a list, from its bytes."""

from __future__ import annotations

import codecs

from prep.errors import SourceError
from prep.text import quoted

_BYTE_ORDER_MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def text_of_list(name: str, data: bytes) -> str:
    """Return the text of a list: UTF-8, or UTF-16 with a byte order mark.

    Raises:
        SourceError: it is in another encoding, has NUL bytes, or is empty.
    """
    encoding = _BYTE_ORDER_MARKS.get(data[:2], "utf-8-sig")
    if encoding == "utf-8-sig" and b"\0" in data:
        line = data.count(b"\n", 0, data.index(b"\0")) + 1
        raise SourceError(
            f"source: {quoted(name)}: line {line} has a NUL byte, as text in UTF-16 without a "
            "byte order mark does, or a damaged file; save it as UTF-8"
        )
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        what = "UTF-16" if encoding == "utf-16" else "UTF-8"
        raise SourceError(
            f"source: {quoted(name)}: line {line} is not valid {what} (byte "
            f"0x{data[error.start]:02X}), as if the list were in Latin-1 or another encoding; "
            "save it as UTF-8"
        ) from None
    if not text.strip():
        raise SourceError(f"source: {quoted(name)} is empty; expected a list of images")
    return text
