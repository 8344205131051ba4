"""Storages as fsspec opens them, and what each kind of storage needs of its own.

- ``requests``: requests to one URL, with a deadline and one kind of error; all that ``RemotePath``
  knows of a storage.
- ``filesystems``, ``grants``: the open filesystems of this process; options granted to it.
- ``faults``: errors of all libraries as OSErrors without secrets.
- ``protocols``: which protocols are taken, and which class opens them.
- ``stores``: requests that only S3, Azure, SFTP or WebDAV have.
- ``azure``, ``google``, ``sftp``, ``webdav``: filesystems, credentials and host keys of these.

``universal_pathlib`` would be the ready-made path class. It needs two requests where one will do,
raises what each library raises, and pickles its options with it.

Rule: modules that need an optional package are imported when a URL needs them. A filesystem of our
own goes into a file here and a line of ``protocols.filesystem_class``; a request that one storage
has and fsspec lacks goes into ``stores``.
"""
