"""Programs compared with one another and with bare loops over the codecs.

::

    contenders.py a program as a value, and a run of it as a process of its own
    records.py    how many images there are in what it has written
    loops.py      bare loops of other kernels and encodings
    monitor.py    memory and use of the cores while a program runs
    figures.py    measurements → costs and ratios
    sections.py   what is measured together, in turns: rates, durations, memory
    session.py    round after round within a time; tables and a JSON file
    lists.py      the sections of ``python -m bench``
    machine.py    what it was measured on

The rule: absolute times mean little on a machine that is shared. So everything takes turns, and
what counts is the median over the rounds of ratios within a round. A new program is one more value
in a list; a new kind of measurement is one more :class:`bench.compare.sections.Section`.
"""
