"""WebDAV, as a filesystem of fsspec's.

webdav4 has one, too. It takes names that hold ``?``, ``#`` or ``%`` for parts of a URL, renames by
copying, asks for all that is in a folder to tell that it is one, and three times for each upload.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from fsspec import AbstractFileSystem
from fsspec.spec import AbstractBufferedFile
from webdav4.client import Client, HTTPError, ResourceAlreadyExists, ResourceConflict
from webdav4.multistatus import Response

_SCHEMES = {"webdav": "http", "webdavs": "https"}
_SILENCE = 60.0  # seconds after which a server that answers nothing is given up
_PIECE = 1 << 20  # 1 MiB
# A body that was compressed on the way is not as long as its header says.
_AS_IT_IS = {"Accept-Encoding": "identity"}


class WebDav(AbstractFileSystem):  # type: ignore[misc]
    """Files of a server: over HTTP by ``webdav://HOST/PATH``, over HTTPS by ``webdavs://``.

    Args:
        base_url: the address of the server, as :meth:`_get_kwargs_from_urls` has it of a URL.
        username, password: by default, those in ``WEBDAV_USERNAME`` and ``WEBDAV_PASSWORD``.
        auth: the two as a pair, as webdav4 calls it.
        options: for httpx's client.
    """

    protocol = tuple(_SCHEMES)

    def __init__(
        self,
        base_url: str,
        username: str | None = None,
        password: str | None = None,
        auth: Iterable[str] | None = None,
        **options: Any,
    ) -> None:
        options.pop("skip_instance_cache", None)
        super().__init__(skip_instance_cache=True)
        user = username or os.environ.get("WEBDAV_USERNAME")
        secret = password or os.environ.get("WEBDAV_PASSWORD")
        pair = tuple(auth) if auth else ((user, secret or "") if user else None)
        options = {"timeout": _SILENCE, **options}
        # Whoever asks tries again; the client would go on in the middle of what it uploads.
        self.client = Client(base_url, auth=pair, retry=False, **options)

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        """Return the path on its server: ``webdav://host/a`` is ``/a``."""
        protocol, separator, rest = path.partition("://")
        if not separator or protocol not in cls.protocol:
            return path
        return ("/" + rest.partition("/")[2]).rstrip("/")

    @staticmethod
    def _get_kwargs_from_urls(url: str) -> dict[str, Any]:
        parts = urlsplit(url)
        _, _, host = parts.netloc.rpartition("@")
        user = {"username": unquote(parts.username)} if parts.username else {}
        return {"base_url": f"{_SCHEMES[parts.scheme]}://{host}", **user}

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Return what is there, in one request."""
        return _entry(self._found(path, 0)[0])

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        """Return what is in a folder, in one request."""
        own, others = self._found(path, 1)
        if own.properties.resource_type != "directory":
            raise NotADirectoryError(errno.ENOTDIR, "not a folder", path)
        entries = [_entry(response) for response in others]
        return entries if detail else [entry["name"] for entry in entries]

    def _found(self, path: str, depth: int) -> tuple[Response, list[Response]]:
        """Return the replies about a place and about what is in it."""
        reply = self.client.propfind(
            quote(path), headers={"Depth": str(depth)}, follow_redirects=True
        )
        responses = dict(reply.responses)
        own = responses.pop(path.rstrip("/") or "/", None)
        if own is None:
            raise OSError(
                errno.EIO, "the server answered for another path than was asked for", path
            )
        return own, list(responses.values())

    def get(
        self, path: str, expected: int | None, most: int | None = None
    ) -> tuple[bytes, Mapping[str, str]]:
        """Return the contents (none if not as long as expected, or too long) and the headers."""
        url = self.client.join_url(quote(path))
        with self.client.http.stream("GET", url, headers=_AS_IT_IS) as reply:
            reply.raise_for_status()
            size = reply.headers.get("Content-Length")
            wanted = size is None or (
                expected in (None, int(size)) and (most is None or int(size) <= most)
            )
            return reply.read() if wanted else b"", reply.headers

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **_: Any
    ) -> bytes:
        if start is None and end is None:
            return self.get(path, None)[0]
        start, end = start or 0, end or self.info(path)["size"]
        headers = {"Range": f"bytes={start}-{end - 1}", **_AS_IT_IS}
        reply = self.client.request("GET", quote(path), headers=headers)
        data: bytes = reply.content
        return data if reply.status_code == 206 else data[start:end]

    def _open(self, path: str, mode: str = "rb", block_size: Any = None, **_: Any) -> Any:
        return _Ranges(self, path, mode, block_size or "default")

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> None:
        """Put bytes there; with the mode ``create``, only if nothing is there."""
        self._put(path, value, {"If-None-Match": "*"} if mode == "create" else {})

    def put_file(self, source: str, path: str, **_: Any) -> None:
        """Put the contents of a local file there."""
        with open(source, "rb") as file:
            size = {"Content-Length": str(os.stat(file.fileno()).st_size)}
            self._put(path, iter(lambda: file.read(_PIECE), b""), size)

    def _put(self, path: str, content: Any, headers: dict[str, str]) -> None:
        try:
            self.client.request("PUT", quote(path), content=content, headers=headers)
        except HTTPError as error:
            if error.status_code == 409:
                raise FileNotFoundError(errno.ENOENT, "no such folder", path) from None
            if error.status_code == 412:
                raise FileExistsError(errno.EEXIST, "there is one already", path) from None
            raise

    def mv(self, source: str, target: str, **_: Any) -> None:
        """Rename a file, and so replace what is there."""
        self.client.move(quote(source), quote(target), overwrite=True)

    def rm_file(self, path: str) -> None:
        """Remove a file, or a folder with all that is in it."""
        self.client.remove(quote(path))

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Make a folder, and the folders above it."""
        try:
            self._mkdir(path, exist_ok)
        except ResourceConflict:
            if path.count("/") < 2:
                raise
            self.makedirs(path.rpartition("/")[0], exist_ok=True)
            self._mkdir(path, exist_ok)

    def _mkdir(self, path: str, exist_ok: bool) -> None:
        try:
            self.client.mkdir(quote(path))
        except ResourceAlreadyExists:
            if not exist_ok:
                raise FileExistsError(errno.EEXIST, "there is one already", path) from None

    def rmdir(self, path: str) -> None:
        """Remove an empty folder."""
        if self.ls(path):
            raise OSError(errno.ENOTEMPTY, "not empty", path)
        self.rm_file(path)


class _Ranges(AbstractBufferedFile):  # type: ignore[misc]
    """A file that is read a range at a time."""

    def _fetch_range(self, start: int, end: int) -> bytes:
        data: bytes = self.fs.cat_file(self.path, start, end)
        return data


def _entry(response: Response) -> dict[str, Any]:
    properties = response.properties
    return {
        "name": response.path_norm,
        "type": properties.resource_type or "file",
        "size": properties.content_length or 0,
        "modified": properties.modified,
        "etag": properties.etag,
    }
