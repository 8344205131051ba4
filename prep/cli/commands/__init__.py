"""One module per command, of its name: ``prep plan`` is the function ``plan`` in ``plan``.

``cli.main`` loads a module when its command is called, and lists commands without loading any. A
new command is a module here, and a line in ``COMMANDS`` there.
"""
