"""``storage_options`` as a user gives them → which hold for which URL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prep.locations.urls import is_url, local_path, without_credentials


def split_options(
    values: Mapping[str, Any], given: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Takes credentials out of URLs, and says which options hold for each.

    Args:
        values: what may be a URL, by its key.
        given: options that hold for all, or by key.

    Returns:
        The values without credentials, and the options by key; keys without any are left out.

    Raises:
        ValueError: the options are partly by key, and partly not; most storages say nothing of
            options that they don't know.

    >>> split_options({"source": "s3://a:secret@bucket", "output": "out"}, {"use_ssl": False})
    ({'source': 's3://bucket', 'output': 'out'}, {'source': {'use_ssl': False, 'key': 'a', \
'secret': 'secret'}})
    """
    by_key = not values.keys().isdisjoint(given)
    if by_key:
        _require_by_key(values, given)
    shown: dict[str, Any] = {}
    options: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        shown[key] = local_path(value) if isinstance(value, str) else value
        if not isinstance(shown[key], str) or not is_url(shown[key]):
            continue
        bare = without_credentials(shown[key])
        shown[key] = bare.url
        options[key] = {**(given.get(key, {}) if by_key else given), **bare.options}
    return shown, {key: value for key, value in options.items() if value}


def _require_by_key(values: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    # What is in them is not shown.
    unknown = sorted(str(key) for key in given if key not in values)
    plain = sorted(key for key, value in given.items() if not isinstance(value, Mapping))
    if unknown or plain:
        known = next(key for key in given if key in values)
        what = "no such key" if unknown else "no mapping"
        raise ValueError(
            f"storage_options: given by key, for {known!r} is among them, but {what}: "
            f"{', '.join(unknown or plain)}; expected a mapping for each of {', '.join(values)}"
        )
