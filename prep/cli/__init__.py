"""The ``prep`` command.

main        the group of commands, and the first line of each one's help
commands/   one module per command, of its name; loaded when it is called
options     options that several commands share
parameters  types of values: how they are read, shown in help, and completed
talk        how much a command says: to people, to a log, or to another program
tables      results as tables for people; half_blocks are pictures for them
files       files that commands write
exits       one line and an exit code for each error
spelling    settings in errors and warnings as flags
streams     standard output and error in any encoding

A command asks ``operations`` for the work and prints the result; import-linter holds that. Imports
that take long stand inside functions, so that help and errors come at once.
"""
