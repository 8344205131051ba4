"""Outputs whose plans give the size of each shard, whatever that is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import prep
from prep.display.page.facts import read_facts
from prep.display.page.page import make_sections, make_view
from prep.errors import PrepError
from prep.operations.tools.lookup import find_record
from prep.output.journal import Journal
from prep.planning.plan import RunPlan
from tests.support.clusters import contents
from tests.support.outputs import examine, look, placed_here, write_plan
from tests.support.pictures import write_tree

SIZES = {"train": (0, 5, 1, 0, 3), "val": (3, 0)}


def planned(home: Path, format: str) -> RunPlan:
    source = write_tree(home / "in", {"train": {"cat": 5, "dog": 4}, "val": {"cat": 3}})
    keys = {"source": str(source), "output": str(home / "out"), "size": 16, "format": format}
    return prep.plan(keys).with_partition("given", SIZES)


@pytest.fixture(scope="module", params=["tfrecord", "webdataset"])
def prepared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output with shards of all sizes, also empty ones."""
    home = tmp_path_factory.mktemp("sizes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("prep.operations.publish._update_page", lambda *_: None)
        write_plan(planned(home, request.param))
    return home


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("run", "verify"):
        monkeypatch.setattr(f"prep.operations.{module}.placed", placed_here)


@pytest.fixture
def out(prepared: Path, tmp_path: Path) -> Path:
    """A copy of the output; its source stays where it is."""
    return shutil.copytree(prepared / "out", tmp_path / "out")


def test_it_is_as_it_should_be_and_shown(out: Path) -> None:
    assert [p for p in examine(out).problems if p.where != "report.json"] == []
    look(out)
    written = {split: counts["shards"] for split, counts in prep.RunReport.read(out).splits.items()}
    assert written == {"train": 5, "val": 2}
    journal = Journal(out)
    plan = journal.stored_plan()
    assert plan is not None
    figures = [
        figure.model
        for section in make_sections(make_view(journal, read_facts(journal, plan)))
        for figure in section.figures.values()
    ]
    assert figures


def test_records_are_found_across_shards(out: Path) -> None:
    journal = Journal(out)
    plan = journal.stored_plan()
    assert plan is not None
    names = journal.manifest.read()["path"].to_pylist()[: plan.splits["train"]]
    found = [find_record(str(out / "train"), number).source for number in range(9)]
    assert found == [name.decode() for name in names]


def test_any_shard_is_repaired(out: Path) -> None:
    before = contents(out, "*/*-of-*")
    for path in (out / "train").iterdir():
        path.unlink()
    assert prep.verify(out, repair=True).clean
    assert contents(out, "*/*-of-*") == before


def test_a_run_goes_on_with_the_sizes_that_it_was_begun_with(out: Path) -> None:
    plan = Journal(out).stored_plan()
    assert plan is not None
    before = contents(out, "*/*-of-*")
    for path in out.glob(".prep/receipts/*/0000[0-2].json"):
        path.unlink()
    config = plan.config.model_copy(update={"output": str(out)})
    assert prep.plan(config).sizes == SIZES
    assert prep.run(config).resumed_shards == 2
    assert contents(out, "*/*-of-*") == before


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"shards": {"train": [9], "val": [2]}}, "as many images of each split"),
        ({"shards": {"train": [10, -1], "val": [3]}}, "shards: expected"),
        ({"shards": {"train": [9.0], "val": [3]}}, "shards: expected"),
        ({"shards": {"train": "9", "val": [3]}}, "as many images of each split"),
        ({"shards": {"train": [9]}}, "as many images of each split"),
        ({"shards": {"train": [9], "val": [3]}}, "as the rest of the plan has it"),  # its digest
        ({"shards": [9, 3]}, "shards: expected"),
        ({"shards": {}}, "partition: expected"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_sizes_that_can_not_be_are_refused(change: dict[str, object], told: str, out: Path) -> None:
    path = out / ".prep/plan.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **change}))
    for action in (prep.verify, prep.report_page):
        with pytest.raises(PrepError) as error:
            action(out)
        assert told in str(error.value)
        assert "\n" not in str(error.value)
        assert len(str(error.value)) < 1000
