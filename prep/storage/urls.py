"""URLs: which storage they name, and which parts of them are secret."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from prep.storage.backends.protocols import WEB, require_known

_URL = re.compile(r"(?P<protocol>[A-Za-z][A-Za-z0-9+._-]*)://")
_CREDENTIALS = re.compile(r"(?P<protocol>[A-Za-z][A-Za-z0-9+._-]*://)(?P<user>[^/]*)@")
_LOCAL = ("file", "local")
_ONE_SLASH = re.compile(r"(?P<protocol>[A-Za-z][A-Za-z0-9+._-]*):/(?!/)")
_ON_HOSTS = ("sftp", "ssh", "ftp", "smb", "webdav", "webdavs")
_IN_BUCKETS = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oss", "oci", "tos")
_ARN = "arn:"  # What begins so is S3's long name of a bucket.
# Names in a query or a fragment whose values let whoever has them in, or stand beside such: among
# them those of Azure's shared access signatures, and of URLs that other storages have signed.
_SECRET_NAMES = re.compile(
    r"token|secret|passw|credential|signature|auth(?!or)|bearer|jwt|session|accessid$"
    r"|^x-(amz|goog)-|(^|[._-]|api|access)key([_-]?id)?$|^key-pair-id$"
    r"|^(sig|sas|pwd|hmac|sv|se|sp|st|sr|spr|sip|srt|skoid|sktid|skt|ske|sks|skv)$",
    re.IGNORECASE,
)
# Characters that begin a name in a query or a fragment, as it is or quoted, as it may be in a link.
_BEGINS = r"(?:[?#&;]|%(?:3f|23|26|3b))"
_PARAMETER = re.compile(
    rf"(?P<begin>{_BEGINS})(?P<name>[^?#&;=/%\s'\"]*)"
    rf"(?P<value>(?:=|%3d)(?:(?!{_BEGINS})[^\s'\"])*)?",
    re.IGNORECASE,
)
_PASSWORD = re.compile(r"(?P<before>[A-Za-z][A-Za-z0-9+.-]*://)[^/\s'\"@]*:[^\s'\"@]*@")
_WHERE_SECRETS_GO = {
    **dict.fromkeys(WEB, "as headers in storage_options (client_kwargs: headers)"),
    **dict.fromkeys(("az", "abfs", "abfss"), "as sas_token or account_key in storage_options"),
    **dict.fromkeys(("s3", "s3a"), "as key, secret and token in storage_options"),
    **dict.fromkeys(("gs", "gcs"), "as token in storage_options"),
}
# Where a question mark may be in a name, or begin a query that is asked.
_MAY_ASK = ("s3", "s3a", *WEB)
# Protocols whose URLs have no host before the colon.
_NO_HOSTS = ("github", "gist")
# Protocols whose URLs begin with a bucket, not with a host that one logs in to, and what the two
# parts of ``key:secret@`` are to their filesystems.
_KEYS = {"s3": ("key", "secret"), "s3a": ("key", "secret")}


class Bare(NamedTuple):
    """A URL that may be shown, and the options that were hidden in it."""

    url: str
    options: Mapping[str, Any]


def is_url(path: str) -> bool:
    """Return True for a URL of a storage, False for a path on this machine.

    >>> is_url("s3://bucket/photos"), is_url("/photos")
    (True, False)
    """
    return _URL.match(path) is not None


def lacks_slash(path: str) -> str | None:
    """Return the protocol of a URL that lacks one of its slashes.

    >>> lacks_slash("s3:/bucket/photos"), lacks_slash("s3://bucket/photos")
    ('s3', None)
    """
    match = _ONE_SLASH.match(path)
    named = match is not None and match["protocol"].lower() in (*_ON_HOSTS, *_IN_BUCKETS, *WEB)
    return match["protocol"] if match and named else None


def protocol_of(url: str) -> str:
    """Return the protocol of a URL.

    >>> protocol_of("s3://bucket/photos")
    's3'
    """
    return url.partition("://")[0].lower()


def local_path(path: str) -> str:
    """Return the path for a ``file:`` URL; anything else as :func:`canonical_url` does.

    >>> local_path("file:///photos/a%20b"), local_path("s3://bucket/a%20b")
    ('/photos/a b', 's3://bucket/a%20b')
    """
    if is_url(path) and protocol_of(path) in _LOCAL:
        return unquote(path.partition("://")[2].removeprefix("localhost"))
    return canonical_url(path)


def canonical_url(path: str) -> str:
    """Return a URL with its protocol in lower case; a path as it is.

    >>> canonical_url("S3://Bucket"), canonical_url("/photos")
    ('s3://Bucket', '/photos')
    """
    return protocol_of(path) + path[path.index("://") :] if is_url(path) else path


def without_credentials(url: str) -> Bare:
    """Take the password, or the keys of a bucket, out of a URL.

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


def hide_credentials(text: str) -> str:
    """Replace credentials in URLs in a text, in queries and before hosts.

    >>> hide_credentials("no such folder: 'abfs://photos/o?sv=1&sig=abc'")
    "no such folder: 'abfs://photos/o?sv=…&sig=…'"
    >>> hide_credentials("s3://key:secret@bucket")
    's3://…@bucket'
    """

    def hidden(match: re.Match[str]) -> str:
        secret = match["value"] and _SECRET_NAMES.search(match["name"])
        return f"{match['begin']}{match['name']}=…" if secret else match[0]

    return _PARAMETER.sub(hidden, _PASSWORD.sub(r"\g<before>…@", text))


