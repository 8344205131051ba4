"""Turn the errors of storages into ``OSError``, with a number that says whether they may pass.

Each library has errors of its own, some without a number, some that quote what was sent.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

_HIDDEN = "…"
_SHORTEST_SECRET = 4  # characters: shorter ones are ports and the like, and in every text
_SUPPORT = re.compile(
    r"\s*(?:\bRequestId:|For more information check:|<\?xml|<!doctype|<html|<Error>)", re.IGNORECASE
)
_SENTENCE = 3  # spaces that a text has, to be understood without the type of its error
_NO_AZURE = (
    "no credentials found: run 'az login', set AZURE_STORAGE_CONNECTION_STRING or "
    "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or give account_key or sas_token in "
    "storage_options (anon for a public container)"
)
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
            *("UnknownHostKey", "ForbiddenOperation"),
        ),
        errno.EACCES,
    ),
    # azure.core, webdav4, httpx, aiohttp, google-auth, beside the above
    **dict.fromkeys(("ResourceNotFoundError", "ResourceNotFound"), errno.ENOENT),
    **dict.fromkeys(("ResourceExistsError", "ResourceAlreadyExists"), errno.EEXIST),
    "InsufficientStorage": errno.ENOSPC,
    **{"error_perm": errno.EACCES, "error_temp": errno.EBUSY},  # ftplib
    "ResourceLocked": errno.EBUSY,
    **dict.fromkeys(
        ("ConnectTimeoutError", "ReadTimeoutError", "TimeoutError", "TimeoutException"),
        errno.ETIMEDOUT,
    ),
    **dict.fromkeys(
        (
            *("EndpointConnectionError", "EOFError", "SSHException", "ServiceRequestError"),
            *("ServiceResponseError", "TransportError", "ClientConnectionError"),
        ),
        errno.ECONNRESET,
    ),
    **dict.fromkeys(("ParamValidationError", "NotImplementedError", "InvalidURL"), errno.EINVAL),
}
_BY_STATUS = {
    **dict.fromkeys((401, 403, 407), errno.EACCES),
    **dict.fromkeys((404, 410), errno.ENOENT),
    **dict.fromkeys((400, 405, 409, 411, 412, 413, 414, 416), errno.EINVAL),
    **dict.fromkeys((408, 504), errno.ETIMEDOUT),
    **dict.fromkeys((423, 429, 503), errno.EBUSY),
    507: errno.ENOSPC,
}
# Of errors that are nothing but an OSError: gcsfs; pyarrow without Java.
_BY_TEXT = {"Forbidden": errno.EACCES, "Unable to load lib": errno.EINVAL}
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
    """Turn an error raised in the block into an OSError that names the URL and shows no secret.

    Args:
        options: their values are not shown.
    """
    try:
        yield
    except Exception as error:
        number = _number(error)
        raise OSError(number, _text(error, number, options), url) from None


def _number(error: Exception) -> int:
    if isinstance(error, OSError) and error.errno:
        return error.errno
    for kind, number in _BY_KIND:
        if isinstance(error, kind):
            return number
    for base in type(error).__mro__:
        if base.__name__ in _BY_NAME:
            return _BY_NAME[base.__name__]
    for beginning, number in _BY_TEXT.items():
        if str(error).startswith(beginning):
            return number
    response = getattr(error, "response", None)
    for carrier in (error, response):
        for name in ("status", "status_code", "code"):
            number = _BY_STATUS.get(_plain_number(getattr(carrier, name, None)), 0)
            if number:
                return number
    if isinstance(error, (TypeError, ValueError, KeyError, ImportError)):
        return errno.EINVAL  # The options are not what it takes; it will be no better next time.
    return errno.EIO


def _plain_number(value: Any) -> int:
    return int(value) if isinstance(value, (int, str)) and str(value).isdigit() else 0


def _text(error: Exception, number: int, options: Mapping[str, Any]) -> str:
    """Return the message of an error, on one line, without values of the options."""
    said = error.strerror if isinstance(error, OSError) else None
    if number == errno.ENOENT and not said:
        return os.strerror(number)  # The rest is how the library calls the place.
    text = _first_sentence(said or str(error))
    if not text or (text.count(" ") < _SENTENCE and not isinstance(error, OSError)):
        text = f"{type(error).__name__}: {text}".rstrip(": ")
    return redacted(text, options)


def _first_sentence(said: str) -> str:
    """Return the part of a message before any markup, and before details for support.

    >>> _first_sentence("The container is absent. RequestId:1 Content: <?xml version='1.0'?>")
    'The container is absent.'
    """
    if said.startswith("DefaultAzureCredential"):  # It goes on with what it has tried in vain.
        return _NO_AZURE
    return " ".join(_SUPPORT.split(said, maxsplit=1)[0].split())


def redacted(text: str, options: Mapping[str, Any]) -> str:
    """Replace the values of secret options in a text.

    >>> redacted("no such key: AKIA1234", {"key": "AKIA1234", "endpoint_url": "http://host"})
    'no such key: …'
    """
    for secret in sorted(_secrets(options), key=len, reverse=True):
        text = text.replace(secret, _HIDDEN)
    return text


def _secrets(options: Any) -> Iterator[str]:
    if isinstance(options, Mapping):
        for name, value in options.items():
            if name == "connection_string":  # "AccountName=me;AccountKey=…;…", of Azure
                parts = (part.partition("=") for part in str(value).split(";"))
                yield from (
                    secret for key, _, secret in parts if key.endswith(("Key", "Signature"))
                )
            if name not in _OPEN:
                yield from _secrets(value)
    elif isinstance(options, (list, tuple)):
        for value in options:
            yield from _secrets(value)
    elif isinstance(options, str) and len(options) >= _SHORTEST_SECRET:
        yield options
