"""From what a source says of an image to its class.

- ``label_rules``: the ``labels`` of a configuration.
- ``labelling``: applies them, and the other keys that hold for any layout, to a catalog.
"""
