"""HTML of plans, reports and runs in notebooks, with any file names."""

from __future__ import annotations

import base64
import re
import shutil
import time
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import nbformat
import pytest
from distributed import Client
from nbconvert import HTMLExporter
from playwright.sync_api import Page

import prep
from prep.display.live import Scene, Screen
from prep.display.markup import Curve, curve, environment
from prep.display.objects import _TEMPLATES, class_table
from prep.monitoring.counts import LiveCounts, RefusedName, SplitCounts
from prep.operations.averaging.mean_report import ApproximationFacts, SampleFacts
from prep.output.report.verdict import RUNNING, Verdict
from prep.text import Displayable
from tests.support.browser import screenshot
from tests.support.clusters import contents
from tests.support.pictures import jpeg, picture, write_tree

HOSTILE = '<img src=x onerror="alert(1)">&"\'\n\udce9'
ESCAPED = "&lt;img src=x onerror=&#34;alert(1)&#34;&gt;&amp;&#34;&#39;\\n\\udce9"
LINKS = {"dashboard": "http://127.0.0.1:8787/prep", "through Jupyter": "/proxy/8787/prep"}
COUNTS = LiveCounts(
    planned=5400,
    images=1843,
    refused=14,
    shards=12,
    seconds=33.0,
    images_per_second=812.4,
    read_per_second=95.1e6,
    written_per_second=30.2e6,
    seconds_left=44.0,
    splits={
        "train": SplitCounts(planned=5000, done=1600),
        "val": SplitCounts(planned=400, done=243),
    },
    shard_states={"waiting": 20, "running": 2, "committed": 12},
    reasons={"truncated": 11, "empty": 3},
    latest=(RefusedName(path="train/cat/1.jpg", reason="truncated"),),
    mean={"R": 122.6, "G": 116.7, "B": 104.0},
    std={"R": 68.4, "G": 66.6, "B": 69.7},
)


class Tags(HTMLParser):
    """All tags and attributes of a page, and its text; fails where tags do not match."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[str] = []
        self.said: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += [name for name, _ in attrs]
        if tag not in ("img", "path"):
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1:] != ["style"]:
            self.said.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.said).split())


def part(name: str, /, *values: Any) -> str:
    """One of the parts that notebooks' templates are made of."""
    return str(getattr(environment().get_template("notebook/macros.html.j2").module, name)(*values))


@pytest.mark.parametrize(
    "made",
    [
        part("heading", HOSTILE, HOSTILE),
        part("section", HOSTILE),
        part("line", [HOSTILE]),
        part("link", HOSTILE, HOSTILE),
        part("pairs", [(HOSTILE, HOSTILE)]),
        part("described", [(HOSTILE, HOSTILE, HOSTILE)]),
        part("table", [HOSTILE], [[HOSTILE]]),
        part("bars", {HOSTILE: 3}),
        part("split_bars", {HOSTILE: (1, 2, 1)}),
        part("sheet", [(HOSTILE, "/9j/")]),
        part("chart", Curve(HOSTILE, "M0 0")),
        Scene(
            title=HOSTILE,
            doing=HOSTILE,
            verdict=Verdict("failed", HOSTILE),
            links={HOSTILE: HOSTILE},
        ).html(),
        Scene(
            title="",
            counts=LiveCounts(
                planned=1,
                refused=1,
                splits={HOSTILE: SplitCounts(planned=1, done=1)},
                reasons={HOSTILE: 1},
                latest=(RefusedName(path=HOSTILE, reason=HOSTILE),),
            ),
        ).html(),
    ],
)
def test_names_are_no_html(made: str) -> None:
    assert ESCAPED in made
    found = Tags(made)
    assert "onerror" not in found.attributes
    made.encode()


