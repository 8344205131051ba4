"""What Dask's classes of clusters must be told so that a cluster spec holds in all its processes.

Workers that are started elsewhere know nothing of the configuration of the process that starts
them. Each class has its own way to hand it on.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import dask
from distributed import LocalCluster, Security, SpecCluster, Status

from prep.errors import ConfigError
from prep.execution.clusters.classes import class_of
from prep.execution.clusters.jobqueue import noting
from prep.execution.clusters.spec import WAIT_FOR_WORKERS, ClusterSpec, SecuritySpec, is_time
from prep.execution.machine import require_home, require_spawnable
from prep.parsing import KeyPath, parse_json, read_text
from prep.text import reason_of, shown

# Dask takes its configuration from this variable, in whatever process it is set.
_INHERITED = "DASK_INTERNAL_INHERIT_CONFIG"

# Settings of this package that are times.
_OUR_TIMES = {"prep": {"wait-for-workers": WAIT_FOR_WORKERS}}

# One at a time: what there is of a cluster that fails is told by what was there before.
_starting = threading.Lock()

# The files that are needed here: in Dask's configuration, and in a spec.
_KEYS = {
    "ca-file": ("ca_file",),
    "client.cert": ("client", "cert"),
    "client.key": ("client", "key"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """How to have a cluster.

    Attributes:
        start: starts one; None where it is there already.
        here: whether that starts processes of this machine.
        spawns: whether they are started by Python's multiprocessing.
        address: where it is, if it is there already.
        adapt: between what it is to grow and shrink.
        config: the Dask configuration to do it under.
        security: for connections to it; to be called under that configuration.
    """

    start: Callable[[], Any] | None = None
    here: bool = False
    spawns: bool = False
    address: str | None = None
    adapt: Mapping[str, Any] | None = None
    config: Mapping[str, Any]
    security: Callable[[], Security | None]

    def require_startable(self) -> None:
        """Raise UsageError where this process can't start it."""
        if self.spawns:
            require_spawnable()
        if self.start is not None:
            require_home()


def deployment_of(spec: ClusterSpec, workers: int | None = None) -> Deployment:
    """How to have the cluster of a spec.

    Args:
        workers: how many, instead of what the spec says.

    Raises:
        ConfigError: it asks for what does not exist, or can't be.
    """
    if workers is not None and workers < 1:
        raise ConfigError(f"workers: got {workers}; expected a whole number of at least 1")
    if workers is not None and spec.exists:
        raise ConfigError(
            "workers: got a number, but this cluster runs already and has its own; leave it out"
        )
    _require_times(spec)
    config = {**dict(_flat(spec.config)), **_tls_config(spec)}
    security = functools.partial(_security, spec.security)
    if spec.exists:
        _require_reachable(spec)
        address = spec.address or _address_in(spec)
        return Deployment(address=address, config=config, security=security)
    _require_securable(spec)
    kind = class_of(spec)
    here = inspect.isclass(kind) and issubclass(kind, LocalCluster)
    return Deployment(
        start=functools.partial(_start, kind, spec, _counted(spec, workers), config),
        here=here,
        spawns=here and spec.kwargs.get("processes") is not False,
        adapt=None if workers is not None or not spec.adapt else spec.adapt.keywords(),
        config=config,
        security=security,
    )


def _start(kind: Callable[..., Any], spec: ClusterSpec, kwargs: dict[str, Any], config: Any) -> Any:
    given = dict(kwargs)
    if spec.security is not None:
        given["security"] = _security(spec.security)
    if _package(spec) == "dask_jobqueue" and hasattr(kind, "job_cls"):
        given["job_cls"] = noting(kind.job_cls)
    with _starting:
        before = _instances(kind)
        try:
            return kind(*spec.args, **_inheriting(spec, given, config))
        except BaseException:
            for half in _instances(kind) - before:
                _let_go(half)
            raise


def _instances(kind: Callable[..., Any]) -> set[Any]:
    """The clusters of this process that Dask is to close when it ends, where it keeps account."""
    return set(getattr(kind, "_instances", None) or SpecCluster._instances)


def _let_go(cluster: Any) -> None:
    """Closes what was started of a cluster; Dask would try that again in the end, and complain."""
    with contextlib.suppress(Exception):
        if cluster.status != Status.closed:
            cluster.close(timeout=10)
    cluster.shutdown_on_close = False


def _package(spec: ClusterSpec) -> str:
    return str(spec.module).partition(".")[0]


def _counted(spec: ClusterSpec, workers: int | None) -> dict[str, Any]:
    """The keywords of the class, with the number of workers to begin with."""
    kwargs = dict(spec.kwargs)
    wanted = workers or spec.workers
    if wanted is None and spec.adapt is not None:
        wanted = spec.adapt.minimum
    if wanted is None:
        return kwargs
    if spec.class_ == "SSHCluster":
        told = (
            "an SSHCluster has as many workers as it has hosts, each times "
            "worker_options.n_workers; set these"
        )
        if workers is not None:
            raise ConfigError(f"workers: {told}")
        raise spec.error(("workers" if spec.workers else "adapt",), told)
    return {**kwargs, "n_workers": wanted}


