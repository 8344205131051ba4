"""Paths, URLs, options of storages and counts, as they come from outside."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Protocol, runtime_checkable

from prep.errors import ConfigError
from prep.parsing import expand, parse_json, read_text
from prep.storage.backends.grants import grant
from prep.storage.urls import (
    hide_credentials,
    is_url,
    lacks_slash,
    local_path,
    require_supported,
    without_credentials,
)
from prep.text import kind_of, quoted, unknown

#: The keys of a configuration that may be URLs; options may be given by them.
LOCATIONS = ("source", "output", "label_map", "mean_file", "images")


_FILES = ("label_map", "mean_file")
_CHAINED = re.compile(r"^\w+::|::\w+://")  # As fsspec has them: zip::s3://…, zip://a::s3://…
_LONGEST_NAME, _LONGEST_PATH = 255, 4095  # bytes
# Of counts, such as 100M.
_TIMES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
_COUNT = re.compile(
    r"(?P<number>\d{1,30}(?:\.\d{1,30})?(?:e\+?\d{1,2})?)(?P<times>[kmg]?)", re.IGNORECASE
)


@runtime_checkable
class Several(Protocol):
    """Several paths and URLs under one key."""

    def map(self, change: Callable[[str], str]) -> Several:
        """Return the same with changed paths."""


class Stored(str):
    """A path or URL that has been expanded and checked before; it is taken as it is."""

    __slots__ = ()


def as_stored(value: Any) -> Any:
    """Return a value in which each text, also in lists and mappings, counts as :class:`Stored`."""
    if isinstance(value, str):
        return Stored(value)
    if isinstance(value, list | tuple):
        return [as_stored(item) for item in value]
    if isinstance(value, Mapping):
        return {name: as_stored(item) for name, item in value.items()}
    return value


def typed(key: str, path: str | os.PathLike[str]) -> str:
    """Return the path or URL that a user means.

    In a path, ``~`` and ``~user`` at its beginning, ``$NAME``, ``${NAME}`` and ``${NAME:-default}``
    stand for what they do in a shell, and ``$$`` for a dollar. A URL stays as it is. So do dollars
    in a ``pathlib.Path``, which a program has made, and all of what is :class:`Stored`.

    Args:
        key: what it is called in an error message.
        path: what is given.

    Raises:
        ConfigError: it is nothing that could be a path or be opened, or would show a secret.
    """
    text = os.fspath(path) if isinstance(path, str | os.PathLike) else None
    if not isinstance(text, str) or not text:
        got = "nothing" if text == "" else kind_of(path)
        raise ConfigError(f"{key}: got {got}; expected a path or a URL")
    if not isinstance(path, Stored) and "://" not in text:
        text = _expanded(key, text, dollars=isinstance(path, str))
    if "://" in text:
        _require_url(key, text)
    else:
        _require_name(key, text)
    return text


def _expanded(key: str, text: str, *, dollars: bool) -> str:
    home, rest = _at_home(key, text) if text.startswith("~") else ("", text)
    return home + (_with_variables(key, rest) if dollars else rest) or "/"


def _at_home(key: str, text: str) -> tuple[str, str]:
    """Return the folder for ``~`` or ``~user``, without a final slash, and the rest of the path."""
    first, slash, rest = text.partition("/")
    home = os.path.expanduser(first)
    empty = first == "~" and os.environ.get("HOME") == ""  # It would be /.
    if home == first or empty or not os.path.isabs(home):
        whose = f"the user {quoted(first[1:])} is not known" if first[1:] else "HOME is not set"
        raise ConfigError(
            f"{key}: got {quoted(first)}, but {whose}; write {quoted('./' + first)} for a file of "
            "that name"
        )
    return home.rstrip("/"), slash + rest


def _with_variables(key: str, text: str) -> str:
    try:
        return expand(text, {name: v for name, v in os.environ.items() if v}, bare=True)
    except ValueError as error:
        raise ConfigError(f"{key}: {error}; $$ is a dollar") from None


def _require_url(key: str, text: str) -> None:
    if _CHAINED.search(text):
        raise ConfigError(
            f"{key}: chained URLs such as zip::s3://… are not supported; give the URL of the "
            "archive itself"
        )
    if not is_url(text):
        raise ConfigError(
            f"{key}: got {quoted(hide_credentials(text))}, which is not a valid URL; "
            "expected a path, or PROTOCOL://PLACE"
        )
    try:
        require_supported(text, output=key == "output", folder=key not in _FILES)
    except ValueError as error:
        raise ConfigError(f"{key}: {error}") from None
    if not is_url(path := local_path(text)):  # file:///photos
        _require_name(key, path)


def _require_name(key: str, text: str) -> None:
    """Raise ConfigError where this can't be the path of a file."""
    shown = quoted(text)
    if not text:
        raise ConfigError(f"{key}: got nothing; expected a path or a URL")
    if protocol := lacks_slash(text):
        raise ConfigError(
            f"{key}: got {protocol}:/…; a URL has two slashes after its protocol: {protocol}://…; "
            f"write ./{protocol}:/… for a folder of that name"
        )
    if "\0" in text:
        raise ConfigError(f"{key}: got {shown}; no path has a NUL character in it")
    try:
        name = os.fsencode(text)
    except UnicodeEncodeError:
        raise ConfigError(f"{key}: got {shown}, which no file name can encode") from None
    longest = max(map(len, name.split(b"/")))
    if longest > _LONGEST_NAME or len(name) > _LONGEST_PATH:
        raise ConfigError(
            f"{key}: got {shown}, which is too long: names have at most {_LONGEST_NAME} bytes, and "
            f"paths {_LONGEST_PATH:,}"
        )