def test_bars_are_as_long_as_their_numbers() -> None:
    assert re.findall(r"width:([\d.]+)%", part("bars", {"cat": 40, "dog": 10, "elk": 0})) == [
        *("100.0", "25.0", "0.0")
    ]
    assert "width:100.0%" in part("bar", 1.5)  # As where more came than was planned.
    many = part("bars", {f"class {number}": number for number in range(30)})
    assert "and 10 smaller ones with 45" in many
    assert "class 9<" not in many


def test_a_long_table_says_what_it_leaves_out() -> None:
    made = part("table", ["n"], [[n] for n in range(1003)])
    assert made.count("<tr>") == 21
    assert "… and 983 more" in made


def test_classes_by_split_add_up() -> None:
    counts = {"train": {f"c{n:02}": 10 + n for n in range(25)}, "val": {"c03": 2}}
    titles, rows, total = class_table(counts, {"c03": 7})
    assert titles == ["class", "label", "train", "val", "in all"]
    assert rows[:2] == [["c03", "7", 13, 2, 15], ["c06", "none", 16, 0, 16]]
    assert rows[-1] == ["5 smaller classes", "", 62, 0, 62]
    assert total == ["images", "", 550, 2, 552]


def test_a_curve_has_gaps_where_nothing_was_measured() -> None:
    made = curve([10, 11, 12, 13, 20], [0, 8, None, 4, 2], "images/s")
    assert made is not None
    assert made.path == "M0.0 48.0L32.0 0.0M96.0 24.0L320.0 36.0"
    assert made.label == "images/s: at most 8, over 10 s"
    assert curve([1], [1], "images/s") is None


def test_a_bar_shows_what_of_it_was_refused() -> None:
    made = part("split_bars", {"train": (60, 80, 20), "val": (5, 20, 0)})
    assert re.findall(r"width:([\d.]+)%", made) == ["50.0", "25.0", "25.0"]
    assert made.count("prep-lost") == 1
    assert "train 60 of 80 75% 20 refused val 5 of 20 25%" in Tags(made).text


def test_a_file_is_a_link_only_where_one_leads_to_it() -> None:
    there = part("place", "report", "out/report.html", "/files/out/report.html")
    assert (
        '<a href="/files/out/report.html" target="_blank" rel="noopener">out/report.html</a>'
        in there
    )
    assert "<a" not in part("place", "report", "out/report.html", None)


def test_a_panel_says_when_it_was_last_told_anything_until_the_run_has_ended() -> None:
    at = time.mktime((2026, 1, 2, 14, 3, 12, 0, 0, -1))
    scene = Scene(title="a → b", verdict=RUNNING, counts=COUNTS, updated=at)
    assert "44 s left · last updated 14:03:12" in Tags(scene.html()).text
    assert "last updated" not in Scene(title="a", verdict=Verdict("done"), updated=at).html()
    screen = Screen(Scene(title="a → b"))
    before = time.time()
    screen.advance(COUNTS)
    assert before <= (screen.scene.updated or 0) <= time.time()


def test_the_panel_of_a_finished_run_names_its_page() -> None:
    scene = Scene(title="a → b", verdict=Verdict("done"), counts=COUNTS, report="/out/report.html")
    assert Tags(scene.html()).text.endswith("report /out/report.html")


def test_the_swatch_has_the_mean_s_colour() -> None:
    assert "background:#7b7568" in part("swatch", {"R": 122.6, "G": 116.7, "B": 104.0}, None)
    assert part("swatch", None, None) == ""


