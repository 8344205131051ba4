"""What a cluster file says: which cluster to start, or where one is.

The format is that of dask-ctl's cluster specs, with named profiles. What is at the top of the file
holds for all profiles, and a profile overrides it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from prep.errors import ConfigError
from prep.parsing import KeyPath, MarkedYaml, PlainText, parse_marked_yaml, scalar_of
from prep.variables import expand

# A spec names the class to start, and so is code. Only Dask's own packages are taken from, unless
# whoever runs it says that the file is to be trusted.
_TRUSTED = ("dask", "distributed", "dask_jobqueue", "dask_kubernetes", "dask_cloudprovider")

#: The profile that is used where none is named.
DEFAULT_PROFILE = "local"

# How a cluster is had. A profile that says so itself takes nothing of it from the top of the file.
_HOW = ("module", "class", "args", "kwargs", "address", "scheduler_file")
# How many workers it has. The same goes for these.
_HOW_MANY = ("workers", "adapt")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Adapt(_Part):
    """Between how many workers a cluster grows and shrinks; all else is for Dask's ``Adaptive``."""

    model_config = ConfigDict(extra="allow")

    minimum: int = Field(0, ge=0)
    maximum: PositiveInt

    @model_validator(mode="after")
    def _in_order(self) -> Adapt:
        if self.minimum > self.maximum:
            raise ValueError(f"expected minimum to be no more than maximum, {self.maximum}")
        return self


class Certificate(_Part):
    """What one side of a connection proves itself with: PEM files. The key may be in ``cert``."""

    cert: str
    key: str | None = None


class SecuritySpec(_Part):
    """TLS: credentials that are made for one cluster and kept in memory, or given files.

    Attributes:
        temporary: make them; for clusters that are started here.
        ca_file: the authority whose certificates are accepted.
        client, scheduler, worker: who proves itself with what; by default, as the client does.
        require_encryption: whether to refuse connections without TLS.
    """

    temporary: bool = False
    ca_file: str | None = None
    client: Certificate | None = None
    scheduler: Certificate | None = None
    worker: Certificate | None = None
    require_encryption: bool = True

    @model_validator(mode="after")
    def _one_of_both(self) -> SecuritySpec:
        files = [self.ca_file, self.client, self.scheduler, self.worker]
        if self.temporary and any(files):
            raise ValueError("expected either temporary: true, or files")
        if not self.temporary and not (self.ca_file and self.client):
            raise ValueError("expected temporary: true, or ca_file and client (cert and key)")
        return self


