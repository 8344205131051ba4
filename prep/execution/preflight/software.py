"""Find out what is installed in a process, without this package or any other.

The text of this module is sent to workers and schedulers, which may lack this package, or have
another version of it or of Python. So it is one function, which imports all that it uses.
"""

from __future__ import annotations

from typing import Any


def describe_process() -> dict[str, Any]:
    """Return facts about this process and its host, in plain types.

    Returns:
        ``versions`` has None for absent packages, and ``broken`` says why they can't be imported.
        ``code`` is a digest of this package's source files, which tells two states of one version
        apart.
    """
    import hashlib
    import importlib
    import importlib.metadata
    import importlib.util
    import os
    import pathlib
    import platform
    import socket
    import sys
    import time
    import zlib

    versions: dict[str, str | None] = {
        "python": platform.python_version(),
        "zlib": zlib.ZLIB_RUNTIME_VERSION,
    }
    broken: dict[str, str] = {}
    for name, module in {
        "cykooz-resizer": "cykooz_resizer",
        "dask": "dask",
        "distributed": "distributed",
        "numpy": "numpy",
        "opencv": "cv2",
        "pillow": "PIL",
        "simplejpeg": "simplejpeg",
    }.items():
        try:
            found = importlib.import_module(module)
            versions[name] = str(
                found.__version__
                if hasattr(found, "__version__")
                else importlib.metadata.version(name)
            )
        except Exception as error:  # Not only absent ones: libraries of the system may be, too.
            versions[name] = None
            broken[name] = f"{type(error).__name__}: {error}"
    code = None
    try:
        versions["prep"] = importlib.metadata.version("dask-prep")
        spec = importlib.util.find_spec("prep")
        folder = pathlib.Path(spec.origin).parent  # type: ignore[union-attr, arg-type]
        digest = hashlib.sha256()
        for path in sorted(folder.rglob("*.py")):
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
            digest.update(path.read_bytes())
        code = digest.hexdigest()
    except Exception as error:
        versions["prep"] = None
        broken["prep"] = f"{type(error).__name__}: {error}"
    config: dict[str, Any] = {}
    try:
        import dask

        for key in ("worker-saturation", "allowed-failures"):
            config[key] = dask.config.get(f"distributed.scheduler.{key}", None)
        config["timeouts.tcp"] = dask.config.get("distributed.comm.timeouts.tcp", None)
    except Exception as error:
        broken["dask"] = f"{type(error).__name__}: {error}"
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "python": sys.executable,
        "folder": os.getcwd(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "versions": versions,
        "broken": broken,
        "code": code,
        "config": config,
        "time": time.time(),
    }
