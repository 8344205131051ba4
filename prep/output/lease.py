"""One run at a time where the kernel has no locks: in storages, and on some file servers.

A lease is a small file. It is only made if it is absent, so one of several contenders makes it. Its
owner renews it every now and then. An owner that has died does not, and loses the lease.

No two clocks are compared: a contender takes an owner for dead after it has watched the file stay
the same for the whole time of a lease, by its own timer. It need not wait for an owner on its own
machine, where it can see whether the process still runs.

Each owner's file has a number of its own, higher than all before. So an owner that was suspended
for an hour, and writes late, overwrites nobody else's file; and the next thing that it learns is
that its number is not the highest any more. Therefore the last file stays when a lease ends, and
says that it has no owner, as the file of a kernel's lock does.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from prep.errors import OutputConflict
from prep.storage.location import Location
from prep.storage.retry import answering_within, in_a_hurry
from prep.text import one_line

LEASE = 60.0  # seconds
_RENEWALS = 3  # in the time of a lease
_LOOKS = 30  # of a contender, in that time
_LONGEST_PAUSE = 2.0  # seconds between two of them
# Seconds to wait for the release of a lease, before that is left to a thread.
_IN_A_HURRY, _PATIENCE = 1.5, 10.0

_PREFIX = "lock"
_NUMBERED = re.compile(rf"{_PREFIX}-(\d{{6}}|[1-9]\d{{6,}})", re.ASCII)
_NOBODY = b"null\n"
_MOST = 4096  # bytes that are read of a lease
_LOGGER = logging.getLogger("prep")

# Tokens of the leases that this process holds or is about to hold; not of those that it could not
# release because the storage did not answer.
_held: set[str] = set()


def is_lock_name(name: str) -> bool:
    """Return True for the name of a lock in an output's state: the kernel's, or a lease.

    >>> is_lock_name("lock"), is_lock_name("lock-000001"), is_lock_name("plan.json")
    (True, True, False)
    """
    return name == _PREFIX or _NUMBERED.fullmatch(name) is not None


def _machine() -> str:
    """Return what identifies a booted kernel and a namespace of processes; empty if unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _started(process: int) -> str:
    """Return the kernel's time of a process's start; empty if it has ended, or is unknown."""
    try:
        state, *rest = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if state in "ZX" else rest[18]


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A process that holds an output.

    Attributes:
        since: the time by its own clock; for people.
        machine, started: tell another process of the same machine whether it still runs.
        token: unique to the lease.
    """

    host: str = field(default_factory=socket.gethostname)
    process: int = field(default_factory=os.getpid)
    since: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    machine: str = field(default_factory=lambda: _machine())
    started: str = field(default_factory=lambda: _started(os.getpid()))
    token: str = field(default_factory=lambda: uuid.uuid4().hex)

    @classmethod
    def read(cls, data: bytes | str) -> Owner | None:
        """Return the owner that a lock's file names; None if it names none."""
        try:
            value = json.loads(data)
            owner = cls(**{name: value[name] for name in cls.__slots__})
        except (ValueError, KeyError, TypeError, RecursionError):
            return None
        return owner if owner._is_sound() else None

    def _is_sound(self) -> bool:
        """Return True if all values have the right types: anybody may have written the file."""
        texts = (self.host, self.since, self.machine, self.started, self.token)
        return type(self.process) is int and all(isinstance(text, str) for text in texts)

    def __str__(self) -> str:
        return one_line(f"process {self.process} on {self.host}, since {self.since}")

    def is_alive(self) -> bool | None:
        """Return True if it is still at work; None if that can't be told from here."""
        if not self.machine or self.machine != _machine():
            return None
        if self.process == os.getpid():
            return self.token in _held
        try:
            os.kill(self.process, 0)
        except (ProcessLookupError, OverflowError):
            return False
        except OSError:  # It is another user's.
            pass
        return _started(self.process) in (self.started, "")


def conflict(folder: Location, owner: Owner | None) -> OutputConflict:
    """Return the error for an output that another run holds.

    Args:
        folder: the lock's.
        owner: None if it has not written its name yet.
    """
    return OutputConflict(
        f"output: another run is at work in {folder.parent} "
        f"({owner or 'a process that has just started'}); "
        "wait for it to end, stop it, or choose another output"
    )


