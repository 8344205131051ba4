"""Credentials for Google's storage, found where its own tools find them, and without a long wait.

Where there are none, ``google.auth`` asks twelve seconds for the metadata server of Google's
machines, and gcsfs another half a minute, in each process.
"""

from __future__ import annotations

import errno
import os
import threading
from typing import Any

from google import auth
from google.auth.compute_engine import _metadata
from google.auth.exceptions import DefaultCredentialsError, TransportError
from google.auth.transport.requests import Request

_SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
_KEY_FILE = "GOOGLE_APPLICATION_CREDENTIALS"
_MISSING = (
    "no credentials found: run 'gcloud auth application-default login', set "
    f"{_KEY_FILE} to the key file of a service account, or give token in "
    "storage_options (anon for a public bucket)"
)
_no_metadata = threading.Event()


def credentials() -> Any:
    """Return the credentials of the environment, of gcloud, or of the machine.

    Raises:
        PermissionError: there are none.
        DefaultCredentialsError: those that are named can't be used.
    """
    try:
        found, _ = auth.default(scopes=[_SCOPE], request=_OnceWhereUnlikely())
    except DefaultCredentialsError as error:
        if "not found" in str(error) and _KEY_FILE not in os.environ:
            raise PermissionError(errno.EACCES, _MISSING) from None
        raise
    return found


class _OnceWhereUnlikely(Request):
    """Send requests; ask for metadata at most once, unless on a machine of Google."""

    def __call__(self, url: str, *arguments: Any, **options: Any) -> Any:
        ask: Any = super().__call__
        of_metadata = "metadata-flavor" in (options.get("headers") or {})
        if not of_metadata or _metadata.detect_gce_residency_linux():
            return ask(url, *arguments, **options)
        if not _no_metadata.is_set():
            try:
                return ask(url, *arguments, **options)
            except TransportError:
                _no_metadata.set()
        raise DefaultCredentialsError("not found")