@pytest.mark.parametrize(
    ("scene", "shown"),
    [
        # Nothing is known yet.
        (Scene(title="a → b"), "a → b: starting"),
        (Scene(title="a → b", doing="listing the images"), "a → b: listing the images"),
        # Nothing is known but a total and how many are done.
        (
            Scene(title="a → b", verdict=RUNNING, planned=9, counts=LiveCounts(images=4)),
            "a → b: running · 4 of 9 images",
        ),
        # All is known.
        (
            Scene(title="a → b", verdict=RUNNING, counts=COUNTS),
            "a → b: 44 s left · 1,843 of 5,400 images · 812 images/s · 95.1 MB/s read · "
            "30.2 MB/s written · 12 of 34 shards · 33 s · 14 refused: 11 truncated, 3 empty",
        ),
        # Some shards could not be written.
        (
            Scene(
                title="a → b",
                verdict=RUNNING,
                counts=LiveCounts(planned=9, shards=2, shard_states={"failed": 1, "committed": 2}),
            ),
            "a → b: running · 0 of 9 images · 2 of 3 shards, 1 failed",
        ),
        # It is over: rates and the time left mean nothing any more.
        (
            Scene(title="a → b", verdict=Verdict("done"), counts=COUNTS),
            "a → b: done · 1,843 of 5,400 images · 12 of 34 shards · 33 s · "
            "14 refused: 11 truncated, 3 empty",
        ),
        (
            Scene(title="a → b", verdict=Verdict("failed", "no\nimages")),
            "a → b: failed · no\\nimages",
        ),
        # What is counted are not images.
        (
            Scene(title="mean RGB", verdict=Verdict("done"), planned=3, unit="shards", shards=None),
            "mean RGB: done · 0 of 3 shards",
        ),
    ],
)
def test_a_run_in_words(scene: Scene, shown: str) -> None:
    assert scene.text() == shown
    Tags(scene.html())


def test_a_run_in_a_picture() -> None:
    text = Tags(Scene(title="a → b", verdict=RUNNING, counts=COUNTS, links=LINKS).html()).text
    assert "train 1,600 of 5,000 32% val 243 of 400 60%" in text
    assert "mean RGB 122.6 / 116.7 / 104.0, std 68.4 / 66.6 / 69.7" in text
    assert "14 refused: 11 truncated, 3 empty the last: train/cat/1.jpg (truncated)" in text
    assert text.endswith("dashboard http://127.0.0.1:8787/prep · through Jupyter /proxy/8787/prep")


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory, client: Client) -> dict[str, str]:
    """The HTML of all objects of a run with a hostile name in it."""
    root = tmp_path_factory.mktemp("shown")
    write_tree(root / "source", {"train": {"cat": 5, HOSTILE: 3}, "val": {"cat": 2}})
    (root / "source/train/cat" / f"{HOSTILE}.jpg").write_bytes(b"")
    config = prep.Config(source=root / "source", output=root / "out", size=16, images_per_shard=4)
    plan, report = prep.plan(config), prep.run(config, client)
    objects: dict[str, Any] = {
        "config": config,
        "plan": plan,
        "report": report,
        "mean": prep.mean_rgb(root / "source/train", client),
        "verified": prep.verify(root / "out", client),
    }
    pictures = {name: value._repr_html_() for name, value in objects.items()}
    assert len(contents(root / "out", "*/*.tfrecord")) == 4
    next((root / "out/train").glob("*.tfrecord")).unlink()
    pictures["problems"] = prep.verify(root / "out", client)._repr_html_()
    shutil.rmtree(root / "out")
    pictures["gone"] = report._repr_html_()
    return pictures


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("config", r"images_per_shard 4 Images in a shard\."),
        ("plan", r"Plan 11 images of 2 classes .* shards 4, with 2 to 3 images each"),
        ("plan", r"class label train val in all .* cat 1 6 2 8 images 9 2 11"),
        (
            "plan",
            r"split train: 9 images of 2 classes, 3 .* mix of classes is \d\.\d% off",
        ),
        ("report", r"Report 10 of 11 images written .* mean RGB [\d.]+ / [\d.]+ / [\d.]+, std"),
        (
            "report",
            r"Images by class .* cat 7 Refused: 1 1 empty",
        ),
        ("mean", r"Mean RGB 8 images, by image mean RGB .* Refused: 1"),
        ("verified", r"Verified OK"),
        ("problems", r"Verified 1 problem .* Wrong where expected found remedy train/train-0000"),
    ],
)
def test_what_objects_show(shown: dict[str, str], name: str, said: str) -> None:
    found = Tags(shown[name])
    assert re.search(said, found.text), found.text
    assert "onerror" not in found.attributes
    assert "script" not in found.names