class Lease:
    """The lease of one run on an output; see :func:`leased`."""

    def __init__(self, folder: Location, seconds: float) -> None:
        self._folder = folder
        self._root = folder.parent  # Of the output.
        self._seconds = seconds
        self._pause = min(seconds / _LOOKS, _LONGEST_PAUSE)
        self._owner = Owner()
        self._number = 0
        self._renewals = 0
        self._lost = False
        self._ended = threading.Event()
        # A daemon, so that the process can end.
        self._keeper = threading.Thread(target=self._keep, name="prep-lease", daemon=True)

    def acquire(self) -> None:
        """Wait until the output has no owner, and take it.

        Raises:
            OutputConflict: it has one.
            OSError: it can't be written to.
        """
        _held.add(self._owner.token)  # Before its file is there for other threads to see.
        while not self._number or not self._is_ours():
            number, data = self._highest()
            if number and data != _NOBODY:
                self._watch(number, data)
            self._number = number + 1
            file = self._file(self._number)
            # There may be another run's, or ours, if an answer was lost.
            with contextlib.suppress(FileExistsError):
                file.put_if_absent(self._content(), within=self._root)
        self._remove_lower()
        self._keeper.start()

    def require(self, *, ask: bool = False) -> None:
        """Raise OutputConflict if another run has taken the output.

        Args:
            ask: look now; otherwise, the last renewal of the lease tells.
        """
        if ask and not self._is_ours():
            self._lost = True
        if self._lost:
            raise OutputConflict(
                f"output: another run has taken over {self._root}, because this one was silent "
                f"for {self._seconds:g} s; wait for it to end, and run the same command again"
            )

    def release(self) -> None:
        """End the lease: now, or as soon as the output can be written to."""
        _held.discard(self._owner.token)
        self._ended.set()
        if self._keeper.is_alive():
            self._keeper.join(_IN_A_HURRY if in_a_hurry() else _PATIENCE)
        elif self._number:
            with contextlib.suppress(OSError, OutputConflict):
                self._let_go()

    def _keep(self) -> None:
        """Renew the lease until it ends, then try to release it until that succeeds."""
        pause = self._seconds / _RENEWALS
        while not (self._lost or self._ended.wait(pause)):
            # It is ours as long as nobody else has taken it, though a link be in the way for now.
            with contextlib.suppress(OSError, OutputConflict):
                self._renew()
        while not self._lost:
            with contextlib.suppress(OSError, OutputConflict):
                self._let_go()
                return
            time.sleep(pause)

    def _renew(self) -> None:
        self._lost = not self._is_ours()
        if not self._lost:
            self._renewals += 1
            self._file(self._number).put_over(self._content(), within=self._root)

    def _let_go(self) -> None:
        self._lost = not self._is_ours()
        if self._lost:
            return
        if all(map(is_lock_name, self._folder.names(""))):
            self._file(self._number).remove_file(within=self._root)  # Nothing has come of it.
        else:
            self._file(self._number).put_over(_NOBODY, within=self._root)

    def _watch(self, number: int, data: bytes) -> None:
        """Wait until an owner is known to be dead, or has released its lease.

        Raises:
            OutputConflict: the owner is alive.
        """
        owner = Owner.read(data)
        alive = owner.is_alive() if owner else None
        if alive:
            raise conflict(self._folder, owner)
        if alive is None:
            _LOGGER.warning(
                "prep: waiting for up to %.0f s to see whether a run is still at work in %s: %s",
                self._seconds,
                self._root,
                owner or "one that has just started",
            )
            self._wait_for_change(number, data)

    def _wait_for_change(self, number: int, data: bytes) -> None:
        deadline, now = time.monotonic() + self._seconds, 0.0
        while now < deadline:
            time.sleep(self._pause)
            # Before the look: whoever is suspended between the two looks again.
            now = time.monotonic()
            number_now, data_now = self._highest()
            if data_now == _NOBODY or not number_now:
                return
            if (number_now, data_now) != (number, data):
                raise conflict(self._folder, Owner.read(data_now))

    def _highest(self) -> tuple[int, bytes]:
        """Return the number and contents of the last lease; 0 if there is none."""
        number = 0
        for _ in range(_LOOKS):
            number = max(self._numbers(), default=0)
            if not number:
                break
            try:
                return number, self._file(number).read_at_most(_MOST)
            except ValueError:  # No owner has written so much.
                break
            except FileNotFoundError:
                pass
            # A higher one has just come, and a file server may take a while to show it.
            time.sleep(self._pause)
        return number, b""

    def _is_ours(self) -> bool:
        highest, data = self._highest()
        owner = Owner.read(data)
        return highest == self._number and owner is not None and owner.token == self._owner.token

    def _numbers(self) -> list[int]:
        names = self._folder.names(_PREFIX)
        return [int(match[1]) for name in names if (match := _NUMBERED.fullmatch(name))]

    def _remove_lower(self) -> None:
        for number in self._numbers() if self._number > 1 else ():
            if number < self._number:
                with contextlib.suppress(OSError):
                    self._file(number).remove_file(within=self._root)

    def _file(self, number: int) -> Location:
        return self._folder / f"{_PREFIX}-{number:06d}"

    def _content(self) -> bytes:
        # The count makes each renewal differ from the one before.
        value = {**asdict(self._owner), "renewals": self._renewals}
        return (json.dumps(value, indent=2) + "\n").encode()


def lease_owner(folder: Location) -> Owner | None:
    """Return the owner of the lease in a folder, dead or alive; None if it has none.

    Raises:
        OSError: it can't be read.
    """
    return Owner.read(Lease(folder, LEASE)._highest()[1])


@contextlib.contextmanager
def leased(folder: Location, seconds: float | None = None) -> Iterator[Lease]:
    """Hold the lease on an output for the length of the block.

    Args:
        folder: of the output's state. It is made if it is absent, and removed again if it is empty.
        seconds: after which an owner that does not renew loses it; by default, ``LEASE``.

    Raises:
        OutputConflict: another process holds it (the message names it), or has taken it meanwhile.
        OSError: the output can't be written to.
    """
    new = folder.absent_folders()
    folder.make_folder(within=folder.parent)
    lease = Lease(folder, LEASE if seconds is None else seconds)
    try:
        lease.acquire()
        yield lease
    except BaseException:
        with answering_within():  # That the storage is away may be why.
            lease.release()
        raise
    else:
        lease.release()
        lease.require()
    finally:
        for place in new:
            with contextlib.suppress(OSError):
                place.remove_folder(within=place.parent)