class ClusterSpec(_Part):
    """One way to a cluster: a class to start one with, or where one is.

    Attributes:
        module, class_, args, kwargs: what to start, and how to call it.
        address, scheduler_file: of a scheduler that runs already.
        workers, adapt: how many workers to start.
        config: Dask's configuration, applied before anything starts.
        mounts: by folder, and then by pattern on the names and addresses of hosts, where these
            hosts see that folder.
        security: encryption and proof of identity, if any.
    """

    version: Literal[1]
    module: str | None = None
    class_: str | None = Field(None, alias="class")
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    address: str | None = None
    scheduler_file: str | None = None
    workers: PositiveInt | None = None
    adapt: Adapt | None = None
    config: dict[str, Any] = {}
    mounts: dict[str, dict[str, str]] = {}
    security: SecuritySpec | None = None

    @model_validator(mode="after")
    def _one_way(self) -> ClusterSpec:
        starts = self.module is not None and self.class_ is not None
        if [starts, self.address is not None, self.scheduler_file is not None].count(True) != 1:
            raise ValueError(
                "expected one of: module and class, to start a cluster; address; scheduler_file"
            )
        if self.exists and (self.module or self.class_ or self.args or self.kwargs):
            raise ValueError("module, class, args, kwargs: are for a cluster that is started here")
        if self.exists and (self.workers or self.adapt):
            raise ValueError("workers, adapt: are for a cluster that is started here")
        if self.workers and self.adapt:
            raise ValueError("expected workers or adapt, not both")
        return self

    @property
    def exists(self) -> bool:
        """Whether the cluster is there already, started by somebody else."""
        return self.address is not None or self.scheduler_file is not None

    @field_validator("mounts")
    @classmethod
    def _absolute(cls, mounts: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
        for folder, by_host in mounts.items():
            for path in (folder, *by_host.values()):
                if not os.path.isabs(path):
                    raise ValueError(f"expected absolute paths, got {path!r}")
        return mounts

    @classmethod
    def read(
        cls,
        path: str | os.PathLike[str] | None = None,
        profile: str | None = None,
        *,
        trust: bool = False,
    ) -> ClusterSpec:
        """Reads a profile of a cluster file, its environment variables expanded.

        Args:
            path: the file; by default, the one that comes with the package.
            profile: which; by default ``local``, or what is at the top of a file without that.
            trust: whether classes of packages other than Dask's own may be started.

        Raises:
            ConfigError: it can't be read, has no such profile, or is no such file.
        """
        return _File.read(path).spec(profile, trust=trust)


@dataclass(frozen=True, slots=True)
class _File:
    """A cluster file as it stands, and what it is called in errors."""

    name: str
    content: MarkedYaml

    @classmethod
    def read(cls, path: str | os.PathLike[str] | None) -> _File:
        file = resources.files("prep") / "cluster.yaml" if path is None else Path(path)
        try:
            content = parse_marked_yaml(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(f"cluster spec {file}: can't be read: {error}") from None
        read = cls(str(file), content)
        read._require_mappings()
        return read

    def spec(self, profile: str | None, *, trust: bool) -> ClusterSpec:
        top = {key: value for key, value in self.content.value.items() if key != "profiles"}
        chosen = self._choose(profile)
        own = {} if chosen is None else self._profiles[chosen]
        value = self._expanded(_merged(top, own), chosen, ())
        try:
            spec = ClusterSpec.model_validate(value)
        except ValidationError as error:
            first = error.errors()[0]
            loc = tuple("class" if part == "class_" else part for part in first["loc"])
            message = first["msg"].removeprefix("Value error, ")
            got = "" if first["type"] in ("missing", "value_error") else f"got {first['input']!r}; "
            raise self._error(self._place(chosen, loc), f"{got}{message}") from None
        if spec.module and spec.module.partition(".")[0] not in _TRUSTED and not trust:
            raise self._error(
                self._place(chosen, ("module",)),
                f"got {spec.module!r}; expected one of Dask's own packages ({', '.join(_TRUSTED)}) "
                "unless you trust this file: --trust-cluster-file, or trust=True of prep.cluster",
            )
        return spec

    @property
    def _profiles(self) -> dict[str, Any]:
        profiles: dict[str, Any] = self.content.value.get("profiles") or {}
        return profiles

    def _require_mappings(self) -> None:
        """A typing error in a profile is told even if another one is used."""
        if not isinstance(self.content.value, dict):
            raise self._error((), f"expected keys and values, got {self.content.value!r}")
        places: list[tuple[KeyPath, Any]] = [((), self.content.value)]
        if "profiles" in self.content.value:
            profiles = self.content.value["profiles"]
            if not isinstance(profiles, dict) or not profiles:
                raise self._error(("profiles",), "expected profiles by name")
            places += [(("profiles", name), profile) for name, profile in profiles.items()]
        known = {field.alias or name for name, field in ClusterSpec.model_fields.items()}
        for place, value in places:
            if not isinstance(value, dict):
                raise self._error(place, f"expected keys and values, got {value!r}")
            for key in value:
                if key not in known and not (key == "profiles" and not place):
                    raise self._error(
                        (*place, key), f"unknown key; known are {', '.join(sorted(known))}"
                    )

    def _choose(self, profile: str | None) -> str | None:
        """The name of the profile to use; None for what is at the top of the file."""
        if profile is None and DEFAULT_PROFILE in self._profiles:
            return DEFAULT_PROFILE
        if profile is None and (not self._profiles or set(_HOW) & set(self.content.value)):
            return None
        if profile is None:
            raise self._error(("profiles",), f"choose a profile: {', '.join(self._profiles)}")
        if profile not in self._profiles:
            there = ", ".join(self._profiles) or "none: it is used without"
            raise self._error(("profiles",), f"no profile {profile!r}; there are {there}")
        return profile

    def _place(self, profile: str | None, path: KeyPath) -> KeyPath:
        """Where in the file something of the merged spec comes from."""
        if profile is None:
            return path
        own: KeyPath = ("profiles", profile)
        for length in range(len(path), 0, -1):
            if (*own, *path[:length]) in self.content.lines:
                return (*own, *path)
            if path[:length] in self.content.lines:
                return path
        return (*own, *path)

    def _error(self, place: KeyPath, message: str) -> ConfigError:
        line = self.content.line_of(place)
        where = f", line {line}" if line is not None else ""
        key = ".".join(map(str, place))
        return ConfigError(f"cluster spec {self.name}{where}: {key + ': ' if key else ''}{message}")

    def _expanded(self, value: Any, profile: str | None, path: KeyPath) -> Any:
        """A value of the merged spec with its variables replaced, in plain Python types."""
        if isinstance(value, dict):
            return {
                str(key) if isinstance(key, str) else key: self._expanded(
                    item, profile, (*path, key)
                )
                for key, item in value.items()
            }
        if isinstance(value, list):
            return [self._expanded(item, profile, (*path, i)) for i, item in enumerate(value)]
        if not isinstance(value, str):
            return value
        if "$" not in value:
            return str(value)
        try:
            text = expand(value, os.environ)
        except ValueError as error:
            raise self._error(self._place(profile, path), str(error)) from None
        return scalar_of(text) if isinstance(value, PlainText) else text


def _merged(top: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """What is at the top of a file, overridden by a profile."""
    left = dict(top)
    for group in (_HOW, _HOW_MANY):
        if any(key in own for key in group):
            left = {key: value for key, value in left.items() if key not in group}
    if any(key in own for key in ("address", "scheduler_file")):
        left = {key: value for key, value in left.items() if key not in _HOW_MANY}
    merged: dict[str, Any] = _overridden(left, own)
    return merged


def _overridden(base: Any, by: Any) -> Any:
    if not isinstance(base, dict) or not isinstance(by, dict):
        return by
    both = {key: _overridden(base[key], by[key]) for key in base.keys() & by.keys()}
    return {**base, **by, **both}
