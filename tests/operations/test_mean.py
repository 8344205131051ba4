"""Means and standard deviations against NumPy and TensorFlow."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf
from distributed import Client
from PIL import Image

import prep
from prep.errors import ConfigError, RecordError, SourceError
from prep.operations.averaging.mean_report import SampleFacts
from prep.operations.averaging.sampling import RandomDraw
from tests.support.clusters import contents
from tests.support.pictures import image_file, jpeg, picture, write_tree

Pixels = npt.NDArray[np.uint8]
SIZES = [(40, 60), (61, 47), (40, 60), (8, 200), (33, 33), (120, 90), (1, 1)]
COMPRESSIONS = [None, "GZIP", "ZLIB"]


@pytest.fixture(scope="module")
def pictures() -> list[Pixels]:
    """Pictures of many sizes."""
    return [picture(height, width, seed) for seed, (height, width) in enumerate(SIZES)]


@pytest.fixture(scope="module")
def folder(pictures: list[Pixels], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lossless image files, some in subfolders, and three files that are no images."""
    root = tmp_path_factory.mktemp("pictures")
    for number, pixels in enumerate(pictures):
        path = root / "abc"[number % 3] / ("deeper" if number % 2 else "") / f"{number}.PNG"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image_file(pixels, "PNG"))
    (root / "a/empty.png").touch()
    (root / "b/cut-off.jpg").write_bytes(jpeg(pictures[0])[:600])
    (root / "c/gone.png").symlink_to("nowhere")
    (root / "c/notes.txt").write_text("not an image")
    (root / ".hidden.png").write_text("not an image either")
    return root


def numbers(channels: dict[str, float]) -> list[float]:
    assert list(channels) == ["R", "G", "B"]
    return list(channels.values())


def triple(pixels: Pixels) -> npt.NDArray[np.float64]:
    """The mean of one picture."""
    return pixels.astype(np.float64).mean(axis=(0, 1))


# Original images


def test_the_mean_over_images_of_their_means(
    folder: Path, pictures: list[Pixels], client: Client
) -> None:
    report = prep.mean_rgb(folder, client)
    mean = np.mean([triple(pixels) for pixels in pictures], axis=0)
    assert numbers(report.mean) == pytest.approx(list(mean), rel=1e-14)
    # Picking an image and then a pixel of it: the mean square less the square of the mean.
    square = np.mean([(p.astype(float) ** 2).mean(axis=(0, 1)) for p in pictures], axis=0)
    assert numbers(report.std) == pytest.approx(list(np.sqrt(square - mean**2)), rel=1e-12)
    assert (report.images, report.weight) == (len(SIZES), "image")


def test_the_mean_over_all_pixels(folder: Path, pictures: list[Pixels], client: Client) -> None:
    report = prep.mean_rgb(folder, client, weight="pixel")
    pixels = np.concatenate([p.reshape(-1, 3) for p in pictures]).astype(np.int64)
    assert numbers(report.mean) == [int(s) / len(pixels) for s in pixels.sum(axis=0)]
    assert numbers(report.std) == pytest.approx(list(pixels.astype(float).std(axis=0)), rel=1e-12)
    covariance = np.cov(pixels.T, bias=True)
    assert np.array(report.covariance) == pytest.approx(covariance, rel=1e-12)
    unit = prep.mean_rgb(folder, client, weight="pixel", scale=1)
    assert numbers(unit.mean) == pytest.approx(np.array(numbers(report.mean)) / 255, rel=1e-14)
    assert np.array(unit.covariance) == pytest.approx(covariance / 255**2, rel=1e-12)
    assert (report.images, report.weight) == (len(SIZES), "pixel")


def test_the_two_means_of_images_of_other_sizes_differ(folder: Path, client: Client) -> None:
    by_image, by_pixel = (prep.mean_rgb(folder, client, weight=w) for w in ("image", "pixel"))
    assert all(
        abs(a - b) > 0.1
        for a, b in zip(numbers(by_image.mean), numbers(by_pixel.mean), strict=True)
    )


def test_files_that_are_no_pictures_are_left_out_and_named(folder: Path, client: Client) -> None:
    report = prep.mean_rgb(folder, client)
    assert [(Path(r.path).name, r.reason) for r in report.refused] == [
        ("empty.png", "empty"),
        ("cut-off.jpg", "truncated"),
        ("gone.png", "unreadable"),
    ]
    assert [entry["reason"] for entry in report.to_json()["refused"]] == [
        "empty",
        "truncated",
        "unreadable",
    ]


