"""Modules that each command loads before it starts, which decide how fast it responds."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from dask.system import CPU_COUNT
from distributed.system import MEMORY_LIMIT

import prep
from prep.execution.local.resources import cores, memory
from prep.output.journal import Journal
from tests.support.pictures import write_tree

# Libraries that take long to load, and those of them that the plainest commands do without.
DASK = {"dask", "distributed", "tornado"}
PAGE = {"bokeh", "jinja2"}
WORK = {"cv2", "numpy", "pyarrow", "rich"}
UNUSED = {"pandas", "scipy"}
CHECKS = {"asyncio", "fsspec", "multiprocessing", "psutil", "pydantic", "yaml"}
PREP = ("-m", "prep")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write_tree(tmp_path / "photos", {"train": {"cat": 2}})
    return tmp_path


def loaded_by(home: Path, *command: str, code: int = 0) -> set[str]:
    """The packages that a Python process has loaded when it ends."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *command],
        cwd=home,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == code, done.stderr[-2000:]
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    names = {line.rpartition("|")[2].strip() for line in lines}
    # An attempt is among the lines, too; what is loaded has its parts there.
    return {name.partition(".")[0] for name in names - {"pandas"}}


@pytest.mark.parametrize(
    ("command", "code", "without"),
    [
        (("-c", "import prep"), 0, DASK | PAGE | WORK | CHECKS),
        ((*PREP, "--help"), 0, DASK | PAGE | WORK | CHECKS),
        ((*PREP, "run", "--help"), 0, DASK | PAGE | WORK | CHECKS),
        ((*PREP, "run", "absent", "shards"), 2, DASK | PAGE | WORK | {"fsspec", "psutil"}),
        ((*PREP, "plan", "photos", "shards"), 0, DASK | PAGE | UNUSED | {"fsspec", "asyncio"}),
        (("-c", "import prep; prep.plan"), 0, DASK | PAGE | {"fsspec", "rich"}),
        ((*PREP, "mean", "photos", "-o", "mean.json"), 0, DASK | PAGE | UNUSED | {"fsspec"}),
    ],
    ids=lambda value: value[-1] if isinstance(value, tuple) else "",
)
def test_nothing_is_loaded_that_is_not_needed(
    command: Sequence[str], code: int, without: set[str], home: Path
) -> None:
    loaded = loaded_by(home, *command, code=code)
    assert "prep" in loaded
    assert loaded & without == set()


WRITE = """
import sys
from prep.execution.worker import write_shard_task
from prep.shards.opened import open_plan
from prep.shards.writer import RunRef
run = RunRef(output="shards", digest=sys.argv[1], run="run")
write_shard_task(open_plan(run.output, run.digest, run.run).plan.shards[0], run)
"""


def test_a_worker_that_writes_a_shard_does_without_pandas_and_bokeh(home: Path) -> None:
    plan = prep.plan(prep.Config(source=str(home / "photos"), output=str(home / "shards")))
    Journal(home / "shards").begin(plan)
    loaded = loaded_by(home, "-c", WRITE, plan.fingerprint.digest)
    assert list((home / "shards" / "train").glob("*.tfrecord"))
    assert "pyarrow" in loaded, "which loads pandas when it converts a column or a list"
    assert not loaded & {"pandas", "scipy", "bokeh", "tensorflow", "torch"}


@pytest.mark.slow
def test_dask_is_not_loaded_for_a_few_images(home: Path) -> None:
    assert not loaded_by(home, *PREP, "run", "photos", "shards") & DASK
    assert not loaded_by(home, *PREP, "verify", "shards") & (DASK | PAGE)


PANDAS_FOR_OTHERS = """
import sys
from prep.execution.local.own_process import hide_pandas
hide_pandas()
import prep.sources.manifest
assert "pandas" not in sys.modules
import pyarrow
print(len(pyarrow.table({"one": [1]}).to_pandas()))
"""


def test_pandas_is_there_for_others_though_pyarrow_does_not_load_it_for_us() -> None:
    pytest.importorskip("pandas")
    command = [sys.executable, "-c", PANDAS_FOR_OTHERS]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=240)
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_cores_and_memory_are_counted_as_dask_counts_them() -> None:
    assert cores() == CPU_COUNT
    assert memory() == MEMORY_LIMIT
