"""Images that crash, hang or starve the decoder: each costs only itself."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import yaml
from distributed import Client

import prep
from prep.errors import BadImageError, RefusedImage, ShardError
from prep.execution.clusters.spec import ClusterSpec
from prep.execution.writing import write_serially
from prep.images.processor import ImageProcessor, Processed
from prep.output.journal import Journal
from prep.settings.image_settings import ImageSettings
from prep.shards.isolation.processors import GuardedProcessor, IsolatedProcessor
from prep.shards.writer import RunRef
from tests.support import poison
from tests.support.clusters import contents, wait_until
from tests.support.pictures import image_file, jpeg, picture, write_tree

SIZE = 32
TIMEOUT = 1.5
SETTINGS = ImageSettings(size=SIZE, max_pixels=1_000_000)
GOOD = jpeg(picture(40, 50))
# What the decoder does, and what is said of the image then.
CRASHES = {
    "crash.jpg": (poison.CRASH, "crashed the decoder", "SIGSEGV"),
    "abort.jpg": (poison.ABORT, "crashed the decoder", "SIGABRT"),
    "suicide.jpg": (poison.SUICIDE, "crashed the decoder", "SIGKILL"),
    "exit.jpg": (poison.EXIT, "crashed the decoder", "exit status 3"),
    "raise.jpg": (poison.RAISE, "crashed the decoder", "this codec has a bug"),
}
HANGS = {
    "python.jpg": (poison.HANG_IN_PYTHON, "too slow", "not done after 1.5 s"),
    "c.jpg": (poison.HANG_IN_C, "too slow", "not done after 1.5 s"),
    "pattern.jpg": (poison.HANG_IN_A_PATTERN, "too slow", "not done after 1.5 s"),
}
HOGS = {"hog.jpg": (poison.HOG, "crashed the decoder", "it takes more than 1.1 GB of memory")}
Poison = Mapping[str, tuple[bytes, str, str]]


@pytest.fixture(autouse=True)
def _decoders_that_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREP_TEST_FAULT", poison.NAME)


def files(poisoned: Poison) -> dict[str, bytes]:
    return {name: GOOD + mark for name, (mark, _, _) in poisoned.items()}


def config(source: Path, output: Path, **more: Any) -> prep.Config:
    values = {"size": SIZE, "image_timeout": TIMEOUT, "max_refused": 1.0, **more}
    return prep.Config(source=str(source), output=str(output), **values)


def refused(report: prep.RunReport) -> dict[str, tuple[str, str]]:
    return {Path(r["path"]).name: (r["reason"], r["detail"]) for r in report.refused}


def expected(poisoned: Poison) -> dict[str, tuple[str, str]]:
    return {name: (reason, detail) for name, (_, reason, detail) in poisoned.items()}


def undisturbed(made: prep.RunPlan) -> dict[str, bytes]:
    """The shards of a plan as they are when its poisoned images are not there."""
    output = Path(made.config.output).with_name("undisturbed")
    journal = Journal(output)
    journal.begin(made)
    marked = [p for p in Path(made.source).glob("*/*/*") if p.read_bytes().endswith(b"]")]
    kept = {path: path.read_bytes() for path in marked}
    for path in marked:
        path.unlink()
    write_serially(
        made.shards, RunRef(output=str(output), digest=made.fingerprint.digest, run=output.name)
    )
    for path, data in kept.items():
        path.write_bytes(data)
        os.utime(path, ns=(10**18, 10**18))
    return contents(output, "*/*.tfrecord")


def check_run(client: Client, home: Path, poisoned: Poison, **more: Any) -> prep.RunReport:
    """Runs good images with poisoned ones among them: only those are lost."""
    asked = poisoned_set(home, poisoned, **more)
    shards = undisturbed(prep.plan(asked))
    report = prep.run(asked, client)
    assert refused(report) == expected(poisoned)
    assert report.images["written"] == 30
    assert contents(home / "out", "*/*.tfrecord") == shards
    assert not list((home / "out").glob("**/.*.partial"))
    return report


def poisoned_set(home: Path, poisoned: Poison, **more: Any) -> prep.Config:
    source = write_tree(home / "source", {"train": {"cat": 30, "dog": files(poisoned)}})
    return config(source, home / "out", **more)


@pytest.fixture
def own_client() -> Iterator[Client]:
    """Two workers that no other test has, for they will die."""
    with prep.cluster(workers=2) as client:
        yield client


@contextlib.contextmanager
def cluster_of(tmp_path: Path, kwargs: Mapping[str, Any], **options: Any) -> Iterator[Client]:
    """Two workers as ``prep`` starts them, but for some arguments and Dask's ``options``."""
    spec = ClusterSpec.read().model_dump(by_alias=True, mode="json", exclude_none=True)
    spec["kwargs"] |= {"n_workers": 2, **kwargs}
    spec["config"] |= options
    (tmp_path / "cluster.yaml").write_text(yaml.safe_dump(spec))
    with prep.cluster(tmp_path / "cluster.yaml") as client:
        yield client


