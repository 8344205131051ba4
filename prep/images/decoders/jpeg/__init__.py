"""JPEG, decoded strictly, with a second look at files that strict decoding refuses.

- ``decoder``: decodes; tries ``remedies`` for harmless faults, OpenCV for unusual chroma sampling.
- ``header``, ``segments``, ``scans``: what the file says, and whether it is complete (ITU-T T.81).
- ``remedies``: changes that leave the pixels alone, one function per fault.
- ``jpeg2000``: the other format of the same committee, which Pillow decodes; ISO media boxes.

The rule: a repaired file must pass strict decoding. A new repair is a function in ``remedies``,
and a line in the ``_REMEDIES`` of ``decoder`` with libjpeg's complaint.
"""
