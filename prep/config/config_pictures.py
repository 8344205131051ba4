"""The keys about the picture that do not go with each other."""

from __future__ import annotations

from prep.errors import ConfigError
from prep.settings.image_settings import ImageSettings
from prep.text import quoted


def require_geometry(settings: ImageSettings) -> None:
    """Raise ConfigError unless torchvision has transforms that do what these settings ask for."""
    if settings.geometry == "exact":
        return
    if settings.interpolation in ("area", "linear"):
        raise ConfigError(
            f"geometry: got torchvision, which resizes images otherwise than interpolation "
            f"{settings.interpolation}; use bilinear or bicubic, or geometry exact"
        )
    if settings.enlarge == "never":
        raise ConfigError(
            "geometry: got torchvision, whose Resize enlarges small images, and enlarge never; "
            "leave enlarge out, or use geometry exact"
        )
    if settings.fit != "stretch" and settings.height != settings.width:
        raise ConfigError(
            f"geometry: got torchvision, whose Resize takes one number with fit {settings.fit}, "
            f"and size {settings.size}; use a square size, fit stretch, or geometry exact"
        )


def require_encoding(settings: ImageSettings, mean_file: str | None) -> None:
    """Raise ConfigError unless the encoding can hold what these settings ask for.

    Args:
        mean_file: where the mean is that ``float32`` subtracts.
    """
    encoding, fit = settings.encoding, settings.fit
    if encoding in ("raw", "float32") and not settings.same_size:
        reason = "fit shorter" if fit == "shorter" else f"fit {fit} that never enlarges"
        raise ConfigError(
            f"encoding: got {encoding}, whose vectors all have one length, but results of "
            f"{reason} differ in size; use encoding jpeg, png or webp, or fit pad"
        )
    if encoding == "webp" and settings.mode == "gray":
        raise ConfigError(
            "encoding: got webp, which has no gray; use encoding jpeg or png, or mode rgb"
        )
    if settings.keep_fitting and encoding != "jpeg":
        raise ConfigError(
            f"keep_fitting: got true, which keeps JPEGs as they are; encoding is {encoding}; "
            "leave keep_fitting out, or use encoding jpeg"
        )
    if encoding == "float32" and mean_file is None:
        raise ConfigError(
            "mean_file: missing; encoding float32 needs a JSON file "
            "with the mean to subtract, such as one made by `prep.mean_rgb`"
        )
    if encoding != "float32" and mean_file is not None:
        raise ConfigError(
            f"mean_file: got {quoted(mean_file)}, which only encoding float32 "
            f"uses; encoding is {encoding}"
        )