@pytest.mark.slow
def test_crashes_in_many_shards_at_once(own_client: Client, tmp_path: Path) -> None:
    check_run(own_client, tmp_path, CRASHES, images_per_shard=5)


def test_crashes_in_one_shard(own_client: Client, tmp_path: Path) -> None:
    check_run(own_client, tmp_path, CRASHES, images_per_shard=100, compression="GZIP")


def test_a_hang_that_stops_all_threads(own_client: Client, tmp_path: Path) -> None:
    check_run(own_client, tmp_path, {"c.jpg": HANGS["c.jpg"]}, images_per_shard=9)


@pytest.mark.slow
def test_hangs_of_all_kinds(own_client: Client, tmp_path: Path) -> None:
    check_run(own_client, tmp_path, HANGS, images_per_shard=9)


@pytest.mark.slow
def test_hogs(tmp_path: Path) -> None:
    limits = {"max_pixels": 1_000_000, "image_timeout": 60}
    with cluster_of(tmp_path, {"memory_limit": "700MB"}) as client:
        check_run(client, tmp_path, HOGS, images_per_shard=9, **limits)


@pytest.mark.slow
def test_crashes_in_all_of_few_shards(tmp_path: Path) -> None:
    """Dask lays each death to all shards that wait at the worker, and these all wait somewhere."""
    poisoned = {f"{n}.jpg": CRASHES["crash.jpg"] for n in range(10)}
    with cluster_of(tmp_path, {}) as client:
        check_run(client, tmp_path, poisoned, images_per_shard=10)
    receipts = contents(tmp_path / "out", ".prep/receipts/*/*")
    assert [b"SIGSEGV" in receipt for receipt in receipts.values()] == [True] * 4


@pytest.mark.slow
def test_what_a_cluster_gives_up_at_once_is_written_by_the_next_run(tmp_path: Path) -> None:
    poisoned = {"crash.jpg": CRASHES["crash.jpg"]}
    asked = poisoned_set(tmp_path, poisoned, images_per_shard=4)
    shards = undisturbed(prep.plan(asked))
    with cluster_of(tmp_path, {}, **{"distributed.scheduler.allowed-failures": 0}) as client:
        with pytest.raises(
            ShardError, match=r"1 shard failed: train/\d \(1 worker died at the same task\)"
        ):
            prep.run(asked, client)
        assert len(contents(tmp_path / "out", "*/*.tfrecord")) == 7
        report = prep.run(asked, client)
    assert report.resumed_shards == 7
    assert refused(report) == expected(poisoned)
    assert contents(tmp_path / "out", "*/*.tfrecord") == shards


def test_a_stop_at_bad_images_stops_at_one_that_crashes(own_client: Client, tmp_path: Path) -> None:
    asked = poisoned_set(tmp_path, {"crash.jpg": CRASHES["crash.jpg"]}, on_bad_image="fail")
    with pytest.raises(BadImageError, match=r"crash\.jpg' was refused \(crashed the decoder"):
        prep.run(asked, own_client)


def test_a_process_that_is_not_ours_to_end_is_not_ended(tmp_path: Path) -> None:
    """Here the workers are threads of this process."""
    slow = {"slow.jpg": (poison.SLOW, "", "")}
    asked = poisoned_set(tmp_path, slow, image_timeout=1)
    with Client(processes=False, n_workers=1, dashboard_address=":0") as client:
        report = prep.run(asked, client)
    assert report.images == {"planned": 31, "written": 31, "refused": 0}


# One process


def outcome(processor: Callable[[bytes], Processed], data: bytes) -> tuple[Any, ...]:
    """Return the result of an image as values that can be compared."""
    try:
        *values, grid, likeness = processor(data)
        return (*values, grid.tobytes(), likeness)
    except RefusedImage as error:
        return error.reason, error.detail


@pytest.fixture
def isolated() -> Iterator[IsolatedProcessor]:
    processor = IsolatedProcessor(SETTINGS, TIMEOUT)
    yield processor
    processor.close()


def children() -> list[psutil.Process]:
    """The processes that images are isolated in."""
    found = psutil.Process().children()
    return [child for child in found if "prep.shards.isolation" in child.cmdline()]


@pytest.mark.parametrize("encoding", ["jpeg", "raw", "float32"])
def test_isolated_images_come_out_as_others_do(encoding: Any) -> None:
    settings = ImageSettings(size=SIZE, encoding=encoding, mean=(1.0, 2.0, 3.0))
    here, there = ImageProcessor(settings), IsolatedProcessor(settings, TIMEOUT)
    for data in (GOOD, GOOD[:500], b"", b"<html>", image_file(picture(50, 40), "PNG")):
        assert outcome(there, data) == outcome(here, data)
    there.close()
    assert children() == []


@pytest.mark.slow
def test_an_isolated_image_costs_itself(isolated: IsolatedProcessor) -> None:
    good = outcome(isolated, GOOD)
    for mark, reason, detail in (*CRASHES.values(), HANGS["c.jpg"]):
        assert outcome(isolated, GOOD + mark) == (reason, detail)
        assert outcome(isolated, GOOD) == good