@pytest.mark.parametrize(
    ("pattern", "images"),
    [
        # All of a folder, at any depth.
        ("", 7),
        # The same with a pattern.
        ("**/*.PNG", 7),
        # At one depth only: those with even numbers.
        ("*/*.PNG", 4),
        # One file.
        ("a/0.PNG", 1),
    ],
)
def test_inputs_may_be_a_folder_a_pattern_or_a_file(
    pattern: str, images: int, folder: Path, client: Client
) -> None:
    assert prep.mean_rgb(folder / pattern, client).images == images


def test_a_file_whose_name_looks_like_a_pattern(tmp_path: Path, client: Client) -> None:
    path = tmp_path / "[1]*.png"
    path.write_bytes(image_file(np.full((2, 2, 3), 7, np.uint8), "PNG"))
    assert numbers(prep.mean_rgb(path, client).mean) == [7, 7, 7]


def test_more_images_than_one_task_takes(tmp_path: Path, client: Client) -> None:
    values = np.random.default_rng(0).integers(0, 256, (300, 3))
    for number, value in enumerate(values):
        Image.new("RGB", (1, 1), tuple(value.tolist())).save(tmp_path / f"{number}.png")
    report = prep.mean_rgb(tmp_path, client)
    assert numbers(report.mean) == [int(s) / 300 for s in values.sum(axis=0)]


def test_the_number_of_workers_changes_not_a_bit(folder: Path, client: Client) -> None:
    assert prep.mean_rgb(folder, workers=1) == prep.mean_rgb(folder, client)


def test_a_picture_with_next_to_no_contrast_has_next_to_no_deviation(
    tmp_path: Path, client: Client
) -> None:
    pixels = np.full((32, 32, 3), 5, np.uint8)
    pixels[0, 0] = 6
    (tmp_path / "flat.png").write_bytes(image_file(pixels, "PNG"))
    for weight in ("image", "pixel"):
        report = prep.mean_rgb(tmp_path, client, weight=weight)
        # One sample of 1024 is larger by one: variance (1/1024) (1 - 1/1024).
        assert numbers(report.std) == pytest.approx([np.sqrt(1023) / 1024] * 3, rel=1e-9)


# Shards


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tree(tmp_path_factory.mktemp("means"), {"train": {"cat": 9, "dog": 5}})


def config(source: Path, output: Path, **more: object) -> prep.Config:
    return prep.Config(
        source=str(source), output=str(output), **{"size": 24, "images_per_shard": 5, **more}
    )


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("encoding", ["raw", "float32"])
def test_vectors_give_exactly_the_mean_of_the_run(
    encoding: str, compression: str | None, source: Path, tmp_path: Path, client: Client
) -> None:
    (tmp_path / "mean.json").write_text(json.dumps({"R": 122.7, "G": 116.1, "B": 103.9}))
    mean_file = str(tmp_path / "mean.json") if encoding == "float32" else None
    output = tmp_path / "out"
    options = {"encoding": encoding, "compression": compression, "mean_file": mean_file}
    run = prep.run(config(source, output, **options), client)
    for weight in ("image", "pixel"):
        report = prep.mean_rgb(output / "train/*.tfrecord", client, weight=weight)
        assert report.mean == run.mean
        assert numbers(report.std) == pytest.approx(numbers(run.std), rel=1e-12)
        assert report.images == 14


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_jpegs_give_the_mean_of_what_they_decode_to(
    compression: str | None, source: Path, tmp_path: Path, client: Client
) -> None:
    prep.run(config(source, tmp_path, compression=compression), client)
    report = prep.mean_rgb(tmp_path, client, tfrecord=True)
    decoded = [
        tf.io.decode_jpeg(image, dct_method="INTEGER_ACCURATE").numpy()
        for image in images_of(tmp_path.glob("train/*.tfrecord"), compression or "")
    ]
    assert len(decoded) == 14
    # The two decoders may differ by one in a sample here and there.
    assert numbers(report.mean) == pytest.approx(list(np.mean(decoded, axis=(0, 1, 2))), abs=0.02)


def images_of(files: Sequence[Path], compression: str) -> list[bytes]:
    features = {"image_raw": tf.io.FixedLenFeature([], tf.string)}
    records = tf.data.TFRecordDataset([*map(str, files)], compression_type=compression)
    parsed = records.map(lambda record: tf.io.parse_single_example(record, features)["image_raw"])
    return list(parsed.as_numpy_iterator())


