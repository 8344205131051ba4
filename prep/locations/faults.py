"""What storages raise → ``OSError``, with the number that says whether it may pass.

Each library has errors of its own, some of them without a number, some that quote what was sent.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Mapping
from typing import Any

_HIDDEN = "…"
_SHORTEST_SECRET = 4  # characters: shorter ones are ports and the like, and in every text
# Names of options that are no secret, and may well be in a message that helps.
_OPEN = frozenset(
    (
        *("anon", "endpoint_url", "host", "port", "username", "use_ssl", "region_name", "timeout"),
        *("protocol", "account_name", "project", "connect_timeout", "read_timeout"),
        *("host_key_policy", "key_filename"),
    )
)
# By the name of a class or of one that it inherits from, for the libraries may not be installed.
_BY_NAME = {
    # botocore, aiobotocore, google-auth, azure, paramiko: who we are is not known, or not believed
    **dict.fromkeys(
        (
            *("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "TokenLoadError"),
            *("SSOError", "CredentialRetrievalError", "GoogleAuthError", "DefaultCredentialsError"),
            *("ClientAuthenticationError", "AuthenticationException", "BadHostKeyException"),
            "UnknownHostKey",
        ),
        errno.EACCES,
    ),
    **dict.fromkeys(("ResourceNotFoundError",), errno.ENOENT),
    **dict.fromkeys(("ConnectTimeoutError", "ReadTimeoutError", "TimeoutError"), errno.ETIMEDOUT),
    **dict.fromkeys(("EndpointConnectionError", "EOFError", "SSHException"), errno.ECONNRESET),
    **dict.fromkeys(("ParamValidationError", "NotImplementedError"), errno.EINVAL),
}
_BY_STATUS = {
    **dict.fromkeys((401, 403, 407), errno.EACCES),
    **dict.fromkeys((404, 410), errno.ENOENT),
    **dict.fromkeys((400, 405, 409, 411, 412, 413, 414, 416), errno.EINVAL),
    **dict.fromkeys((408, 504), errno.ETIMEDOUT),
    **dict.fromkeys((429, 503), errno.EBUSY),
}
_BY_KIND: tuple[tuple[type[OSError], int], ...] = (
    (FileNotFoundError, errno.ENOENT),
    (PermissionError, errno.EACCES),
    (FileExistsError, errno.EEXIST),
    (IsADirectoryError, errno.EISDIR),
    (NotADirectoryError, errno.ENOTDIR),
    (TimeoutError, errno.ETIMEDOUT),
    (ConnectionError, errno.ECONNRESET),
)


@contextlib.contextmanager
def as_os_errors(url: str, options: Mapping[str, Any]) -> Iterator[None]:
    """Turns what is raised in the block into an OSError that names the URL and shows no secret.

    Args:
        options: whose values are not to be shown.
    """
    try:
        yield
    except Exception as error:
        raise OSError(_number(error), _text(error, options), url) from None


def _number(error: Exception) -> int:
    if isinstance(error, OSError) and error.errno:
        return error.errno
    for kind, number in _BY_KIND:
        if isinstance(error, kind):
            return number
    for base in type(error).__mro__:
        if base.__name__ in _BY_NAME:
            return _BY_NAME[base.__name__]
    response = getattr(error, "response", None)
    for holder in (error, response):
        for name in ("status", "status_code", "code"):
            number = _BY_STATUS.get(_plain_number(getattr(holder, name, None)), 0)
            if number:
                return number
    if isinstance(error, (TypeError, ValueError, KeyError, ImportError)):
        return errno.EINVAL  # The options are not what it takes; it will be no better next time.
    return errno.EIO


def _plain_number(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _text(error: Exception, options: Mapping[str, Any]) -> str:
    """What an error says, on one line, without anything that only the options know."""
    number = error.errno if isinstance(error, OSError) else None
    said = (error.strerror if isinstance(error, OSError) else None) or str(error)
    text = " ".join(said.split()) or (os.strerror(number) if number else "")
    kind = type(error).__name__
    text = redacted(text if isinstance(error, OSError) and text else f"{kind}: {text}", options)
    return text.rstrip(": ")


def redacted(text: str, options: Mapping[str, Any]) -> str:
    """The text without what is in the options, but for those that are no secret.

    >>> redacted("no such key: AKIA1234", {"key": "AKIA1234", "endpoint_url": "http://host"})
    'no such key: …'
    """
    for secret in sorted(_secrets(options), key=len, reverse=True):
        text = text.replace(secret, _HIDDEN)
    return text


def _secrets(options: Any) -> Iterator[str]:
    if isinstance(options, Mapping):
        for name, value in options.items():
            if name not in _OPEN:
                yield from _secrets(value)
    elif isinstance(options, (list, tuple)):
        for value in options:
            yield from _secrets(value)
    elif isinstance(options, str) and len(options) >= _SHORTEST_SECRET:
        yield options
