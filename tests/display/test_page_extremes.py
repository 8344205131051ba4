"""Kinds and extremes on ``report.html``: numbers, and links to the images."""

from __future__ import annotations

import base64
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser

import prep
from prep.display.page import page as page_module
from prep.display.page.facts import read_facts
from prep.display.page.section import View
from prep.display.page.sections.extremes import _ends, _groups
from prep.images.dimensions import Dimensions
from prep.images.traits import Traits
from prep.output.journal import Journal
from prep.settings.image_settings import ImageSettings
from tests.support.oddities import SIZE, written


def look(output: str | Path) -> View:
    journal = Journal(output)
    plan = journal.stored_plan()
    assert plan is not None
    return page_module.make_view(journal, read_facts(journal, plan))


def seen(url: str) -> np.ndarray:
    """The pixels of a picture in the page."""
    data = base64.b64decode(url.partition("base64,")[2])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), float)


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of images of all kinds."""
    made = written(tmp_path_factory.mktemp("extremes"), 4)
    return prep.report_page(made.config.output).parent


def test_kinds_are_counted_by_split(output: Path) -> None:
    groups = {name: [g.images for g in of] for name, of in _groups(look(output).facts).items()}
    assert groups == {
        "JPEG": [3, 1],
        "PNG": [8, 0],
        "stored in gray": [1, 0],
        "stored in CMYK": [1, 0],
        "with transparency": [1, 0],
        "turned by Exif orientation": [1, 0],
        f"enlarged from less than {SIZE} pixels": [1, 0],
    }


def test_each_number_leads_to_pictures_of_the_images_that_it_counts(output: Path) -> None:
    view = look(output)
    shown: dict[str, list[str]] = {}
    values: dict[str, object] = {}

    def keep(name: str, title: str, found: dict[str, object], **_: object) -> None:
        values.update(found)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("prep.display.page.sections.extremes.make_section", keep)
        page_module.extremes(view)
    for kind in values["kinds"]:  # type: ignore[attr-defined]
        shown[kind.name] = [shot.name for of in kind.shots for shot in of]
    assert shown["stored in gray"] == ["train/cat/b-gray.png"]
    assert shown["stored in CMYK"] == ["train/cat/c-cmyk.jpg"]
    assert shown["turned by Exif orientation"] == ["train/cat/d-turned.jpg"]
    assert shown["with transparency"] == ["train/cat/e-clear.png"]
    assert shown[f"enlarged from less than {SIZE} pixels"] == ["train/cat/h-small.png"]
    assert "val/cat/x.jpg" in shown["JPEG"]
    ends = {end["title"]: end for end in values["ends"]}  # type: ignore[attr-defined]
    assert ends["Smallest"]["most"] == "shorter side 20, enlarged 3.2 times"
    assert ends["Widest"]["most"] == "90% cut off by the centre crop"
    assert ends["Tallest"]["most"] == "80% cut off by the centre crop"
    first = {title: end["shots"][0] for title, end in ends.items()}
    assert first["Darkest"].name == "train/cat/f-dark.png"
    assert first["Nearest to gray"].name == "train/cat/l-grayish.png"
    assert "640 × 64 pixels" in first["Widest"].note
    assert seen(first["Darkest"].url).max() < 12
    assert seen(first["Brightest"].url).min() > 240
    assert seen(first["Widest"].url).mean(axis=(0, 1)) == pytest.approx([254, 0, 0], abs=4)


def test_what_is_alike_in_all_images_is_left_out(output: Path) -> None:
    everything, rgb = look(output).everything, ImageSettings()
    traits = everything.traits
    assert _ends(everything, rgb).keys() == traits.extremes.keys()
    gray = _ends(everything, ImageSettings(mode="gray"))
    assert gray.keys() == traits.extremes.keys() - {"least colourful"}
    alike = replace(everything, dimensions=Dimensions(sides={64: 12}, aspects={7: 12}))
    some = {"smallest", "darkest", "brightest", "least colourful"}
    assert _ends(alike, rgb).keys() == some
    as_large = replace(alike, traits=replace(traits, enlarged=0))
    assert _ends(as_large, rgb).keys() == some - {"smallest"}
    few = replace(alike, traits=replace(traits, images=4))
    assert _ends(few, rgb) == {}  # All of so few are on the page anyway.


def test_without_anything_noted_there_is_no_such_section(output: Path) -> None:
    view = look(output)
    for split, totals in view.facts.totals.items():
        view.facts.totals[split] = replace(totals, traits=Traits())  # type: ignore[index]
    assert page_module.extremes(view) is None


@pytest.mark.slow
@pytest.mark.pages
def test_a_click_leads_from_a_number_to_the_image(output: Path, browser: Browser) -> None:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.goto((output / "report.html").as_uri())
    page.wait_for_selector("html[data-painted]")
    row = page.locator("#extremes tr", has=page.get_by_role("rowheader", name="stored in gray"))
    picture = page.locator(".kind:visible .shot")
    assert picture.count() == 0
    row.locator("a").last.click()
    picture.first.wait_for()
    assert picture.count() == 1
    picture.first.click()
    viewer = page.locator("#viewer")
    viewer.wait_for()
    assert "train/cat/b-gray.png" in viewer.inner_text()
    assert "cat, train" in viewer.inner_text()
    page.keyboard.press("Escape")
    page.locator("#extremes .sheet .class", has_text="Darkest").locator(".shot").first.click()
    assert "f-dark.png" in viewer.inner_text()
    assert page.evaluate("[...document.images].every((i) => !i.src || i.naturalWidth)")
    context.close()
