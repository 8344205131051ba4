"""A worker process of a crew: ``python -m prep.execution.local FD [MODULE ...]``.

It loads the modules that its work will need, and then waits for work.
"""

from __future__ import annotations

import importlib
import signal
import sys
from multiprocessing.connection import Connection

from prep.execution.local.own_process import hide_pandas
from prep.shards.isolation.watchdog import SIGNAL


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(SIGNAL, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [SIGNAL])
    descriptor, *modules = sys.argv[1:]
    hide_pandas()
    for module in ("prep.execution.local.serving", *modules):
        importlib.import_module(module)
    from prep.execution.local.serving import serve

    serve(Connection(int(descriptor)))


if __name__ == "__main__":
    main()
