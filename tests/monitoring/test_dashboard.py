"""The dashboard page on our own and on foreign schedulers; the metrics."""

from __future__ import annotations

import base64
import io
import itertools
import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask.bag as db
import numpy as np
import pytest
from distributed import Client, Future, futures_of
from PIL import Image
from playwright.sync_api import Page

import prep
from prep.errors import BadImageError, PrepError, TooManyRefused
from prep.monitoring.dashboard.charts import shard_grid
from prep.output.report.verdict import STATES
from tests.support.browser import screenshot
from tests.support.clusters import run_prep, wait_until
from tests.support.foreign import foreign_cluster
from tests.support.gates import Gate
from tests.support.pictures import jpeg, link_photos, write_tree

PLOTS = {
    "progress",
    "rates",
    "hosts-cpu",
    "workers-cpu",
    "shards",
    "just-written",
    "classes",
    "mean",
    "refused",
}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Red cats, green dogs, and one that is broken."""
    red, green = np.zeros((2, 40, 50, 3), np.uint8)
    red[..., 0] = green[..., 1] = 200
    root = tmp_path_factory.mktemp("source")
    cats = {f"{n}.jpg": jpeg(red) for n in range(30)}
    dogs = {f"{n}.jpg": jpeg(green) for n in range(20)} | {"<b>broken.jpg": jpeg(green)[:300]}
    return write_tree(
        root, {"train": {"cat": cats, "dog": dogs}, "val": {"cat": {"a.jpg": jpeg(red)}}}
    )


def config(source: Path, output: Path, **values: Any) -> prep.Config:
    return prep.Config(
        source=str(source), output=str(output), **{"images_per_shard": 8, "size": 32, **values}
    )


def address_of(client: Client, page: str) -> str:
    return client.dashboard_link.removesuffix("status") + page


def fetched(address: str) -> str:
    with urllib.request.urlopen(address, timeout=30) as answer:
        return str(answer.read().decode())


def metrics(address: str) -> dict[str, float]:
    """Return our metrics as Prometheus would read them there."""
    lines = re.findall(r"^(prep_\w+(?:{.*})?) (\S+)$", fetched(address), re.MULTILINE)
    return {name: float(value) for name, value in lines}


def test_the_page_is_in_the_bar_of_all_pages(client: Client) -> None:
    for page in ("status", "workers", "prep"):
        assert '<a href="prep">Prep</a>' in fetched(address_of(client, page))


def test_its_parts_are_listed_for_jupyterlab(client: Client) -> None:
    listed = json.loads(fetched(address_of(client, "individual-plots.json")))
    ours = {path for path in listed.values() if "individual-prep" in path}
    assert ours == {f"/individual-prep-{name}" for name in PLOTS}
    for path in ours:
        assert "bokeh" in fetched(address_of(client, path.strip("/")))


def test_metrics_are_told_though_another_cluster_came_and_went(
    source: Path, tmp_path: Path, client: Client
) -> None:
    prep.run(config(source, tmp_path), client)
    before = metrics(address_of(client, "metrics"))
    assert "prep_written_bytes" in before
    with prep.cluster(workers=1):
        pass
    after = metrics(address_of(client, "metrics"))
    assert before["prep_written_bytes"] == after["prep_written_bytes"]


def test_metrics_end_equal_to_the_report(source: Path, tmp_path: Path, client: Client) -> None:
    before = worker_totals(client)
    report = prep.run(config(source, tmp_path), client)
    found = metrics(address_of(client, "metrics"))
    for split, counts in report.splits.items():
        assert found[f'prep_images_done{{split="{split}"}}'] == counts["planned"]
        assert found[f'prep_images_planned{{split="{split}"}}'] == counts["planned"]
    assert found['prep_refused_images{reason="truncated"}'] == 1
    assert found['prep_shards{state="committed"}'] == report.shards
    assert found["prep_read_bytes"] == report.source_bytes
    assert found["prep_written_bytes"] == report.bytes
    assert report.mean is not None
    assert found['prep_mean{channel="R"}'] == pytest.approx(report.mean["R"])
    after = worker_totals(client)
    gained = {name: after[name] - before.get(name, 0) for name in after}
    assert gained['prep_worker_images_total{outcome="written"}'] == report.images["written"]
    assert gained['prep_worker_images_total{outcome="refused"}'] == 1
    assert gained["prep_worker_read_bytes_total"] == report.source_bytes
    assert gained["prep_worker_written_bytes_total"] == report.bytes
    assert after["prep_worker_active_shards"] == 0


def test_a_run_whose_report_can_not_be_written_has_failed(tmp_path: Path, client: Client) -> None:
    source = link_photos(tmp_path, 16).parent.parent
    with Gate(tmp_path, client=client):
        run = prep.start(config(source, tmp_path / "out", images_per_shard=2), client)
        wait_until(lambda: run.state == "running")
        (tmp_path / "out/report.json/in the way").mkdir(parents=True)
    with pytest.raises(PrepError, match="the report can't be written"):
        run.result(60)
    assert run.state == "failed"
    found = metrics(address_of(client, "metrics"))
    assert found['prep_run_state{state="failed"}'] == 1
    assert found['prep_run_state{state="done"}'] == 0
    assert found['prep_shards{state="committed"}'] == 8


def worker_totals(client: Client) -> dict[str, float]:
    """The metrics of all workers together."""
    totals: dict[str, float] = {}
    for address, worker in client.scheduler_info(n_workers=-1)["workers"].items():
        host = re.sub(r"^tls?://|^tcp://|:\d+$", "", address)
        found = metrics(f"http://{host}:{worker['services']['dashboard']}/metrics")
        for name, value in found.items():
            totals[name] = totals.get(name, 0) + value
    return totals


# Schedulers of others


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a scheduler and a worker that know nothing of this package yet."""
    folder = tmp_path_factory.mktemp("foreign")
    with foreign_cluster(folder) as address, Client(address) as client:
        yield client