def require_supported(url: str, *, output: bool = False, folder: bool = True) -> None:
    """Raise ValueError, which says what to do, if a URL's storage can't be opened here.

    Args:
        output: whether it is to be written to.
        folder: whether it is to be listed.
    """
    _require_no_secrets(url)
    protocol = protocol_of(url)
    _require_place(protocol, url)
    require_known(protocol, output=output, folder=folder)


def _require_place(protocol: str, url: str) -> None:
    """Raise ValueError if a URL lacks what its protocol needs, or would show a secret."""
    if protocol in _ON_HOSTS and not _has_host(url):
        raise ValueError(f"{protocol}:// needs a host: {protocol}://[USER@]HOST[:PORT]/PATH")
    if protocol in _IN_BUCKETS:
        _require_bucket(url)
    if protocol in WEB and without_credentials(url) != Bare(url, {}):
        raise ValueError(
            f"{protocol}:// is not logged in to by its URL (it is not shown, for it may hold a "
            f"secret); give what logs in {_WHERE_SECRETS_GO[protocol]}"
        )
    _require_plain_host(protocol, url)


def bucket_of(url: str) -> str | None:
    """Return the URL of the bucket that a URL is in; None if it is in none.

    >>> bucket_of("s3://bucket/photos"), bucket_of("sftp://host/photos")
    ('s3://bucket', None)
    """
    protocol, _, rest = url.partition("://")
    named = protocol_of(url) in _IN_BUCKETS and not rest.startswith(_ARN)
    return f"{protocol}://{rest.partition('/')[0]}" if named else None


def _require_bucket(url: str) -> None:
    """Raise ValueError if the part before the first slash names no bucket but may be a secret."""
    protocol, _, rest = without_credentials(url).url.partition("://")
    bucket = rest.partition("/")[0]
    if not bucket:
        raise ValueError(f"{protocol}:// needs a bucket: {protocol}://BUCKET/PATH")
    if ":" in bucket and not bucket.startswith(_ARN):
        raise ValueError(
            "what comes before the first '/' of the URL is the name of no bucket, for there is a "
            "':' in it (the URL is not shown, for it may hold a secret); if there is a '/' in "
            "the secret, write it as %2F, or give the secret in storage_options"
        )


def _require_no_secrets(url: str) -> None:
    """Raise ValueError where a query or a fragment of a URL looks as if it let somebody in.

    What follows a '?' is told of where it can't be a part of a path.
    """
    protocol = protocol_of(url)
    if protocol in _LOCAL:
        return
    found = _PARAMETER.finditer(url)
    parameters = [match for match in found if match["value"] or protocol in WEB]
    if any(_SECRET_NAMES.search(match["name"]) for match in parameters):
        place = _WHERE_SECRETS_GO.get(protocol, "in storage_options")
        raise ValueError(
            "the query of the URL looks as if it held credentials, and URLs are kept and shown; "
            f"give them {place}, and the URL without"
        )
    if protocol not in _MAY_ASK and any(match["begin"] == "?" for match in parameters):
        raise ValueError(
            f"there is a query in the URL (?…=…), and {protocol}:// takes none; leave it out, and "
            "give options in storage_options"
        )


def _require_plain_host(protocol: str, url: str) -> None:
    """Raise ValueError for a port that may be the beginning of a password with a slash."""
    _, _, rest = without_credentials(url).url.partition("://")
    host = rest.partition("/")[0]
    port = host.rpartition("]")[2].partition(":")[2]  # Of [::1]:80, what follows the bracket.
    plain = protocol in (*_LOCAL, *_NO_HOSTS) or rest.startswith(_ARN)
    if not plain and port and not port.isdecimal():
        raise ValueError(
            "what follows the ':' before the first '/' of the URL is no port (the URL is not "
            "shown, for it may hold a secret); if there is a '/' in the password, write it as "
            "%2F, or give the password in storage_options"
        )


def _has_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:  # What follows the colon is no port.
        return False


# Empty parts, "." and ".."; in URLs also encoded, for a server decodes them.
_LEADS_OUT = r"(\A|/)\.{{0,2}}(/|{end})|\x00"
_LEADS_OUT_OF_URL = r"(?i)(\A|/|%2f|%5c)(\.|%2e){{0,2}}(/|%2f|%5c|{end})|\x00|%00"
_END_OF_TEXT = r"\Z"  # Python's; RE2, which Arrow has, calls it \z.


def leading_out(source: str, end_of_text: str = _END_OF_TEXT) -> str:
    """Return the regular expression found in paths that lead out of a source."""
    pattern = _LEADS_OUT_OF_URL if is_url(source) else _LEADS_OUT
    return pattern.format(end=end_of_text)


def stays_within(path: str, source: str = "") -> bool:
    """Return True if a relative path leads to something below a source.

    >>> stays_within("train/cat/1.jpg"), stays_within("../1.jpg"), stays_within("/etc/passwd")
    (True, False, False)
    """
    return re.search(leading_out(source), path) is None
