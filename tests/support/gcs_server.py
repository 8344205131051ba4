"""A server that speaks Google's storage protocol, in its own process.

``python tests/support/gcs_server.py PORT FOLDER``

A line on standard output once it answers. The emulator
does not know ``ifGenerationMatch=0`` (only if there is no such object), so that is added here.
"""

from __future__ import annotations

import sys
import threading
from http import HTTPStatus
from typing import Any

from gcp_storage_emulator import server
from gcp_storage_emulator.handlers import objects


def insert(request: Any, response: Any, storage: Any) -> None:
    """Puts an object there, unless it is only to be put where there is none, and there is one."""
    if request.query.get("ifGenerationMatch") == ["0"]:
        name = request.data["meta"]["name"]
        if name in storage.objects.get(request.params["bucket_name"], {}):
            response.status = HTTPStatus.PRECONDITION_FAILED
            return
    objects.insert(request, response, storage)


def main() -> None:
    """Serves until it is ended."""
    port, folder = sys.argv[1:]
    for _, handlers in server.HANDLERS:
        if handlers.get(server.POST) is objects.insert:
            handlers[server.POST] = insert
    with server.create_server("127.0.0.1", int(port), data_dir=folder):
        print("ready", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
