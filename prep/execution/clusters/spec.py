"""A cluster spec: which cluster to start, or where one runs.

The format is that of dask-ctl's cluster specs, with named profiles; see
:mod:`prep.execution.clusters.spec_file`.
"""

from __future__ import annotations

import os
from typing import Any, Literal

from dask.utils import parse_timedelta
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)

from prep.errors import ConfigError
from prep.execution.clusters.spec_file import ClusterFile, Origin
from prep.parsing import KeyPath
from prep.storage.arguments import typed
from prep.text import shown, unknown

# A spec names a class to call, so it is code. It may name classes of these packages alone, unless
# the user trusts the file.
_TRUSTED = ("dask", "distributed", "dask_jobqueue", "dask_kubernetes", "dask_cloudprovider")

# The expected values, by the beginning of the names of pydantic's errors.
_EXPECTED = {
    "literal_error": "{expected}",
    "greater_than_equal": "at least {ge}",
    "greater_than": "more than {gt}",
    "int": "a whole number",
    "float": "a number",
    "string": "text",
    "bool": "true or false",
    "dict": "keys and values",
    "model": "keys and values",
    "tuple": "a list",
}

#: The default of Dask's setting ``prep.wait-for-workers``.
WAIT_FOR_WORKERS = "30 minutes"


def is_time(value: Any) -> bool:
    """Return whether Dask takes this for a time.

    >>> is_time("5s"), is_time(5), is_time("soon"), is_time(None)
    (True, True, False, False)
    """
    try:
        seconds: float = parse_timedelta(value)
        return seconds >= 0
    except (ValueError, KeyError, TypeError, AttributeError):
        return False


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Adapt(_Part):
    """Limits within which a cluster grows and shrinks: the keywords of Dask's ``adapt``.

    Limits of jobs are for batch systems; limits of cores and memory, for workers that say how much
    they have.
    """

    minimum: int = Field(0, ge=0)
    maximum: PositiveInt
    interval: str | float | None = None
    target_duration: str | float | None = None
    wait_count: PositiveInt | None = None
    minimum_jobs: int | None = None
    maximum_jobs: int | None = None
    minimum_cores: int | None = None
    maximum_cores: int | None = None
    minimum_memory: str | None = None
    maximum_memory: str | None = None

    def keywords(self) -> dict[str, Any]:
        """Return the keywords that are given."""
        return self.model_dump(exclude_none=True)

    @field_validator("interval", "target_duration")
    @classmethod
    def _a_time(cls, value: str | float | None) -> str | float | None:
        if value is None or (is_time(value) and parse_timedelta(value) > 0):
            return value
        raise ValueError(f"got {shown(value)}; expected a time, such as 5s")

    @model_validator(mode="after")
    def _in_order(self) -> Adapt:
        if self.minimum > self.maximum:
            raise ValueError(f"expected minimum to be no more than maximum, {self.maximum}")
        return self


class Certificate(_Part):
    """The PEM files with which one side of a connection identifies itself.

    The key may be in the file ``cert``.
    """

    cert: str
    key: str | None = None


