"""Settings: each key of a configuration and what it may be, and the names that outputs may have.

Whatever there is to say of a key is said once, in ``keys.KEYS``: the model (:mod:`prep.config`),
the command line, the settings of an image and the fingerprint are made of it. This package is
light, so that help is shown without loading what it takes to check values.

- ``choices``: the words that keys may have, and constants that go with them.
- ``key``: what there is to say of a key.
- ``source_keys``, ``record_keys``, ``refusal_keys``: the keys, by what they are about.
- ``keys``: all of them in their order, and what follows from them.
- ``image_settings``: those of the processing of an image, as workers have them.
- ``record_features``: the names and types of the features that records have.
- ``output_names``: formats, and the names of an output's files.
- ``distribution``: the name and version of this package.

The next key is an entry of one of the tables, a field of ``Config``, and if it is about the
processing of an image, one of ``ImageSettings``.
"""
