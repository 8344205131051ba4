"""Benchmarks of ``prep`` against the codecs' limit, an earlier version and other programs.

``python -m bench`` compares this checkout with the limit, with the article's script and, with
``--against``, with a checkout of an earlier version.

::

    compare/      whole programs in turns, and bare loops beside them
    peers/        other programs that prepare images: ``python -m bench.peers``
    limit.py      a bare loop over the codecs: what no program can be faster than
    settings.py   what is the same for all
    photos.py     the images
    strictness.py what strict decoding and looking at headers cost (``python -m bench.strictness``)
    way.py        what each step of an image's way costs (``python -m bench.way``)
    mean.py       a mean against bare decoding: ``python -m bench.mean``
    encodings.py  what each encoding takes, in bytes and in time (``python -m bench.encodings``)
    verify.py     verifying against bare decoding: ``python -m bench.verify``
    near_duplicates.py  images that look alike (``python -m bench.near_duplicates``)
    torch_readers.py  readers for PyTorch: ``python -m bench.torch_readers``
    latency.py    a source that answers late: ``python -m bench.latency``
    starting.py   a small run, by turns with other checkouts: ``python -m bench.starting``
    opening.py    prep.open against a plain loop: ``python -m bench.opening``
    largest.py    memory that the largest image takes: ``python -m bench.largest``
    watching.py   what it costs to be watched: ``python -m bench.watching``
    scaling.py    one worker against several: ``python -m bench.scaling``
    scheduling.py what scheduling alone costs: ``python -m bench.scheduling``
    heartbeats.py what the watch of a thousand workers costs: ``python -m bench.heartbeats``
    planning.py   planning of millions of images: ``python -m bench.planning``
    model.py      what follows for many machines: ``python -m bench.model``

Absolute times mean little on a machine that is shared. So everything takes turns, and what counts
is the median over the rounds of ratios within a round.
"""
