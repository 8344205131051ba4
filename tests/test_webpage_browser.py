"""The page in a real browser, from disk and with no network."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browser import SCREENSHOTS, screenshot
from distributed import Client
from pictures import jpeg, picture, write_tree
from playwright.sync_api import Browser, Page

import prep
from prep.histories import add_history
from prep.layout import OutputLayout
from prep.watching.history import History, Recorder, Sample

pytestmark = [pytest.mark.slow, pytest.mark.pages]

LIGHT, DARK = "light", "dark"
DESKTOP, PHONE = (1280, 900), (390, 844)
HOSTILE = "<script>alert(1)<∕script>$$x^2$$"

Open = Callable[..., Page]


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory, client: Client) -> Path:
    """A run with everything in it that a page can show, bad names and bad images too."""
    home = tmp_path_factory.mktemp("looked-at")
    tree = {"train": {"bird": 12, "cat": 9, HOSTILE: 3, "a" * 120: 2}, "val": {"bird": 4}}
    write_tree(home / "in", tree)
    cut = {f"{'long-name-' * 12}.jpg": jpeg(picture(300, 400))[:-2000], "none.jpg": b"none"}
    write_tree(home / "in", {"train": {"cat": cut}})
    config = prep.Config(source=home / "in", output=home / "out", size=64, images_per_shard=4)
    prep.run(config, client)
    for began in (1.7e9, 1.7e9 + 4000):
        add_history(OutputLayout(home / "out"), made_up_history(began))
    prep.report_page(home / "out")
    return home / "out"


def made_up_history(began: float) -> History:
    recorder = Recorder(began)
    for number in range(30):
        recorder.add(
            Sample(
                seconds=float(number),
                images=100 * number,
                bytes_read=10**7 * number,
                bytes_written=2 * 10**6 * number,
                workers={"node:1": 96.0 + number % 4, "node:2": 90.0 + number % 9},
                hosts={"node": 95.0},
            )
        )
    return recorder.history()


@pytest.fixture
def opened(browser: Browser) -> Iterator[Open]:
    """Opens a page from disk without a network; fails at errors and at what it asks for."""
    contexts, wrong = [], []

    def open_(output: Path, size: tuple[int, int] = DESKTOP, scheme: str = LIGHT) -> Page:
        viewport = {"width": size[0], "height": size[1]}
        context = browser.new_context(viewport=viewport, color_scheme=scheme)  # type: ignore[arg-type]
        contexts.append(context)
        context.set_offline(True)
        page = context.new_page()
        page.on("console", lambda said: wrong.append(said.text) if said.type != "log" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: wrong.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: wrong.append(request.url) if asks(request.url) else None)
        page.goto((output / "report.html").as_uri())
        page.wait_for_selector("html[data-painted]")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert wrong == []


def asks(url: str) -> bool:
    """Whether this takes a network, or another file."""
    return not url.startswith("data:") and not url.endswith("/report.html")


@pytest.mark.parametrize(
    ("size", "scheme"), [(DESKTOP, LIGHT), (DESKTOP, DARK), (PHONE, LIGHT), (PHONE, DARK)]
)
def test_it_opens_without_a_network(
    size: tuple[int, int], scheme: str, output: Path, opened: Open
) -> None:
    page = opened(output, size, scheme)
    figures = page.locator(".canvas")
    assert figures.count() == 12
    for number in range(figures.count()):
        drawn = figures.nth(number).locator("canvas").first
        drawn.wait_for()
        box = drawn.bounding_box()
        assert box is not None
        assert box["width"] > 180
        assert box["x"] + box["width"] <= size[0]
    assert page.evaluate("document.documentElement.scrollWidth") == size[0]
    broken = "[...document.images].filter((i) => !i.complete || !i.naturalWidth).length"
    assert page.evaluate(broken) == 0
    shot = screenshot(page, f"report-{size[0]}-{scheme}")
    assert shot.parent == SCREENSHOTS


def test_names_are_shown_and_not_run(output: Path, opened: Open) -> None:
    page = opened(output)
    assert page.locator("h3", has_text=HOSTILE).count() == 1
    page.locator("#run .canvas").first.hover()


INK = """() => [...Bokeh.documents[0].roots()[0].references()]
    .filter((m) => m.type.endsWith("Axis")).map((m) => m.major_label_text_color)[0]"""
TEXT = "() => getComputedStyle(document.documentElement).getPropertyValue('--ink').trim()"


def test_figures_follow_when_the_reader_turns_to_dark(output: Path, opened: Open) -> None:
    page = opened(output)
    light = page.evaluate(TEXT)
    assert page.evaluate(INK) == light
    page.emulate_media(color_scheme="dark")
    page.wait_for_selector("html[data-painted=dark]")
    assert page.evaluate(INK) == page.evaluate(TEXT) != light


CONTRASTS = """() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (rgb) => rgb.slice(0, 3).map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return light(colour);
    }
    return 1;
  };
  return [...document.querySelectorAll("body *")]
    .filter((e) => e.checkVisibility() && [...e.childNodes].some(
      (n) => n.nodeType === 3 && n.textContent.trim()))
    .map((e) => {
      const pair = [light(parse(getComputedStyle(e).color)), behind(e)].sort((a, b) => b - a);
      return [(pair[0] + 0.05) / (pair[1] + 0.05), e.tagName + "." + e.className];
    }).filter(([contrast]) => contrast < 4.5);
}"""


@pytest.mark.parametrize("scheme", [LIGHT, DARK])
def test_text_is_told_from_what_is_behind_it(scheme: str, output: Path, opened: Open) -> None:
    assert opened(output, DESKTOP, scheme).evaluate(CONTRASTS) == []


def test_it_has_landmarks_and_headings_in_order(output: Path, opened: Open) -> None:
    page = opened(output)
    assert page.locator("h1").count() == page.locator("main").count() == 1
    assert page.locator("nav[aria-label]").count() == 1
    levels = page.evaluate(
        "[...document.querySelectorAll('h1, h2, h3, h4')].map((h) => +h.tagName[1])"
    )
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert page.locator("img:not([alt])").count() == 0
    for link in page.locator("nav a").all():
        assert page.locator(link.get_attribute("href") or "").count() == 1


def test_the_code_can_be_copied(output: Path, opened: Open) -> None:
    page = opened(output)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator("#load button").first.click()
    page.locator("#load button", has_text="Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()").startswith("import prep\n")


def test_a_page_of_real_photos(
    photos: Path, bad_files: Path, tmp_path: Path, client: Client, opened: Open
) -> None:
    source = tmp_path / "in"
    for path in photos.glob("*/*/*"):
        (source / path.parent.relative_to(photos)).mkdir(parents=True, exist_ok=True)
        os.symlink(path, source / path.relative_to(photos))
    (source / "train/odd").mkdir()
    for number, path in enumerate(sorted(bad_files.glob("*/*"))):
        os.symlink(path, source / f"train/odd/{number}-{path.name}")
    config = prep.Config(source=source, output=tmp_path / "out", max_refused=1)
    report = prep.run(config, client)
    page = opened(tmp_path / "out")
    assert page.locator("#refused img").count() >= 15
    assert page.locator("#images img").count() >= 100
    assert f"{report.images['written']:,}" in page.locator(".tiles").inner_text()
    screenshot(page, "report-photos")
    screenshot(opened(tmp_path / "out", PHONE, DARK), "report-photos-phone-dark")
