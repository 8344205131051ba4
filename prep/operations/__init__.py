"""The operations of the package: plan, run, mean, verify, repair. They know all other rooms.

- ``preparation`` makes a plan from a configuration; ``outlook`` looks at what a run would find in
  its output: it is ``prep.plan``.
- ``run`` is ``prep.run``, and ``background`` runs one in a thread; ``running`` is what they do.
- ``publish`` writes the results of a run beside its shards, in one place.
- ``verify`` reads an output again: ``audit`` finds what is wrong, and ``repair`` writes that again.
- ``averaging`` has the mean of images or shards.
- ``growth`` has outputs that grow.
- ``tools`` has smaller operations, each for one command.

An operation is a function that ``prep`` exports. It picks a display from ``display.displays``, and
from there on only emits events: displays are callbacks, and no operation knows them. A new
operation is a file here, which hands ``Tasks`` to an executor.
"""
