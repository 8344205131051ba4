"""Kubernetes: the container image, and manifests against the operator's schema.

There is no Kubernetes here. What the operator makes of a manifest is made by its own functions, and
the commands of the pods are run on hosts of ours.
"""

from __future__ import annotations

import copy
import inspect
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask_kubernetes
import jsonschema
import pytest
import yaml

from prep.execution.clusters.spec import ClusterSpec
from tests.support.clusters import wait_until
from tests.support.hosts import Host, network
from tests.support.shared_folder import assert_as_on_one_machine, run_on, written_by

REPO = Path(__file__).resolve().parents[2]
MANIFEST = REPO / "deploy/kubernetes.yaml"
DOCKERFILE = REPO / "deploy/Dockerfile"
COMMANDS = REPO / "deploy/bin"
_CRDS = "deployment/helm/dask-kubernetes-operator/crds/daskcluster.yaml"


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    """Of a ``DaskCluster``, as the operator's installation brings it to Kubernetes."""
    folder = Path(dask_kubernetes.__file__).parent / "operator"
    text = (folder / _CRDS).read_text()
    # Of 20,000 lines: the loader in C, where there is one, takes a tenth of the time.
    definition = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    (version,) = definition["spec"]["versions"]
    assert version["name"] == "v1"
    schema = dict(closed(version["schema"]["openAPIV3Schema"]))
    # Every resource has these; a definition need not name them.
    every = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}}
    schema["properties"] = {**every, "metadata": {"type": "object"}, **schema["properties"]}
    return schema


def closed(schema: Any) -> Any:
    """Return a schema that forbids unknown fields, as ``kubectl apply --validate=strict`` does."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: closed(value) for key, value in schema.items()}
    is_object = isinstance(schema.get("properties"), dict) and schema.get("type") == "object"
    if is_object and "additionalProperties" not in schema:
        inner["additionalProperties"] = False
    return inner


def manifest() -> dict[str, Any]:
    return dict(yaml.safe_load(MANIFEST.read_text()))


@pytest.fixture
def of_profile(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return the manifest that ``KubeCluster`` makes of our profile's keywords."""
    from dask_kubernetes.operator.kubecluster.kubecluster import make_cluster_spec

    monkeypatch.setenv("PREP_K8S_IMAGE", "registry.example/prep:1")
    spec = ClusterSpec.read(profile="kubernetes")
    known = inspect.signature(make_cluster_spec).parameters
    kwargs = {name: value for name, value in spec.kwargs.items() if name in known}
    return dict(make_cluster_spec(n_workers=spec.workers, env={"A": "b"}, **kwargs))


def check(cluster: dict[str, Any], schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator(schema).validate(cluster)
    assert cluster["apiVersion"] == "kubernetes.dask.org/v1"
    assert cluster["kind"] == "DaskCluster"


def test_our_manifest_is_a_dask_cluster(schema: dict[str, Any]) -> None:
    check(manifest(), schema)


def test_our_profile_makes_a_dask_cluster(
    schema: dict[str, Any], of_profile: dict[str, Any]
) -> None:
    check(of_profile, schema)
    (worker,) = of_profile["spec"]["worker"]["spec"]["containers"]
    assert worker["image"] == "registry.example/prep:1"
    assert (
        of_profile["spec"]["worker"]["replicas"] == ClusterSpec.read(profile="kubernetes").workers
    )


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        (("spec", "worker", "replicas"), "four"),  # Of the wrong type.
        (("spec", "worker", "spec", "containers"), None),  # Left out, and required.
        (("spec", "worker", "spec", "containers", 0, "name"), None),
        (("spec", "worker", "spec", "containers", 0, "argss"), ["dask"]),  # A typing error.
        (("spec", "workers"), {}),
        (("spec", "scheduler", "service", "ports", 0, "port"), "8786"),
        (
            ("spec", "scheduler", "spec", "containers", 0, "env", 0, "value"),
            10,
        ),  # As YAML reads it.
    ],
)
def test_a_wrong_manifest_is_seen(
    path: tuple[str | int, ...], wrong: Any, schema: dict[str, Any]
) -> None:
    cluster = copy.deepcopy(manifest())
    place: Any = cluster
    for key in path[:-1]:
        place = place[key]
    if wrong is None:
        del place[path[-1]]
    else:
        place[path[-1]] = wrong
    with pytest.raises(jsonschema.ValidationError):
        check(cluster, schema)


def test_our_manifest_sets_what_our_cluster_file_sets() -> None:
    config = ClusterSpec.read().config
    for part in ("scheduler", "worker"):
        (container,) = manifest()["spec"][part]["spec"]["containers"]
        for variable in container["env"]:
            name = variable["name"].removeprefix("DASK_").lower().replace("__", ".")
            assert variable["value"] == str(config[name.replace("_", "-")])


