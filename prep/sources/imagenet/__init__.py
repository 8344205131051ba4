"""ImageNet as it is downloaded: ILSVRC2012's tars, Kaggle's CLS-LOC tree, ImageNet-21k.

- ``imagenet_layout``: the layout, and whether a source has it.
- ``ilsvrc``: its catalog. It puts together what the other files find.
- ``pieces``: which tars and folders of a source hold the images of which split.
- ``file_systems``: the folders that they lie in, on a disk, in a storage or in an archive.
- ``piece_images``: the images of a piece, and what their names tell.
- ``piece_labels``: the class of each image of a piece.
- ``devkit``: finds the files that tell classes, beside the images or in a devkit.
- ``synsets``: reads those that list the classes, ``validation`` those with validation labels.

A class is called by its wnid (``n01440764``) and numbered by it from 0, as torchvision and timm do;
numbers of a devkit (ILSVRC2012_ID) are never labels. A validation image is found in a file of
labels by the number in its name, never by the order in which images lie in a tar. All files that
tell labels have to agree. SciPy is loaded only to read ``meta.mat``, and that only if no text file
tells the same. Another file that tells labels is a parser in ``validation`` and its name in
``devkit``; another way for images to lie is a ``Kind`` in ``pieces``.
"""
