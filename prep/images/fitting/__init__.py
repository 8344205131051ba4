"""Decoded pixels → the upright result, of the size that was asked for.

- ``framing``: a size and how images take it, and the part of an image that becomes which pixels.
- ``axes``: that part in whole pixels, axis by axis.
- ``orientation``: Exif orientations, and turning upright.
- ``fitter``: what makes results (``Fitter``), the choice of one, and padding.
- ``whole_pixels``, ``resizer``: ``area`` and ``linear``, which crop at whole pixels and resize with
  OpenCV.
- ``exact``: all other interpolations, which crop between pixels; their kernels are
  ``convolution`` (``bilinear`` and ``bicubic``, by SIMD) and ``pillow_kernels`` (``cubic`` and
  ``lanczos``).

The rule: sizes are those of the upright result, and an image gives the same result however it is
stored. Resizing an image and then cropping it gives the same picture as cropping it first and
resizing only that, which costs less; so no step makes many more pixels than the result has.

Another way for images to take a size is a branch of ``framing.placement_of``; another kernel
is an ``exact.Kernel``, which ``fitter`` chooses.
"""
