"""What a client registers with the workers of a cluster, which others may use at the same time.

It is the client's own, by its name: another one that comes, goes, or looks at the cluster changes
nothing of it. It goes when the client says that it leaves, or else when the next one comes.
"""

from __future__ import annotations

import contextlib
from typing import Any

from distributed import Client

from prep.mounts import MountsByHost, WorkerMounts
from prep.worker import WorkerSetup


def prepare_workers(client: Client) -> None:
    """Has workers, those that join late too, be set up for what this client gives them to do."""
    _forget_the_gone(client)
    client.register_plugin(WorkerSetup(client.id))


def mount_on_workers(client: Client, mounts: MountsByHost) -> None:
    """Has workers, those that join late too, find folders where their hosts see them."""
    _forget_the_gone(client)
    client.register_plugin(WorkerMounts(mounts, client.id))


def leave_workers(client: Client) -> None:
    """Takes back what this client has registered, before it goes."""
    if client.status != "running":
        return
    with contextlib.suppress(Exception):  # The scheduler may be gone.
        client.run_on_scheduler(_unregister, of=client.id)


def _forget_the_gone(client: Client) -> None:
    """A client that was killed could not take anything back."""
    with contextlib.suppress(Exception):  # The scheduler may lack this package: that is told later.
        client.run_on_scheduler(_unregister)


def _unregister(dask_scheduler: Any, of: str | None = None) -> None:
    """Ends, on the scheduler, what a client has registered; by default, what all have that left."""
    for name in list(dask_scheduler.worker_plugins):
        kind, _, owner = name.partition(":")
        ours = kind in (WorkerSetup.kind, WorkerMounts.kind)
        if ours and (owner == of if of else owner not in dask_scheduler.clients):
            # Nobody waits for it, for a worker may be cut off.
            dask_scheduler.loop.add_callback(dask_scheduler.unregister_worker_plugin, None, name)
