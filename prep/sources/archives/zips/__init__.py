"""Zip files in detail, for ``archives.zip`` and ``archives.member_reading``.

- ``central_directory``: finds the directory of an archive, at its end.
- ``zip_records``: reads the directory, by column.
- ``zip_reading``: unpacks a member, in no more memory than an image may take.

Numbers in an archive are checked against the size of the file before they are used.
"""