class SecuritySpec(_Part):
    """TLS, with temporary credentials for one cluster, kept in memory, or with files.

    Attributes:
        temporary: whether to make credentials; for clusters that are started here.
        ca_file: the authority whose certificates are accepted.
        client, scheduler, worker: certificate of each role; by default, the client's.
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
    """A class to start a cluster with, or the place of a cluster that runs.

    Attributes:
        module, class_, args, kwargs: the class, and how to call it.
        address, scheduler_file: of a scheduler that runs already.
        workers, adapt: number of workers to start, or its limits.
        config: Dask's configuration, applied before anything starts.
        mounts: by folder, and then by pattern on the names and addresses of hosts: where these
            hosts see the folder.
        security: encryption and certificates, if any.
    """

    version: Literal[1]
    module: str | None = None
    class_: str | None = Field(None, alias="class")
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    address: str | None = Field(None, min_length=1)
    scheduler_file: str | None = Field(None, min_length=1)
    workers: PositiveInt | None = None
    adapt: Adapt | None = None
    config: dict[str, Any] = {}
    mounts: dict[str, dict[str, str]] = {}
    security: SecuritySpec | None = None
    _origin: Origin = PrivateAttr(default_factory=Origin)

    @model_validator(mode="after")
    def _one_way(self) -> ClusterSpec:
        starts = self.module is not None and self.class_ is not None
        if [starts, self.address is not None, self.scheduler_file is not None].count(True) != 1:
            raise ValueError(
                "expected one of: module and class, to start a cluster; address; scheduler_file"
            )
        for keys in (("module", "class_", "args", "kwargs"), ("workers", "adapt")):
            for key in keys if self.exists else ():
                if getattr(self, key):
                    names = ", ".join(keys).replace("_", "")
                    raise _Misplaced(
                        key.removesuffix("_"),
                        f"{names}: only for a cluster to start, not for a running one",
                    )
        if self.workers and self.adapt:
            raise _Misplaced("adapt", "expected workers or adapt, not both")
        return self

    @property
    def exists(self) -> bool:
        """True if the cluster runs already, started by somebody else."""
        return self.address is not None or self.scheduler_file is not None

    @field_validator("mounts")
    @classmethod
    def _absolute(cls, mounts: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
        for folder, by_host in mounts.items():
            for path in (folder, *by_host.values()):
                if not os.path.isabs(path):
                    raise ValueError(f"expected absolute paths, got {shown(path)}")
        return mounts

    @classmethod
    def read(
        cls,
        path: str | os.PathLike[str] | None = None,
        profile: str | None = None,
        *,
        trust: bool = False,
    ) -> ClusterSpec:
        """Read a profile of a cluster file, with its environment variables expanded.

        Args:
            path: the file; by default, the one that comes with the package.
            profile: its name; by default ``local``, or the top level of a file without that.
            trust: whether classes of packages other than Dask's own may be started.

        Raises:
            ConfigError: the file can't be read, has no such profile, or is not a valid cluster
            file.
        """
        known = {field.alias or name for name, field in cls.model_fields.items()}
        file = None if path is None else typed("cluster", path)
        value, origin = ClusterFile.read(file, known).profile(profile)
        spec = cls._validated(value, origin)
        if spec.module and spec.module.partition(".")[0] not in _TRUSTED and not trust:
            raise spec.error(
                ("module",),
                f"got {shown(spec.module)}; expected one of Dask's own packages "
                f"({', '.join(_TRUSTED)}) unless you trust this file; if you do, pass "
                "`prep.cluster(…, trust=True)`",
            )
        return spec

    @classmethod
    def _validated(cls, value: dict[str, Any], origin: Origin) -> ClusterSpec:
        try:
            spec = cls.model_validate(value)
            spec._origin = origin
            return spec
        except ValidationError as error:
            described = _described(error, origin)
        # Not raised above: the context of an error would keep pydantic's, with all values.
        raise described

    def error(self, path: KeyPath, message: str) -> ConfigError:
        """Return an error about a part of the spec, with its file, line and key."""
        return self._origin.error(path, message)


class _Misplaced(ValueError):
    """An error about a key that does not go together with others."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


# The models of parts that take no keys but their own, by key.
_PARTS: dict[str, type[_Part]] = {
    "adapt": Adapt,
    "security": SecuritySpec,
    **dict.fromkeys(("client", "scheduler", "worker"), Certificate),
}


def _described(error: ValidationError, origin: Origin) -> ConfigError:
    """Return the first of pydantic's errors, in our own words."""
    first = error.errors()[0]
    kind, context = first["type"], first.get("ctx", {})
    loc = tuple("class" if part == "class_" else part for part in first["loc"])
    raised = context.get("error")
    if isinstance(raised, _Misplaced):
        return origin.error((raised.key,), str(raised))
    if raised is not None:
        return origin.error(loc, str(raised))
    if kind == "extra_forbidden":
        return origin.error(loc, unknown("key", loc[-1], _PARTS[str(loc[-2])].model_fields))
    expected = next((text for name, text in _EXPECTED.items() if kind.startswith(name)), kind)
    if kind == "missing":
        return origin.error(loc, "is missing" + ("; expected 1" if loc == ("version",) else ""))
    return origin.error(loc, f"got {shown(first['input'])}; expected {expected.format(**context)}")
