"""``report.html``: its statements are true for any output, and it never fails a run."""

from __future__ import annotations

import contextlib
import dataclasses
import html
import json
import logging
import os
import re
import shutil
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import Client

import prep
from prep.display.page import glimpses, samples
from prep.display.page import page as page_module
from prep.display.page.core_use import CoreUse, Use, measure_use
from prep.display.page.facts import Facts, read_facts
from prep.display.page.figures import timelines
from prep.display.page.glimpses import look_at_refused
from prep.display.page.page import update_page
from prep.display.page.samples import take_sample
from prep.display.page.section import Figure, addresses
from prep.display.page.sections import classes, copies, settings, sources
from prep.errors import PrepError, SourceError, TooManyRefused
from prep.images.dimensions import Dimensions
from prep.images.fitting.framing import Framing, shrink
from prep.output.journal import Journal
from prep.output.layout import OutputLayout
from prep.output.receipt import ImageNote
from prep.output.report.history import History, Measurement, Recorder, add_history, read_histories
from prep.output.report.verdict import Verdict
from prep.settings.image_settings import ImageSettings
from prep.sources.columns import table_of
from prep.storage.local import LocalPath
from prep.storage.locate import locate
from tests.support.clusters import run_prep
from tests.support.pictures import jpeg, picture, write_tree

pytestmark = pytest.mark.pages


_IN_CELLS = ("a", "b", "i", "span", "wbr")


