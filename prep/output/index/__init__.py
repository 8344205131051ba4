"""Where each record of an output is: what readers need to open one without reading the others.

Everything here is made of the plan, the manifest and the receipts, so it is the same for any number
of workers, and can be made anew at any time.

- ``measures``: the bytes of each record, and the size of the image that it was made of, as receipts
  hold them.
- ``tfds_files``: the description by which TensorFlow Datasets opens the output.
"""
