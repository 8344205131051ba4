"""What a user may ask for, checked before any work begins."""

from prep.config.keys import ARTICLE_KEYS
from prep.config.model import AnyConfig, Config, allowed, fingerprint_part
from prep.config.values import Damaged, Encoding, Icc, Interpolation

__all__ = [
    "ARTICLE_KEYS",
    "AnyConfig",
    "Config",
    "Damaged",
    "Encoding",
    "Icc",
    "Interpolation",
    "allowed",
    "fingerprint_part",
]