def write_as_the_article(path: Path, images: Sequence[bytes], compression: str) -> None:
    """The article's worker_tf_write, from the encoded image on."""

    def int64_feature(value: int) -> tf.train.Feature:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))

    def bytes_feature(value: bytes) -> tf.train.Feature:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    options = tf.io.TFRecordOptions(compression_type=compression)
    with tf.io.TFRecordWriter(str(path), options) as tf_writer:
        for image_raw in images:
            row = tf.train.Example(
                features=tf.train.Features(
                    feature={"label": int64_feature(1), "image_raw": bytes_feature(image_raw)}
                )
            )
            tf_writer.write(row.SerializeToString())


def test_shards_made_by_the_article_s_code_are_read(tmp_path: Path, client: Client) -> None:
    images = [jpeg(picture(64, 64, seed)) for seed in range(6)]
    write_as_the_article(tmp_path / "train-0.tfrecord", images[:4], "GZIP")
    write_as_the_article(tmp_path / "train-1.tfrecord", images[4:], "")
    report = prep.mean_rgb(tmp_path, client)
    decoded = [tf.io.decode_jpeg(i, dct_method="INTEGER_ACCURATE").numpy() for i in images]
    assert numbers(report.mean) == pytest.approx(list(np.mean(decoded, axis=(0, 1, 2))), abs=0.02)
    assert report.images == 6


def test_vectors_by_others_are_known_by_their_length(tmp_path: Path, client: Client) -> None:
    squares = [np.ascontiguousarray(picture(16, 16, seed)) for seed in range(3)]
    write_as_the_article(tmp_path / "raw.tfrecord", [s.tobytes() for s in squares], "")
    report = prep.mean_rgb(tmp_path, client)
    total = np.stack(squares).astype(np.int64).sum(axis=(0, 1, 2))
    assert numbers(report.mean) == [int(s) / (3 * 256) for s in total]


def test_vectors_that_may_be_of_either_kind_are_not_guessed_at(
    source: Path, tmp_path: Path, client: Client
) -> None:
    """Away from their output, nothing tells float32 samples from twice as wide a raw square."""
    (tmp_path / "mean.json").write_text(json.dumps({"R": 122.7, "G": 116.1, "B": 103.9}))
    options = {"encoding": "float32", "mean_file": str(tmp_path / "mean.json")}
    prep.run(config(source, tmp_path / "out", **options), client)
    (tmp_path / "out/train").rename(tmp_path / "elsewhere")
    with pytest.raises(RecordError, match=r"elsewhere/train-0000\d-of-00003\.tfrecord"):
        prep.mean_rgb(tmp_path / "elsewhere", client)


def test_an_empty_shard_adds_nothing(tmp_path: Path, client: Client) -> None:
    write_as_the_article(tmp_path / "1.tfrecord", [image_file(picture(8, 8), "PNG")], "")
    alone = prep.mean_rgb(tmp_path, client)
    write_as_the_article(tmp_path / "2.tfrecord", [], "")
    write_as_the_article(tmp_path / "3.tfrecord", [], "GZIP")
    assert prep.mean_rgb(tmp_path, client) == alone


