"""The plan of an output and its manifest, and whether to believe and to trust them.

A repair reads the source that the plan names, with this user's rights.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
from collections.abc import Callable

import pyarrow as pa

from prep.errors import PrepError, SourceError, UntrustedPlan
from prep.output.layout import OutputLayout
from prep.parsing import LARGEST, parse_json
from prep.planning.fingerprint import IMAGES, images_digest
from prep.planning.plan import FORMAT, RunPlan
from prep.planning.shards import count_shards
from prep.planning.stored_plan import plan_from_json
from prep.sources import manifest
from prep.sources.labelling.label_rules import files_for_labels
from prep.sources.registry import reopen_source
from prep.storage.location import Location
from prep.text import one_line, quoted, reason_and_file, reason_of, shown, some

_BELIEVED = 10_000  # shards of a plan, without looking for what else speaks for them


def read_plan(layout: OutputLayout) -> RunPlan | None:
    """Read the plan of an output; return None if it has none.

    Raises:
        PrepError: it can't be read.
        StorageUnavailable: a storage does not answer.
    """
    try:
        value = parse_json(layout.plan.read_at_most(LARGEST))
        if isinstance(value, dict) and value.get("format") != FORMAT:
            raise PrepError(
                f"{layout.plan}: format {shown(value.get('format'))}, expected "
                f"{FORMAT}; it was made by another version: use that, or another output"
            )
        return plan_from_json(value)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        layout.root.require_answer(error)
        # The plan may be sound although it can't be read, so do not suggest replacing it.
        raise PrepError(
            f"{layout.plan}: can't be read: {reason_of(error)}; make it "
            "readable, or choose another output"
        ) from None
    except ValueError as error:
        raise PrepError(
            f"{layout.plan}: is damaged, or was not written by prep: {reason_of(error)}; "
            "a run with `overwrite=True` starts afresh"
        ) from None


class StoredManifest:
    """The manifest in an output: the images of its plan, in the order in which they are written.

    Whoever replaces a plan keeps the manifest from before beside the new one meanwhile.
    """

    def __init__(self, layout: OutputLayout) -> None:
        self._layout = layout
        self._files: dict[str, Location] = {}  # by the digest of their plan

    def file_of(self, plan: RunPlan) -> Location:
        """Return the file that holds the manifest of the stored plan.

        It is the copy of the manifest from before, if a run has died after it published the
        manifest of its plan, and before the plan.

        Raises:
            OSError: a storage does not answer.
        """
        digest, before = plan.fingerprint.digest, self._layout.manifest_before
        if digest not in self._files:
            is_its = False
            if before.patiently(before.exists):
                with contextlib.suppress(FileNotFoundError):  # A run has just ended with it.
                    is_its = _is_manifest_of(plan, before)
            self._files[digest] = before if is_its else self._layout.manifest
        return self._files[digest]

    def table_of(self, stored: RunPlan) -> pa.Table:
        """Read the manifest of the stored plan, whatever else a dead run has left.

        Raises:
            OSError, ValueError, ArrowException: it can't be read, or is not a manifest.
        """
        return manifest.read(self.file_of(stored))

    def table_if_readable(self, stored: RunPlan) -> pa.Table | None:
        """Read the manifest of the stored plan; return None if it can't be read."""
        try:
            return self.table_of(stored)
        except (OSError, ValueError, pa.ArrowException):
            return None

    def read(self, *columns: str) -> pa.Table:
        """Read columns of the manifest, by default all; see :class:`RunPlan`.

        Raises:
            OSError, ValueError, ArrowException: it can't be read, or is not a manifest.
        """
        return manifest.read(self._layout.manifest, columns)

    def holds(self, plan: RunPlan) -> bool:
        """Return whether the manifest is that of a plan."""
        try:
            return manifest.is_same(self.read(), plan.manifest)
        except (OSError, ValueError, pa.ArrowException):
            return False

    def write(self, plan: RunPlan) -> None:
        """Write the manifest of a plan.

        Raises:
            OSError: it can't be written.
        """
        data = manifest.to_parquet(plan.manifest)
        self._layout.manifest.publish(data, within=self._layout.root)

    def restore(self) -> None:
        """Put the manifest of the stored plan back, if a run died while it replaced that plan.

        Raises:
            OSError: the output can't be read or written to.
        """
        self._files.clear()
        layout, root = self._layout, self._layout.root
        before = layout.manifest_before
        if not before.patiently(before.exists):
            return
        data = before.read_patiently()
        stored = None
        with contextlib.suppress(PrepError):  # A run that overwrites needs none.
            stored = read_plan(layout)
        if stored is not None and _is_manifest_of(stored, before):
            layout.manifest.publish(data, within=root)
        before.remove_file(within=root)


