"""Images: bytes → pixels → the size asked for → bytes. Only this room calls a codec.

``processor`` takes one image all the way; a worker keeps one :class:`ImageProcessor`.

- ``decoders``: a file of any format → 8-bit RGB as stored, strictly.
- ``geometry``: parts of images, and what a result needs of an image.
- ``rgbx``: RGB pixels of four bytes each, which JPEGs have from the decoder to the encoder.
- ``fitting``: cropping, padding, resizing, turning upright.
- ``encoding``: pixels → the bytes of ``image_raw``, and back; thumbnails.
- ``stats``, ``mean_image``: channel sums and the mean image, as exact integer sums.
- ``colour``: what sums come to: mean, standard deviation, covariance and its eigenvectors.
- ``likeness``: a hash of a result, and images whose hashes say that they look alike.
- ``dimensions``, ``depths``, ``traits``: what receipts and reports say about the source images.

The rule: nothing here knows a path, a shard or a configuration file. Only errors, text, parsing and
settings are imported, and an image that can't be used raises ``RefusedImage`` with a reason.

A new interpolation goes to ``fitting``, a new encoding to ``encoding``, a new sum to a module of
its own with a way to add up and ``from_json``.
"""
