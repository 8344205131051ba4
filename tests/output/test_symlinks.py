"""Symbolic links in an output: their targets are never changed."""

from __future__ import annotations

import os
import random
import shutil
import stat
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from distributed import Client

import prep
from prep.errors import OutputConflict, PrepError
from prep.operations.running.carrying_out import carry_out
from prep.output.journal import Journal
from prep.output.layout import OutputLayout
from prep.output.lease import leased
from prep.output.lock import exclusive
from prep.settings.output_names import shard_name
from prep.shards.writer import RunRef, write_shard
from prep.storage.local import LocalPath
from prep.storage.newfile import AtomicFile, temporary_name
from tests.support.clusters import run_prep, without_progress
from tests.support.pictures import write_tree
from tests.support.storages import Sftp

SPLITS = ("train", "val")


@pytest.fixture(scope="module")
def home(client: Client, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a source, and a finished output of it."""
    home = tmp_path_factory.mktemp("links")
    write_tree(home / "photos", {split: {"cat": 2, "dog": 2} for split in SPLITS})
    prep.run(config(home), client)
    return home


@pytest.fixture
def place(home: Path, tmp_path: Path) -> LocalPath:
    """A copy of the output to be spoilt, with somebody else's files beside it."""
    (tmp_path / "photos").symlink_to(home / "photos")
    shutil.copytree(home / "out", tmp_path / "out")
    theirs = tmp_path / "theirs"
    (theirs / "receipts/train").mkdir(parents=True)
    for folder in (theirs, theirs / "receipts", theirs / "receipts/train"):
        for name in (
            *map(os.path.basename, names_in(LocalPath(tmp_path / "out"))),
            temporary_name("00000"),
        ):
            if not (folder / name).exists():
                (folder / name).write_text("precious")
    return LocalPath(tmp_path)


def config(home: Path, **values: Any) -> prep.Config:
    values = {"size": 16, "images_per_shard": 2, **values}
    return prep.Config(source=str(home / "photos"), output=str(home / "out"), **values)


def names_in(root: LocalPath) -> list[str]:
    """Whatever we call something in an output, by its path there."""
    layout = OutputLayout(root)
    files = [*layout.results, layout.lock, layout.plan, layout.manifest, layout.history]
    folders = [layout.state, layout.receipts]
    for split in SPLITS:
        folders += [root / split, layout.receipts / split]
        files += [layout.receipt(split, 0), root / split / shard_name(split, 1, 2)]
    files += [folder / temporary_name(tag) for folder in folders for tag in ("", "00000")]
    return [str(path.relative_to(root)) for path in (*folders, *files)]


def state_of(folder: Path) -> dict[str, tuple[Any, ...]]:
    """Return kind, mode, time of change and contents of a folder and all that is in it."""
    found = {}
    for path in (folder, *folder.rglob("*")):
        status = path.lstat()
        kind = stat.S_IFMT(status.st_mode)
        held = path.read_bytes() if stat.S_ISREG(kind) else None
        target = os.readlink(path) if stat.S_ISLNK(kind) else None
        found[str(path)] = (status.st_mode, status.st_mtime_ns, status.st_ino, held, target)
    return found


def no_cluster(_: Any) -> Any:
    raise AssertionError("there is nothing to be done on a cluster")


# What is done to an output, where it comes to no work.
IDLE: dict[str, Callable[[Path], Any]] = {
    "run": lambda home: carry_out(config(home), no_cluster, aim="continue"),
    "overwrite": lambda home: carry_out(config(home), no_cluster, aim="overwrite"),
    "verify": lambda home: prep.verify(home / "out"),
    "repair": lambda home: prep.verify(home / "out", repair=True),
    "report": lambda home: prep.report_page(home / "out"),
}


@pytest.mark.parametrize("act", IDLE)
@pytest.mark.parametrize("name", [".prep", ".prep/receipts", ".prep/receipts/val", "val"])
def test_a_link_in_the_place_of_a_folder_is_an_error_before_any_work(
    name: str, act: str, place: LocalPath
) -> None:
    """Be it one to what was there: somebody may have moved it to another disk."""
    link = place / "out" / name
    link.rename(place / "theirs/moved")
    link.symlink_to("../" * (name.count("/") + 1) + "theirs/moved")
    before = state_of(place)
    with pytest.raises(OutputConflict) as error:
        IDLE[act](place)
    assert state_of(place) == before
    said = str(error.value)
    assert said.startswith(f"output: {link} is a symbolic link (to {os.readlink(link)})")
    assert said.endswith("or choose another output")


@pytest.mark.parametrize("name", ["gone", ".prep/receipts/gone"])
def test_so_is_one_that_stands_for_a_split_of_an_earlier_run(name: str, place: LocalPath) -> None:
    out = place / "out"
    (out / ".prep/receipts/gone").mkdir()
    (place / "theirs/gone-00000-of-00001.tfrecord").write_text("precious")
    (out / name).rmdir() if (out / name).exists() else None
    (out / name).symlink_to(place / "theirs")
    before = state_of(place)
    with pytest.raises(OutputConflict, match="is a symbolic link"):
        IDLE["overwrite"](place)
    assert state_of(place) == before


@pytest.mark.parametrize("command", ["run", "verify"])
@pytest.mark.parametrize("kind", ["link", "dangling link", "hard link"])
def test_a_lock_that_is_somebody_elses_file_is_not_emptied(
    kind: str, command: str, place: LocalPath
) -> None:
    lock, precious = place / "out/.prep/lock", place / "theirs/lock"
    lock.unlink(missing_ok=True)
    if kind == "hard link":
        os.link(precious, lock)
    else:
        lock.symlink_to("../../theirs/lock" if kind == "link" else "../../theirs/new")
    (place / "out/report.json").unlink()
    (place / "out/.prep/receipts/val/00000.json").unlink()  # There is something to be done.
    before = state_of(place)
    source = ("--source", place / "photos", "--size", "16", "--images-per-shard", "2")
    run = (*source, "--output", place / "out")
    options = run if command == "run" else ("--repair", place / "out")
    done = run_prep(command, *options)
    assert done.returncode == 2
    (line,) = without_progress(done.stderr)
    assert f"{lock} is " in line
    assert state_of(place) == before


@pytest.mark.parametrize("act", ["run", "overwrite", "repair"])
def test_a_link_that_bears_the_name_of_a_file_is_itself_replaced(
    act: str, place: LocalPath, home: Path, client: Client
) -> None:
    """Whatever it points to: that a link was there, is all that is lost."""
    out = place / "out"
    layout = OutputLayout(out)
    if act != "overwrite":  # Which starts afresh: without a plan, nothing is known of the others.
        links = [
            layout.manifest,
            out / "train" / shard_name("train", 0, 2),
            layout.receipt("val", 1),
        ]
    else:
        links = [
            layout.plan,
            out / "train" / shard_name("train", 0, 2),
            layout.receipt("val", 1),
            layout.history,
        ]
    links += [layout.report, layout.mean, layout.refused]
    targets = [place / "theirs/lock", place / "theirs", Path("/nowhere"), Path("loop")]
    for number, link in enumerate(links):
        link.unlink()
        link.symlink_to(targets[number % 4] if number % 4 < 3 else link.name)
    before = state_of(place / "theirs")
    if act == "repair":
        assert prep.verify(out, client, repair=True).problems == ()
    else:
        prep.run(config(place), client, overwrite=act == "overwrite")
    assert state_of(place / "theirs") == before
    assert [path for path in out.rglob("*") if path.is_symlink()] == []
    for shard in (home / "out").rglob("*.tfrecord"):
        assert (out / shard.relative_to(home / "out")).read_bytes() == shard.read_bytes()


def test_a_dangling_link_is_somebodys_too(place: LocalPath) -> None:
    """Not ours to replace where this output is not known to hold our run."""
    shutil.rmtree(place / "out")
    (place / "out").mkdir()
    (place / "out/report.json").symlink_to("/nowhere")
    with pytest.raises(
        OutputConflict, match=r"report\.json is in the way, and was not made by this run"
    ):
        IDLE["run"](place)
    assert os.readlink(place / "out/report.json") == "/nowhere"


def test_starting_afresh_removes_links_and_not_what_they_point_to(place: LocalPath) -> None:
    out = place / "out"
    for name in (".prep/link", ".prep/receipts/train/link", "train/train-00007-of-00009.tfrecord"):
        (out / name).symlink_to(place / "theirs")
    before = state_of(place / "theirs")
    journal, made = Journal(out), prep.plan(config(place))
    with journal.lock():
        journal.clear(made)
    assert [path.name for path in (out / ".prep").iterdir()] == ["lock"]
    assert list((out / "train").iterdir()) == []
    assert state_of(place / "theirs") == before


def test_an_output_may_itself_be_reached_through_links(place: LocalPath, client: Client) -> None:
    (place / "out").rename(place / "theirs/disk")
    (place / "out").symlink_to("theirs/disk")
    (place / "out/val/val-00000-of-00002.tfrecord").unlink()
    report = prep.run(config(place), client)
    assert report.output == str(place / "out")
    assert prep.verify(place / "out", client).problems == ()


def test_an_output_that_is_a_link_to_nothing_is_an_error(place: LocalPath) -> None:
    shutil.rmtree(place / "out")
    (place / "out").symlink_to("theirs/new")
    before = state_of(place)
    with pytest.raises(OutputConflict, match=r"can't write to \S+/out: it is a symbolic link to"):
        IDLE["run"](place)
    assert state_of(place) == before


# Links that are put there in the middle of it


def begin(made: prep.RunPlan) -> RunRef:
    journal = Journal(made.config.output)
    journal.clear(made)
    journal.begin(made)
    digest = made.fingerprint.digest
    return RunRef(output=made.config.output, digest=digest, run=uuid.uuid4().hex)


@pytest.mark.parametrize("name", ["train", ".prep/receipts", ".prep/receipts/train"])
def test_a_folder_that_has_become_a_link_is_not_written_through(
    name: str, place: LocalPath
) -> None:
    made = prep.plan(config(place))
    run = begin(made)
    shutil.rmtree(place / "out" / name)
    (place / "out" / name).symlink_to(place / "theirs")
    before = state_of(place / "theirs")
    with pytest.raises(OutputConflict, match="is a symbolic link"):
        write_shard(made.shards[0], run)
    assert state_of(place / "theirs") == before


def test_one_that_becomes_a_link_while_a_file_is_written_leads_nowhere_else(
    place: LocalPath,
) -> None:
    folder, moved, theirs = place / "out/train", place / "out/moved", place / "theirs"
    before = state_of(theirs)

    def put_a_link_there() -> None:
        folder.rename(moved)
        folder.symlink_to(theirs)

    path = folder / "train-00001-of-00002.tfrecord"
    with AtomicFile(path, within=place / "out", before_publishing=put_a_link_there) as file:
        file.write(b"shard")
    assert (moved / path.name).read_bytes() == b"shard"
    assert state_of(theirs) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda path, out: path.publish(b"", within=out),
        lambda path, out: path.remove_file(within=out),
        lambda path, out: (path / "new").make_folder(within=out),
        lambda path, out: path.remove_folder(within=out),
        lambda path, out: path.parent.empty_folder(within=out, keep=lambda _: False),
        lambda path, out: exclusive(path, within=out).__enter__(),
        lambda path, out: (path / "new").put_if_absent(b"", within=out),
        lambda path, out: path.put_over(b"", within=out),
    ],
    ids=["publish", "remove", "make", "remove folder", "empty", "lock", "put", "put over"],
)
@pytest.mark.parametrize("through", ["link", "..", "absolute"])
def test_nothing_is_changed_outside(
    change: Callable[[LocalPath, LocalPath], None], through: str, place: LocalPath
) -> None:
    out = place / "out"
    (out / "link").symlink_to(place / "theirs")
    path = {
        "link": out / "link/receipts/train",
        "..": out / "val/../../theirs/receipts/train",
        "absolute": out / str(place / "theirs/receipts/train"),
    }[through]
    before = state_of(place)
    with pytest.raises(OutputConflict, match=r"is a symbolic link|expected a folder in"):
        change(path, out)
    assert state_of(place) == before