def test_a_report_shows_an_image_of_each_class_while_they_are_there(shown: dict[str, str]) -> None:
    report = shown["report"]
    assert re.findall(r'<img alt="([^"]+)" src="data:image/jpeg;base64,/9j/', report) == [
        *(ESCAPED, "cat")
    ]
    assert "<img" not in shown["gone"]
    without_page = re.sub(r" report /\S+", "", Tags(report).text)
    assert without_page.startswith(Tags(shown["gone"]).text + " Some of the images")


JUPYTER = """<style>:root { --jp-layout-color1: #111111; --jp-content-font-color1: #ffffff;
--jp-content-font-color2: #bbbbbb; --jp-border-color2: #424242; --jp-brand-color1: #2196f3 }
body { background: #111111 }</style>"""


@pytest.mark.parametrize(
    ("theme", "scheme", "ink"),
    [
        ("light", "light", "rgb(31, 35, 40)"),
        pytest.param("dark", "dark", "rgb(230, 237, 243)", marks=pytest.mark.slow),
        # JupyterLab's theme, whatever the browser prefers.
        pytest.param("jupyter", "light", "rgb(255, 255, 255)", marks=pytest.mark.slow),
    ],
)
def test_it_can_be_read_in_light_and_dark(
    page: Page, shown: dict[str, str], theme: str, scheme: str, ink: str
) -> None:
    pictures = [("cat", base64.b64encode(jpeg(picture(96, 96, n))).decode()) for n in range(8)]
    chart = curve(range(60), [100 + n % 7 for n in range(60)], "images/s")
    sheet = f'<div class="prep">{part("sheet", pictures)}{part("chart", chart)}</div>'
    live = [
        Scene(title="photos → shards", verdict=Verdict(state), counts=COUNTS, links=LINKS).html()
        for state in ("running", "done", "stopped")
    ]
    failed = Scene(title="photos → shards", verdict=Verdict("failed", "no images")).html()
    page.set_viewport_size({"width": 800, "height": 600})
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.set_content((JUPYTER if theme == "jupyter" else "") + "".join([*live, failed]))
    panel = page.locator(".prep").first
    assert panel.evaluate("panel => getComputedStyle(panel).color") == ink
    screenshot(page, f"notebook-run-{theme}")
    page.set_content((JUPYTER if theme == "jupyter" else "") + "".join([*shown.values(), sheet]))
    for number in range(len(shown) + 1):
        box = page.locator(".prep").nth(number)
        assert box.evaluate("box => box.scrollWidth <= box.clientWidth")
    screenshot(page, f"notebook-objects-{theme}")


SCENES = [
    Scene(title="photos → shards", verdict=RUNNING, counts=COUNTS, links=LINKS, updated=0.0),
    Scene(
        title="photos → " + "shards/" * 20,
        verdict=Verdict("too many refused", "14 of 5,400 images were refused (0.3%)"),
        counts=replace(COUNTS, splits={"train": SplitCounts(planned=90, done=90, refused=14)}),
        report="/data/" + "shards/" * 20 + "report.html",
    ),
]


