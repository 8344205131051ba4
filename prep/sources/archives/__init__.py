"""Images in archives: tar and zip files, on a disk or in a storage.

- ``archive_layout``: archives as a layout; tells them by their first bytes, and indexes each kind.
- ``archive_folders``: makes their catalog; the paths in them mean what folders mean.
- ``packed_folders``: lists the folders in archives, and archives as folders.
- ``members``: what an index of an archive is: a row for each member, with its place.
- ``tar``, ``zip``: make the index of an archive, from its headers.
- ``tars/``: how the members of a tar file are found.
- ``zips/``: the directory of a zip file, and its compression.
- ``solid``: archives that are compressed as a whole, which have to be unpacked first.
- ``archive_bytes``: bytes of an archive while it is indexed, in few requests.
- ``member_reading``: reads a member by its place, and shows that it is still what was listed.

The manifest is the archive's index: nobody but the plan scans one. Another kind of archive is a
module that returns ``Members``, and its first bytes in ``archive_layout``.
"""
