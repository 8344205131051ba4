"""One run at a time where no kernel keeps a lock: in storages, and on some file servers.

A lease is a small file that is put where there was none, so that one of several contenders makes
it, and that its owner writes anew every now and then. Who has died does not, and loses it.

No clock is compared with another: a contender takes an owner for dead when it has watched the file
stay the same for the whole time of a lease, by its own timer. On one machine it need not wait, for
there it can be told whether the owner's process still runs.

Each owner's file has a number of its own, higher than all before. So what an owner writes late, who
was suspended for an hour and does not know yet, meets nobody else's file; and the first that it
then learns is that its number is not the highest any more. Therefore the last file stays when a
lease ends, saying that it is nobody's, as the file of a kernel's lock does.
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
# Seconds for a lease to be let go of, before that is left to a thread.
_IN_A_HURRY, _PATIENCE = 1.5, 10.0

_PREFIX = "lock"
_NUMBERED = re.compile(rf"{_PREFIX}-(\d{{6}}|[1-9]\d{{6,}})", re.ASCII)
_NOBODY = b"null\n"
_MOST = 4096  # bytes that are read of who holds it
_LOGGER = logging.getLogger("prep")

# The tokens of what this process holds or is about to: not of what it could not let go of, for the
# storage did not answer.
_held: set[str] = set()


def is_lock_name(name: str) -> bool:
    """Whether a file of an output's state is a lock, be it the kernel's or a lease.

    >>> is_lock_name("lock"), is_lock_name("lock-000001"), is_lock_name("plan.json")
    (True, True, False)
    """
    return name == _PREFIX or _NUMBERED.fullmatch(name) is not None


def _machine() -> str:
    """Tells the processes that this one can look at from all others; empty where that is unknown.

    Their numbers are those of one kernel, since it was started, and of one namespace.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _started(process: int) -> str:
    """When a process was started, as the kernel counts; empty where it has ended, or is unknown."""
    try:
        state, *rest = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if state in "ZX" else rest[18]


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A process that holds an output.

    Attributes:
        since: when it began to, as its clock has it; for people.
        machine, started: by which another process of the same machine sees whether it still runs.
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
        """The owner that a lock's file tells of; None where it tells of none."""
        try:
            value = json.loads(data)
            owner = cls(**{name: value[name] for name in cls.__slots__})
        except (ValueError, KeyError, TypeError, RecursionError):
            return None
        return owner if owner._is_sound() else None

    def _is_sound(self) -> bool:
        """Whether it is of the form that ours are: anybody may have written the file."""
        texts = (self.host, self.since, self.machine, self.started, self.token)
        return type(self.process) is int and all(isinstance(text, str) for text in texts)

    def __str__(self) -> str:
        return one_line(f"process {self.process} on {self.host}, since {self.since}")

    def is_alive(self) -> bool | None:
        """Whether it is still at work; None where that can't be told from here."""
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
    """The error of who finds an output held.

    Args:
        folder: that the lock is in.
        owner: None where it has not written down yet who it is.
    """
    return OutputConflict(
        f"output: another run is at work in {folder.parent} "
        f"({owner or 'a process that has just started'}); "
        "wait for it to end, stop it, or choose another output"
    )


class Lease:
    """The hold of one run on an output; see :func:`leased`."""

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
        """Waits until the output is nobody's, or it is known that it is somebody's.

        Raises:
            OutputConflict: it is somebody's.
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

    def owner(self) -> Owner | None:
        """Who has written the last lease, alive or not."""
        return Owner.read(self._highest()[1])

    def require(self, *, ask: bool = False) -> None:
        """Raises OutputConflict where it is known that another run has taken the output.

        Args:
            ask: whether to look now; else, what was found when the lease was last renewed counts.
        """
        if ask and not self._is_ours():
            self._lost = True
        if self._lost:
            raise OutputConflict(
                f"output: another run has taken over {self._root}, because this one was silent "
                f"for {self._seconds:g} s; wait for it to end, and run the same command again"
            )

    def release(self) -> None:
        """Ends it: now, or where the output can't be written to, as soon as it can."""
        _held.discard(self._owner.token)
        self._ended.set()
        if self._keeper.is_alive():
            self._keeper.join(_IN_A_HURRY if in_a_hurry() else _PATIENCE)
        elif self._number:
            with contextlib.suppress(OSError, OutputConflict):
                self._let_go()

    def _keep(self) -> None:
        """Renews it until it ends, and then lets go of it, however often that takes."""
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
        """Returns once an owner is known to be dead, or to have let go.

        Raises:
            OutputConflict: it is alive.
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
        """The number of the last lease, and what its file says; 0 where there is none."""
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
        # What is counted tells each renewal from the one before.
        value = {**asdict(self._owner), "renewals": self._renewals}
        return (json.dumps(value, indent=2) + "\n").encode()


def lease_owner(folder: Location) -> Owner | None:
    """Tell whose lease is in a folder, be they alive or not; None where it is nobody's.

    Raises:
        OSError: it can't be read.
    """
    return Lease(folder, LEASE).owner()


@contextlib.contextmanager
def leased(folder: Location, seconds: float | None = None) -> Iterator[Lease]:
    """Holds an output for the length of the block, as long as this process is heard of.

    Args:
        folder: of the output's state, in which the lease is to be; it is made if it is not there,
            and removed again if nothing came of it.
        seconds: after which an owner that has not been heard of loses it; by default, ``LEASE``.

    Raises:
        OutputConflict: another process holds it, and says which; or has taken it meanwhile.
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
                place.rmdir()