def test_leftovers_of_dead_attempts_are_not_looked_for_behind_links(place: LocalPath) -> None:
    out, theirs = place / "out", place / "theirs"
    precious = theirs / temporary_name("00001")
    precious.write_text("precious")
    shutil.rmtree(out / "val")
    (out / "val").symlink_to(theirs)
    linked, same = out / "train" / temporary_name("00000"), out / "train" / temporary_name("00000")
    linked.symlink_to(precious)
    os.link(precious, same)
    before = state_of(theirs)
    for keep in (True, False):
        (out / "train").remove_leftovers(within=out, keep_names=keep)
        with pytest.raises(OutputConflict):
            (out / "val").remove_leftovers(within=out, keep_names=keep)
        assert state_of(theirs) == before
        assert not same.exists()  # Another name of somebody's file is no file of ours.


def test_on_a_server_links_are_looked_for_before_the_work(
    place: LocalPath, sftp: Sftp, client: Client
) -> None:
    shutil.copytree(place / "out", sftp.folder / "out")
    (sftp.folder / "out/.prep/receipts").rename(sftp.folder / "theirs")
    (sftp.folder / "out/.prep/receipts").symlink_to("../../theirs")
    before = state_of(sftp.folder)
    values: Any = {"size": 16, "images_per_shard": 2, "storage_options": sftp.options}
    asked = prep.Config(source=str(place / "photos"), output=f"{sftp.url}/out", **values)
    with pytest.raises(OutputConflict, match=r"out/\.prep/receipts is a symbolic link"):
        prep.run(asked, client, overwrite=True)
    assert state_of(sftp.folder) == before


