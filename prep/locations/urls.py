"""URLs: which storage they name, and what in them is nobody's business."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

_URL = re.compile(r"(?P<protocol>[A-Za-z][A-Za-z0-9+.-]*)://")
_CREDENTIALS = re.compile(r"(?P<protocol>[A-Za-z][A-Za-z0-9+.-]*://)(?P<user>[^/]*)@")
_LOCAL = ("file", "local")
# What brings the package that a protocol needs; of others, fsspec says which.
_EXTRAS = {"s3": "s3", "s3a": "s3", "sftp": "sftp", "ssh": "sftp"}
_ON_HOSTS = ("sftp", "ssh", "ftp", "smb")
# Protocols whose URLs begin with a bucket, not with a host that one logs in to, and what the two
# parts of ``key:secret@`` are to their filesystems.
_KEYS = {"s3": ("key", "secret"), "s3a": ("key", "secret")}


class Bare(NamedTuple):
    """A URL that may be shown, and the options that were hidden in it."""

    url: str
    options: Mapping[str, Any]


def is_url(path: str) -> bool:
    """Whether this names something in a storage, and not in a folder of this machine.

    >>> is_url("s3://bucket/photos"), is_url("/photos")
    (True, False)
    """
    return _URL.match(path) is not None


def protocol_of(url: str) -> str:
    """The protocol of a URL.

    >>> protocol_of("s3://bucket/photos")
    's3'
    """
    return url.partition("://")[0].lower()


def local_path(path: str) -> str:
    """The path that a URL of this machine's files stands for; anything else as it is.

    >>> local_path("file:///photos/a%20b"), local_path("s3://bucket/a%20b")
    ('/photos/a b', 's3://bucket/a%20b')
    """
    if is_url(path) and protocol_of(path) in _LOCAL:
        return unquote(path.partition("://")[2].removeprefix("localhost"))
    return path


def without_credentials(url: str) -> Bare:
    """Takes the password out of a URL, and keys out of one that begins with a bucket.

    >>> without_credentials("sftp://me:secret@host:2222/photos")
    Bare(url='sftp://me@host:2222/photos', options={'password': 'secret'})
    >>> without_credentials("s3://key:secret@bucket/photos")
    Bare(url='s3://bucket/photos', options={'key': 'key', 'secret': 'secret'})
    """
    match = _CREDENTIALS.match(url)
    if match is None:
        return Bare(url, {})
    user, colon, password = match["user"].partition(":")
    rest = url[match.end() :]
    protocol = match["protocol"]
    names = _KEYS.get(protocol_of(url))
    if names is not None:
        given = {names[0]: user, names[1]: password}
        return Bare(protocol + rest, {name: unquote(v) for name, v in given.items() if v})
    options = {"password": unquote(password)} if colon else {}
    return Bare(f"{protocol}{user}@{rest}" if user else protocol + rest, options)


def require_supported(url: str) -> None:
    """Raises ValueError, which says what to do, where a URL's storage can't be opened here."""
    import fsspec

    protocol = protocol_of(url)
    try:
        fsspec.get_filesystem_class(protocol)
    except ValueError:
        raise ValueError(
            f"protocol {protocol!r} is unknown; expected the path of a folder, or a URL such as "
            "s3://, gs://, abfs://, hdfs:// or sftp://"
        ) from None
    except ImportError as error:
        extra = _EXTRAS.get(protocol)
        remedy = f"pip install 'prep[{extra}]'" if extra else str(error).rstrip(".")
        raise ValueError(f"{protocol}:// needs a package that is not installed: {remedy}") from None
    if protocol in _ON_HOSTS and not _has_host(url):
        raise ValueError(f"{protocol}:// needs a host: {protocol}://[USER@]HOST[:PORT]/PATH")


def _has_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:  # What follows the colon is no port.
        return False
