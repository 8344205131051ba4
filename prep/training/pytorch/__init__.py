"""Outputs as PyTorch reads them; the only package that imports torch.

- ``torch_dataset``: ``prep.torch.dataset``, a map-style dataset of tensors.
- ``tensors``: what is done to one image on its way to a tensor: cropped, mirrored, normalized.
- ``torch_sampler``: ``prep.torch.sampler``, which records are read, when, and by which rank.
- ``drawn``: a record number that knows its position in the order, so that whatever is drawn at
  random for its image depends on that alone.

Records are read by ``prep.open``, and augmented as ``prep.training.augmentation`` says, as for all
other frameworks. ``prep.torch`` is the name by which users know what is public here. What needs a
file or a random number in another way belongs there, not here.
"""
