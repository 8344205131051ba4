"""The ``prep`` command, and tables for the terminal."""