def admit(key: str, path: str | os.PathLike[str], storage_options: Mapping[str, Any] | None) -> str:
    """Open a URL with these options from now on; return it without credentials.

    Args:
        key: what it is called in an error message.
        path: a path or URL, as for :func:`typed`.
        storage_options: of the URL; where they are given by key, as to a run, those of ``key``.

    Raises:
        ConfigError: as :func:`typed`; or options are partly by key.
    """
    values = {**dict.fromkeys(LOCATIONS), key: typed(key, path)}
    shown, options = split(values, storage_options)
    url = str(shown[key])
    if key in options:
        grant(url, options[key])
    return url


def split(
    values: Mapping[str, Any], storage_options: Mapping[str, Any] | None
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Take credentials out of URLs, and return the options for each.

    Args:
        values: paths and URLs by key.
        storage_options: options for all of them, or options by key.

    Returns:
        The values without credentials, and the options by key; keys without any are left out.

    Raises:
        ConfigError: only some of the options are by key; most storages ignore unknown options.

    >>> split({"source": "s3://a:secret@bucket", "output": "out"}, {"use_ssl": False})
    ({'source': 's3://bucket', 'output': 'out'}, {'source': {'use_ssl': False, 'key': 'a', \
'secret': 'secret'}})
    """
    given = storage_options or {}
    _require_no_typo(given)
    by_key = not values.keys().isdisjoint(given)
    if by_key:
        _require_by_key(values, given)
    shown: dict[str, Any] = {}
    options: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        shown[key], found, url = _bare(value)
        if url:
            options[key] = {**(given.get(key, {}) if by_key else given), **found}
    return shown, {key: value for key, value in options.items() if value}


def _bare(value: Any) -> tuple[Any, dict[str, Any], bool]:
    """Take credentials out of a URL, or of several; return them too, and whether there is a URL."""
    options: dict[str, Any] = {}
    urls = False

    def bare(path: str) -> str:
        nonlocal urls
        path = local_path(path)
        if not is_url(path):
            return path
        urls, found = True, without_credentials(path)
        options.update(found.options)
        return found.url

    if isinstance(value, str):
        value = bare(value)
    elif isinstance(value, Several):
        value = value.map(bare)
    return value, options, urls


def _require_by_key(values: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    # Their contents are secret.
    absent = sorted(str(key) for key in given if key not in values)
    plain = sorted(key for key, value in given.items() if not isinstance(value, Mapping))
    if absent or plain:
        known = next(key for key in given if key in values)
        what = "no such key" if absent else "no mapping"
        raise ConfigError(
            f"storage_options: given by key, for {known!r} is among them, but {what}: "
            f"{', '.join(absent or plain)}; expected a mapping for each of {', '.join(values)}"
        )


def _require_no_typo(storage_options: Mapping[str, Any]) -> None:
    """Raise ConfigError where a key looks like a misspelt one of ``LOCATIONS``."""
    for name, options in storage_options.items():
        near = difflib.get_close_matches(str(name).lower(), LOCATIONS, n=1, cutoff=0.8)
        if isinstance(options, Mapping) and near and name not in LOCATIONS:
            raise ConfigError(f"storage_options: {unknown('key', name, LOCATIONS)}")


def read_options(value: Any) -> Any:
    """Return ``storage_options`` given as JSON text or as ``@FILE`` as a mapping, others as is.

    Raises:
        ConfigError: they can't be read; the message does not show them.
    """
    if not isinstance(value, str):
        return value
    file = typed("storage_options", value[1:]) if value[:1] == "@" else None
    try:
        text = read_text(file) if file else value
        found, why = parse_json(text), None
    except (OSError, ValueError) as error:
        # Their contents are secret, even if malformed.
        found, why = None, error.strerror if isinstance(error, OSError) else "not valid JSON"
    if why is not None:  # Raised here: an error keeps the one being handled, which holds the text.
        where = quoted(value) if file else "the text"
        raise ConfigError(f"storage_options: {where} can't be read: {why}")
    if not isinstance(found, dict):
        raise ConfigError(f"storage_options: got {kind_of(found)}; expected a mapping")
    return found


def parse_count(value: Any) -> Any:
    """Read a count such as ``1e8``, ``100M`` or ``1.5k``; return anything else as it is.

    >>> parse_count("1e8"), parse_count("100M"), parse_count("1.5k"), parse_count("many")
    (100000000, 100000000, 1500, 'many')
    >>> parse_count("0.5"), parse_count(7)
    ('0.5', 7)
    """
    found = _COUNT.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        return value
    number = Decimal(found["number"]) * _TIMES[found["times"].lower()]
    return int(number) if number == int(number) else value
