"""``report.html`` in a real browser, opened from disk without a network."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import url2pathname

import pytest
from distributed import Client
from playwright.sync_api import Browser, Page

import prep
from prep.output.layout import OutputLayout
from prep.output.report.history import History, Measurement, Recorder, add_history
from prep.storage.locate import locate
from tests.support.browser import SCREENSHOTS, screenshot
from tests.support.pictures import jpeg, picture, write_tree

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
    write_tree(home / "in", {"train": {"cat": cut, "a" * 120: {"empty.jpg": b""}}})
    config = prep.Config(source=home / "in", output=home / "out", size=64, images_per_shard=4)
    prep.run(config, client)
    for began in (1.7e9, 1.7e9 + 4000):
        add_history(OutputLayout(locate(home / "out")), made_up_history(began))
    prep.report_page(home / "out")
    return home / "out"


def made_up_history(began: float) -> History:
    recorder = Recorder(began)
    for number in range(30):
        recorder.add(
            Measurement(
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
    """Return whether a request needs a network or another file."""
    return not url.startswith("data:") and not url.endswith("/report.html")


@pytest.mark.parametrize(
    ("size", "scheme"), [(DESKTOP, LIGHT), (DESKTOP, DARK), (PHONE, LIGHT), (PHONE, DARK)]
)
def test_it_opens_without_a_network(
    size: tuple[int, int], scheme: str, output: Path, opened: Open
) -> None:
    page = opened(output, size, scheme)
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
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
    broken = "[...document.images].filter((i) => i.src && !i.naturalWidth).length"
    assert page.evaluate(broken) == 0
    shot = screenshot(page, f"report-{size[0]}-{scheme}")
    assert shot.parent == SCREENSHOTS


def test_a_table_that_is_wider_than_the_screen_says_so(output: Path, opened: Open) -> None:
    page = opened(output, PHONE)
    table = page.get_by_role("region", name="Images written by class and split")
    assert table.evaluate("(e) => e.scrollWidth > e.clientWidth")
    assert page.locator("#classes .wider").first.is_visible()
    for cell in table.locator("tbody th").all()[2:]:
        assert cell.evaluate("(e) => e.clientHeight") < 40  # "bird" and "cat" are on one line.
    assert not opened(output).locator("#classes .wider:visible").count()


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


def test_a_click_on_a_picture_enlarges_it_and_names_its_file(output: Path, opened: Open) -> None:
    page = opened(output)
    shot = page.locator("#images a.shot").nth(2)
    viewer, name = page.locator("#viewer"), page.locator("#viewer .name")
    shot.click()
    assert viewer.is_visible()
    assert name.inner_text() == shot.get_attribute("title")
    picture = viewer.locator("img")
    assert picture.get_attribute("src") == shot.locator("img").get_attribute("src")
    small, large = shot.bounding_box(), picture.bounding_box()
    assert small is not None
    assert large is not None
    assert large["width"] > 3 * small["width"]
    address = viewer.locator("a").get_attribute("href") or ""
    file = Path(url2pathname(address.removeprefix("file://")))
    assert file.is_file()
    assert file.is_relative_to(output.parent / "in")
    screenshot(page, "report-enlarged")
    page.keyboard.press("ArrowRight")
    assert name.inner_text() == page.locator("#images a.shot").nth(3).get_attribute("title")
    page.keyboard.press("Escape")
    assert not viewer.is_visible()
    assert page.evaluate("document.activeElement.title") == name.text_content()
    page.keyboard.press("Enter")
    assert viewer.is_visible()
    page.mouse.click(5, 5)  # beside it
    assert not viewer.is_visible()


def test_numbers_lead_to_the_refused_images(output: Path, opened: Open) -> None:
    page = opened(output)
    page.locator(".tiles a[href='#refused']").click()
    assert page.locator("#refused h2").is_visible()
    rows = page.locator("#refused .findings li")
    assert rows.count() == 3
    page.locator("#refused .reasons a", has_text="not an image").click()
    assert page.locator("#refused .name", has_text="train/cat/none.jpg").is_visible()
    page.locator("#refused input").fill("LONG-NAME")
    assert [row.is_visible() for row in rows.all()].count(True) == 1
    page.locator("#classes tr", has_text="cat").locator("[data-find]").click()
    assert page.locator("#refused input").input_value() == "cat"
    assert [row.is_visible() for row in rows.all()].count(True) == 2
    page.locator("#refused a.shot").click()
    assert "long-name" in page.locator("#viewer .name").inner_text()


def column(page: Page, number: int) -> list[str]:
    """The texts of a column of the table of classes, from the top, of rows that are visible."""
    texts: list[str] = page.evaluate(
        "(n) => [...document.querySelectorAll('#classes .sortable tbody tr')]"
        ".filter((row) => row.checkVisibility()).map((row) => row.cells[n].innerText)",
        number,
    )
    return texts


def test_a_click_on_a_heading_sorts_the_classes(output: Path, opened: Open) -> None:
    page = opened(output)
    assert column(page, 0)[:2] == [HOSTILE, "a" * 120]
    written = page.locator("#classes thead button", has_text="written")
    written.click()
    assert column(page, 4) == ["16", "9", "3", "2"]
    assert written.locator("..").get_attribute("aria-sort") == "descending"
    written.click()
    assert column(page, 4) == ["2", "3", "9", "16"]
    page.locator("#classes thead button", has_text="class").press("Enter")
    assert column(page, 0)[1:] == ["a" * 120, "bird", "cat"]
    assert page.locator("#classes [aria-sort]").count() == 1


@pytest.fixture(scope="module")
def thousand(tmp_path_factory: pytest.TempPathFactory, client: Client, photos: Path) -> Path:
    """A thousand classes of a photo each."""
    home = tmp_path_factory.mktemp("thousand")
    files = itertools.cycle(sorted(photos.glob("*/*/*")))
    for number, path in zip(range(1000), files, strict=False):
        (home / f"in/train/n{number:08d}").mkdir(parents=True)
        os.symlink(path, home / f"in/train/n{number:08d}/{path.name}")
    prep.run(prep.Config(source=home / "in", output=home / "out"), client)
    return home / "out"


def test_a_class_of_a_thousand_is_found(thousand: Path, opened: Open) -> None:
    page = opened(thousand)
    assert (thousand / "report.html").stat().st_size < 8_000_000
    assert page.locator("#images img").count() == 1000
    page.locator("#classes input").fill("N00000042")
    assert column(page, 0) == ["n00000042"]
    page.locator("#classes [role=status]", has_text="1 found").wait_for()
    shown = page.locator("#images .class:visible")
    assert shown.count() == 1
    screenshot(page, "report-thousand-classes-searched")
    page.locator("#classes input").fill("")
    assert shown.count() == 1000
    page.locator("#classes input").fill("00000042")
    page.locator("#classes tbody a:visible").click()
    shown.locator("a.shot").click()
    assert "n00000042" in page.locator("#viewer .name").inner_text()


def test_it_prints_on_a_few_pages(thousand: Path, opened: Open) -> None:
    page = opened(thousand)
    page.evaluate(
        "addEventListener('beforeprint', () => { window.pictures ="
        " [...document.querySelectorAll('.on-paper')].map((image) => image.src.length); })"
    )
    printed = page.pdf(format="A4", print_background=True)
    pictures = page.evaluate("window.pictures")
    assert len(pictures) == page.locator(".canvas:visible").count()
    assert min(pictures) > 1000
    assert not page.locator(".on-paper").count()  # Not on the screen.
    (SCREENSHOTS / "report-thousand-classes.pdf").write_bytes(printed)
    assert 3 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= 12


def test_without_scripts_everything_is_there_to_be_read(output: Path, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((output / "report.html").as_uri())
    assert not page.locator(".search:visible, button:visible").count()
    assert page.locator("#classes .sortable tbody tr:visible").count() == 4
    assert page.locator("#images a.shot[href^='file://']:visible").count() >= 20
    page.locator("#refused .reasons a", has_text="not an image").click()
    page.locator("#refused summary", has_text="not an image").wait_for()
    assert page.locator("#refused .name", has_text="train/cat/none.jpg").is_visible()
    context.close()


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
    assert (tmp_path / "out/report.html").stat().st_size < 3_000_000
    assert f"{report.images['written']:,}" in page.locator(".tiles").inner_text()
    screenshot(page, "report-photos")
    screenshot(opened(tmp_path / "out", PHONE, DARK), "report-photos-phone-dark")


def test_a_page_of_500_photos_has_less_than_3_mb_whatever_is_wrong_with_them(
    photos: Path, tmp_path: Path, client: Client
) -> None:
    """As many pictures as there are ever of so many: in a few classes, with leaks and the like."""
    source = tmp_path / "in"
    classes = [f"class-{number:02d}" for number in range(15)]
    for split, name in itertools.product(("train", "val"), classes):
        (source / split / name).mkdir(parents=True)
    files = sorted(photos.glob("*/*/*"))[:500]
    for number, path in enumerate(files):
        name = classes[number % len(classes)]
        place = source / "train" / name / f"{number}.jpg"
        if number % 10 == 0:  # Some 50 are truncated.
            place.write_bytes(path.read_bytes()[:-2000])
        else:
            os.symlink(path, place)
        if number % 10 == 1:
            os.symlink(path, source / "val" / name / f"{number}.jpg")
        elif number % 10 == 2:
            os.symlink(path, source / "train" / classes[number % 7] / f"{number}-other.jpg")
        elif number % 10 == 3:
            os.symlink(path, source / "train" / name / f"{number}-again.jpg")
    prep.run(prep.Config(source=source, output=tmp_path / "out", max_refused=1), client)
    page = (tmp_path / "out/report.html").read_bytes()
    assert page.count(b"data:image/jpeg") > 250
    assert len(page) < 3_000_000