# All of it at random


def a_link(chance: random.Random, link: Path, place: LocalPath) -> str:
    """Puts a link of some kind in the place of whatever is there; says what it did."""
    theirs = place / "theirs"
    kind = chance.choice(
        ["file", "folder", "moved", "dangling", "chain", "loop", "hard link", "ours"]
    )
    if not os.path.isdir(link.parent) or os.path.realpath(link.parent).startswith(str(theirs)):
        return "nothing"
    target = {
        "file": theirs / chance.choice(["lock", "plan.json", "report.json"]),
        "folder": chance.choice([theirs, theirs / "receipts", theirs / "receipts/train"]),
        "moved": theirs / f"moved-{uuid.uuid4().hex}",
        "dangling": theirs / "new" / "file" if chance.random() < 0.5 else theirs / "new",
        "chain": theirs / "chain",
        "loop": link,
        "hard link": theirs / "lock",
        "ours": place / "out" / chance.choice(["train", ".prep", "mean_rgb.json"]),
    }[kind]
    there = os.path.lexists(link)
    if kind == "moved" and there:
        link.rename(target)
    elif link.is_dir() and not link.is_symlink():
        shutil.rmtree(link)
    elif there:
        link.unlink()
    if kind == "hard link":
        os.link(target, link)
    elif chance.random() < 0.5:
        link.symlink_to(target)
    else:
        link.symlink_to(os.path.relpath(target, link.parent))
    return f"{link.relative_to(place)}: {kind}"