@pytest.mark.slow
@pytest.mark.parametrize("source", ["manifest", "profile"])
def test_the_commands_of_the_pods_are_a_cluster(
    source: str, of_profile: dict[str, Any], shared: Path, one_machine: Path
) -> None:
    """As the operator starts them, on hosts instead of in pods."""
    cluster = manifest() if source == "manifest" else of_profile
    with network(3) as net:
        one, *others = net.hosts
        address = f"tcp://{one.address}:8786"
        (scheduler,) = cluster["spec"]["scheduler"]["spec"]["containers"]
        start_container(scheduler, one, shared)
        for host in others:
            start_container(worker_of(cluster, host, address), host, shared)
            log = shared / f"{host.name}.log"
            wait_until(lambda log=log: "Registered to" in log.read_text())
        run_on(one, shared, "existing", DASK_SCHEDULER_ADDRESS=address).succeeds()
    assert set(written_by(shared)) == {"two", "three"}
    assert_as_on_one_machine(shared, one_machine)


def worker_of(cluster: dict[str, Any], host: Host, scheduler: str) -> dict[str, Any]:
    """The container of a worker, with what the operator adds, but for the scheduler's name."""
    from dask_kubernetes.operator.controller.controller import build_worker_deployment_spec

    pod = copy.deepcopy(cluster["spec"]["worker"]["spec"])
    pod["containers"][0]["env"].append({"name": "DASK_SCHEDULER_ADDRESS", "value": scheduler})
    made = build_worker_deployment_spec("prep-default", "default", "prep", host.name, pod, {}, {})
    (container,) = made["spec"]["template"]["spec"]["containers"]
    return dict(container)


def start_container(container: dict[str, Any], host: Host, shared: Path) -> None:
    """Starts a container's command on a host, where the commands of our image are found."""
    env = {variable["name"]: variable["value"] for variable in container["env"]}
    command = [re.sub(r"\$\((\w+)\)", lambda m: env[m[1]], arg) for arg in container["args"]]
    env["PATH"] = f"{COMMANDS}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    host.start(*command, cwd=shared, log=shared / f"{host.name}.log", **env)


# The image


def instructions() -> Iterator[tuple[str, list[str]]]:
    """The Dockerfile's, with their arguments as a shell splits them."""
    for line in DOCKERFILE.read_text().splitlines():
        if line and not line.startswith("#"):
            name, _, arguments = line.partition(" ")
            yield name, shlex.split(arguments)


def arguments_of(name: str) -> list[list[str]]:
    return [arguments for found, arguments in instructions() if found == name]


def test_the_image_is_of_the_python_that_this_is_tested_with_and_not_of_root() -> None:
    assert arguments_of("FROM") == [
        [f"python:{sys.version_info.major}.{sys.version_info.minor}-slim"]
    ]
    assert arguments_of("USER") == [["1000"]]
    ignore = (REPO / ".dockerignore").read_text().splitlines()
    sources = [source for arguments in arguments_of("COPY") for source in arguments[:-1]]
    assert {f"!{source}" for source in sources} == {line for line in ignore if line[:1] == "!"}


@pytest.mark.slow
def test_what_the_image_installs_works_without_tensorflow(tmp_path: Path) -> None:
    """Files are copied and packages installed as the Dockerfile says, but into no image."""
    root = tmp_path / "root"
    for *sources, target in arguments_of("COPY"):
        for source in sources:
            copy_into(REPO / source, root / target.strip("/"), alone=len(sources) == 1)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "python"], check=True)
    binaries = tmp_path / "python/bin"
    (install,) = (arguments for arguments in arguments_of("RUN") if "pip" in arguments)
    end = install.index("&&")
    env = {**os.environ, "PATH": f"{binaries}:{os.environ['PATH']}"}
    command = [word.replace("/build", str(root / "build")) for word in install[:end]]
    done = subprocess.run(["env", *command, "--quiet"], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    shutil.rmtree(root / "build")
    env["PATH"] = f"{root / 'usr/local/bin'}:{env['PATH']}"
    for name in ("prep", "dask-scheduler", "dask-worker"):
        subprocess.run([name, "--version"], env=env, check=True, capture_output=True, cwd=tmp_path)
    code = "import prep.execution.worker, prep.execution.bags, prep.dashboard"
    subprocess.run([binaries / "python", "-c", code], check=True, cwd=tmp_path)
    installed = subprocess.check_output([binaries / "pip", "list"], text=True).lower()
    assert "tensorflow" not in installed
    assert "s3fs" in installed


def copy_into(source: Path, target: Path, *, alone: bool) -> None:
    """Copy as ``COPY`` does: a folder's content into the target, a file into or over it."""
    if source.is_dir():
        assert alone
        shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
    else:
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)
