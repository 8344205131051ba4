"""The folder of an export: what is exported there, and which of its files are whole."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prep.errors import OutputConflict, PrepError
from prep.parsing import parse_json
from prep.planning.shards import ShardSpec
from prep.shards.exports.base import ExportedFile, ExportName
from prep.storage.local import LocalPath
from prep.storage.newfile import lock_file
from prep.text import quoted, reason_of

#: The folder in an export that says what it is, and which files are whole.
STATE = ".prep-export"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportTarget:
    """The place and format of an export.

    Attributes:
        folder: its path, as every process sees it.
        to: name of the format.
    """

    folder: str
    to: ExportName

    @property
    def root(self) -> LocalPath:
        """The folder."""
        return LocalPath(self.folder)

    @property
    def state(self) -> LocalPath:
        """The folder in it that says what the export is."""
        return self.root / STATE

    @contextlib.contextmanager
    def claimed(self, digest: str, splits: Sequence[str]) -> Iterator[None]:
        """Take the folder for an export, alone, or go on with what was begun there.

        Args:
            digest: fingerprint of the output's plan.
            splits: the splits to be exported.

        Raises:
            OutputConflict: it holds something else, or another export is at work in it.
            PrepError: it can't be made, or nothing can be written there.
        """
        try:
            descriptor = self._opened()
        except NotADirectoryError as error:
            raise OutputConflict(
                f"folder: {quoted(str(error.filename or self.folder))} is no folder; expected a "
                "new folder, or that of an export that was stopped"
            ) from None
        except OSError as error:
            raise PrepError(
                f"folder: nothing can be written in {quoted(self.folder)}: {reason_of(error)}; "
                "put that right, or give another folder"
            ) from None
        try:
            self._lock(descriptor)
            self._begin({"digest": digest, "to": self.to, "splits": list(splits)})
            yield
        finally:
            os.close(descriptor)

    def _opened(self) -> int:
        """Return a descriptor of the file to lock; raise OutputConflict if others are there."""
        others = [name for name in self.root.names() if name != STATE]
        if others and not self._note.exists():
            raise OutputConflict(
                f"folder: {quoted(self.folder)} is not empty; expected a new folder, or that of "
                "an export that was stopped"
            )
        self.state.make_folder(within=self.root)
        return os.open(self.state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)

    def _lock(self, descriptor: int) -> None:
        try:
            lock_file(descriptor)
        except BlockingIOError:
            raise OutputConflict(
                f"folder: another export is at work in {quoted(self.folder)}; wait for it to end"
            ) from None

    def _begin(self, asked: Mapping[str, Any]) -> None:
        """Note what is exported, or compare it with the note; remove what dead attempts left."""
        try:
            held = parse_json(self._note.read_bytes())
        except FileNotFoundError:
            self._note.publish_json(asked, within=self.root)
            return
        except ValueError:
            held = None
        if held != asked:
            raise OutputConflict(
                f"folder: {quoted(self.folder)} holds another export: of another output, other "
                "splits, or to another format; expected a new folder"
            )
        for folder in self.root.iterdir():
            if folder.is_dir():
                folder.remove_leftovers(within=self.root, alone=True)

    @property
    def _note(self) -> LocalPath:
        return self.state / "export.json"

    def kept(self, shard: ShardSpec) -> ExportedFile | None:
        """Return the file of a shard that an earlier attempt has written, if it is there, whole."""
        try:
            found = ExportedFile.from_json(parse_json(self._note_of(shard).read_bytes()))
            size = (self.root / found.file).file_size()
        except (OSError, ValueError):
            return None
        same = (found.split, found.index, found.bytes) == (shard.split, shard.index, size)
        return found if same else None

    def note(self, file: ExportedFile) -> None:
        """Note that the file of a shard is there, whole."""
        path = self._note_of(file)
        path.publish_json(file.to_json(), within=self.root, durable=False)

    def _note_of(self, shard: ShardSpec | ExportedFile) -> LocalPath:
        return self.state / shard.split / f"{shard.index:05d}.json"