@pytest.mark.slow
def test_a_scheduler_of_somebody_else_gets_the_page(
    source: Path, tmp_path: Path, foreign: Client
) -> None:
    assert "Prep" not in fetched(address_of(foreign, "status"))
    report = prep.run(config(source, tmp_path), foreign)
    assert '<a href="prep">Prep</a>' in fetched(address_of(foreign, "status"))
    assert metrics(address_of(foreign, "metrics"))["prep_written_bytes"] == report.bytes
    listed = json.loads(fetched(address_of(foreign, "individual-plots.json")))
    assert "/individual-prep-shards" in listed.values()


NO_PLUGINS = """
from distributed import Scheduler

async def refuse(self, plugin, name=None, *, idempotent):
    raise PermissionError("there is none of that here")

Scheduler.register_scheduler_plugin = refuse
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "preload", "reason"),
    [(["--no-dashboard"], None, "switched off"), ([], NO_PLUGINS, "none of that here")],
)
def test_where_the_page_can_not_be_added_the_run_goes_on_and_says_so(
    options: list[str],
    preload: str | None,
    reason: str,
    source: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    cluster = foreign_cluster(tmp_path, *options, preload=preload)
    with cluster as address, Client(address) as client:
        report = prep.run(config(source, tmp_path / "out"), client, progress=True)
    assert report.images["written"] == 51
    lines = capfd.readouterr().err.splitlines()
    (said,) = [line for line in lines if "no page" in line]
    assert reason in said
    assert "100% · 52 of 52 images (1 refused)" in lines[-1]
    assert lines[-1].endswith(" · 8 of 8 shards")


@pytest.mark.slow
def test_a_scheduler_may_show_the_page_before_any_run(
    source: Path, tmp_path: Path, page: Page
) -> None:
    with (
        foreign_cluster(tmp_path, "--preload", "prep.dashboard") as address,
        Client(address) as client,
    ):
        assert "Prep" in fetched(address_of(client, "status"))
        page.goto(address_of(client, "prep"))
        page.get_by_text("No run yet").wait_for()
        prep.run(config(source, tmp_path / "out"), client)
        for _ in range(2):  # As it was opened before, and as it is opened now.
            page.get_by_text("52 of 52").or_(page.get_by_text("51 of 51")).first.wait_for()
            page.get_by_text("done with refusals", exact=True).wait_for()
            assert number_before(page, "images") == 52
            page.reload()
        page.goto("about:blank")


# In a browser


@pytest.fixture
def own() -> Iterator[Client]:
    """A cluster that nothing has run on."""
    with prep.cluster(workers=1) as client:
        yield client


@pytest.mark.slow
def test_an_empty_page_says_what_to_do(own: Client, page: Page) -> None:
    page.goto(address_of(own, "prep"))
    page.get_by_text("No run yet").wait_for()
    page.get_by_text("prep.run(").wait_for()
    assert not page.get_by_text("Megabytes per second").is_visible()
    screenshot(page, "dashboard-empty")


def number_before(page: Page, text: str) -> int:
    """The large number above a text of the page."""
    shown = page.locator(".numbers div", has_text=text).first.inner_text()
    return int(shown.split()[0].replace(",", ""))


@pytest.mark.slow
def test_numbers_move_during_a_run_and_end_equal_to_the_report(
    own: Client, page: Page, tmp_path: Path
) -> None:
    source = link_photos(tmp_path, 1000).parent.parent
    page.goto(address_of(own, "prep"))
    with Gate(tmp_path, client=own) as gate:
        run = prep.start(config(source, tmp_path / "out", images_per_shard=50, size=128), own)
        page.locator(".numbers").wait_for()
        for count in (150, 300, 450, 600):
            gate.let(count)
            wait_until(lambda n=count: number_before(page, "of 1,000 images") == n)
        screenshot(page, "dashboard-running")
    report = run.result(60)
    page.get_by_text("done", exact=True).wait_for()
    assert number_before(page, "images") == report.images["planned"]
    assert number_before(page, "refused") == report.images["refused"]
    assert number_before(page, "shards") == report.shards
    assert report.mean is not None
    for value in report.mean.values():
        page.get_by_text(f"{value:.3f}").wait_for()
    screenshot(page, "dashboard-done")


@pytest.mark.slow
def test_the_contact_sheet_shows_the_pixels_that_are_written(
    own: Client, page: Page, tmp_path: Path
) -> None:
    red = np.zeros((400, 500, 3), np.uint8)
    red[..., 0] = 200
    source = link_photos(tmp_path, 3000, red).parent.parent
    page.goto(address_of(own, "prep"))
    image, counts = page.locator(".sheet img"), itertools.count()
    with Gate(tmp_path, client=own) as gate:
        run = prep.start(config(source, tmp_path / "out", size=128, images_per_shard=500), own)
        wait_until(lambda: gate.let(next(counts)) or image.count())  # type: ignore[func-returns-value]
        address = image.first.get_attribute("src")
        caption = page.locator(".sheet figcaption").first.inner_text()
        run.cancel(60)
    assert address is not None
    head, _, data = address.partition(",")
    assert head == "data:image/jpeg;base64"
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    assert shown.shape == (96, 96, 3)
    assert np.abs(shown.reshape(-1, 3).mean(axis=0) - (200, 0, 0)).max() < 3
    assert caption == "cat"


@pytest.mark.slow
def test_hostile_names_are_text(own: Client, page: Page, source: Path, tmp_path: Path) -> None:
    page.goto(address_of(own, "prep"))
    prep.run(config(source, tmp_path / "<i>out</i>"), own)
    page.get_by_text("<b>broken.jpg").wait_for()
    page.locator("h2").get_by_text("<i>out</i>").wait_for()
    assert page.locator("b", has_text="broken").count() == 0


def test_the_grid_of_shards_has_room_for_all_and_fills_from_the_top() -> None:
    for count in (1, 2, 7, 129, 1281, 100_000):
        grid = shard_grid(np.arange(count).astype(np.uint8))
        assert np.isfinite(grid).sum() == count
        assert grid[::-1].ravel()[:count].astype(np.uint8).tolist() == [
            number % 256 for number in range(count)
        ]


def widths(page: Page) -> list[int]:
    """Of the parts of all bars, in percent: what is written, and what was refused."""
    return [
        round(float(part.get_attribute("style").split("width: ")[1].rstrip("%;")))
        for part in page.locator(".bar i").all()
    ]


@pytest.mark.slow
def test_a_run_that_raises_is_not_shown_as_a_success(
    own: Client, page: Page, source: Path, tmp_path: Path
) -> None:
    page.goto(address_of(own, "prep"))
    out = tmp_path / "my output"
    with pytest.raises(TooManyRefused):
        prep.run(config(source, out, max_refused=0.01), own)
    page.get_by_text("too many refused", exact=True).wait_for()
    page.get_by_text("1 of 52 images was refused (1.9%), more than max_refused").wait_for()
    page.locator(".prep").get_by_text(f"{out.as_uri()}/report.html", exact=True).wait_for()
    assert widths(page) == [98, 2, 100, 0]
    page.get_by_text("1 refused").first.wait_for()
    screenshot(page, "dashboard-too-many-refused")
    found = metrics(address_of(own, "metrics"))
    assert {state: found[f'prep_run_state{{state="{state}"}}'] for state in STATES} == {
        state: float(state == "too many refused") for state in STATES
    }
    assert found['prep_images_written{split="train"}'] == 50
    assert found['prep_images_refused{split="train"}'] == 1

    with pytest.raises(BadImageError):
        prep.run(config(source, tmp_path / "fails", on_bad_image="fail"), own)
    page.get_by_text("failed", exact=True).wait_for()
    page.get_by_text("broken.jpg' was refused (truncated").wait_for()
    assert page.get_by_text("report.html").filter(visible=True).count() == 0
    screenshot(page, "dashboard-failed")


@pytest.mark.slow
def test_one_chooses_which_of_the_last_runs_to_look_at(
    own: Client, page: Page, source: Path, tmp_path: Path
) -> None:
    page.goto(address_of(own, "prep"))
    prep.run(config(source, tmp_path / "first"), own)
    shown = page.locator("h2", has_text=str(tmp_path))
    shown.get_by_text("first").wait_for()
    assert (
        page.get_by_role("radio").count() == 0 or not page.get_by_role("radio").first.is_visible()
    )
    many = link_photos(tmp_path, 16).parent.parent
    with Gate(tmp_path, first=3, client=own):
        runs = [
            prep.start(config(many, tmp_path / name, images_per_shard=2), own)
            for name in ("second", "third")
        ]
        wait_until(lambda: all(run.state == "running" for run in runs))
        page.locator("label", has_text="third").wait_for()
        page.locator("label", has_text="second").click()
        shown.get_by_text("second").wait_for()
        page.locator("label", has_text="third").click()
        shown.get_by_text("third").wait_for()
        page.locator("label", has_text="first").click()
        shown.get_by_text("first").wait_for()
        screenshot(page, "dashboard-runs")
        for run in runs:
            run.cancel(60)
    page.locator("label", has_text="stopped").nth(1).wait_for()
    assert shown.inner_text().endswith("first")  # It stays.
    page.locator("label", has_text="third").click()
    shown.get_by_text("stopped").wait_for()


@pytest.mark.slow
def test_a_page_whose_scheduler_has_gone_says_so(page: Page, source: Path, tmp_path: Path) -> None:
    with (
        foreign_cluster(tmp_path, "--preload", "prep.dashboard") as address,
        Client(address) as client,
    ):
        page.goto(address_of(client, "prep"))
        prep.run(config(source, tmp_path / "out"), client)
        page.get_by_text("done with refusals", exact=True).wait_for()
        assert not page.get_by_role("alert").is_visible()
    banner = page.get_by_role("alert")
    banner.wait_for()
    banner.get_by_text("The scheduler has gone or cannot be reached").wait_for()
    banner.get_by_text((tmp_path / "out/report.html").as_uri()).wait_for()
    page.set_viewport_size({"width": 500, "height": 900})
    page.wait_for_timeout(3000)  # In which Bokeh would have tried to get it back, by itself.
    screenshot(page, "dashboard-gone")  # The fixture sees that the console has no errors.


def add_up(client: Client, until: Path) -> Future[int]:
    """A reduction of a Bag whose groups of tasks depend on each other in a circle.

    Args:
        until: a file that the tasks wait for.
    """
    bag = db.from_sequence(range(20), npartitions=20).map(
        lambda number: wait_until(until.exists) and number
    )
    return futures_of(client.persist(bag.reduction(sum, sum, split_every=4)))[0]


@pytest.mark.slow
def test_groups_of_a_reduction_leave_nothing_on_the_terminal(
    own: Client, page: Page, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    page.goto(address_of(own, "groups"))
    page.get_by_text("Groups").first.wait_for()
    total = add_up(own, tmp_path / "go")
    wait_until(lambda: any(own.processing().values()))
    assert "bokeh" in fetched(address_of(own, "groups"))  # It would be a 500.
    (tmp_path / "go").touch()
    assert total.result(60) == 190
    page.goto("about:blank")
    said = capfd.readouterr().err
    assert "Traceback" not in said
    assert "ERROR" not in said


@pytest.mark.slow
def test_a_page_that_is_closed_leaves_nothing_on_the_terminal(
    own: Client, page: Page, source: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        page.goto(address_of(own, "prep"))
        prep.run(config(source, tmp_path / str(number)), own)
        page.goto("about:blank")
    assert "Traceback" not in capfd.readouterr().err


def test_the_address_that_is_shown_is_that_of_the_page(source: Path, tmp_path: Path) -> None:
    paths = ["--source", source, "--output", tmp_path]
    done = run_prep("run", *paths, "--workers", "1", "--size", "32", "--dashboard")
    assert re.search(r"dashboard http://127\.0\.0\.1:\d+/prep$", done.stderr, re.MULTILINE)


def test_names_that_look_alike_on_one_line_are_kept_apart(tmp_path: Path, client: Client) -> None:
    names = ("a\nb", "a\\nb")
    source = write_tree(tmp_path / "in", {split: dict.fromkeys(names, 5) for split in names})
    run = prep.start(config(source, tmp_path / "out", layout="splits"), client)
    report = run.result(60)
    assert {name: split.done for name, split in run.counters().splits.items()} == {
        "a\\nb": 10,
        "a\\nb (2)": 10,
    }
    assert report.images["written"] == 20
