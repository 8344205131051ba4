"""Members of tar files: what the index of a tar file is made of.

- ``tar_scan``: reads the chain of headers, and skips all contents. A plain file takes one loop that
  holds no more than it needs, for there are a million of them; all else is slower and apart.
- ``tar_headers``: what a header or an extended one tells, in all the formats that there are.
- ``tar_members``: the files that unpacking would leave: names, links, the last of each name.
- ``kept_indexes``: those that were made before; of a storage, also by another process.

Nothing here skips a member in silence: what is no file is counted, and what can't be read, or can't
be told from damage, is an error that names the last whole member. Another format or type of header
goes to ``tar_headers``; what becomes of its member, to ``tar_scan``.
"""
