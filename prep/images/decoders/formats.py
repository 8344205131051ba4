"""Image formats by the first bytes of a file, whatever its name."""

from __future__ import annotations

import re
from typing import NamedTuple

from prep.images.decoders.ifd import first_directory


class Format(NamedTuple):
    """An image format.

    Attributes:
        name: for people.
        supported: whether this package can decode it.
    """

    name: str
    supported: bool = False


# (offset, signature, format); the first match counts.
_MAGIC = (
    (0, b"\x89PNG\r\n\x1a\n", Format("PNG", True)),
    (0, b"GIF8", Format("GIF", True)),
    (0, b"BM", Format("BMP", True)),
    (0, b"\0\0\0\x0cjP  ", Format("JPEG 2000", True)),
    (0, b"\xff\x4f\xff\x51", Format("JPEG 2000", True)),
    (8, b"CR\x02\0", Format("camera raw (CR2)")),
    (0, b"II*\0", Format("TIFF", True)),
    (0, b"MM\0*", Format("TIFF", True)),
    (0, b"II+\0", Format("TIFF", True)),
    (0, b"MM\0+", Format("TIFF", True)),
    (0, b"\xff\x0a", Format("JPEG XL")),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", Format("JPEG XL")),
    (0, b"v/1\x01", Format("OpenEXR")),
    (0, b"8BPS", Format("PSD")),
    (0, b"gimp xcf", Format("XCF")),
    (0, b"FUJIFILMCCD-RAW", Format("camera raw (RAF)")),
    (0, b"IIRO", Format("camera raw (ORF)")),
    (0, b"IIRS", Format("camera raw (ORF)")),
    (0, b"MMOR", Format("camera raw (ORF)")),
    (0, b"IIU\0", Format("camera raw (RW2)")),
    (6, b"HEAPCCDR", Format("camera raw (CRW)")),
    (0, b"FOVb", Format("camera raw (X3F)")),
    (0, b"\0MRM", Format("camera raw (MRW)")),
    (0, b"II\xbc", Format("JPEG XR")),
    (0, b"BPG\xfb", Format("BPG")),
    (0, b"FLIF", Format("FLIF")),
    (0, b"qoif", Format("QOI")),
    (0, b"#?RADIANCE", Format("Radiance HDR")),
    (0, b"#?RGBE", Format("Radiance HDR")),
    (0, b"DDS ", Format("DDS")),
    (0, b"\xabKTX ", Format("KTX")),
    (0, b"icns", Format("ICNS")),
    (0, b"\0\0\x01\0", Format("ICO")),
    (0, b"\0\0\x02\0\x01\0", Format("CUR")),
    (0, b"AT&TFORM", Format("DjVu")),
    (0, b"\x8aMNG", Format("MNG")),
    (0, b"\x8bJNG", Format("JNG")),
    (128, b"DICM", Format("DICOM")),
    (0, b"SIMPLE  =", Format("FITS")),
    (0, b"\x59\xa6\x6a\x95", Format("Sun raster")),
    (0, b"\x01\xda", Format("SGI")),
    (0, b"\xd7\xcd\xc6\x9a", Format("WMF")),
    (0, b"/* XPM */", Format("XPM")),
    (0, b"P7\n", Format("PAM")),
    (0, b"PF\n", Format("floating-point PPM")),
    (0, b"Pf\n", Format("floating-point PPM")),
)
# ISO base media files name their brands in an `ftyp` box (ISO/IEC 14496-12, section 4.3).
_BRANDS = {
    **dict.fromkeys((b"avif", b"avis"), Format("AVIF", True)),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"), Format("HEIC")),
    **dict.fromkeys((b"mif1", b"msf1", b"mif2", b"1pic"), Format("HEIF")),
    b"crx ": Format("camera raw (CR3)"),
    b"jxs ": Format("JPEG XS"),
    b"vvic": Format("HEIF (VVC)"),
}
_PORTABLE_ANYMAP = re.compile(rb"P[1-6]\s")
_SVG = re.compile(
    rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*|<!DOCTYPE svg[^>]*>\s*)*<svg[\s>]", re.S
)
_BOM = b"\xef\xbb\xbf"
# TIFF 6.0 and DNG 1.4: tags that distinguish a camera's raw file from a picture.
_NEW_SUBFILE_TYPE, _SUB_IFDS, _DNG_VERSION = 254, 330, 50706


def format_of(data: bytes) -> Format | None:
    """Return the format of a file by its signature, or None; TGA, which is read, has none."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return Format("WebP", supported=True)
    if data[4:8] == b"ftyp":
        return _of_media_file(data)
    for at, magic, found in _MAGIC:
        if data.startswith(magic, at):
            return _of_tiff(data) if found.name == "TIFF" else found
    if _PORTABLE_ANYMAP.match(data):
        return Format("PPM", supported=True)
    if _SVG.match(data[:2048].removeprefix(_BOM)):
        return Format("SVG")
    return None


def _of_media_file(data: bytes) -> Format | None:
    """Look up the major brand, then the compatible brands; prefer a supported format."""
    size = int.from_bytes(data[:4], "big")
    brands = [data[8:12], *(data[at : at + 4] for at in range(16, min(size, 256), 4))]
    found = [_BRANDS[brand] for brand in brands if brand in _BRANDS]
    return next((f for f in found if f.supported), found[0] if found else None)


def _of_tiff(data: bytes) -> Format:
    """Return TIFF, unless its first picture is only the preview of a camera's raw data."""
    directory = first_directory(data)
    if directory is not None:
        preview = directory.integer(_NEW_SUBFILE_TYPE) & 1 and directory.has(_SUB_IFDS)
        if preview or directory.has(_DNG_VERSION):
            return Format("camera raw")
    return Format("TIFF", supported=True)
