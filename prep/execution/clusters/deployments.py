"""From a cluster spec to Dask: a class to call, or an address, and the configuration.

Workers that start elsewhere do not know the configuration of this process; it is handed on to them.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import dask
from distributed import LocalCluster, Security

from prep.errors import ConfigError
from prep.execution.clusters.cluster_classes import class_of
from prep.execution.clusters.jobqueue import tracking_jobs
from prep.execution.clusters.spec import WAIT_FOR_WORKERS, ClusterSpec, is_time
from prep.execution.spawning import require_spawnable
from prep.execution.workarounds import inheriting, require_home, start_or_close
from prep.parsing import KeyPath, parse_json, read_text
from prep.text import reason_of, shown

# Settings of this package that are times.
_OUR_TIMES = {"prep": {"wait-for-workers": WAIT_FOR_WORKERS}}

# The files that this process needs: in Dask's configuration, and in a spec.
_FILES = {
    "ca-file": ("ca_file",),
    "client.cert": ("client", "cert"),
    "client.key": ("client", "key"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """The class or the address of a cluster, with all that Dask is given for it.

    Attributes:
        start: starts the cluster; None if it runs already.
        here: whether that starts processes of this machine.
        spawns: whether Python's multiprocessing starts them.
        address: of the scheduler that runs already, if one does.
        adapt: keywords of the cluster's ``adapt``, if it is to grow and shrink.
        config: the Dask configuration to start, reach and use it under.
        security: returns the credentials for connections; to be called under that configuration.
    """

    start: Callable[[], Any] | None = None
    here: bool = False
    spawns: bool = False
    address: str | None = None
    adapt: Mapping[str, Any] | None = None
    config: Mapping[str, Any]
    security: Callable[[], Security | None]

    def require_startable(self) -> None:
        """Raise UsageError if this process can't start it."""
        if self.spawns:
            require_spawnable()
        if self.start is not None:
            require_home()


def deployment_of(spec: ClusterSpec, workers: int | None = None) -> Deployment:
    """Return how to start or reach the cluster of a spec.

    Args:
        workers: number of workers, instead of the spec's.

    Raises:
        ConfigError: the spec asks for what does not exist, or does not go together.
    """
    if workers is not None and workers < 1:
        raise ConfigError(f"workers: got {workers}; expected a whole number of at least 1")
    if workers is not None and spec.exists:
        raise ConfigError(
            "workers: got a number, but this cluster runs already and has its own; leave it out"
        )
    _require_times(spec)
    _require_possible_security(spec)
    config = {
        **{".".join(map(str, path)): value for path, value in _settings(spec.config)},
        **_tls_config(spec),
    }
    security = functools.partial(_security, spec)
    if spec.exists:
        address = spec.address or _address_in(spec)
        return Deployment(address=address, config=config, security=security)
    kind = class_of(spec)
    here = inspect.isclass(kind) and issubclass(kind, LocalCluster)
    return Deployment(
        start=functools.partial(_start, kind, spec, _with_workers(spec, workers), config),
        here=here,
        spawns=here and spec.kwargs.get("processes") is not False,
        adapt=None if workers is not None or not spec.adapt else spec.adapt.keywords(),
        config=config,
        security=security,
    )


def _start(
    kind: Callable[..., Any],
    spec: ClusterSpec,
    kwargs: Mapping[str, Any],
    config: Mapping[str, Any],
) -> Any:
    nested: dict[str, Any] = {}
    dask.config.set(config, config=nested)
    given = inheriting(_package(spec), kwargs, nested)
    if spec.security is not None:
        given["security"] = _security(spec)
    if _package(spec) == "dask_jobqueue" and hasattr(kind, "job_cls"):
        given["job_cls"] = tracking_jobs(kind.job_cls)
    if _package(spec) == "dask_kubernetes":
        given = {"quiet": True, **given}
    return start_or_close(kind, *spec.args, **given)


def _package(spec: ClusterSpec) -> str:
    return str(spec.module).partition(".")[0]


def _with_workers(spec: ClusterSpec, workers: int | None) -> dict[str, Any]:
    """Return the keywords of the class, with the number of workers to begin with."""
    wanted = workers or spec.workers
    if wanted is None and spec.adapt is not None:
        wanted = spec.adapt.minimum
    if wanted is None:
        return spec.kwargs
    if spec.class_ == "SSHCluster":
        wrong = (
            "an SSHCluster has as many workers as it has hosts, each times "
            "worker_options.n_workers; set these"
        )
        if workers is not None:
            raise ConfigError(f"workers: {wrong}")
        raise spec.error(("workers" if spec.workers else "adapt",), wrong)
    return {**spec.kwargs, "n_workers": wanted}


