"""Host keys of SFTP servers: only known ones are trusted, as by ``ssh``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import paramiko


class UnknownHostKey(paramiko.SSHException):  # type: ignore[misc]
    """The key of a server is not the one that is known, or none is known."""


class KnownHosts(paramiko.MissingHostKeyPolicy):  # type: ignore[misc]
    """Trusts servers that are in a ``known_hosts`` file; asks nobody.

    Args:
        file: by default, that of the user.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file or Path.home() / ".ssh" / "known_hosts"

    def missing_host_key(self, client: Any, hostname: str, key: paramiko.PKey) -> None:
        known = paramiko.HostKeys()
        if self._file.is_file():
            known.load(str(self._file))
        if not known.check(hostname, key):
            there = known.lookup(hostname)
            found = "another key of it" if there and key.get_name() in there else "no key of it"
            raise UnknownHostKey(
                f"the key of {hostname} ({key.get_name()} {key.fingerprint}) is not trusted: "
                f"{found} is in {self._file}; connect with ssh once to check and add it, or give "
                "the option host_key_policy: auto_add to trust any"
            )
