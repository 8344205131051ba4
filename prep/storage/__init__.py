"""Bytes at paths and URLs, on this machine's disks and in storages.

- ``location``: the abstract ``Location``, which all other packages use; ``Stamp``, ``Status``.
- ``locate``: from a string to a location, and reading by name; mounts and access of a process.
- ``local``, ``folders``, ``newfile``: locations on disks; folders opened without following links;
  files that appear whole or not at all.
- ``remote``, ``upload``: locations in storages; files that are uploaded whole.
- ``retry``: what may pass, retries, deadlines.
- ``urls``, ``arguments``: what URLs mean and hide; paths, URLs and options as users give them.
- ``backends``: fsspec, and what each kind of storage needs of its own.

Rules: whatever changes an output is a method of ``Location`` that is told ``within`` which output.
Local is told from remote by ``Location.local`` alone. All failures are OSErrors with a number that
says whether they may pass. Options are never shown or logged. An image is read in one request.

Another kind of location is a subclass of ``Location`` and a line in ``locate``. Another storage
that fsspec opens needs nothing, or a file in ``backends``.
"""
