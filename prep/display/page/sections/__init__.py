"""The sections of ``report.html``: each a function of a ``View`` that returns a ``Section``.

A function returns None if there is nothing to say. Its template has the name of the section.
``summary`` makes the top of the page, and ``loading`` the code to load the data.
"""
