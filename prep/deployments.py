"""What Dask's classes of clusters must be told so that a cluster spec holds in all its processes.

Workers that are started elsewhere know nothing of the configuration of the process that starts
them. Each class has its own way to hand it on.
"""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import dask
from distributed import Security

from prep.cluster_spec import ClusterSpec, SecuritySpec
from prep.errors import ConfigError

# Dask takes its configuration from this variable, in whatever process it is set.
_INHERITED = "DASK_INTERNAL_INHERIT_CONFIG"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """How to have a cluster.

    Attributes:
        start: starts one; None where it is there already.
        address: where it is then, as keyword of Dask's ``Client``.
        adapt: between what it is to grow and shrink.
        config: the Dask configuration to do it under.
        security: for connections to it; to be called under that configuration.
    """

    start: Callable[[], Any] | None = None
    address: Mapping[str, str] = field(default_factory=dict)
    adapt: Mapping[str, Any] | None = None
    config: Mapping[str, Any]
    security: Callable[[], Security | None]


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
        raise ConfigError("workers: are for a cluster that is started here, not for one that is")
    config = {**dict(_flat(spec.config)), **_tls_config(spec.security)}
    security = functools.partial(_security, spec.security)
    if spec.exists:
        _require_found(spec)
        named = {"address": spec.address, "scheduler_file": spec.scheduler_file}
        address = {name: value for name, value in named.items() if value is not None}
        return Deployment(address=address, config=config, security=security)
    _require_securable(spec)
    start = functools.partial(_start, _class_of(spec), spec, _counted(spec, workers), config)
    adapt = None if workers is not None or not spec.adapt else spec.adapt.model_dump()
    return Deployment(start=start, adapt=adapt, config=config, security=security)


def _start(kind: Callable[..., Any], spec: ClusterSpec, kwargs: dict[str, Any], config: Any) -> Any:
    given = dict(kwargs)
    if spec.security is not None:
        given["security"] = _security(spec.security)
    return kind(*spec.args, **_inheriting(spec, given, config))


def _class_of(spec: ClusterSpec) -> Callable[..., Any]:
    try:
        kind: Callable[..., Any] = getattr(
            importlib.import_module(str(spec.module)), str(spec.class_)
        )
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"cluster spec: can't load {spec.module}.{spec.class_}: {error}; is its package "
            "installed?"
        ) from None
    return kind


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
        raise ConfigError(
            "workers, adapt: an SSHCluster has as many workers as it has hosts, each times "
            "worker_options.n_workers; set these"
        )
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


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Settings by their full names: a mapping would replace all that Dask has beside it."""
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _nested(config: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    dask.config.set(config, config=nested)
    return nested


def _tls_config(security: SecuritySpec | None) -> dict[str, Any]:
    """Where the certificates lie, as Dask's configuration: so that all processes know it.

    Temporary ones must not get there, for it is handed on in command lines.
    """
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
    for key in ("ca-file", "client.cert", "client.key"):
        path = config[f"{tls}.{key}"]
        if path is not None and not os.path.isfile(path):
            raise ConfigError(f"cluster spec: security: expected a PEM file, found none: {path!r}")
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
        raise ConfigError(
            "cluster spec: security: dask_kubernetes connects without TLS to what it starts; have "
            "a network policy keep others out, or start the cluster yourself and give its address"
        )
    if _package(spec) == "dask_jobqueue" and spec.security.temporary:
        _require_shared_folder(spec)
    if spec.class_ == "SSHCluster" and spec.security.temporary:
        raise ConfigError(
            "cluster spec: security: an SSHCluster can't hand temporary certificates to its hosts; "
            "give files that lie under the same paths on all of them"
        )


def _require_shared_folder(spec: ClusterSpec) -> None:
    """Without one, jobs get temporary credentials through files in the working directory."""
    if not spec.kwargs.get("shared_temp_directory"):
        raise ConfigError(
            "cluster spec: security: temporary certificates reach jobs through files; give "
            "kwargs.shared_temp_directory, a folder that all hosts see and only you can read"
        )


def _require_found(spec: ClusterSpec) -> None:
    if spec.security is not None and spec.security.temporary:
        raise ConfigError(
            "cluster spec: security: a cluster that runs already has its certificates; give "
            "ca_file and client (cert and key), not temporary"
        )
    if spec.scheduler_file is not None and not os.path.isfile(spec.scheduler_file):
        raise ConfigError(
            f"cluster spec: scheduler_file: no such file: {spec.scheduler_file!r}; start the "
            "scheduler with dask scheduler --scheduler-file FILE, where this machine sees FILE"
        )
