"""Image files of any format → 8-bit RGB, strictly: what has lost pixels is refused, or noted.

``decode`` chooses by the first bytes: ``jpeg`` for JPEG, ``pillow`` for all other formats.

- ``values``: the values that decoders return, and their settings.
- ``formats``: signatures of the formats that are read, and of those that are refused by name.
- ``limits``: refusals by the header alone, before memory is taken or time is spent.
- ``png``, ``tiff``, ``ifd``: what Pillow misses or gets wrong in PNG and TIFF; Exif.
- ``convert``: ICC profiles, 16-bit samples, transparency, a band of rows at a time.
- ``process``: settings of the codec libraries, for the whole process.

The rule: sizes are checked before a codec sees the data, and metadata never fails an image whose
pixels are sound. Facts about a format that Pillow reads go into a module of its own, which
``pillow`` calls; a format with a codec of its own gets a folder, such as ``jpeg``.
"""
