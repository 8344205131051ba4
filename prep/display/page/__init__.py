"""``report.html``: one file with pictures and figures that needs no network.

page       makes the page from a view of an output, and publishes it
facts      what the output says of itself, without a shard being opened
samples    images from its shards
glimpses   what can be decoded of refused images
core_use   how busy the cores were
section    sections, figures and pictures, and the view that they are made from
sections/  one function per section
figures/   Bokeh figures

Facts and images are read once and held in a ``View``; a section only formats them. All text is
escaped by the templates in ``display/templates/page``, where unprintable characters become visible
too. A new section is a function in ``sections``, a template of its name, and a line in
``page.SECTIONS``.
"""
