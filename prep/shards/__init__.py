"""One shard: written, read again, and checked. Knows nothing of Dask.

- ``writer``: from a shard's place in the plan to a committed file and its receipt. It can be
  killed at any point, and run twice at once: shard first, receipt after it, both atomically.
- ``copying``: takes over a shard of another output as it is, with a receipt of its own.
- ``image_hashes``: hashes images before they are planned, to leave out those that look alike.
- ``opened``: the plan of an output as each process keeps it.
- ``reading``: reads source images, and tells a bad image from a source that is away.
- ``tally``: counts what becomes of the images while a shard is written.
- ``check``, ``check_records``: compare a shard with its plan and receipt, as a whole and record by
  record.
- ``formats``: how records lie in a file. Nothing else here knows TFRecord or tar.
- ``exports``: records in the files of other formats, as they are.
- ``isolation``: processes images that may crash or hang a decoder in a child process.
"""
