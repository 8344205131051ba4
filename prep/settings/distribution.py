"""The name and version of this package."""

from __future__ import annotations

#: The distribution; the import, the command and the page of the dashboard are called ``prep``.
NAME = "dask-prep"


def version() -> str:
    """Return the installed version, such as ``0.1.0``."""
    import importlib.metadata  # It takes a while to load.

    return importlib.metadata.version(NAME)


def install_command(*extras: str) -> str:
    """Return the command that adds extras to this installation.

    >>> install_command("s3")
    "pip install 'dask-prep[s3]'"
    """
    return f"pip install '{NAME}[{','.join(extras)}]'"