def test_an_isolated_image_can_not_take_all_memory() -> None:
    isolated = IsolatedProcessor(SETTINGS, timeout=60)
    ((mark, reason, detail),) = HOGS.values()
    assert outcome(isolated, GOOD + mark) == (reason, detail)
    (child,) = children()
    assert outcome(isolated, GOOD) == outcome(ImageProcessor(SETTINGS), GOOD)
    assert children() == [child]  # It has survived.
    isolated.close()


@pytest.mark.slow
def test_the_largest_result_has_the_memory_that_it_takes() -> None:
    settings = ImageSettings(size=4096, fit="shorter", encoding="png", max_pixels=1_000_000)
    isolated = IsolatedProcessor(settings, timeout=600)
    found = isolated(image_file(np.full((64, 255, 3), 77, np.uint8), "PNG"))
    assert found.stats.pixels == 4096 * 16_320
    isolated.close()


def test_a_good_image_is_not_condemned_because_somebody_kills_its_process(
    isolated: IsolatedProcessor,
) -> None:
    good = outcome(isolated, GOOD)
    for number in (signal.SIGKILL, signal.SIGSEGV):
        (child,) = children()
        child.send_signal(number)
        wait_until(lambda child=child: child.status() == psutil.STATUS_ZOMBIE)
        assert outcome(isolated, GOOD) == good


def test_what_a_library_prints_is_no_answer(isolated: IsolatedProcessor) -> None:
    assert outcome(isolated, GOOD + poison.PRINT) == outcome(isolated, GOOD)


def test_the_last_words_of_a_process_are_told(isolated: IsolatedProcessor) -> None:
    assert outcome(isolated, GOOD + poison.LAST_WORDS) == (
        "crashed the decoder",
        "SIGABRT: free(): invalid pointer",
    )


def test_a_process_that_does_not_start_condemns_no_image(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PREP_TEST_FAULT", "nowhere:nothing")
    with pytest.raises(ChildProcessError, match=r"did not start .*No module named 'nowhere'"):
        IsolatedProcessor(SETTINGS, TIMEOUT)(GOOD)
    assert children() == []


ABANDON = """
import os, sys, threading
import psutil
from prep.settings.image_settings import ImageSettings
from prep.shards.isolation.processors import IsolatedProcessor

processor = IsolatedProcessor(ImageSettings(size=32), 3.0)
processor(bytes.fromhex(sys.argv[1]))
(child,) = psutil.Process().children()
before = child.cpu_times().user
if sys.argv[2:]:
    threading.Thread(target=processor, args=[bytes.fromhex(sys.argv[2])], daemon=True).start()
    while child.cpu_times().user < before + 0.1:
        pass
print(child.pid, flush=True)
os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize(
    "last", [[], pytest.param([GOOD + poison.HANG_IN_PYTHON], marks=pytest.mark.slow)]
)
def test_a_process_does_not_outlive_who_started_it(last: list[bytes]) -> None:
    code = [sys.executable, "-c", ABANDON, *(image.hex() for image in [GOOD, *last])]
    here = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(code, env=here, capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    wait_until(lambda: not psutil.pid_exists(int(done.stdout)))


def test_an_unsafe_processor_is_left_when_memory_runs_out() -> None:
    """As where the system allows a worker less than what else it does needs."""
    with contextlib.closing(GuardedProcessor(SETTINGS, TIMEOUT, isolated=False)) as processor:
        assert outcome(processor, GOOD + poison.NO_MEMORY_HERE) == outcome(processor, GOOD)
        assert len(children()) == 1
    assert children() == []


def test_faults_are_for_tests_alone() -> None:
    code = "from prep.shards.isolation.processing import injected_fault; print(injected_fault())"
    here = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", code]
    inside = subprocess.run(command, env=here, capture_output=True, text=True, check=True)
    assert "swallow" in inside.stdout
    del here["PYTEST_CURRENT_TEST"]
    outside = subprocess.run(command, env=here, capture_output=True, text=True, check=True)
    assert outside.stdout == "None\n"


WATCHED = """
import signal, sys, threading, time
from prep.shards.isolation.watchdog import Watchdog
watchdog = Watchdog()
watchdog.enable()
def hang():
    watchdog.start(0.5)
    time.sleep(3600)
hangs = sys.argv[1] == "hang"
if hangs:
    threading.Thread(target=hang, daemon=True).start()
for _ in range(6000 if hangs else 10):  # As another thread that does well.
    watchdog.start(60)
    time.sleep(0.01)
    watchdog.stop()
sys.exit(signal.getitimer(signal.ITIMER_REAL) != (0.0, 0.0))
"""


@pytest.mark.parametrize(("other", "status"), [("hang", -signal.SIGALRM), ("none", 0)])
def test_one_thread_that_hangs_is_seen_among_others_that_do_not(other: str, status: int) -> None:
    done = subprocess.run([sys.executable, "-c", WATCHED, other], check=False)
    assert done.returncode == status
