"""The way of one image: bytes → pixels → square → bytes.

Nothing outside this package imports a codec.
"""

from prep.images.codec import codec_versions, configure_process, opencv_threads
from prep.images.decode import Decoder, decode
from prep.images.decoded import Note
from prep.images.encode import encode_png, pixels_of_record
from prep.images.grid import Grids
from prep.images.processor import ImageProcessor, ImageSettings, Processed
from prep.images.squares import SquareReader, clipping_tolerance, mean_tolerance
from prep.images.sums import channel_sums
from prep.images.thumbnails import Thumbnailer

__all__ = [
    "Decoder",
    "Grids",
    "ImageProcessor",
    "ImageSettings",
    "Note",
    "Processed",
    "SquareReader",
    "Thumbnailer",
    "channel_sums",
    "clipping_tolerance",
    "codec_versions",
    "configure_process",
    "decode",
    "encode_png",
    "mean_tolerance",
    "opencv_threads",
    "pixels_of_record",
]
