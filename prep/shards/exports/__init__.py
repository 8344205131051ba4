"""Exports: the records of an output in the files of other formats, without decoding an image.

- ``base``: the interface of an export format, ``ExportFormat``, and the registry of formats.
- ``record_exports``: WebDataset and ArrayRecord, which hold records of ``prep.shards.formats``.
- ``parquet_export``: Parquet tables as Hugging Face has them.
- ``mds_export``: MDS, the format of MosaicML's Streaming.
- ``export_target``: the folder of an export: claimed by one export, with notes of what is whole.
- ``exported_shard``: exports one shard, from the records of the output to a verified file.

The rule: each shard of an output becomes one file, made of it alone, so shards are exported in any
order, by any number of processes, and each again after a failure. A file is read again and compared
before it appears under its name. The next format gets a class with a subclass of ``ExportFormat``
here, and its line in ``base.EXPORTS``.
"""
