"""Outputs in PyTorch: every record once, in any number of processes, and from anywhere on."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import prep
from prep.errors import UsageError
from tests.support.outputs import prepare
from tests.support.pages import code_below
from tests.support.pictures import jpeg, picture, write_tree
from tests.support.torchvision_ops import load_torchvision

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.slow

from torch.utils.data import ConcatDataset, DataLoader  # noqa: E402

from prep.training.pytorch.drawn import Drawn  # noqa: E402

COUNT = 29  # of images: no multiple of a number of ranks, or of a batch
CROP = {"crop": 16, "flip": True, "lighting": 0.1, "normalize": "mean_std"}
Batches = list[tuple[Any, Any]]


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("torch")
    source = write_tree(
        root / "source", {"train": {"ant": 4, "cat": 16, "dog": 9}, "val": {"ant": 3}}
    )
    prepare(prep.Config(source=source, output=root / "out", size=24, images_per_shard=10))
    return root / "out"


def batches(dataset: Any, *, workers: int = 0, batch: int = 4, **how: Any) -> Batches:
    """All batches of an epoch."""
    sampler = prep.torch.sampler(dataset, **how)
    return [*DataLoader(dataset, batch, sampler=sampler, num_workers=workers)]


def images_of(found: Batches) -> list[bytes]:
    return [image.numpy().tobytes() for images, _ in found for image in images]


def labels_of(found: Batches) -> list[int]:
    return [int(label) for _, labels in found for label in labels]


# Every record once


@pytest.mark.parametrize("workers", [0, 2, 3])
@pytest.mark.parametrize("ranks", [1, 3])
def test_each_record_is_read_once_whatever_the_number_of_processes(
    ranks: int, workers: int, output: Path
) -> None:
    dataset = prep.torch.dataset(output)
    parts = [
        batches(dataset, workers=workers, seed=3, ranks=ranks, rank=rank) for rank in range(ranks)
    ]
    expected = prep.open(output)
    pairs = [
        (np.ascontiguousarray(image.transpose(2, 0, 1)).tobytes(), int(label))
        for image, label in expected
    ]
    found = [pair for part in parts for pair in zip(images_of(part), labels_of(part), strict=True)]
    assert Counter(found) == Counter(pairs)
    assert len(set(found)) == COUNT
    images, labels = parts[0][0]
    assert (images.shape, images.dtype) == ((4, 3, 24, 24), torch.uint8)
    assert labels.dtype == torch.int64
    # The ranks together read the order of all.
    order = prep.Order(expected, seed=3).at(np.arange(COUNT))
    turns = itertools.zip_longest(*(images_of(part) for part in parts))
    read = [image for turn in turns for image in turn if image is not None]
    assert read == [pairs[record][0] for record in order]


def test_each_epoch_has_another_order(output: Path) -> None:
    dataset = prep.torch.dataset(output)
    sampler = prep.torch.sampler(dataset, seed=3)
    loader = DataLoader(dataset, 4, sampler=sampler)
    epochs = [images_of([*loader]) for _ in range(3)]
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert len({tuple(sorted(epoch)) for epoch in epochs}) == 1
    assert sampler.epoch == 3
    sampler.set_epoch(1)
    assert images_of([*loader]) == epochs[1]
    # A loader that is left early, or that workers read ahead for, begins with the next.
    next(iter(loader))
    assert images_of([*loader]) != epochs[2]
    sampler.set_epoch(0)
    ahead = DataLoader(dataset, 4, sampler=sampler, num_workers=2)
    assert [images_of([*ahead]) for _ in range(3)] == epochs


def test_full_batches_leave_other_records_out_each_time(output: Path) -> None:
    dataset = prep.torch.dataset(output)
    samplers = [
        prep.torch.sampler(dataset, ranks=3, rank=rank, full_batches=4) for rank in range(3)
    ]
    left = []
    for _ in range(2):
        read = [[*sampler] for sampler in samplers]
        assert [len(part) for part in read] == [8, 8, 8]
        records = [*itertools.chain.from_iterable(read)]
        assert len(set(records)) == 24
        left.append(set(range(COUNT)) - set(records))
    assert left[0] != left[1]
    assert samplers[0].after(2, 4) == 2 * COUNT
    assert len(prep.torch.sampler(dataset, start=20, full_batches=4)) == 8
    ones = [prep.torch.sampler(dataset, ranks=3, rank=rank, full_batches=1) for rank in range(3)]
    assert {len(sampler) for sampler in ones} == {COUNT // 3}


def _read_as_a_rank(rank: int, output: Path, meeting: Path, results: Any) -> None:
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{meeting}", rank=rank, world_size=2
    )
    dataset = prep.torch.dataset(output)
    every, full = prep.torch.sampler(dataset), prep.torch.sampler(dataset, full_batches=5)
    results.put((rank, repr(every), [[*map(int, every)], [*map(int, full)]]))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def test_ranks_are_those_of_torch_distributed(output: Path, tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    results = spawn.Queue()
    processes = [
        spawn.Process(target=_read_as_a_rank, args=(rank, output, tmp_path / "meeting", results))
        for rank in range(2)
    ]
    for process in processes:
        process.start()
    told = sorted(results.get(timeout=120) for _ in processes)
    for process in processes:
        process.join()
    order = prep.Order(COUNT).at(np.arange(COUNT)).tolist()
    for rank, name, (every, full) in told:
        assert f"rank {rank} of 2" in name
        assert every == order[rank::2]
        assert full == every[:10]


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers_may_be_forked_or_spawned(start: str, output: Path) -> None:
    dataset = prep.torch.dataset(output, **CROP)
    expected = batches(dataset)
    found = [
        *DataLoader(
            dataset,
            4,
            sampler=prep.torch.sampler(dataset),
            num_workers=1,
            multiprocessing_context=multiprocessing.get_context(start),
        )
    ]
    assert images_of(found) == images_of(expected)


# From anywhere on


@pytest.mark.parametrize("step", [1, 4])
@pytest.mark.parametrize("ranks", [(1, 3), (3, 1), (1, 1)])
@pytest.mark.parametrize("workers", [(0, 2), (2, 0)])
def test_one_integer_resumes_it_with_other_ranks_and_workers(
    workers: tuple[int, int], ranks: tuple[int, int], step: int, output: Path
) -> None:
    dataset = prep.torch.dataset(output, **CROP)
    whole = images_of(batches(dataset))
    batch, (before, after) = 2 if ranks[0] == 3 else 4, ranks
    read: list[list[str]] = []
    states = set()
    for rank in range(before):
        sampler = prep.torch.sampler(dataset, ranks=before, rank=rank)
        loader = DataLoader(dataset, batch, sampler=sampler, num_workers=workers[0])
        read.append(images_of([*itertools.islice(loader, step)]))
        states.add(sampler.after(step, batch))
    (state,) = states
    assert state == step * batch * before
    rest = [
        images_of(
            batches(
                dataset, workers=workers[1], ranks=after, rank=(state + turn) % after, start=state
            )
        )
        for turn in range(after)
    ]
    turns = [*zip(*read, strict=True), *itertools.zip_longest(*rest)]
    assert [image for turn in turns for image in turn if image is not None] == whole


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("step", [0, 3, 8])
def test_a_stateful_loader_resumes_it(step: int, workers: int, output: Path) -> None:
    stateful = pytest.importorskip("torchdata.stateful_dataloader").StatefulDataLoader
    dataset = prep.torch.dataset(output, **CROP)

    def loader(number: int) -> Any:
        sampler = prep.torch.sampler(dataset, seed=2)
        return stateful(dataset, 4, sampler=sampler, num_workers=number)

    first = loader(workers)
    read = iter(first)
    for _ in range(step):
        next(read)
    state = pickle.loads(pickle.dumps(first.state_dict()))
    rest = images_of([*read])
    other = loader(workers)
    other.load_state_dict(state)
    assert images_of([*other]) == rest
    # The epochs after it are the same, too.
    assert images_of([*other]) == images_of([*first])
    # torchdata keeps to the number of workers; the position in its state does not.
    position = prep.torch.position(state)
    assert position == (COUNT if step == 8 else 4 * step)
    if step < 8:
        assert images_of(batches(dataset, seed=2, start=position, workers=2 - workers)) == rest


def test_the_state_of_a_sampler_is_small(output: Path) -> None:
    read = iter(prep.torch.sampler(prep.torch.dataset(output)))
    next(read)
    assert read.state_dict() == {"position": 1, "done": False}
    assert len(json.dumps(read.state_dict())) <= 100


def test_it_is_not_the_position_of_another_state() -> None:
    with pytest.raises(UsageError, match="expected the state of a StatefulDataLoader"):
        prep.torch.position({"_num_yielded": 3})


def test_several_datasets_are_read_in_shares(output: Path) -> None:
    parts = [prep.torch.dataset(output, split, **CROP) for split in ("train", "val")]
    mixture = prep.mix([(prep.Order(parts[0]), 0.75), (prep.Order(parts[1]), 0.25)], seed=4)
    both = ConcatDataset(parts)
    sampler = prep.torch.sampler(mixture)
    found = [*DataLoader(both, 4, sampler=sampler)]
    assert len(images_of(found)) == COUNT + 3
    again = [*DataLoader(both, 4, sampler=prep.torch.sampler(mixture), num_workers=2)]
    assert images_of(again) == images_of(found)
    datasets, _ = mixture.which(mixture.at(np.arange(COUNT + 3)))
    assert np.bincount(datasets).tolist() == [24, 8]


def test_classes_may_be_balanced(output: Path) -> None:
    dataset = prep.torch.dataset(output)
    order = prep.Order(dataset, balance="class")
    labels = labels_of([*DataLoader(dataset, 4, sampler=prep.torch.sampler(order))])
    assert sorted(Counter(labels).values()) == [9, 10, 10]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"ranks": 3}, "sampler: expected ranks and rank; give both, or neither"),
        ({"ranks": 3, "rank": 3}, "rank: expected 0 to 2, found 3"),
        ({"ranks": 0, "rank": 0}, "ranks: expected 1 or more, found 0"),
        ({"full_batches": 0}, "full_batches: expected 1 or more, found 0"),
        ({"start": -1}, "start: expected 0 or more, found -1"),
    ],
)
def test_samplers_that_can_not_be(more: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        prep.torch.sampler(range(5), **more)
    assert str(caught.value) == said


def test_what_an_order_says_is_not_said_again() -> None:
    with pytest.raises(UsageError, match="those of the order"):
        prep.torch.sampler(prep.Order(5), seed=1)
    with pytest.raises(UsageError, match="without hosts and epochs"):
        prep.torch.sampler(prep.Order(5, epochs=1))


def test_a_split_is_read_as_the_page_says(
    output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shards").symlink_to(output)
    monkeypatch.chdir(tmp_path)
    code = code_below("training.md", "PyTorch")
    assert "crop=227" in code
    found: dict[str, Any] = {}
    exec(code.replace("crop=227", "crop=16").replace("128", "8"), found)
    assert found["images"].shape == (5, 3, 16, 16)
    assert found["state"] == found["sampler"].start == 2 * COUNT


# What becomes of an image


def drawn(dataset: Any, count: int = COUNT, first: int = 0) -> list[Any]:
    """Images at known positions."""
    indices = [Drawn(number % len(dataset), first + number) for number in range(count)]
    return [image for image, _ in dataset.__getitems__(indices)]


@pytest.fixture(scope="module")
def vision() -> Any:
    load_torchvision()
    from torchvision.transforms import v2

    return v2.functional


def test_crops_are_those_of_torchvision(vision: Any, output: Path) -> None:
    plain = drawn(prep.torch.dataset(output))
    centre = drawn(prep.torch.dataset(output, crop=(16, 10)))
    assert all(
        torch.equal(found, vision.center_crop(image, [16, 10]))
        for found, image in zip(centre, plain, strict=True)
    )
    ten = drawn(prep.torch.dataset(output, crop=16, ten_crop=True))
    assert all(
        torch.equal(found[:5], torch.stack(vision.five_crop(image, [16, 16])))
        and torch.equal(found[5:], vision.horizontal_flip(found[:5]))
        for found, image in zip(ten, plain, strict=True)
    )
    flipped = drawn(prep.torch.dataset(output, flip=True), 200)
    same = sum(torch.equal(found, plain[number % COUNT]) for number, found in enumerate(flipped))
    assert all(
        torch.equal(found, plain[number % COUNT])
        or torch.equal(found, vision.horizontal_flip(plain[number % COUNT]))
        for number, found in enumerate(flipped)
    )
    assert 70 < same < 130


def test_random_crops_lie_anywhere_in_the_image(output: Path) -> None:
    plain = drawn(prep.torch.dataset(output))
    found = drawn(prep.torch.dataset(output, crop=20, crop_at="random"), 400)
    places = Counter(
        next(
            (row, column)
            for row in range(5)
            for column in range(5)
            if torch.equal(image, plain[number % COUNT][:, row : row + 20, column : column + 20])
        )
        for number, image in enumerate(found)
    )
    assert len(places) == 25
    assert max(places.values()) < 40


def test_channels_are_normalized_as_by_torchvision(vision: Any, output: Path) -> None:
    known = json.loads((output / "mean_rgb.json").read_text())
    mean, std = [known[c] for c in "RGB"], [known["std"][c] for c in "RGB"]
    plain = drawn(prep.torch.dataset(output))
    for normalize, by in (("mean", [1.0] * 3), ("mean_std", std)):
        found = drawn(prep.torch.dataset(output, normalize=normalize))
        expected = [vision.normalize(image.float(), mean, by) for image in plain]
        torch.testing.assert_close(torch.stack(found), torch.stack(expected), atol=1e-5, rtol=1e-5)


def test_light_changes_along_the_principal_components(output: Path) -> None:
    known = json.loads((output / "mean_rgb.json").read_text())
    values, vectors = np.linalg.eigh(np.array(known["covariance"]) / 255**2)
    plain = torch.stack(drawn(prep.torch.dataset(output)))[torch.arange(2000) % COUNT]
    found = torch.stack(drawn(prep.torch.dataset(output, lighting=0.1), 2000))
    change = (found - plain).numpy().astype(float)
    # One colour is added to all of an image.
    assert np.ptp(change, axis=(2, 3)).max() < 1e-3
    alphas = change[:, :, 0, 0] / 255 @ vectors / values
    assert np.abs(alphas.mean(0)).max() < 0.01
    assert np.abs(np.cov(alphas.T) - 0.01 * np.eye(3)).max() < 0.002


def test_transforms_of_torchvision_are_drawn_by_position(vision: Any, output: Path) -> None:
    from torchvision.transforms import v2

    dataset = prep.torch.dataset(
        output, transform=v2.RandomResizedCrop(12, antialias=True), normalize="mean"
    )
    whole = images_of(batches(dataset))
    assert images_of(batches(dataset, workers=2)) == whole
    assert images_of(batches(dataset, start=12)) == whole[12:]
    before = torch.get_rng_state()
    assert dataset[0][0].shape == (3, 12, 12)
    # Samplers of others draw by torch's generator, which goes on.
    assert not torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    first = dataset[0][0]
    assert not torch.equal(dataset[0][0], first)
    torch.manual_seed(1)
    assert torch.equal(dataset[0][0], first)


def test_seeds_may_be_of_numpy(output: Path) -> None:
    seeds = (-5, np.int64(-5))
    images = [prep.torch.dataset(output, seed=seed, **CROP)[Drawn(3, 7)][0] for seed in seeds]
    assert torch.equal(*images)
    with pytest.raises(UsageError, match="seed: expected a whole number, found nothing"):
        prep.torch.dataset(output, seed=None)  # type: ignore[arg-type]


def test_loaders_of_others_draw_anew_each_epoch(output: Path) -> None:
    dataset = prep.torch.dataset(output, crop=16, flip=True)
    loader = DataLoader(dataset, COUNT, num_workers=1)
    assert images_of([*loader]) != images_of([*loader])


@pytest.mark.parametrize(
    ("encoding", "mode", "kind"),
    [("raw", "rgb", "uint8"), ("png", "gray", "uint8"), ("float32", "rgb", "float32")],
)
def test_images_of_other_kinds(encoding: str, mode: str, kind: str, tmp_path: Path) -> None:
    source = write_tree(tmp_path / "source", {"train": {"cat": 2, "dog": 2}})
    (tmp_path / "mean.json").write_text(json.dumps({"R": 120.5, "G": 116.25, "B": 104.0}))
    more = {"mean_file": tmp_path / "mean.json"} if encoding == "float32" else {}
    prepare(
        prep.Config(
            source=source, output=tmp_path / "out", size=24, encoding=encoding, mode=mode, **more
        )
    )
    arrays = [image for image, _ in prep.open(tmp_path / "out")]
    found = drawn(prep.torch.dataset(tmp_path / "out", crop=24), 4)
    for image, array in zip(found, arrays, strict=True):
        assert image.dtype == getattr(torch, kind)
        assert np.array_equal(image.numpy(), array.transpose(2, 0, 1))


def test_images_that_differ_in_size_are_cropped(tmp_path: Path) -> None:
    sizes = [(40, 30), (30, 50), (24, 24), (90, 33), (31, 31)]
    files = {f"{n}.jpg": jpeg(picture(*size, n)) for n, size in enumerate(sizes)}
    source = write_tree(tmp_path / "source", {"train": {"cat": files}})
    prepare(prep.Config(source=source, output=tmp_path / "out", size=24, fit="shorter"))
    dataset = prep.torch.dataset(tmp_path / "out", crop=24, flip=True)
    assert {image.shape for image in drawn(dataset, 5)} == {(3, 24, 24)}
    with pytest.raises(UsageError, match="crop: expected images of at least 28x28, found one of"):
        drawn(prep.torch.dataset(tmp_path / "out", crop=28), 5)


def test_one_hot_labels_are_vectors(output: Path) -> None:
    labels = [
        label for _, label in prep.torch.dataset(output, one_hot=True).__getitems__([0, 5, 28])
    ]
    numbers = prep.open(output).labels[[0, 5, 28]]
    assert torch.equal(torch.stack(labels), torch.eye(3)[numbers])
