"""Benchmarks of ``prep`` against the codecs' limit, an earlier version and other programs.

``python -m bench`` compares this checkout with the limit, with the article's script and, with
``--against``, with a checkout of an earlier version. Each module but the shared ones is a command,
such as ``python -m bench.mean``, and ``--help`` lists its options.

Shared::

    settings.py         what is the same for all
    photos.py           the images
    limit.py            a bare loop over the codecs: what no program can be faster than

Whole programs::

    compare/            programs in turns, and bare loops beside them
    peers/              other programs that prepare images: ``python -m bench.peers``
    starting.py         a small run, in turns with other checkouts
    overhead.py         what Dask adds to the writing of shards, and memory of workers

The way of an image::

    way.py              what each step costs
    strictness.py       what strict decoding and looking at headers cost
    encodings.py        what each encoding takes, in bytes and in time
    large_photos.py     photos that are much larger than the result: speed and error
    largest.py          memory that the largest image takes
    sources.py          archives, shards, tables and lists against class folders
    latency.py          a source that answers late

Other commands::

    mean.py             ``prep mean`` against bare decoding
    verify.py           ``prep verify`` against bare decoding
    near_duplicates.py  images that look alike

Readers of an output::

    opening.py          ``prep.open`` against a plain loop
    training.py         readers for TensorFlow
    torch_readers.py    readers for PyTorch

Large runs::

    scaling.py          one worker against several
    scheduling.py       what scheduling alone costs
    heartbeats.py       what the watch of a thousand workers costs
    listing.py          planning of many local files against ``find``
    planning.py         planning of millions of images
    model.py            what follows for many machines

Absolute times mean little on a machine that is shared. So everything takes turns, and what counts
is the median over the rounds of ratios within a round.
"""
