"""Changes to an output, on this machine or in a storage: nothing outside of it is touched.

All that is written, replaced or removed in an output goes through here, and says ``within`` which
one. What that keeps out on this machine's disks is told in ``folders``. In a storage, only servers
with folders have links (SFTP): those are looked for before the work, and not again.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from prep.storage import folders, local, remote
from prep.storage.local import AtomicFile
from prep.storage.newfile import NewFile
from prep.storage.remote import RemotePath, Upload


def create(
    path: Path,
    *,
    within: Path | None = None,
    durable: bool = True,
    tag: str = "",
    before_publishing: Callable[[], None] | None = None,
) -> NewFile:
    """A file that will appear whole or not at all.

    Args:
        within: the output that it is in; by default, the folder that the file is in.
        durable: whether to wait until it is on disk; a storage always says when it has it.
    """
    if isinstance(path, RemotePath):
        return Upload(path, tag=tag, before_publishing=before_publishing)
    return AtomicFile(
        path, within=within, durable=durable, tag=tag, before_publishing=before_publishing
    )


def publish(path: Path, data: bytes, *, within: Path | None = None, durable: bool = True) -> None:
    """Publishes a small file."""
    with create(path, within=within, durable=durable) as file:
        file.write(data)


def publish_json(
    path: Path, value: Any, *, within: Path | None = None, durable: bool = True
) -> None:
    """Publishes ``value`` as indented JSON. Names that are not valid Unicode survive, escaped."""
    data = (json.dumps(value, indent=2) + "\n").encode()
    publish(path, data, within=within, durable=durable)


def has_links(root: Path) -> bool:
    """Whether there may be symbolic links there.

    Raises:
        OSError: a storage does not say.
    """
    return root.has_links if isinstance(root, RemotePath) else True


def require_folder(path: Path, *, within: Path) -> None:
    """Raises OutputConflict where a symbolic link is in the place of a folder, or of one above it.

    That there is nothing, or something else, is no concern of this.

    Raises:
        OSError: a storage does not say.
    """
    if isinstance(path, RemotePath):
        if path.is_symlink():
            raise folders.link_in_the_way(cast(Path, path), "another place there")
        return
    with contextlib.suppress(OSError), folders.opened(path, within):
        pass


def make_folder(path: Path, *, within: Path) -> None:
    """Makes a folder, and all above it, as far as they are absent."""
    if isinstance(path, RemotePath):
        path.mkdir(parents=True, exist_ok=True)
        return
    with folders.opened(path, within, make=True):
        pass


def remove(path: Path, *, within: Path) -> None:
    """Removes a file, if there is one; of a symbolic link, the link itself."""
    if isinstance(path, RemotePath):
        path.unlink(missing_ok=True)
    else:
        folders.remove(path, within)


def remove_folder(path: Path, *, within: Path) -> None:
    """Removes a folder.

    Raises:
        OSError: something is in it.
    """
    if isinstance(path, RemotePath):
        path.rmdir()
    else:
        folders.remove_folder(path, within)


def empty_folder(path: Path, *, within: Path, keep: Callable[[str], bool]) -> None:
    """Removes all that is in a folder, if there is one.

    Args:
        keep: whether what bears a name is left there.
    """
    if isinstance(path, RemotePath):
        remote.empty(path, keep)
    else:
        folders.empty(path, within, keep)


def leftovers(folder: Path) -> list[Path]:
    """What attempts, dead ones and such as are alive, have under temporary names."""
    if isinstance(folder, RemotePath):
        return cast(list[Path], remote.temporaries(folder, None))
    with contextlib.suppress(OSError):
        return [folder / name for name in local.temporaries(folder, None)]
    return []


def remove_leftovers(
    folder: Path,
    tag: str | None = None,
    *,
    within: Path | None = None,
    keep_names: bool = False,
    alone: bool = False,
) -> None:
    """Removes what dead attempts left in ``folder`` under temporary names.

    In a storage, where dead ones can't be told from live ones, this removes the traces of both,
    which does the live ones no harm.

    Args:
        folder: where.
        tag: only those with this tag.
        within: the output that it is in.
        keep_names: of those with a tag, remove what is in them, but not the trace that an attempt
            has died there.
        alone: whether nobody else has any business here, so that what can't be told from a dead
            attempt is taken for one.
    """
    if isinstance(folder, RemotePath):
        remote.remove_leftovers(folder, tag, keep_names=keep_names)
    else:
        local.remove_leftovers(folder, tag, within=within, keep_names=keep_names, alone=alone)


def abort_uploads(root: Path, ours: Callable[[str], bool]) -> None:
    """Has a storage forget uploads in parts that were begun below ``root`` and not finished.

    Args:
        ours: whether a name, relative to ``root``, is one that we would upload to.
    """
    if isinstance(root, RemotePath):
        for path, upload in root.unfinished_uploads():
            if ours(str(path.relative_to(root))):
                path.abort_upload(upload)
