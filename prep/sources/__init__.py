"""Sources of images: they list images and read their bytes.

- ``base``: the seam. A :class:`~prep.sources.base.Source` lists entries and reads an entry's bytes.
- ``registry``: the kinds of sources, one line each.
- ``file_source``: files and parts of files, on a disk or in a storage; ``naming`` says which.
- ``layouts/``: the shapes in which images lie in files, and which of them a source has:
  ``folders/``, ``archives/``, ``imagenet/``, ``lists/``, ``tables/``, ``webdataset/`` and
  ``records/``.
- ``labelling/``: from what a source says of an image to its class, for all layouts alike.
- ``memory``: a list of images, as a notebook has it.
- ``manifest``: the Parquet file of all images in an output; a shard reads its own rows.
- ``columns``: the columns of a catalog and a manifest, and their types.
- ``labels``: from the name of a class to its number or one-hot list.
- ``prefetch``: reads images before their turn, where reading keeps a core waiting.
- ``demo``: makes a small image set to try things on.

Nobody else joins the name of a source and that of an image, or opens an image file: a shard, an
estimate, a repair and the report's page all ask ``Source.read``. Images are never decoded here.

A new kind of source is one file with a subclass of ``Source`` that is also a ``base.SourceKind``,
and its line in ``registry``; a new shape of files is a layout (see ``layouts``). If the name of an
image does not tell where its bytes are, its catalog has the columns ``file``, ``offset`` and
``how``, which the manifest then keeps, too, and the time in its stamp is a mark of its contents
(``archives.members.mark``). That is enough for records that hold their bytes as they are, such as
TFRecords. Images that can only be read with others have ``how`` ``row`` (see ``tables``).
"""
