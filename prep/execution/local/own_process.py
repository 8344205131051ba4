"""Settings of processes that run this package alone: a command, and a crew's workers.

They do without libraries that would be loaded only because they are installed.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import sys
import sysconfig
from collections.abc import Sequence

#: Environment of worker processes, as Dask's nanny and cluster.yaml have it: libraries use one
#: thread, and keep freed memory.
ENVIRONMENT = {
    **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
    "MALLOC_TRIM_THRESHOLD_": str(128 << 20),  # 128 MiB
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),  # 32 MiB
}
_COLLECT_AFTER = 50_000  # objects
_WITHOUT_PANDAS = ("prep", "pyarrow")  # packages that import it at no line of theirs
_IMPORTING = "<frozen importlib._bootstrap>"


def hide_pandas() -> None:
    """Keep pyarrow from loading pandas, of which this process has no use."""
    if not any(isinstance(finder, _PandasForArrow) for finder in sys.meta_path):
        sys.meta_path.insert(0, _PandasForArrow())


def collect_less() -> None:
    """Look for garbage less often, and not at the end, when the system frees all memory anyway.

    Loaded modules stay: looking for garbage among them takes a tenth of the start, and half a
    second at the end.
    """
    gc.set_threshold(_COLLECT_AFTER)
    atexit.register(gc.freeze)


def search_path() -> str:
    """Return PYTHONPATH for processes that look for modules where this one does.

    Python's library comes first: the folder of a notebook may hold a ``random.py``, and come first
    only once Python's is loaded.
    """
    standard = [sysconfig.get_path("stdlib"), sysconfig.get_config_var("DESTSHARED")]
    here = ""
    with contextlib.suppress(OSError):  # The working directory may be gone.
        here = os.getcwd()
    # Python passes over what is not text, too.
    places = [place or here for place in sys.path if isinstance(place, str)]
    return os.pathsep.join(sorted(filter(None, places), key=lambda place: place not in standard))


class _PandasForArrow:
    """Hide pandas from pyarrow.

    Seen in pyarrow 26.0.1: the first array that is made of a list loads pandas, if it is installed,
    in case the list holds objects of it. That takes a third of a second and 40 MB, a tenth of the
    processor time of a run of ten images. Not reported upstream as far as we know. Can go when
    pyarrow asks only whether pandas is loaded already.

    Since no line of this package imports pandas, an import that comes from one is pyarrow's. Others
    may still import it. They can convert tables unless pyarrow has missed it before: it notes that.
    """

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: object = None
    ) -> None:
        if name == "pandas" and _importer().partition(".")[0] in _WITHOUT_PANDAS:
            raise ModuleNotFoundError("pyarrow needs no pandas here", name=name)


def _importer() -> str:
    """Return the name of the module whose line has led to the import at hand."""
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_code.co_filename == _IMPORTING:
        frame = frame.f_back
    return str(frame.f_globals.get("__name__", ""))