class _Page(HTMLParser):
    """The texts of a page: by section, and cells of its tables; and all of it in one."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_bytes().decode()
        self.rows: dict[str, list[list[str]]] = {}
        self.images: dict[str, int] = {}
        self.texts: dict[str, str] = {}
        self.text = ""
        self._section = ""
        self._in_cell = self._in_code = False
        self.feed(self.source)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        if tag == "section" and values.get("class") != "class" and values.get("id"):
            self._section = values["id"] or ""
        elif tag == "tr":
            self.rows.setdefault(self._section, []).append([])
        elif tag in ("td", "th"):
            self.rows[self._section][-1].append("")
        elif tag == "img" and values.get("src"):
            self.images[self._section] = self.images.get(self._section, 0) + 1
        self._in_cell = tag in ("td", "th") or (
            self._in_cell and tag in ("a", "b", "span", "i", "wbr")
        )
        self._in_code = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._in_code = False
        self._in_cell = self._in_cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._in_code:
            return
        self.text += data
        self.texts[self._section] = self.texts.get(self._section, "") + data
        if self._in_cell:
            self.rows[self._section][-1][-1] += data


def config(home: Path, **values: Any) -> prep.Config:
    return prep.Config(
        **{"source": home / "in", "output": home / "out", "size": 16, "images_per_shard": 4}
        | values
    )


def facts_of(output: Path) -> tuple[Journal, Facts]:
    journal = Journal(output)
    plan = journal.stored_plan()
    assert plan is not None
    return journal, read_facts(journal, plan)


def figures_of(journal: Journal, facts: Facts) -> dict[str, Figure]:
    """All figures of a page, by name."""
    sections = page_module.make_sections(page_module.make_view(journal, facts))
    return {name: figure for section in sections for name, figure in section.figures.items()}


TREE: Mapping[str, Mapping[str, int]] = {
    "train": {"bird": 5, "cat": 3, "dog": 1},
    "val": {"bird": 2, "dog": 4},
}
CUT = jpeg(picture(60, 80, 99))[:-400]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, client: Client) -> Path:
    """A finished run of good images and two bad ones; not to be changed."""
    home = tmp_path_factory.mktemp("webpage")
    write_tree(home / "in", TREE)
    write_tree(home / "in", {"train": {"cat": {"cut.jpg": CUT, "page.jpg": b"<!doctype html>"}}})
    prep.run(config(home), client)
    return home


@pytest.fixture
def home(prepared: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(prepared, tmp_path / "home")


def test_it_says_what_the_report_says(prepared: Path) -> None:
    page = _Page(prepared / "out/report.html")
    report = json.loads((prepared / "out/report.json").read_bytes())
    heads = ["class", "label", "train", "val", "written", "refused", "share", "of largest", "bar"]
    assert page.rows["classes"][0] == heads
    by_class = [row for row in page.rows["classes"] if len(row) == len(heads)]
    for name, label, *counts, refused, share, _, _ in by_class[1:]:
        by_split = [report["classes"][split].get(name, 0) for split in ("train", "val")]
        assert [int(n) for n in counts] == [*by_split, sum(by_split)]
        assert refused == ("2" if name == "cat" else "0")
        assert float(share.removesuffix("%")) == pytest.approx(100 * sum(by_split) / 15, abs=0.5)
        assert int(label) == json.loads((prepared / "out/label_map.json").read_bytes())[name]
    for split, planned, _, number, *_ in page.rows["classes"][len(by_class) + 1 :]:
        balance = report["balance"][split]
        assert [int(planned), int(number)] == [balance["images"], balance["classes"]]
    shards = {row[0]: row[1:5] for row in page.rows["shards"][1:]}
    channels = {row[0]: row[1:] for row in page.rows["channels"][1:]}
    for split, numbers in report["splits"].items():
        keys = ("planned", "written", "refused", "shards")
        assert [int(n) for n in shards[split]] == [numbers[key] for key in keys]
        expected = [*numbers["mean"].values(), *numbers["std"].values()]
        assert [float(n) for n in channels[split][1:]] == pytest.approx(expected, abs=0.0006)
    for number in range(3):
        variance, share, *vector = channels[str(number + 1)]
        assert float(variance.replace(",", "")) == pytest.approx(
            report["eigenvalues"][number], abs=0.06
        )
        assert float(share.rstrip("%")) == pytest.approx(
            100 * report["eigenvalues"][number] / sum(report["eigenvalues"]), abs=0.06
        )
        assert [float(n) for n in vector] == pytest.approx(
            report["eigenvectors"][number], abs=0.0001
        )
    assert {row[0]: row[-2] for row in by_class[1:]} == {
        "bird": "100%",
        "cat": "43%",
        "dog": "71%",
    }
    smallest = (
        "The smallest class is cat with 3 images. The largest class is bird with 7 (2.3 times"
    )
    assert smallest in page.texts["classes"]
    for image in report["refused"]:
        for text in (image["path"], image["detail"], f"1 {image['reason']}"):
            assert text in page.texts["refused"]
    assert (page.images["images"], page.images["refused"]) == (15, 1)


def test_figures_show_what_the_receipts_say(prepared: Path) -> None:
    journal, facts = facts_of(prepared / "out")
    figures = figures_of(journal, facts)
    drawn = {
        name: [renderer.data_source.data for renderer in figure.model.renderers]
        for name, figure in figures.items()
    }
    by_split = [sum(sum(column["top"]) for column in [data]) for data in drawn["shard_images"]]
    assert by_split == [9, 6]
    sizes = [value for data in drawn["shard_bytes"] for value in data["top"]]
    assert sizes == pytest.approx([receipt.bytes / 1e3 for receipt in facts.receipts])
    assert sum(drawn["sides"][0]["top"]) == sum(drawn["aspects"][0]["top"]) == 15
    assert sum(drawn["files"][0]["top"]) == 17
    assert sum(len(data["left"]) for data in drawn["timeline"]) == len(facts.receipts)
    assert np.concatenate([data["right"] for data in drawn["timeline"]]).min() > 0


@pytest.mark.parametrize(
    ("encoding", "compression"),
    [("jpeg", None), ("jpeg", "GZIP"), ("raw", "ZLIB"), ("float32", None), ("float32", "GZIP")],
)
def test_all_encodings_can_be_looked_at(
    encoding: str, compression: str | None, prepared: Path, tmp_path: Path, client: Client
) -> None:
    mean = tmp_path / "mean.json"
    mean.write_text('{"R": 120.5, "G": 110.25, "B": 100.0}')
    given = {"mean_file": mean} if encoding == "float32" else {}
    made = config(
        prepared, output=tmp_path / "out", encoding=encoding, compression=compression, **given
    )
    report = prep.run(made, client)
    journal, facts = facts_of(tmp_path / "out")
    sample = take_sample(journal, facts)
    assert {name: len(found) for name, found in sample.thumbnails.items()} == {
        "bird": 7,
        "cat": 3,
        "dog": 5,
    }
    assert sample.images == 9  # of the split that the mean is of
    assert sample.histogram.sum(axis=1).tolist() == [9 * 16 * 16] * 3
    found = sample.histogram @ np.arange(256) / (9 * 16 * 16)
    assert report.mean is not None
    lossless = encoding != "jpeg"
    assert found == pytest.approx(list(report.mean.values()), abs=1e-9 if lossless else 2)


@pytest.mark.parametrize(
    "settings",
    [
        {"encoding": "jpeg"},
        pytest.param({"encoding": "raw", "compression": "GZIP"}, marks=pytest.mark.slow),
        {"encoding": "raw", "format": "webdataset"},
        pytest.param({"encoding": "jpeg", "format": "webdataset"}, marks=pytest.mark.slow),
    ],
    ids=lambda settings: "-".join(settings.values()),
)
def test_the_lines_that_load_the_data_do(
    settings: dict[str, Any], prepared: Path, tmp_path: Path, client: Client
) -> None:
    output = tmp_path / "it's <here>"
    prep.run(config(prepared, output=output, **settings), client)
    blocks = re.findall(
        r"<code>(.*?)</code></pre>", _Page(output / "report.html").source, re.DOTALL
    )
    with_prep, without_prep = map(html.unescape, blocks[:2])
    found: list[dict[str, Any]] = [{}, {}]
    for code, scope in zip((with_prep, without_prep), found, strict=True):
        exec(code, scope)
    assert len(with_prep.splitlines()) == 2
    assert sum(len(images) for images, _ in found[0]["dataset"]) == 9
    expected = list(prep.load(output, "train").as_numpy_iterator())
    for (image, label), (other, same) in zip(expected, found[1]["dataset"], strict=True):
        # WebDataset decodes JPEGs with Pillow.
        tolerance = 2 if settings == {"encoding": "jpeg", "format": "webdataset"} else 0
        assert np.allclose(image, other, atol=tolerance, rtol=0)
        assert label == same


HOSTILE = [
    "<script>alert(1)<∕script>",
    "$$x^2$$",
    "two\nlines",
    'a"onerror="alert(2)',
    "{{ 7 * 7 }}",
    "@name{safe}",
    os.fsdecode(b"caf\xe9"),
    "<img src=x onerror=alert(3)>",
]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory, client: Client) -> Path:
    """The output of classes and files whose names are meant to do harm."""
    home = tmp_path_factory.mktemp("hostile")
    write_tree(home / "in", {"<b>": dict.fromkeys(HOSTILE, 2)})
    bad = {f"{name}.jpg": b"no image" for name in HOSTILE[:3]}
    write_tree(home / "in", {"<b>": {HOSTILE[0]: {**bad, "<i>cut.jpg": CUT}}})
    prep.run(config(home, layout="splits"), client)
    return home / "out"


def test_names_are_only_text(hostile: Path) -> None:
    page = _Page(hostile / "report.html")
    for tag in ("<script>alert", "<img src=x", "<b><", "<i>cut", 'a"onerror'):
        assert tag not in page.source
    for text in ("<script>alert(1)<∕script>", "two\\nlines", "{{ 7 * 7 }}", "caf\\udce9"):
        assert text in page.text
    assert "49" not in {row[0] for row in page.rows["classes"]}
    assert len(page.rows["classes"]) == 1 + len(HOSTILE)


def test_it_asks_for_nothing_from_a_network(prepared: Path) -> None:
    source = (prepared / "out/report.html").read_text()
    assert 'http-equiv="Content-Security-Policy" content="default-src \'none\'' in source
    for reference in ('src="http', 'href="http', "src='http", "@import", "url(http", '"//'):
        assert reference not in source.partition("Bokeh")[0]


def test_what_is_right_stays_as_it_is(home: Path, client: Client) -> None:
    made = config(home)
    page = home / "out/report.html"
    prep.run(made, client)  # Its paths are other ones now.
    before = os.stat(page)
    prep.run(made, client)
    assert os.stat(page).st_ino == before.st_ino
    for receipt in home.glob("out/.prep/receipts/val/00000.json"):
        value = json.loads(receipt.read_bytes())
        receipt.write_text(json.dumps({**value, "worker": "another:1"}))
    prep.run(made, client)
    assert "another:1" in page.read_text()


def test_a_run_is_no_worse_without_it(
    home: Path, client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    prep.run(config(home), client)
    (home / "out/report.html").unlink()

    def read_only(path: Path, data: bytes, *, durable: bool = True) -> None:
        raise PermissionError(13, f"Read-only file system\n{path.name}")

    monkeypatch.setattr(LocalPath, "publish", read_only)
    with caplog.at_level(logging.WARNING, "prep"):
        assert prep.run(config(home), client).images["written"] == 15
    (said,) = [record.getMessage() for record in caplog.records if record.name == "prep"]
    assert "report.html" in said
    assert "\n" not in said


def test_a_shard_that_is_broken_is_passed_over(home: Path) -> None:
    shard = home / "out/train/train-00001-of-00003.tfrecord"
    data = bytearray(shard.read_bytes())
    data[20:40] = bytes(20)
    shard.write_bytes(data)
    page = _Page(prep.report_page(home / "out"))
    assert "1 shard could not be read to the end" in page.text
    assert page.images["images"] > 8


def test_an_output_that_is_not_finished(home: Path) -> None:
    (home / "out/report.json").unlink()
    (home / "out/train/train-00001-of-00003.tfrecord").unlink()
    page = _Page(prep.report_page(home / "out"))
    assert "Not finished: 4 of 5 shards are committed" in page.text
    shutil.rmtree(home / "out/.prep/receipts")
    page = _Page(prep.report_page(home / "out"))
    assert "Nothing is written yet. Not finished: 0 of 5 shards are committed." in page.text
    assert "No image has been committed yet" in page.text
    assert "Load the data" not in page.text
    assert page.rows["classes"][1][:3] == ["bird", "0", "0"]


def test_an_output_that_is_not_finished_says_how_the_last_run_has_ended(home: Path) -> None:
    (home / "out/train/train-00001-of-00003.tfrecord").unlink()
    for verdict, said in (
        (Verdict("failed", "No space left on device"), "The last run failed: No space left"),
        (Verdict("stopped"), "The last run was stopped."),
    ):
        add_history(
            OutputLayout(locate(home / "out")), dataclasses.replace(a_history(), verdict=verdict)
        )
        page = _Page(prep.report_page(home / "out"))
        assert f"Not finished: 4 of 5 shards are committed. {said}" in page.text
        # Of train, a part is missing.
        assert "'val', " in page.texts["load"]
        assert "Not complete, and so not to be loaded: train." in page.texts["load"]


def test_what_is_no_output_is_told(tmp_path: Path, home: Path) -> None:
    with pytest.raises(SourceError, match="there is no plan in it"):
        prep.report_page(tmp_path)
    (home / "out/.prep/manifest.parquet").write_bytes(b"none")
    with pytest.raises(PrepError, match="expected the manifest"):
        prep.report_page(home / "out")


def test_the_command(home: Path) -> None:
    (home / "out/report.html").unlink()
    done = run_prep("report", home / "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert Path(done.stdout.strip()) == home / "out/report.html"
    assert (home / "out/report.html").stat().st_size > 500_000
    done = run_prep("report", home)
    assert done.returncode == 2
    assert "there is no plan in it" in done.stderr


def test_verify_does_not_mind_the_page(home: Path, client: Client) -> None:
    (home / "out/report.html").unlink()
    assert prep.verify(home / "out", client).clean
    prep.report_page(home / "out")
    assert prep.verify(home / "out", client).clean


def test_overwriting_removes_the_page_and_a_page_of_others_is_in_the_way(
    tmp_path: Path, client: Client
) -> None:
    write_tree(tmp_path / "in", {"train": {"cat": 2}})
    (tmp_path / "out").mkdir()
    (tmp_path / "out/report.html").write_text("mine")
    with pytest.raises(prep.PrepError, match=r"report\.html is in the way"):
        prep.run(config(tmp_path), client)
    prep.run(config(tmp_path), client, overwrite=True)
    assert "prep report" in (tmp_path / "out/report.html").read_text()


def test_refused_images_are_looked_at_as_far_as_that_is_safe(
    prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, facts = facts_of(prepared / "out")
    (seen,) = look_at_refused(journal, facts.plan, facts.receipts)
    assert seen.finding.path == "train/cat/cut.jpg"
    assert seen.thumbnail.startswith(b"\xff\xd8")
    asked: list[bytes] = []

    class Spy(glimpses.IsolatedProcessor):
        def __call__(self, data: bytes) -> Any:
            asked.append(data)
            raise prep.PrepError

    monkeypatch.setattr(glimpses, "IsolatedProcessor", Spy)
    for reason in ("too large", "too slow", "crashed the decoder", "too extreme", "unsupported"):
        assert look_at_refused(journal, facts.plan, (with_reason(facts, reason),)) == []
    assert asked == []


def test_large_jpegs_are_shrunk_for_thumbnails_with_any_geometry() -> None:
    thumbnails = glimpses._lenient(ImageSettings(geometry="torchvision"))
    assert shrink(Framing.of(thumbnails), 2, 3000, 4000, orientation=1) == 8


def with_reason(facts: Facts, reason: str) -> Any:
    """A receipt that says this of the image that is cut off."""
    receipt = next(r for r in facts.receipts if any("cut" in f.path for f in r.findings))
    finding = ImageNote(path="train/cat/cut.jpg", reason=reason)
    return dataclasses.replace(receipt, findings=(finding,))


def test_refused_images_that_are_gone_or_changed_are_left_out(home: Path, client: Client) -> None:
    prep.run(config(home), client, overwrite=True)
    journal, facts = facts_of(home / "out")
    assert len(look_at_refused(journal, facts.plan, facts.receipts)) == 1
    (home / "in/train/cat/cut.jpg").write_bytes(CUT[:-1])
    assert look_at_refused(journal, facts.plan, facts.receipts) == []
    shutil.rmtree(home / "in")
    assert look_at_refused(journal, facts.plan, facts.receipts) == []
    page = _Page(prep.report_page(home / "out"))
    assert "1 truncated" in page.text


def test_of_many_classes_each_has_an_image_and_some_are_named(
    tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = {f"class-{number:02d}": 1 + (number == 7) for number in range(45)}
    write_tree(tmp_path / "in", {"train": tree})
    prep.run(config(tmp_path, images_per_shard=8), client)
    page = _Page(tmp_path / "out/report.html")
    assert page.images["images"] == 46
    assert len(page.rows["classes"]) == 1 + 45
    assert page.rows["classes"][8][:3] == ["class-07", "7", "2"]
    monkeypatch.setattr(classes, "_MOST_ROWS", 20)
    page = _Page(prep.report_page(tmp_path / "out"))
    assert len(page.rows["classes"]) == 1 + 20
    assert page.rows["classes"][1][:3] == ["class-07", "7", "2"]
    assert "all 45 classes are in report.json" in page.text
    monkeypatch.setattr(samples, "_MOST_SHARDS", 2)
    journal, facts = facts_of(tmp_path / "out")
    assert len(take_sample(journal, facts).thumbnails) == 45  # by what is read beside them
    monkeypatch.setattr(samples, "_MOST_FURTHER_SHARDS", 1)
    assert 16 <= len(take_sample(journal, facts).thumbnails) < 45
    monkeypatch.setattr(classes, "MOST_CLASSES", 10)
    page = _Page(prep.report_page(tmp_path / "out"))
    assert "The first 10 of 45 classes" in page.text


def a_history(began: float = 1.7e9, workers: int = 2, samples_: int = 20) -> History:
    recorder = Recorder(began)
    for number in range(samples_):
        recorder.add(
            Measurement(
                seconds=number * 0.5,
                images=50 * number,
                bytes_read=5_000_000 * number,
                bytes_written=1_000_000 * number,
                workers={f"node:{w}": 90.0 + 10 * (number % 2) for w in range(workers)},
                hosts={"node": 97.0},
            )
        )
    return recorder.history()


def test_histories_add_up_part_by_part(tmp_path: Path) -> None:
    layout = OutputLayout(locate(tmp_path))
    assert read_histories(layout) == []
    for part in range(25):
        add_history(layout, a_history(began=part, samples_=2))
    assert [history.began for history in read_histories(layout)] == list(range(5, 25))


@pytest.mark.parametrize("content", [b"", b"[1]", b'{"a": 1}', b'[{"began": 1}]', b'[{"began'])
def test_a_broken_history_says_that_nothing_was_measured(content: bytes, home: Path) -> None:
    (home / "out/.prep/history.json").write_bytes(content)
    assert read_histories(OutputLayout(locate(home / "out"))) == []
    assert "were not measured" in _Page(prep.report_page(home / "out")).text


@pytest.mark.parametrize("workers", [1, 20])
def test_throughput_and_processors_over_the_parts_of_a_run(workers: int, home: Path) -> None:
    layout = OutputLayout(locate(home / "out"))
    layout.history.unlink()  # Of the run that has made it.
    add_history(layout, a_history(workers=workers))
    add_history(layout, a_history(began=1.8e9, workers=workers))
    journal, facts = facts_of(home / "out")
    figures = figures_of(journal, facts)
    lines = [r.data_source.data for r in figures["image_rate"].model.renderers]
    assert all(data["y"] == pytest.approx(100) for data in lines if len(data["y"]))
    text = _Page(prep.report_page(home / "out")).text
    assert ("the middle worker95%" in text.replace("\n", "")) == (workers == 20)
    assert "All cores were at work: on average, 97% of all cores were in use and each" in text


def test_columns_that_do_not_fit_are_not_drawn() -> None:
    good = a_history().to_json()
    for column in ("images", "seconds", "bytes_read"):
        with pytest.raises(ValueError, match=r"one length, found \[19, 20\]"):
            History.from_json({**good, column: good[column][:-1]})
    assert timelines.usable([History(began=0.0), a_history(samples_=1)]) == []
    gaps = {"node:9": (None, *good["workers"]["node:1"][1:])}
    assert len(timelines.usable([History.from_json({**good, "workers": gaps})])) == 1


def test_pauses_between_parts_of_a_run_are_cut_out(prepared: Path) -> None:
    receipt = facts_of(prepared / "out")[1].receipts[0]
    times = [(1000.0, 10.0), (1005.0, 10.0), (5000.0, 10.0), (5009.0, 2.0)]
    receipts = [dataclasses.replace(receipt, began=b, seconds=s) for b, s in times]
    timeline = timelines.lay_out(receipts)
    assert timeline.starts[:2] == (0.0, 5.0)
    assert 15 < timeline.starts[2] < 17
    assert timeline.starts[3] == pytest.approx(timeline.starts[2] + 9)
    ((_, pause),) = timeline.pauses
    assert pause == 3985.0
    assert 26 < timeline.length < 28


def test_an_update_that_changes_nothing_writes_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = prep.report_page(home / "out")
    before = page.stat()
    journal, facts = facts_of(home / "out")
    monkeypatch.setattr(page_module, "make_page", None)
    update_page(journal, facts.plan, facts.receipts)
    assert page.stat() == before


def refusing(home: Path, count: int) -> Path:
    """The output of a copy of the source in which so many images more are empty."""
    for path in sorted((home / "in/train").glob("*/0*.jpg"))[:count]:
        path.write_bytes(b"")
    return home / "out"


@pytest.mark.parametrize(
    ("empty", "kind", "said"),
    [
        (0, "fair", "Done with refusals: 2 of 17 images were refused (11.8%)."),
        # All of train, and two of them were not images before.
        (9, "bad", "Too many refused: 11 of 17 images were refused (64.7%), more than max_refused"),
    ],
)
def test_the_verdict_stands_at_the_top(
    empty: int, kind: str, said: str, home: Path, client: Client
) -> None:
    output = refusing(home, empty)
    with contextlib.suppress(TooManyRefused):
        prep.run(config(home), client, overwrite=True)
    page = _Page(output / "report.html")
    assert said in page.text.partition("Contents")[0]
    assert f'<p class="notice {kind}" role="status">' in page.source
    # The part that is trained on holds nothing then, but the other one does.
    assert f"prep.load({str(output)!r}, {'val' if empty else 'train'!r}, " in page.text


def test_where_nothing_could_be_written_there_is_nothing_to_load(
    tmp_path: Path, client: Client
) -> None:
    write_tree(tmp_path / "in", {"train": {"cat": {"a.jpg": b"", "b.jpg": b"<html>"}}})
    prep.run(config(tmp_path), client)
    page = _Page(tmp_path / "out/report.html")
    assert "Nothing is written: 2 of 2 images were refused (100.0%)." in page.text
    assert "Load the data" not in page.text
    assert "Channels" not in page.text
    assert "1 file is empty" in page.texts["sources"]


def test_of_few_images_there_are_no_figures(tmp_path: Path, client: Client) -> None:
    write_tree(tmp_path / "in", {"train": {"cat": 4}})
    prep.run(config(tmp_path), client)
    page = _Page(tmp_path / "out/report.html")
    assert "Done: 4 images written, none refused." in page.text
    assert "The run was too short to tell whether the cores were busy." in page.text
    assert figures_of(*facts_of(tmp_path / "out")) == {}
    assert "Nine of ten" not in page.text


@pytest.mark.parametrize(
    ("shapes", "drawn", "said"),
    [
        ({(300, 240): 9}, set(), "between about 235 and 256 pixels. Their aspects are much alike."),
        # All of one shorter side, as sets that were resized once are.
        ({(256 + 50 * n, 256): 2 for n in range(9)}, {"aspects"}, "between about 256 and 279"),
        ({(90 * n, 90 * n): 2 for n in range(1, 9)}, {"sides"}, "Their aspects are much alike."),
    ],
)
def test_what_is_alike_is_said_and_not_drawn(
    shapes: dict[tuple[int, int], int], drawn: set[str], said: str, prepared: Path
) -> None:
    journal, facts = facts_of(prepared / "out")
    totals = {s: dataclasses.replace(t, dimensions=Dimensions()) for s, t in facts.totals.items()}
    totals["train"] = dataclasses.replace(totals["train"], dimensions=Dimensions.of(shapes))
    section = sources.sources(
        page_module.make_view(journal, dataclasses.replace(facts, totals=totals))
    )
    assert section.figures.keys() & {"sides", "aspects"} == drawn
    assert said in section.html
    assert "Figures are drawn" not in section.html


def test_leaks_and_conflicts_stand_on_top_with_pairs_of_pictures(
    home: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = home / "in"
    images = sorted((source / "train").glob("*/0*.jpg"))
    for number, path in enumerate(images[:3]):
        (source / f"val/bird/copy-{number}.jpg").write_bytes(path.read_bytes())
    (source / "train/dog/copy.jpg").write_bytes(images[0].read_bytes())
    (source / "train/bird/again.jpg").write_bytes(images[4].read_bytes())
    prep.run(config(home), client, overwrite=True)
    monkeypatch.setattr(copies, "_MOST_PAIRS", 2)
    page = _Page(prep.report_page(home / "out"))
    alarms = (
        "3 of 9 val images are copies of train images.",
        "1 image lies in more than one class.",
    )
    for alarm in alarms:
        assert alarm in page.text.partition("Contents")[0]
        assert alarm in page.texts["duplicates"]
    text = page.texts["duplicates"]
    for said in (
        *("5 images have the same bytes", "In more than one split: 3 images", "And 1 more, in"),
        *("In more than one class: 1 image", "In the same split and class: 1 image"),
    ):
        assert said in text
    assert "train/dog/copy.jpg" in text.partition("In more than one class")[2]
    assert "train/bird/again.jpg" in text.partition("In the same split")[2]
    assert page.images["duplicates"] == 2 * (2 + 1 + 1)
    assert 'href="duplicates.csv"' in page.source


def test_use_of_the_cores_is_a_mean_over_time() -> None:
    def history(seconds: tuple[float, ...], percent: tuple[float | None, ...]) -> History:
        return History(
            **{name: (0,) * len(seconds) for name in ("images", "bytes_read", "bytes_written")},
            **{"began": 0.0, "seconds": seconds, "hosts": {"node": percent}},
        )

    long, short = history((0, 10, 20), (100, 100, 100)), history((0, 1, 2), (0, None, 0))
    use = measure_use([long, short])
    assert use.workers == []
    assert use.of_hosts == pytest.approx(100 * 30 / 32)  # One part took ten times as long.
    assert str(use).startswith("All cores were at work: on average, 94%")
    short_run = measure_use([long])
    assert short_run.of_hosts is None
    assert "too short to tell" in str(short_run)
    assert str(CoreUse([Use("node", 99.6)], [Use("node:1", 7.0)])) == (
        "The cores were busy, but with other programs than this run's workers: "
        "on average, 100% of all cores were in use and each worker used 7% of a core."
    )
    idle = CoreUse([Use("node", 12.3)], [])
    assert str(idle) == "On average, 12% of all cores were in use."


def test_settings_that_were_chosen_stand_first(prepared: Path) -> None:
    _, facts = facts_of(prepared / "out")
    chosen, default = settings.config_rows(facts)
    assert dict(chosen) == {
        "source": str(prepared / "in"),
        "output": str(prepared / "out"),
        "size": "16",
        "images_per_shard": "4",
    }
    assert dict(default)["max_pixels"] == "100,000,000"


def test_pictures_name_their_files_where_the_source_may_be_looked_into(prepared: Path) -> None:
    _, facts = facts_of(prepared / "out")
    name = os.fsdecode(b"caf\xe9 #1?.jpg")
    assert addresses(facts)(name) == f"file://{prepared}/in/caf%E9%20%231%3F.jpg"
    assert addresses(dataclasses.replace(facts, own=False))(name) == ""
    plan = dataclasses.replace(facts.plan, source="s3://bucket/in")
    assert addresses(dataclasses.replace(facts, plan=plan))(name) == ""


def test_pictures_of_a_list_name_their_files_and_those_of_an_archive_name_none(
    prepared: Path,
) -> None:
    _, facts = facts_of(prepared / "out")
    rows = {
        "path": [b"b.jpg", b"c.jpg", b"a.jpg"],
        "class": [0, 0, 0],
        "size": [1, 1, 1],
        "mtime": [0, 0, 0],
        "file": [b"/photos/b.jpg", b"/photos/c.tar", b"in/a.jpg"],
        "offset": [-1, 512, -1],
        "how": [b"bytes", b"bytes", b"bytes"],
    }
    several = dataclasses.replace(facts, manifest=table_of(rows))
    address = addresses(several)
    assert [address(name) for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg")] == [
        f"file://{prepared}/in/in/a.jpg",
        "file:///photos/b.jpg",
        "",
        "",
    ]