def acts(client: Client) -> dict[str, Callable[[Path], Any]]:
    return {
        "run": lambda home: prep.run(config(home), client),
        "overwrite": lambda home: prep.run(config(home), client, overwrite=True),
        "another": lambda home: prep.run(config(home, size=17), client, overwrite=True),
        "repair": lambda home: prep.verify(home / "out", client, repair=True),
        "verify": lambda home: prep.verify(home / "out", client),
        "report": lambda home: prep.report_page(home / "out"),
        "index": lambda home: prep.index(home / "out"),
    }


def links_at_random(seed: int, place: LocalPath, client: Client) -> None:
    """Puts some links into an output, whole or not, does something there, and looks around."""
    chance = random.Random(seed)
    out, theirs = place / "out", place / "theirs"
    (theirs / "chain").symlink_to("receipts")
    for path in chance.sample(sorted(out.rglob("*.*")), chance.choice([0, 0, 1, 3])):
        if path.is_file():
            path.unlink()  # It is to be gone on with.
    names = chance.sample(names_in(out), chance.choice([1, 1, 1, 2, 4]))
    done = [a_link(chance, out / name, place) for name in names]
    before = state_of(theirs)
    for act in chance.choices(list(acts(client)), k=2):
        try:
            acts(client)[act](place)
            done.append(act)
        except PrepError as error:
            done.append(f"{act}: {error}")
        except BaseException as error:
            raise AssertionError(f"seed {seed}: {done}, {act}") from error
        after = state_of(theirs)
        changed = [name for name in before | after if before.get(name) != after.get(name)]
        assert changed == [], f"seed {seed}: {done}"
        assert not any("\n" in line or "[Errno" in line for line in done), done


@pytest.fixture
def _quick_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages that hold nothing: to draw one takes a second."""
    monkeypatch.setattr("prep.display.page.page.make_page", lambda *_: b"page")


@pytest.mark.usefixtures("_quick_pages")
@pytest.mark.parametrize("seed", range(12))
def test_random_links_lead_nowhere(seed: int, place: LocalPath, client: Client) -> None:
    links_at_random(seed, place, client)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.pages
@pytest.mark.parametrize("seed", range(100, 250))
def test_many_random_links_lead_nowhere(seed: int, place: LocalPath, client: Client) -> None:
    links_at_random(seed, place, client)


def test_what_is_in_the_way_is_told_by_its_path(place: LocalPath) -> None:
    """Not by a temporary name, nor by one that is relative to an open folder."""
    out = place / "out"
    for name, act in {
        ".prep/lock": "repair",
        "report.json": "repair",
        "refused.csv": "repair",
        ".prep/manifest.parquet": "repair",
        "report.html": "report",
    }.items():
        file, aside = out / name, place / "aside"
        there = file.exists()
        if there:
            file.rename(aside)
        file.mkdir()
        with pytest.raises((PrepError, OSError)) as error:
            IDLE[act](place)
        said = str(error.value)
        assert str(file) in said, said
        assert ".partial" not in said, said
        file.rmdir()
        if there:
            aside.rename(file)


def test_a_page_that_can_not_be_written_is_named(place: LocalPath) -> None:
    page = place / "out/report.html"
    page.unlink()
    page.mkdir()
    done = run_prep("report", place / "out")
    assert done.stderr.splitlines() == [f"prep: can't write the page: Is a directory: '{page}'"]


def test_a_lease_that_is_a_pipe_is_named(place: LocalPath) -> None:
    lease = place / "out/.prep/lock-000001"
    os.mkfifo(lease)
    with pytest.raises(OSError, match="not a regular file") as error, leased(lease.parent, 0.1):
        pass
    assert error.value.filename == str(lease)
