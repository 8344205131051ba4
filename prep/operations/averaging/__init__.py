"""The mean RGB of images or shards: exact, of a sample, or from small decodes.

- ``mean`` is the operation, ``prep.mean_rgb``; ``mean_report`` is what it returns.
- ``mean_inputs`` finds the files; ``sampling`` draws some of them, or of the images in shards.
- ``summing`` runs on workers: it adds images up, as a ``Method`` says.
- ``image_sums`` holds what they add up to: means, moments and standard errors follow from it.
- ``concluding`` makes the report of the sums.

Whatever travels between processes is made of exact integers, so that the result depends neither on
the number of workers nor on the order in which tasks end. A result that is not exact has a
standard error. Another way to look at an image is a case of ``Method``, and a line of
``bench/mean.py``, which measures what it costs.
"""