@pytest.mark.parametrize("theme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_jupyterlab_s_own_style_of_tables_does_not_win(
    page: Page, shown: dict[str, str], tmp_path: Path, theme: str
) -> None:
    """In a notebook as JupyterLab saves it, with its style sheets."""
    shown = {**shown, **{f"scene {n}": scene.html() for n, scene in enumerate(SCENES)}}
    outputs = [
        nbformat.v4.new_output("display_data", {"text/html": html}) for html in shown.values()
    ]
    cells = [nbformat.v4.new_code_cell("shown", outputs=[output]) for output in outputs]
    exporter = HTMLExporter(template_name="lab", theme=theme)
    saved, _ = exporter.from_notebook_node(nbformat.v4.new_notebook(cells=cells))
    (tmp_path / "saved.html").write_text(saved, encoding="utf-8")
    # All that it would ask for is scripts, for mathematics among others, from elsewhere.
    page.route(re.compile("^https?://"), lambda route: route.fulfill(body=""))
    for width in (1440, 1000, 390):
        page.set_viewport_size({"width": width, "height": 900})
        page.goto((tmp_path / "saved.html").as_uri())
        boxes = page.locator(".prep")
        assert boxes.count() == len(shown)
        rows = page.locator(".prep tr").evaluate_all(
            "rows => rows.map(row => getComputedStyle(row).backgroundColor)"
        )
        assert set(rows) == {"rgba(0, 0, 0, 0)"}
        for number in range(len(shown)):
            sizes = boxes.nth(number).evaluate(
                "box => [box.scrollWidth, box.clientWidth, box.getBoundingClientRect().right]"
            )
            assert sizes[0] <= sizes[1], list(shown)[number]
            assert sizes[2] <= width
        screenshot(page, f"notebook-saved-{theme}-{width}")


@pytest.mark.slow
def test_it_fits_a_narrow_window(page: Page, shown: dict[str, str]) -> None:
    page.set_viewport_size({"width": 420, "height": 800})
    scene = Scene(title="photos → " + "shards/" * 20, verdict=RUNNING, counts=COUNTS, links=LINKS)
    page.set_content(scene.html() + shown["report"] + shown["plan"])
    assert page.evaluate("document.documentElement.scrollWidth") <= 420
    screenshot(page, "notebook-narrow")


def test_a_scene_takes_little_room() -> None:
    assert len(Scene(title="a", verdict=RUNNING, counts=COUNTS, links=LINKS).html()) < 6000


def test_paths_of_the_test_are_no_part_of_it(tmp_path: Path) -> None:
    config = prep.Config(source=tmp_path, output=tmp_path / "out")
    assert str(tmp_path / "out") in config._repr_html_()


def test_all_that_shows_itself_has_a_template() -> None:
    types = [getattr(prep, name) for name in prep.__all__ if name[0].isupper()]
    shown = {kind.__name__ for kind in types if issubclass(kind, Displayable)}
    assert shown >= {"Config", "RunReport", "ExportReport", "IndexReport"}
    assert shown <= set(_TEMPLATES)


def test_a_mean_says_what_it_is_not_exact_by() -> None:
    channels = {"R": 1.0, "G": 2.0, "B": 3.0}
    report = prep.MeanReport(
        mean=channels,
        std=None,
        covariance=None,
        images=99,
        weight="image",
        refused=(),
        standard_error={"R": 0.1, "G": 0.2, "B": 0.3},
        sample=SampleFacts(fraction=0.1, seed=7, drawn=100, of=1000),
        approximation=ApproximationFacts(images=90, checked=5, bias=channels),
    )
    assert "std RGB none" not in (text := Tags(report._repr_html_()).text)
    for words in (
        "standard error R 0.100 G 0.200 B 0.300",
        "sample 100 of 1,000 images, seed 7",
        "decoded at 1/8 90 images",
        "bias subtracted R 1.000 G 2.000 B 3.000, measured on 5 decoded in full as well",
    ):
        assert words in text


def test_small_errors_of_a_mean_in_the_scale_of_1_can_be_read() -> None:
    report = prep.MeanReport(
        mean={"R": 0.5, "G": 0.5, "B": 0.5},
        std=None,
        covariance=None,
        images=99,
        weight="image",
        refused=(),
        scale=1,
        standard_error={"R": 0.000132, "G": 0.00008, "B": 0.000074},
    )
    text = Tags(report._repr_html_()).text
    assert "standard error R 0.000132 G 0.000080 B 0.000074" in text