def _inheriting(
    spec: ClusterSpec, kwargs: dict[str, Any], config: Mapping[str, Any]
) -> dict[str, Any]:
    """The keywords of the class, with what hands on the configuration to its workers.

    ``LocalCluster`` and ``SSHCluster`` do that themselves, and with all of it.
    """
    inherited = dask.config.serialize(_nested(config))
    if _package(spec) == "dask_jobqueue":
        prologue = [*(kwargs.get("job_script_prologue") or ())]
        return {**kwargs, "job_script_prologue": [f"export {_INHERITED}={inherited}", *prologue]}
    if _package(spec) == "dask_kubernetes":
        env = kwargs.get("env") or {}
        if isinstance(env, list):
            env = [{"name": _INHERITED, "value": inherited}, *env]
        else:
            env = {_INHERITED: inherited, **env}
        return {"quiet": True, **kwargs, "env": env}
    return kwargs


def _flat(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Settings by their full names: a mapping would replace all that Dask has beside it."""
    for path, value in _settings(config):
        yield ".".join(map(str, path)), value


def _settings(config: Mapping[str, Any], path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """Settings by where they stand."""
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from _settings(value, (*path, key))
        else:
            yield (*path, key), value


def _require_times(spec: ClusterSpec) -> None:
    """Raises ConfigError where Dask's own value of a setting is a time, and that of a spec is not.

    Dask would raise an error that does not name the setting, and some of them late.
    """
    defaults = dask.config.merge(*dask.config.defaults, _OUR_TIMES)
    for path, value in _settings(spec.config):
        default = dask.config.get(".".join(map(str, path)), None, config=defaults)
        if isinstance(default, str) and is_time(default) and not (value is None or is_time(value)):
            raise spec.error(
                ("config", *path), f"got {shown(value)}; expected a time, such as {default}"
            )


def _nested(config: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    dask.config.set(config, config=nested)
    return nested


def _tls_config(spec: ClusterSpec) -> dict[str, Any]:
    """Where the certificates lie, as Dask's configuration: so that all processes know it.

    Temporary ones must not get there, for it is handed on in command lines.
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
    roles = {
        "client": security.client,
        "scheduler": security.scheduler or security.client,
        "worker": security.worker or security.client,
    }
    for role, certificate in roles.items():
        config[f"{tls}.{role}.cert"] = certificate.cert
        config[f"{tls}.{role}.key"] = certificate.key
    for key in _KEYS:
        path = config[f"{tls}.{key}"]
        if path is not None and not os.path.isfile(path):
            raise spec.error(
                ("security", *_KEYS[key]), f"expected a PEM file, found none: {path!r}"
            )
    return config


def _security(spec: SecuritySpec | None) -> Security | None:
    """Credentials for one cluster; under the configuration from :func:`_tls_config`."""
    if spec is None:
        return None
    return Security.temporary() if spec.temporary else Security()


def _require_securable(spec: ClusterSpec) -> None:
    if spec.security is None:
        return
    if _package(spec) == "dask_kubernetes":
        raise spec.error(
            ("security",),
            "dask_kubernetes connects without TLS to what it starts; have "
            "a network policy keep others out, or start the cluster yourself and give its address",
        )
    if _package(spec) == "dask_jobqueue" and spec.security.temporary:
        _require_shared_folder(spec)
    if spec.class_ == "SSHCluster" and spec.security.temporary:
        raise spec.error(
            ("security", "temporary"),
            "an SSHCluster can't hand temporary certificates to its hosts; "
            "give files that lie under the same paths on all of them",
        )


def _require_shared_folder(spec: ClusterSpec) -> None:
    """Without one, jobs get temporary credentials through files in the working directory."""
    if not spec.kwargs.get("shared_temp_directory"):
        raise spec.error(
            ("security", "temporary"),
            "temporary certificates reach jobs through files; give "
            "kwargs.shared_temp_directory, a folder that all hosts see and only you can read",
        )


def _require_reachable(spec: ClusterSpec) -> None:
    if spec.security is not None and spec.security.temporary:
        raise spec.error(
            ("security", "temporary"),
            "a cluster that runs already has its certificates; give "
            "ca_file and client (cert and key), not temporary",
        )


def _address_in(spec: ClusterSpec) -> str:
    """What a scheduler has written into its file; Dask would take another where there is none."""
    file = str(spec.scheduler_file)
    try:
        said = parse_json(read_text(file))
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
    address = said.get("address") if isinstance(said, dict) else None
    if not isinstance(address, str) or not address:
        raise spec.error(("scheduler_file",), f"expected an address as text in {file!r}")
    return address
