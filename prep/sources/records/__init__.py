"""Records of others: TFRecord files whose examples hold encoded images.

- ``tfrecord_layout``: files of records as a layout, told by the first record.
- ``tfrecord_catalog``: makes their catalog: each image is a byte range of its file.
- ``record_frames``: the frames of records, and the bytes around a place in a file.
- ``example_features``: finds the features of an example, without reading its image.
- ``feature_choice``: which features are the image and the label, and what a label says.

Only what stands before and after an image is read to list it. An image is then read as a member of
a tar file is, with the bytes before it to show that it is still what was listed. No record is
passed over: one without an image is an error. Records of another kind (LMDB, RecordIO) are a layout
of their own beside this one.
"""
