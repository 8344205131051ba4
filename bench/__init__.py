"""Benchmarks of ``prep`` against the codecs' limit and the article's script.

``python -m bench`` runs it.

::

    strictness.py what strict decoding and looking at headers cost (``python -m bench.strictness``)
    limit.py      a bare loop over the codecs: what no program can be faster than
    article.py    the multiprocessing script that this package replaces
    contenders.py the programs that are measured, each run as a process of its own
    monitor.py    memory and use of the cores while one of them runs
    rounds.py     the measurements, taken in turns
    figures.py    measurements → ratios
    report.py     tables, and the JSON file
    settings.py   what is the same for all
    photos.py     the images
    way.py        what each step of an image's way costs (``python -m bench.way``)
    encodings.py  what each encoding takes, in bytes and in time (``python -m bench.encodings``)
    verify.py     verifying against bare decoding: ``python -m bench.verify``
    near_duplicates.py  images that look alike (``python -m bench.near_duplicates``)
    torch_readers.py  readers for PyTorch: ``python -m bench.torch_readers``
    latency.py    a source that answers late: ``python -m bench.latency``
    opening.py    prep.open against a plain loop: ``python -m bench.opening``
    largest.py    memory that the largest image takes: ``python -m bench.largest``
    watching.py   what it costs to be watched: ``python -m bench.watching``
    scaling.py    one worker against several: ``python -m bench.scaling``
    scheduling.py what scheduling alone costs: ``python -m bench.scheduling``
    heartbeats.py what the watch of a thousand workers costs: ``python -m bench.heartbeats``
    planning.py   planning of millions of images: ``python -m bench.planning``
    model.py      what follows for many machines: ``python -m bench.model``
    machine.py    what it was measured on

Absolute times mean little on a machine that is shared. So everything takes turns, and what counts
is the median over the rounds of ratios within a round.
"""
