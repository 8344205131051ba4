"""One module per command, of its name: ``prep run`` is the function ``run`` in ``run``.

Those that look at a source before a run lie in ``sources``, those on the outputs of runs in
``outputs``. ``cli.main`` loads a module when its command is called, and lists commands without
loading any. A new command is a module here, and a line in ``COMMANDS`` there.
"""
