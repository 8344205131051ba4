"""Other programs that prepare images, beside ``prep``: ``python -m bench.peers``.

::

    programs/        a script for each, which knows nothing of ``prep``
    requirements/    what each needs, with versions
    environments.py  a virtual environment for each, made where it is missing
    catalogue.py     the list of them

The rule: each program does the same to the same images as well as it can, with the functions that
its own documents recommend, and writes the format that it has. Where it takes a function of ours to
convert an image, that is the fastest there is of OpenCV (``programs/photo.py``). Another program is
a script, a file of requirements and a line in the catalogue.
"""