# Configuration


def _settings(config: Mapping[str, Any], path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """Yield each setting with its path: to set a mapping would replace its other settings."""
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from _settings(value, (*path, key))
        else:
            yield (*path, key), value


def _require_times(spec: ClusterSpec) -> None:
    """Raise ConfigError if a setting that is a time in Dask's defaults is none in the spec.

    Dask's own error would not name the setting, and would in part come late.
    """
    defaults = dask.config.merge(*dask.config.defaults, _OUR_TIMES)
    for path, value in _settings(spec.config):
        default = dask.config.get(".".join(map(str, path)), None, config=defaults)
        if isinstance(default, str) and is_time(default) and not (value is None or is_time(value)):
            raise spec.error(
                ("config", *path), f"got {shown(value)}; expected a time, such as {default}"
            )


# Security


def _security(spec: ClusterSpec) -> Security | None:
    """Return new credentials; under the configuration from :func:`_tls_config`."""
    if spec.security is None:
        return None
    return Security.temporary() if spec.security.temporary else Security()


def _tls_config(spec: ClusterSpec) -> dict[str, Any]:
    """Return the paths of certificates as Dask's configuration, so that all processes know them.

    Temporary certificates must not get there, since command lines show the configuration.
    """
    security = spec.security
    if security is None or security.temporary or security.client is None:
        return {}
    tls = "distributed.comm.tls"
    config: dict[str, Any] = {
        f"{tls}.ca-file": security.ca_file,
        "distributed.comm.require-encryption": security.require_encryption,
        "distributed.comm.default-scheme": "tls",
    }
    for role in ("client", "scheduler", "worker"):
        certificate = getattr(security, role) or security.client
        config[f"{tls}.{role}.cert"] = certificate.cert
        config[f"{tls}.{role}.key"] = certificate.key
    for key, place in _FILES.items():
        path = config[f"{tls}.{key}"]
        if path is not None and not os.path.isfile(path):
            raise spec.error(("security", *place), f"expected a PEM file, found none: {path!r}")
    return config


def _require_possible_security(spec: ClusterSpec) -> None:
    """Raise ConfigError if the cluster can't have the security that is asked for."""
    if spec.security is None:
        return
    if _package(spec) == "dask_kubernetes":
        raise spec.error(
            ("security",),
            "dask_kubernetes connects without TLS to what it starts; have "
            "a network policy keep others out, or start the cluster yourself and give its address",
        )
    if not spec.security.temporary:
        return
    wrong = None
    if spec.exists:
        wrong = (
            "a cluster that runs already has its certificates; give "
            "ca_file and client (cert and key), not temporary"
        )
    elif _package(spec) == "dask_jobqueue" and not spec.kwargs.get("shared_temp_directory"):
        wrong = (
            "temporary certificates reach jobs through files; give "
            "kwargs.shared_temp_directory, a folder that all hosts see and only you can read"
        )
    elif spec.class_ == "SSHCluster":
        wrong = (
            "an SSHCluster can't hand temporary certificates to its hosts; "
            "give files that lie under the same paths on all of them"
        )
    if wrong is not None:
        raise spec.error(("security", "temporary"), wrong)


# Clusters that run already


def _address_in(spec: ClusterSpec) -> str:
    """Return the address in a scheduler file; without one, Dask would take another scheduler's."""
    file = str(spec.scheduler_file)
    try:
        value = parse_json(read_text(file))
    except FileNotFoundError:
        raise spec.error(
            ("scheduler_file",),
            f"no such file: {file!r}; start the scheduler with dask scheduler --scheduler-file "
            "FILE, where this machine sees FILE",
        ) from None
    except (OSError, ValueError) as error:
        raise spec.error(
            ("scheduler_file",),
            f"expected what dask scheduler --scheduler-file writes, JSON with an address; got "
            f"{file!r}: {reason_of(error)}",
        ) from None
    address = value.get("address") if isinstance(value, dict) else None
    if not isinstance(address, str) or not address:
        raise spec.error(("scheduler_file",), f"expected an address as text in {file!r}")
    return address