def garble(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :]


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("harm", ["cut", "garbled"])
def test_a_damaged_shard_is_named(
    harm: str, compression: str | None, source: Path, tmp_path: Path, client: Client
) -> None:
    prep.run(config(source, tmp_path, compression=compression), client)
    shard = tmp_path / "train/train-00001-of-00003.tfrecord"
    data = shard.read_bytes()
    shard.write_bytes(data[:-5] if harm == "cut" else garble(data, len(data) // 2))
    with pytest.raises(RecordError, match=r"train-00001-of-00003\.tfrecord"):
        prep.mean_rgb(tmp_path / "train", client)


def test_the_damaged_record_is_named(tmp_path: Path, client: Client) -> None:
    images = [image_file(picture(8, 8), "PNG")] * 3
    write_as_the_article(tmp_path / "a.tfrecord", images, "")
    data = (tmp_path / "a.tfrecord").read_bytes()
    # All three records are of one length. Counting from 0, the middle one is record 1.
    (tmp_path / "a.tfrecord").write_bytes(garble(data, len(data) // 2))
    with pytest.raises(RecordError, match=r"a\.tfrecord: record 1: "):
        prep.mean_rgb(tmp_path, client)


def test_a_damaged_image_in_a_whole_record_is_named(tmp_path: Path, client: Client) -> None:
    images = [jpeg(picture(40, 40)), jpeg(picture(40, 40))[:500]]
    write_as_the_article(tmp_path / "a.tfrecord", images, "")
    with pytest.raises(RecordError, match=r"a\.tfrecord: record 1: .*truncated"):
        prep.mean_rgb(tmp_path, client)


def test_after_a_damaged_shard_the_given_client_still_works(
    folder: Path, tmp_path: Path, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.tfrecord").write_bytes(b"no records at all")
    mine = client.submit(sum, [20, 22])
    mine.result()
    with pytest.raises(RecordError):
        prep.mean_rgb(tmp_path, client)
    assert prep.mean_rgb(folder, client).images == len(SIZES)
    assert mine.status == "finished"
    assert "AssertionError" not in caplog.text


# Nothing to sum


@pytest.mark.parametrize("tfrecord", [None, True, False])
def test_nothing_found(tfrecord: bool | None, tmp_path: Path, client: Client) -> None:
    (tmp_path / "notes.txt").write_text("not an image")
    for inputs in (tmp_path, tmp_path / "*.jpg", tmp_path / "absent"):
        with pytest.raises(SourceError, match="nothing found"):
            prep.mean_rgb(inputs, client, tfrecord=tfrecord)


def test_nothing_readable(tmp_path: Path, client: Client) -> None:
    (tmp_path / "1.png").touch()
    with pytest.raises(SourceError, match=r"none of its 1 images could be read.*empty"):
        prep.mean_rgb(tmp_path, client)
    (tmp_path / "a.zip").write_bytes(b"PK")
    with pytest.raises(SourceError, match="of archives and lists, prep run tells the mean"):
        prep.mean_rgb(tmp_path / "a.zip", client)


def test_arguments_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="weight"):
        prep.mean_rgb(tmp_path, weight="class")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="scale: got 2; expected 1 or 255"):
        prep.mean_rgb(tmp_path, scale=2)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"^input: got a list; expected a path or a URL"):
        prep.mean_rgb([(b"image", "cat")])  # type: ignore[list-item]


# Real photos


def test_real_photos(photos: Path, client: Client) -> None:
    report: prep.MeanReport = prep.mean_rgb(photos / "val/**/*.JPEG", client)
    files = contents(photos / "val", "*/*.JPEG")
    means = [
        tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE").numpy().mean((0, 1))
        for data in files.values()
    ]
    assert report.images == len(files)
    assert numbers(report.mean) == pytest.approx(list(np.mean(means, axis=0)), abs=0.02)


# Samples and approximations


@pytest.fixture(scope="module")
def flats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty images of two sizes, each of one gray, in folders of classes."""
    root = tmp_path_factory.mktemp("flats")
    for number in range(40):
        path = root / f"{number % 4}" / f"{number:02}.png"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (1 + number % 2, 2), (6 * number, number, 255 - number)).save(path)
    return root


def test_a_sample_has_the_standard_error_of_its_images(flats: Path, client: Client) -> None:
    report = prep.mean_rgb(flats, client, sample=0.25)
    assert report.sample == SampleFacts(fraction=0.25, seed=0, drawn=10, of=40)
    drawn = RandomDraw(fraction=0.25).among([*map(str, flats.glob("*/*"))])
    colours = np.array(
        [np.array(Image.open(f))[0, 0] for f in drawn.files(sorted(map(str, flats.glob("*/*"))))]
    )
    assert len(colours) == report.images == 10
    assert numbers(report.mean) == pytest.approx(colours.mean(0))
    assert report.standard_error is not None
    expected = np.sqrt((1 - 10 / 40) * colours.var(0, ddof=1) / 10)
    assert numbers(report.standard_error) == pytest.approx(expected)
    stored = report.to_json()
    assert stored["sample"] == {"fraction": 0.25, "seed": 0, "drawn": 10, "of": 40}
    assert stored["standard_error"] == report.standard_error


def test_a_sample_is_the_same_wherever_it_lies_and_part_of_a_larger_one(flats: Path) -> None:
    names = sorted(str(path.relative_to(flats)) for path in flats.glob("*/*"))

    def drawn(root: str, fraction: float, seed: int = 0) -> set[str]:
        paths = [f"{root}{name}" for name in names]
        found = RandomDraw(fraction=fraction, seed=seed).among(paths).files(paths)
        return {path.removeprefix(root) for path in found}

    assert drawn("/a/", 0.3) == drawn("s3://bucket/deep/", 0.3) < drawn("/a/", 0.5)
    assert len(drawn("/a/", 0.3)) == 12
    assert drawn("/a/", 0.3, seed=1) != drawn("/a/", 0.3)
    assert len(drawn("/a/", 0.001)) == 2  # or there would be no standard error
    times = sum(("0/00.png" in drawn("/a/", 0.3, seed)) for seed in range(400))
    assert times == 118  # of 120 that are to be expected, and always the same


def test_a_sample_of_shards_is_of_their_images(flats: Path, tmp_path: Path, client: Client) -> None:
    config = prep.Config(
        source=str(flats), output=str(tmp_path), size=1, encoding="raw", images_per_shard=7
    )
    prep.run(config, client)
    exact = prep.mean_rgb(tmp_path, client, tfrecord=True)
    report = prep.mean_rgb(tmp_path, client, tfrecord=True, sample=0.5)
    assert report.sample is not None
    assert report.standard_error is not None
    assert report.sample.of == exact.images == 40
    assert 12 <= report.sample.drawn == report.images <= 28
    off = np.array(numbers(report.mean)) - np.array(numbers(exact.mean))
    assert (np.abs(off) < 3 * np.array(numbers(report.standard_error))).all()
    assert (np.abs(off) > 0).all()


def test_without_std_there_is_the_same_mean_alone(folder: Path, client: Client) -> None:
    for weight in ("image", "pixel"):
        report = prep.mean_rgb(folder, client, weight=weight, std=False)
        assert report.mean == prep.mean_rgb(folder, client, weight=weight).mean
        assert (report.std, report.covariance, report.standard_error) == (None, None, None)
        assert set(report.to_json()) == {"R", "G", "B", "scale", "images", "weight", "refused"}


def test_small_images_and_other_formats_are_not_approximated(folder: Path, client: Client) -> None:
    report = prep.mean_rgb(folder, client, approximate=True)
    assert report.mean == prep.mean_rgb(folder, client).mean
    assert (report.approximation, report.standard_error, report.std) == (None, None, None)


def test_an_approximate_mean_of_photos_is_near_the_exact_one(photos: Path, client: Client) -> None:
    for weight in ("image", "pixel"):
        exact = prep.mean_rgb(photos / "val", client, std=False, weight=weight)
        report = prep.mean_rgb(photos / "val", client, approximate=True, weight=weight)
        assert report.approximation is not None
        assert report.standard_error is not None
        assert report.approximation.images > 0.9 * report.images == 0.9 * exact.images
        off = np.abs(np.array(numbers(report.mean)) - np.array(numbers(exact.mean)))
        error = np.array(numbers(report.standard_error))
        assert (off < 4 * error).all()
        assert (error < 0.1).all()
        assert max(map(abs, report.approximation.bias.values())) < 0.4


def test_the_order_of_inputs_changes_not_a_bit(photos: Path, client: Client) -> None:
    """Neither does it change which images are decoded in full as well."""
    folders = sorted((photos / "val").iterdir())[:3]
    first, second = (
        prep.mean_rgb(inputs, client, approximate=True) for inputs in (folders, folders[::-1])
    )
    assert first == second


def test_an_estimated_mean_is_not_subtracted_in_silence(
    flats: Path, tmp_path: Path, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "mean.json"
    for sample, warnings in ((None, 0), (0.5, 1)):
        report = prep.mean_rgb(flats, client, sample=sample)
        file.write_text(json.dumps(report.to_json()))
        caplog.clear()
        prep.plan(config(flats, tmp_path / "out", encoding="float32", mean_file=str(file)))
        assert caplog.text.count("mean.json' was estimated and has a standard error") == warnings


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sample": 0}, "sample: got 0; expected a fraction"),
        ({"sample": 1}, "sample: got 1; expected a fraction"),
        ({"sample": True}, "sample: got true; expected a fraction"),
        ({"sample": "0.1"}, "sample: got '0.1'; expected a fraction"),
        ({"sample": float("nan")}, "sample: got nan; expected a fraction"),
        ({"sample": 0.5, "seed": -1}, "seed: got -1; expected a whole number"),
        ({"seed": 3}, "seed: got 3 without sample"),
    ],
)
def test_samples_that_are_none(arguments: dict[str, Any], message: str, folder: Path) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        prep.mean_rgb(folder, **arguments)


def test_a_sample_of_too_few_images_is_an_error(tmp_path: Path, client: Client) -> None:
    (tmp_path / "1.png").write_bytes(image_file(picture(8, 8), "PNG"))
    assert prep.mean_rgb(tmp_path, client, sample=0.1).standard_error == dict.fromkeys("RGB", 0)
    for number in range(2, 9):
        (tmp_path / f"{number}.png").touch()
    with pytest.raises(SourceError, match=r"^sample: only 1 of 8 images was drawn and read"):
        prep.mean_rgb(tmp_path, client, sample=0.9)
