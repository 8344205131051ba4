"""ImageNet as it is downloaded: ILSVRC2012's tars, Kaggle's CLS-LOC tree, ImageNet-21k.

- ``ilsvrc``: recognizes it, and lists its images.
"""
