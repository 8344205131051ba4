"""Cluster files: allowed contents, and errors that name the line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prep.errors import ConfigError
from prep.execution.clusters.spec import ClusterSpec
from prep.parsing import expand

PLAIN = """\
version: 1
module: dask.distributed
class: LocalCluster
args: [2]
kwargs: {threads_per_worker: 1}
config: {distributed.scheduler.worker-saturation: 1.0}
"""

PROFILES = """\
version: 1
config:
  distributed.scheduler.worker-saturation: 1.0
  distributed.admin.tick.interval: 200ms
mounts:
  /data: {"gpu-*": /mnt/data}
workers: 3
profiles:
  local:
    module: dask.distributed
    class: LocalCluster
    kwargs:
      threads_per_worker: 1
      name: ${NAME_OF_IT}
  growing:
    module: dask.distributed
    class: LocalCluster
    adapt:
      minimum: 1
      maximum: ${MOST:-4}
      interval: 1s
    config:
      distributed.admin.tick.interval: 20ms
  existing:
    address: tcp://${HOST_OF_IT:-127.0.0.1}:8786
"""


@pytest.fixture
def read(tmp_path: Path) -> Any:
    def read(text: str, profile: str | None = None, **options: Any) -> ClusterSpec:
        (tmp_path / "cluster.yaml").write_text(text)
        return ClusterSpec.read(tmp_path / "cluster.yaml", profile, **options)

    return read


def test_a_spec_of_dask_ctl_is_read_as_it_is(read: Any) -> None:
    spec = read(PLAIN)
    assert (spec.module, spec.class_, spec.args) == ("dask.distributed", "LocalCluster", (2,))
    assert spec.kwargs == {"threads_per_worker": 1}
    assert spec.config == {"distributed.scheduler.worker-saturation": 1.0}


def test_a_profile_overrides_what_is_shared(read: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAME_OF_IT", "images")
    local, growing = read(PROFILES), read(PROFILES, "growing")
    assert (local.workers, local.adapt) == (3, None)
    assert (growing.workers, growing.adapt.minimum, growing.adapt.maximum) == (None, 1, 4)
    assert growing.adapt.keywords() == {"minimum": 1, "maximum": 4, "interval": "1s"}
    assert local.config["distributed.admin.tick.interval"] == "200ms"
    assert growing.config == {
        "distributed.scheduler.worker-saturation": 1.0,
        "distributed.admin.tick.interval": "20ms",
    }
    assert local.mounts == growing.mounts == {"/data": {"gpu-*": "/mnt/data"}}


def test_a_cluster_that_runs_takes_no_number_of_workers_from_the_top(read: Any) -> None:
    spec = read(PROFILES, "existing")
    assert (spec.exists, spec.workers) == (True, None)
    assert spec.address == "tcp://127.0.0.1:8786"


def test_how_a_profile_has_its_cluster_is_not_mixed_with_the_top(read: Any) -> None:
    text = PLAIN + "profiles:\n  there: {scheduler_file: s.json}\n  ssh: {kwargs: {hosts: [a]}}\n"
    assert read(text, "there").kwargs == {}
    assert read(text).class_ == "LocalCluster"  # No profile `local`: what is at the top.
    with pytest.raises(ConfigError, match=r"profiles\.ssh: expected one of: module and class"):
        read(text, "ssh")


def test_variables_of_other_profiles_need_not_be_set(
    read: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NAME_OF_IT", raising=False)
    assert read(PROFILES, "growing").class_ == "LocalCluster"
    with pytest.raises(ConfigError) as error:
        read(PROFILES)
    assert "cluster.yaml, line 14: profiles.local.kwargs.name: " in str(error.value)
    assert "NAME_OF_IT is not set" in str(error.value)


def test_what_stood_without_quotes_may_become_a_number(
    read: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("N", "083")
    monkeypatch.setenv("FLAG", "true")
    monkeypatch.setenv("NONE", "")
    spec = read(
        "version: 1\nmodule: dask.distributed\nclass: LocalCluster\nkwargs:\n"
        '  a: ${N}\n  b: "${N}"\n'
        "  c: ${FLAG}\n  d: ${NONE:-}\n  e: ${M:-7}\n  f: x${M:-7}\n  g: [\"$${M}\", '$']\n"
        "  h: ${NONE}\n"
    )
    # 083 is no number in YAML 1.1 (it would be octal), so it stays text.
    assert spec.kwargs == {
        "a": "083",
        "b": "083",
        "c": True,
        "d": None,
        "e": 7,
        "f": "x7",
        "g": ["${M}", "$"],
        "h": None,
    }
    assert {type(value) for value in spec.kwargs.values()} == {str, bool, type(None), int, list}


def test_what_is_in_a_variable_is_not_expanded_again() -> None:
    assert expand("${A}", {"A": "${B} $$ ${A}", "B": "b"}) == "${B} $$ ${A}"


@given(st.text())
def test_a_text_whose_dollars_are_doubled_stays_as_it_was(text: str) -> None:
    assert expand(text.replace("$", "$$"), {}) == text


@given(st.text(), st.text(alphabet=st.characters(exclude_characters="}")))
def test_a_value_comes_out_as_it_is_set(value: str, default: str) -> None:
    assert expand("<${A}>", {"A": value}) == f"<{value}>"
    assert expand(f"<${{A:-{default}}}>", {"A": value}) == f"<{value or default}>"
    assert expand(f"<${{A:-{default}}}>", {}) == f"<{default}>"


WRONG = [
    # Not even YAML.
    ("version: [", None, ["can't be read: line 1, column"]),
    (PLAIN + "\nworkers: }\n", None, ["can't be read: line 8, column 10"]),
    # A key twice.
    (PLAIN + "version: 1\n", None, ["line 7: given twice: 'version'"]),
    # Something else than keys and values.
    ("- version: 1\n", None, ["expected keys and values"]),
    ("", None, ["the file is empty"]),
    # A tag that would make an object of Python.
    ("version: !!python/object/apply:os.system [ls]\n", None, ["can't be read", "python"]),
    # It contains itself.
    ("version: 1\nkwargs: &a\n  b: *a\n", None, ["contains itself"]),
    # Another version.
    (PLAIN.replace("version: 1", "version: 2"), None, ["line 1: version: got 2; expected 1"]),
    # An unknown key, at the top and in a profile that is not used.
    (PLAIN + "wrokers: 2\n", None, ["line 7: wrokers: unknown key; did you mean 'workers'?"]),
    (PROFILES + "    adress: a\n", "growing", ["line 26: profiles.existing.adress: unknown"]),
    # A value of the wrong kind, in a profile and at the top, used from a profile.
    (
        PROFILES.replace("${MOST:-4}", "many"),
        "growing",
        ["line 20: profiles.growing.adapt.maximum: got 'many'; expected a whole number"],
    ),
    (
        PROFILES.replace("workers: 3", "workers: 0"),
        "local",
        ["line 7: workers: got 0; expected more than 0"],
    ),
    # The least is more than the most.
    (PROFILES.replace("minimum: 1", "minimum: 5"), "growing", ["line 18", "minimum"]),
    # A profile that is not there.
    (PROFILES, "shh", ["line 8: profiles: no profile 'shh'", "local, growing, existing"]),
    (PLAIN, "ssh", ["no profile 'ssh'", "used without"]),
    # No default, and none chosen.
    ("version: 1\nprofiles:\n  a: {address: b}\n", None, ["choose a profile: a"]),
    # A setting that Dask's Adaptive does not have.
    (
        PROFILES.replace("interval: 1s", "intervall: 1s"),
        "growing",
        ["line 21: profiles.growing.adapt.intervall: unknown key; did you mean 'interval'?"],
    ),
    # No version.
    (PLAIN.replace("version: 1\n", ""), None, ["version: is missing; expected 1"]),
    # A variable that is set, to nothing.
    ("version: 1\naddress: ${EMPTY}\n", None, ["line 2: address: '${EMPTY}' is empty"]),
    ("version: 1\naddress: ''\n", None, ["line 2: address: got ''; expected text"]),
    # No times.
    (
        PLAIN + "adapt: {maximum: 2, interval: often}\n",
        None,
        ["line 7: adapt.interval: got 'often'; expected a time"],
    ),
    (PLAIN + "adapt: {maximum: 2, target_duration: -1}\n", None, ["got -1.0; expected a time"]),
    # No way to a cluster, and two.
    ("version: 1\n", None, ["expected one of: module and class"]),
    (PLAIN + "address: a\n", None, ["expected one of: module and class"]),
    # Starting arguments for a cluster that is there.
    ("version: 1\naddress: a\nkwargs: {b: 1}\n", None, ["module, class, args, kwargs"]),
    ("version: 1\naddress: a\nworkers: 1\n", None, ["workers, adapt"]),
    # Both numbers of workers.
    (
        PLAIN + "workers: 1\nadapt: {maximum: 2}\n",
        None,
        ["line 8: adapt: expected workers or adapt"],
    ),
    # A class of another package.
    (
        PLAIN.replace("dask.distributed", "os"),
        None,
        ["line 2: module: got 'os'", "`prep.cluster(…, trust=True)`"],
    ),
    (PLAIN.replace("dask.distributed", "daskevil.x"), None, ["got 'daskevil.x'"]),
    # Relative mounts.
    (PLAIN + "mounts: {data: {a: /b}}\n", None, ["line 7: mounts", "absolute", "'data'"]),
    # Security that is none, and both kinds.
    (PLAIN + "security: {}\n", None, ["line 7: security", "temporary: true, or ca_file"]),
    (PLAIN + "security: {temporary: true, ca_file: a}\n", None, ["either temporary"]),
    # Half a variable.
    (PLAIN + "address: ${\n", None, ["line 7: address", "$$ for a dollar"]),
]


@pytest.mark.parametrize(("text", "profile", "named"), WRONG)
def test_what_is_wrong_is_told_with_its_place(
    text: str, profile: str | None, named: list[str], read: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAME_OF_IT", "images")
    monkeypatch.setenv("EMPTY", "")
    with pytest.raises(ConfigError) as error:
        read(text, profile)
    assert [words for words in named if words not in str(error.value)] == []
    assert "cluster.yaml" in str(error.value)


@pytest.mark.parametrize("wrong", ["workers: 2\nadapt: {minimum: 1}", "workers: many", "colour: 1"])
def test_no_error_keeps_what_variables_were_replaced_by(
    wrong: str, read: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSWORD_OF_IT", "hidden")
    text = "version: 1\nmodule: dask.distributed\nclass: LocalCluster\n"
    text += 'kwargs: {password: "${PASSWORD_OF_IT}"}\n'
    with pytest.raises(ConfigError) as caught:
        read(f"{text}{wrong}\n")
    led_to: list[BaseException] = [caught.value]
    for error in led_to:
        led_to += [e for e in (error.__cause__, error.__context__) if e is not None]
    assert all("hidden" not in f"{error!r} {vars(error)}" for error in led_to)


def test_whoever_trusts_a_file_may_start_what_it_names(read: Any) -> None:
    text = PLAIN.replace("dask.distributed", "collections").replace("LocalCluster", "OrderedDict")
    assert read(text, trust=True).module == "collections"


def test_dask_has_the_settings_that_the_file_changes() -> None:
    known = dask.config.merge(*dask.config.defaults)
    changed = [name for name in ClusterSpec.read().config if name.startswith("distributed.")]
    assert "distributed.worker.profile.cycle" in changed
    for name in changed:  # A setting that Dask has renamed would change nothing.
        folder = name.rpartition(".")[0] if name.endswith("_") else name  # Of variables.
        assert dask.config.get(folder, None, config=known) is not None, name


def test_the_file_that_comes_with_the_package_has_these_profiles(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", "tcp://10.0.0.1:8786")
    monkeypatch.setenv("PREP_K8S_IMAGE", "images/prep")
    kinds = {
        name: ClusterSpec.read(None, name).class_
        for name in ("local", "existing", "ssh", "slurm", "kubernetes")
    }
    assert kinds == {
        "local": "LocalCluster",
        "existing": None,
        "ssh": "SSHCluster",
        "slurm": "SLURMCluster",
        "kubernetes": "KubeCluster",
    }
    assert ClusterSpec.read(None, "existing").address == "tcp://10.0.0.1:8786"
    assert ClusterSpec.read(None, "slurm").kwargs["queue"] is None
    assert ClusterSpec.read() == ClusterSpec.read(None, "local")