def _is_manifest_of(plan: RunPlan, path: Location) -> bool:
    """Return whether a file holds the manifest of a plan."""
    try:
        images = images_digest(manifest.read(path))
    except (ValueError, pa.ArrowException):
        return False
    return images == plan.fingerprint.parts.get(IMAGES)


def no_plan(layout: OutputLayout) -> SourceError:
    """Return the error that there is no output here, which says how much of it is absent."""
    absent, there = None, True
    root = quoted(str(layout.root))
    with contextlib.suppress(OSError):
        absent = layout.root.absent_bucket()
        there = layout.root.exists()
    if absent:
        return SourceError(f"output: {root}: {absent} does not exist; expected a bucket")
    found = f"{root} holds no run (there is no plan in it)" if there else f"{root} does not exist"
    return SourceError(f"output: {found}; give the path that was the `output` of a run")


def require_listed(layout: OutputLayout, stored: RunPlan) -> None:
    """Raise PrepError if a plan claims very many shards without a manifest of as many images.

    To be called before looking at each shard: a plan takes 20 bytes to claim a million of them, and
    two bytes for each that is empty.

    Raises:
        StorageUnavailable: a storage does not answer.
    """
    shards = count_shards(stored.splits, stored.images_per_shard, stored.sizes)
    if shards <= _BELIEVED:
        return
    if shards > _BELIEVED + stored.images:
        raise PrepError(
            f"{layout.plan}: claims {shards:,} shards of {stored.images:,} images; expected few "
            "empty ones: restore it, or start afresh with a run with `overwrite=True`"
        )
    try:
        listed = f"{manifest.count(layout.manifest):,} images"
    except (OSError, ValueError, pa.ArrowException) as error:
        if isinstance(error, OSError):
            layout.root.require_answer(error)
        listed = "nothing that can be read"
    if listed != f"{stored.images:,} images":
        raise PrepError(
            f"{layout.plan}: claims {stored.images:,} images, where {layout.manifest.name} "
            f"beside it lists {listed}; restore the one of the two that was changed, or start "
            "afresh with a run with `overwrite=True`"
        )


#: True to trust a plan, False not to, None to trust this user's own; or a function that gets one
#: line about the plan and returns the answer.
Trust = bool | Callable[[str], bool] | None


def require_trusted(
    layout: OutputLayout, plan: RunPlan, trust: Trust, reader: str = "a repair"
) -> None:
    """Raise UntrustedPlan if the source that a plan names may not be read.

    Args:
        layout: of the output that has the plan.
        plan: the plan.
        trust: whether to trust it.
        reader: what would read the source, in words.
    """
    who = None if trust is True else "may be somebody else's" if trust is False else owner(layout)
    if who is None:
        return
    files = some([quoted(path) for path in files_for_labels(plan.config)])
    where = reopen_source(plan.source, layout.state).reach + (f", and {files}," if files else "")
    told = (
        f"output: the plan of {one_line(str(layout.root))} {who}; {reader} would read images "
        f"{where} with your rights, and write them to the output"
    )
    if callable(trust) and trust(told):
        return
    raise UntrustedPlan(f"{told}; if that is what you want, pass `trust_plan=True`")


def owner(layout: OutputLayout) -> str | None:
    """Say who else may have made an output's plan; return None if only this user can have.

    A storage does not tell who wrote an object.
    """
    for path in (layout.root, layout.state, layout.plan, layout.manifest):
        if path.local is None:
            return "is in a storage, which does not say who owns it"
        try:
            uid = path.local.stat().st_uid
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ELOOP):  # Nothing can be read there.
                return f"can't be told to be yours ({reason_and_file(error)})"
            continue
        if uid != os.geteuid():
            return f"belongs to {_name(uid)}, or may come from them"
    return None


def _name(uid: int) -> str:
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"
