"""Whether a file ends before it should, by what it says of its own length.

Most decoders say no more of such a file than of any other that is damaged.
"""

from __future__ import annotations

from prep.images.jpeg2000 import boxes, is_cut_codestream


def is_cut_off(name: str, data: bytes) -> bool:
    """Whether a file says that there is more of it; of some formats, none does."""
    if name == "WebP":  # RFC 9649, section 2.4
        return 8 + int.from_bytes(data[4:8], "little") > len(data)
    if name == "BMP":  # BITMAPFILEHEADER, bfSize
        return int.from_bytes(data[2:6], "little") > len(data)
    if name == "GIF":  # GIF89a, section 27
        return not data.endswith(b";")
    if name == "AVIF":
        return any(end > len(data) for _, _, end in boxes(data))
    return name == "JPEG 2000" and is_cut_codestream(data)
