"""Readers for PyTorch, on the same prepared photos: ``python -m bench.torch_readers``.

prep.torch reads its shards. torchvision's ImageFolder reads the same JPEGs as files, by Pillow.
LitData reads them from its own chunks, decoded as prep.torch does it. All give uint8 tensors in a
random order, from a DataLoader with workers. They take turns; what counts is the median over the
rounds of ratios within a round. Processor time includes that of workers, which are started anew
each time.
"""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
import simplejpeg
import torch
from torch.utils.data import DataLoader

import prep
import prep.torch
from bench.photos import collect_originals, link_set, photos_option
from bench.settings import DATA, SCRATCH, SIZE
from tests.support.torchvision_ops import load_torchvision

CROP = 227
Reader = Callable[[], Iterable[Any]]


@click.command()
@photos_option
@click.option("--images", default=4000, show_default=True, help="Images to read.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--workers", default=2, show_default=True)
@click.option("--batch", default=128, show_default=True)
def main(photos: Path | None, images: int, rounds: int, workers: int, batch: int) -> None:
    """Compare readers for PyTorch."""
    source = link_set(collect_originals(photos, DATA), DATA, images)
    output = SCRATCH / f"torch-{images}"
    prep.run(prep.Config(source=source, output=output, size=SIZE, images_per_shard=1024))
    # LitData would have workers spawned, which takes seconds.
    options = {"batch_size": batch, "num_workers": workers, "multiprocessing_context": "fork"}
    for augmented in (False, True):
        print(f"crop of {CROP} and flip" if augmented else "as they are")
        readers = {
            "prep.torch": _of_prep(output, augmented, options),
            "ImageFolder": _of_folder(_as_files(output), augmented, options),
            "LitData": _of_litdata(_as_chunks(output), augmented, options),
        }
        compare(readers, images, rounds)


def compare(readers: dict[str, Reader], images: int, rounds: int) -> None:
    """Print images per second, and processor time for each, of all readers in turns."""
    walls: dict[str, list[float]] = {name: [] for name in readers}
    times: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(rounds):
        for name, reader in readers.items():
            begun, used = time.perf_counter(), _processor_time()
            found = sum(len(batch[1]) for batch in reader())
            walls[name].append(time.perf_counter() - begun)
            times[name].append(_processor_time() - used)
            if found != images:
                raise SystemExit(f"{name}: expected {images} images, found {found}")
    for name in readers:
        rate = images / statistics.median(walls[name])
        each = statistics.median(times[name]) / images * 1e6
        against = [
            [
                theirs / ours
                for theirs, ours in zip(figures[name], figures["prep.torch"], strict=True)
            ]
            for figures in (walls, times)
        ]
        wall, used = map(statistics.median, against)
        print(
            f"  {name:12} {rate:7,.0f} images/s, {each:5,.0f} µs of processor time each; "
            f"takes {wall:.2f} of the time of prep.torch, {used:.2f} of its processor time"
        )


def _processor_time() -> float:
    """Return the seconds that this process and its children that have ended have used."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _of_prep(output: Path, augmented: bool, options: dict[str, Any]) -> Reader:
    more: dict[str, Any] = {"crop": CROP, "flip": True} if augmented else {}
    dataset = prep.torch.dataset(output, **more)
    return lambda: DataLoader(dataset, sampler=prep.torch.sampler(dataset), **options)


def _of_folder(folder: Path, augmented: bool, options: dict[str, Any]) -> Reader:
    datasets = load_torchvision().datasets
    from torchvision.transforms import v2

    steps = [v2.RandomCrop(CROP), v2.RandomHorizontalFlip()] if augmented else []
    dataset = datasets.ImageFolder(str(folder), v2.Compose([v2.PILToTensor(), *steps]))
    return lambda: DataLoader(dataset, shuffle=True, **options)


def _of_litdata(chunks: Path, augmented: bool, options: dict[str, Any]) -> Reader:
    import litdata
    from torchvision.transforms import v2

    steps = v2.Compose(
        [v2.RandomCrop(CROP), v2.RandomHorizontalFlip()] if augmented else [v2.Identity()]
    )

    class Pictures(litdata.StreamingDataset):  # type: ignore[misc]
        def __getitem__(self, index: Any) -> tuple[torch.Tensor, int]:
            data, label = super().__getitem__(index)
            image = torch.from_numpy(simplejpeg.decode_jpeg(data, "RGB"))
            return steps(image.permute(2, 0, 1).contiguous()), label

    dataset = Pictures(str(chunks), shuffle=True)
    return lambda: litdata.StreamingDataLoader(dataset, **options)


def _as_files(output: Path) -> Path:
    """Write the images of an output as files in folders by class, once."""
    folder = output.parent / f"{output.name}-files"
    if not folder.exists():
        images = prep.open(output, decode=False)
        for number, (data, label) in enumerate(images):
            path = folder / f"{int(label):03d}" / f"{number:06d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(bytes(data))
    return folder


def _as_chunks(output: Path) -> Path:
    """Write the images of an output as chunks of LitData, once."""
    import litdata

    folder = output.parent / f"{output.name}-chunks"
    if not folder.exists():
        images = prep.open(output, decode=False)
        litdata.optimize(
            fn=_Record(images),
            inputs=list(range(len(images))),
            output_dir=str(folder),
            chunk_bytes="64MB",
            num_workers=1,
        )
    return folder


class _Record:
    """Returns a record by its number, in another process as well."""

    def __init__(self, images: Any) -> None:
        self._images = images

    def __call__(self, number: int) -> tuple[bytes, int]:
        data, label = self._images[number]
        return bytes(data), int(label)


if __name__ == "__main__":
    main()
