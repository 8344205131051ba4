"""The page ``/prep`` on a Dask scheduler, and its parts as pages of their own.

mount      adds the pages to the dashboard of a scheduler that runs already
documents  the Bokeh documents of these pages
chooser    which run a page shows
tiles      texts, filled from ``templates/tiles.html.j2``
charts     figures of shards and classes
curves     figures of what is measured over time
sheet      the images written last
cards      what they share: colours, style, templates, headings

Each part has an ``update(watch)`` that is called once a second on the scheduler's event loop, so it
must take a few milliseconds at most and change a model only if its content has changed. A new part
is a class with ``root`` and ``update``, a line in ``documents``, and a place in ``page.html``.
"""
