"""Encoding: pixels → the bytes of ``image_raw``, and back.

- ``encode``: an encoder for each word of ``encoding``; thumbnails.
- ``png_writer``: PNG files whose bytes depend on zlib's version alone.
- ``readback``: pixels of our own records, exactly as written or not at all.
- ``tolerances``: how far a lossy encoding may move the mean of what it encodes.
- ``record_pixels``: pixels of any record, also of one whose plan is unknown; those of ours as
  readers for training return them.

The rule: the same pixels and settings give the same bytes on every host with the versions that a
plan's fingerprint names.

Another encoding goes into the table of ``encode``, with its word in ``settings.choices.Encoding``
and how to read it back in ``readback``; if it is lossy, with its bound in ``tolerances``.
"""
