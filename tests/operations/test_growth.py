"""Outputs that grow: shards that are taken over from the plan before, as they are."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import prep
from prep.operations.growth.adoption import adopt, pending_adoptions, replace_plan
from prep.output.journal import Journal
from prep.planning.continued import Continued
from prep.planning.plan import RunPlan
from tests.support.pictures import write_tree
from tests.support.serial import problems_in, run_here


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source, and a finished output of two shards."""
    home = tmp_path_factory.mktemp("growth")
    write_tree(home / "source", {"train": {"cat": 3, "dog": 3}})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("prep.operations.publish._update_page", lambda *_: None)
        run_here(of(home))
    return home


def of(home: Path) -> prep.Config:
    source, output = str(home / "source"), str(home / "out")
    return prep.Config(source=source, output=output, size=16, images_per_shard=3)


@pytest.fixture
def config(finished: Path, tmp_path: Path) -> prep.Config:
    """A copy of these."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    return of(tmp_path)


def with_an_empty_shard(journal: Journal) -> tuple[RunPlan, RunPlan]:
    """The stored plan, and one of the same images in one more shard."""
    stored = journal.stored_plan()
    assert stored is not None
    stored = journal.whole_plan(stored)
    counts = dict.fromkeys(stored.splits, 2)
    continues = Continued(digest=stored.fingerprint.digest, counts=counts, rewritten={})
    sizes = dict.fromkeys(stored.splits, (3, 3, 0))
    return stored, replace(stored.with_partition("given", sizes), continues=continues)


def shards(output: str) -> dict[str, tuple[bytes, int]]:
    """Contents and time of each shard, by its split and index."""
    found = sorted(Path(output).glob("*/*.tfrecord"))
    return {p.name.partition("-of-")[0]: (p.read_bytes(), p.stat().st_mtime_ns) for p in found}


def test_a_plan_takes_over_the_shards_of_the_one_before_without_writing_them(
    config: prep.Config,
) -> None:
    journal = Journal(config.output)
    before = shards(config.output)
    stored, plan = with_an_empty_shard(journal)
    replace_plan(journal, stored, plan)
    assert problems_in(config.output) == ()
    adoptions = pending_adoptions(journal, plan, plan.shards)
    adopt(journal, adoptions)
    assert shards(config.output) == before
    assert pending_adoptions(journal, plan, plan.shards) == []
    assert {Path(receipt.file).name for receipt in journal.committed(plan)} == {
        "train-00000-of-00003.tfrecord",
        "train-00001-of-00003.tfrecord",
    }
    run_here(config)  # It writes the empty one.
    assert {**shards(config.output), "train-00002": None} == {**before, "train-00002": None}
    assert problems_in(config.output) == ()


@pytest.mark.parametrize("steps", range(9))
def test_a_plan_is_replaced_and_its_shards_taken_over_from_wherever_that_was_interrupted(
    config: prep.Config, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(config.output)
    before = shards(config.output)
    stored, plan = with_an_empty_shard(journal)
    left = steps

    def stop(function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise KeyboardInterrupt
            return function(*arguments, **options)

        return counted

    for name in ("publish", "remove_file", "rename_files"):
        method = getattr(type(journal.layout.root), name)
        monkeypatch.setattr(type(journal.layout.root), name, stop(method))
    with contextlib.suppress(KeyboardInterrupt):
        replace_plan(journal, stored, plan)
        adopt(journal, pending_adoptions(journal, plan, plan.shards))
    monkeypatch.undo()
    monkeypatch.setattr("prep.operations.publish._update_page", lambda *_: None)
    with journal.lock():  # Which puts the manifest back that belongs to the plan.
        pass
    now = journal.stored_plan()
    assert now is not None
    assert journal.whole_plan(now).fingerprint.digest == now.fingerprint.digest
    assert now.fingerprint.digest in (stored.fingerprint.digest, plan.fingerprint.digest)
    if now.continues is None:
        assert len(journal.committed(stored)) == 2
        replace_plan(journal, stored, plan)
    adopt(journal, pending_adoptions(journal, plan, plan.shards))
    assert len(journal.committed(plan)) == 2
    assert shards(config.output) == before
    assert not journal.layout.manifest_before.exists()


@pytest.mark.parametrize(
    ("forged", "told"),
    [
        ({"shards": {"train": 4}}, "at most 3 of 'train', found 4"),
        ({"shards": {"train": 0}}, "at least 1, found 0"),
        ({"shards": {"other": 1}}, "at most 0 of 'other'"),
        ({"shards": {"../train": 1}}, "at most 0"),
        ({"rewritten": {"train": [2]}}, "at most 1, found 2"),
        ({"rewritten": {"train": [-1]}}, "at least 0"),
        ({"rewritten": {"val": [0]}}, "shards that it had"),
        ({"rewritten": {"train": 1}}, "shards that it had, found 1"),
        ({"digest": 5}, "text of at most"),
        ({"more": 1}, 'known members, found "more"'),
    ],
)
def test_a_plan_that_continues_none_that_could_be_is_refused(
    forged: dict[str, Any], told: str
) -> None:
    sound = Continued(digest="ab", counts={"train": 2}, rewritten={"train": (1,)})
    assert Continued.from_json(sound.to_json(), {"train": 3}) == sound
    with pytest.raises(ValueError, match=told):
        Continued.from_json({**sound.to_json(), **forged}, {"train": 3})


def test_a_forged_receipt_from_before_moves_no_file(config: prep.Config) -> None:
    journal = Journal(config.output)
    stored, plan = with_an_empty_shard(journal)
    replace_plan(journal, stored, plan)
    (path, *_) = sorted(Path(config.output).glob(".prep/receipts/train/*.json"))
    receipt = json.loads(path.read_text())
    for forged in ({"bytes": 1}, {"count": 3}, {"fingerprint": "ab"}, {"written": {"cat": 1}}):
        path.write_text(json.dumps({**receipt, **forged}))
        adopt(journal, pending_adoptions(journal, plan, plan.shards[:1]))
        assert sorted(shards(config.output)) == ["train-00000", "train-00001"]
        assert len(list(Path(config.output).glob("train/*-of-00002.tfrecord"))) == 2
