"""An S3 server in its own process, which records its requests.

``python tests/support/s3_server.py PORT [HOST]``

A line on standard output once it answers. Beside S3,
``GET /_requests`` gives all requests so far as JSON, ``[[method, path with query, Range], …]``, and
``POST /_trouble?status=503&times=3&method=GET&match=cat`` has some of the next ones fail.
"""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

Start = Callable[..., Any]


class Recorder:
    """Notes each request, and fails those that are to fail."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._requests: list[list[str]] = []
        self._trouble: dict[str, str] = {}
        self._left = 0
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        query = environ.get("QUERY_STRING", "")
        if path == "/_requests":
            return self._answer(start, json.dumps(self._requests).encode())
        if path == "/_trouble":
            self._trouble = {name: values[0] for name, values in parse_qs(query).items()}
            self._left = int(self._trouble["times"])
            return self._answer(start, b"")
        whole = f"{path}?{query}" if query else path
        with self._lock:
            self._requests.append([method, whole, environ.get("HTTP_RANGE", "")])
            fails = self._fails(method, whole)
        if fails:
            start(f"{self._trouble['status']} Trouble", [("Content-Length", "0")])
            return [b""]
        answer: Iterable[bytes] = self._app(environ, start)
        return answer

    def _fails(self, method: str, path: str) -> bool:
        trouble = self._trouble
        if not self._left or method not in trouble.get("method", method):
            return False
        if not re.search(trouble.get("match", ""), path):
            return False
        self._left -= 1
        return True

    def _answer(self, start: Start, body: bytes) -> Iterable[bytes]:
        start("200 OK", [("Content-Length", str(len(body)))])
        return [body]


def main() -> None:
    """Serves until it is killed."""
    app = Recorder(DomainDispatcherApplication(create_backend_app))
    port, host = [*sys.argv[1:], "127.0.0.1"][:2]
    server = make_server(host, int(port), app, threaded=True)
    print(server.port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
