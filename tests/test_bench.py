"""What benchmarks measure is what they say: counts, times, and the pictures of bare loops."""

from __future__ import annotations

import doctest
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import psutil
import pytest

import bench.compare.contenders as contenders
import bench.peers
from bench.compare import figures, sections
from bench.compare.contenders import Contender, Job, Timing, time_job
from bench.compare.figures import Cost, Entry
from bench.compare.lists import Scale, sections_of
from bench.compare.loops import Loop
from bench.compare.monitor import processes_below
from bench.compare.records import count_tfrecords
from bench.compare.sections import Photos, Rates, Section, markdown, names_in
from bench.compare.session import Session
from bench.peers import programs
from bench.peers.catalogue import PEERS
from bench.peers.environments import REQUIREMENTS
from bench.settings import SIZE
from prep.images.decoders.process import configure_process
from prep.images.processor import ImageProcessor
from prep.settings.choices import Interpolation
from prep.settings.image_settings import ImageSettings
from prep.shards.formats.tfrecord import TFRecordWriter
from tests.support.pictures import jpeg, picture

_BURN = "import time; end = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
_ORPHAN = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {_BURN!r}])"


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contenders, "SCRATCH", tmp_path / "scratch")


def job_of(code: str, count: Callable[[Path], int] | None = None) -> Job:
    command = (sys.executable, "-c", code, "{output}")
    contender = Contender(name="it", command=command, count=count)
    return Job(contender=contender, source=Path(), images=3, images_per_shard=1)


def test_records_are_counted_whether_or_not_they_are_compressed(tmp_path: Path) -> None:
    for name, compression in (("a", None), ("b", "GZIP")):
        (tmp_path / name).mkdir()
        with open(tmp_path / name / "x-00000-of-00001.tfrecord", "wb") as file:
            writer = TFRecordWriter(file, compression)
            for length in (0, 5, 70_000):
                writer.write((b"x" * length,))
            writer.finish()
    assert count_tfrecords(tmp_path / "a") == count_tfrecords(tmp_path / "b") == 3


def test_the_time_of_processes_that_outlive_the_first_counts() -> None:
    timing = time_job(job_of(_ORPHAN))
    assert timing.cpu > 0.3


def test_processes_that_were_forked_from_a_server_are_found() -> None:
    sleeping = "import time; print(flush=True); time.sleep(60)"
    server = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {sleeping!r}])"
    with subprocess.Popen([sys.executable, "-c", server], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        found = processes_below(psutil.Process())
        (worker,) = psutil.Process(process.pid).children()
        worker.kill()
    assert {process.pid, worker.pid} <= {each.pid for each in found}


def test_the_package_names_each_benchmark_and_no_other() -> None:
    for package in (bench, bench.compare, bench.peers):
        folder = Path(package.__file__ or "").parent
        named = set(re.findall(r"^    ([\w/]+?)(?:\.py|/) ", package.__doc__ or "", re.MULTILINE))
        there = {path.stem for path in folder.glob("[!_]*.py")}
        assert there <= named
        assert {name for name in named - there if not (folder / name).is_dir()} == set()


def test_a_program_that_writes_too_little_is_an_error_with_its_last_words() -> None:
    job = job_of("print('only two')", lambda output: 2)
    with pytest.raises(RuntimeError, match="it ended with 0 and 2 images, expected 3:\nonly two"):
        time_job(job)
    with pytest.raises(RuntimeError, match="it ended with 7"):
        time_job(job_of("raise SystemExit(7)"))


def test_the_slope_tells_further_images_from_the_start() -> None:
    small = Timing(wall=7.0, cpu=4.0, others=0.5)
    large = Timing(wall=17.0, cpu=22.0, others=0.1)
    cost = Cost.of_slope(small, large, 1_000, 6_000)
    assert cost == Cost(wall=0.002, cpu=0.0036, fixed=5.0, others=0.1)


@dataclass(frozen=True)
class Canned(Section):
    """Two programs, of which one fails in the second round."""

    title: str
    rounds: int = 3

    def tasks(self, photos: Photos) -> Iterator[Callable[[], Entry]]:
        photos.latest[None] = object()  # type: ignore[assignment]
        for name in ("a", "b"):
            yield lambda name=name: self._measure(photos, name)  # type: ignore[misc]

    def _measure(self, photos: Photos, name: str) -> Entry:
        photos.say(f"{self.title} {name}")
        if self.title == "one" and name == "b":
            raise RuntimeError("b ended with 1")
        return Entry(name=name)

    def table(self, rounds: Sequence[Mapping[str, Entry]]) -> str:
        rows = [(name, str(sum(name in found for found in rounds))) for name in names_in(rounds)]
        return markdown(("", "rounds"), rows)


@pytest.mark.parametrize(("seconds", "rounds"), [(0.0, 1), (60.0, 3)])
def test_a_session_goes_on_past_failures_and_ends_in_time(
    tmp_path: Path, seconds: float, rounds: int
) -> None:
    said: list[str] = []
    session = Session(
        sections=[Canned("one"), Canned("two")],
        photos=Photos(originals=(), linked=lambda _: Path(), cores=1, say=said.append),
        path=tmp_path / "results" / "it.md",
        machine={},
        seconds=seconds,
    )
    session.run()
    assert [line for line in said if line == "two b"] == ["two b"] * rounds
    text = session.path.read_text()
    assert text.count("Failed: b ended with 1") == rounds
    assert f"## one ({rounds} of 3 rounds)\n\n|   | rounds |\n|---|-------:|\n| a |" in text
    assert session.path.with_suffix(".json").exists()


@pytest.mark.parametrize("kernel", get_args(Interpolation))
def test_bare_loops_make_the_pictures_of_prep(tmp_path: Path, kernel: Interpolation) -> None:
    configure_process()
    (tmp_path / "photo.jpg").write_bytes(data := jpeg(picture(427, 640)))
    photos, convert = Loop(kernel, "raw")([tmp_path / "photo.jpg"])
    processor = ImageProcessor(ImageSettings(size=SIZE, interpolation=kernel))
    raw = convert(photos[0])
    assert isinstance(raw, bytes)
    found = np.frombuffer(raw, np.uint8).reshape(SIZE, SIZE, 3).astype(int)
    assert np.abs(found - processor.pixels(data)).max() <= 2


def test_examples_of_tables_and_figures_hold() -> None:
    for module in (figures, sections):
        tried = doctest.testmod(module)
        assert tried.attempted
        assert not tried.failed


def test_an_earlier_version_takes_turns_with_this_one(tmp_path: Path) -> None:
    rates, *_ = sections_of(Scale(), tmp_path)
    assert isinstance(rates, Rates)
    names = [contender.name for contender, _ in rates.contenders]
    assert names[:2] == ["before: prep, linear", "prep, linear"]
    assert {c.checkout for c, _ in rates.contenders if "before" in c.name} == {tmp_path}
    assert rates.reference in names


def test_each_other_program_has_a_script_and_pinned_requirements() -> None:
    scripts = {path.stem for path in Path(programs.__path__[0]).glob("*.py")}
    assert {peer.script for peer in PEERS} <= scripts
    files = {path.stem: path.read_text() for path in REQUIREMENTS.glob("*.txt")}
    assert {peer.requirements for peer in PEERS if peer.requirements} == set(files)
    for text in files.values():
        assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in text.splitlines())
