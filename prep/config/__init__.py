"""The configuration: what a user asks for, checked.

- ``model``: :class:`prep.Config`, a field for each key of :mod:`prep.settings.keys`.
- ``config_values``: the types of those fields, which read values as people write them.
- ``config_targets``: which keys go with which labels.
- ``config_pictures``: which keys about the picture go with each other.
- ``split_rules``, ``subset_rules``: the inner forms of ``split`` and ``subset``.
- ``config_files``: JSON, YAML and TOML files of keys and values.
- ``config_errors``: what users are told of a value that is not allowed.

Each error is one line that names the key, the value, and what is allowed. The next key is a field
of ``model``, and if its value is no number, word or path, a type in ``config_values``.
"""
