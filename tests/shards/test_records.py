"""tf.train.Examples and TFRecord files against TensorFlow's own writer and reader."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from prep.errors import RecordError
from prep.settings.choices import Compression
from prep.shards.formats.base import Record
from prep.shards.formats.example import example, label_entry, number_entry
from prep.shards.formats.example_parsing import example_values, parse_example
from prep.shards.formats.tfrecord import FORMAT, detect_compression, frame
from tests.support.pictures import short

COMPRESSIONS: tuple[Compression | None, ...] = (None, "GZIP", "ZLIB")
# Among them one that is empty, one of nothing but zeros, and one larger than a read of the file.
RECORDS = (b"first", b"", bytes(300), bytes(range(256)) * 5000)

int64 = st.integers(-(1 << 63), (1 << 63) - 1)
images = st.binary(max_size=300)
labels = st.lists(int64, min_size=1, max_size=5)


def int64_feature(values: Sequence[int]) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def bytes_feature(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def tf_example(**features: tf.train.Feature) -> bytes:
    message = tf.train.Example(features=tf.train.Features(feature=features))
    return bytes(message.SerializeToString(deterministic=True))


def written(records: Iterable[bytes], compression: Compression | None = None) -> bytes:
    """The bytes of a file of ours."""
    file = io.BytesIO()
    writer = FORMAT.writer(file, compression)
    for record in records:
        writer.write((record,))
    writer.finish()
    return file.getvalue()


def written_by_tf(records: Iterable[bytes], compression: Compression | None, path: Path) -> bytes:
    """The bytes of a file of TensorFlow's."""
    options = tf.io.TFRecordOptions(compression_type=compression or "")
    with tf.io.TFRecordWriter(str(path), options) as writer:
        for record in records:
            writer.write(record)
    return path.read_bytes()


def read(data: bytes) -> list[bytes]:
    return list(FORMAT.records(io.BytesIO(data)))


@pytest.mark.parametrize(
    ("image", "label"),
    [
        (b"jpeg", [0]),  # zero: proto3 leaves out a zero of its own, but not one in a list
        (b"jpeg", [127]),  # the largest varint of one byte
        (b"jpeg", [128]),  # the smallest of two
        (b"jpeg", [-1]),  # a negative number takes ten bytes
        (b"jpeg", [(1 << 63) - 1]),  # the largest int64
        (b"jpeg", [-(1 << 63)]),  # the smallest
        (b"jpeg", [0, 0, 1, 0]),  # one-hot
        (b"jpeg", [0] * 999 + [1]),  # one-hot, with lengths of two bytes all the way out
        (b"", [1]),  # an empty image is still there
        (b"x" * 127, [1]),  # lengths about to need a second byte, at some level
        (bytes(200_000), [1]),  # lengths of three bytes
    ],
    ids=short,
)
def test_an_example_is_byte_for_byte_what_tensorflow_makes(image: bytes, label: list[int]) -> None:
    ours = example(image, label_entry(label))
    assert ours == tf_example(image_raw=bytes_feature(image), label=int64_feature(label))


@given(image=images, label=labels)
def test_any_example_is_byte_for_byte_what_tensorflow_makes(image: bytes, label: list[int]) -> None:
    ours = example(image, label_entry(label))
    assert ours == tf_example(image_raw=bytes_feature(image), label=int64_feature(label))


@given(image=images, label=labels)
def test_an_example_reads_back(image: bytes, label: list[int]) -> None:
    assert parse_example(example(image, label_entry(label))) == (image, tuple(label))


@given(image=images, label=labels, other=st.floats(width=32), name=st.text(max_size=5))
def test_an_example_of_tensorflow_with_other_features_reads(
    image: bytes, label: list[int], other: float, name: str
) -> None:
    data = tf_example(
        **{
            f"a {name}": bytes_feature(name.encode()),
            f"z {name}": tf.train.Feature(float_list=tf.train.FloatList(value=[other])),
            "empty": tf.train.Feature(),
            "image_raw": bytes_feature(image),
            "label": int64_feature(label),
        }
    )
    assert parse_example(data) == (image, tuple(label))


names = st.text(max_size=5) | st.sampled_from(["image_raw", "label", "image/class/label"])


@given(image=images, label=labels, others=st.dictionaries(names, labels, max_size=3))
def test_an_example_with_the_features_of_tf_slim_reads(
    image: bytes, label: list[int], others: dict[str, list[int]]
) -> None:
    features = {name: int64_feature(values) for name, values in others.items()}
    features.pop("image_raw", None)  # It would be the image.
    slim = {"image/encoded": bytes_feature(image), "image/class/label": int64_feature(label)}
    data = tf_example(**features | slim)
    assert parse_example(data) == (image, tuple(label))
    found = example_values(data)
    assert found.pop("image/encoded") == (image,)
    assert found == {
        name: tuple(feature.int64_list.value)
        for name, feature in (features | slim).items()
        if name != "image/encoded"
    }


def test_features_read_in_any_order() -> None:
    label = label_entry([5])
    whole = example(b"image", label)
    image = whole[2 : -len(label)]
    turned_round = whole[:2] + label + image
    assert tf.train.Example.FromString(turned_round).features.feature["label"]  # it is valid
    assert parse_example(turned_round) == parse_example(whole) == (b"image", (5,))


def test_numbers_that_are_not_packed_read() -> None:
    # label's Int64List as proto2 writes it: field 1 again and again, each a varint of its own.
    int64_list = bytes([1 << 3, 7, 1 << 3, 9])
    feature = bytes([3 << 3 | 2, len(int64_list)]) + int64_list
    entry = b"\x0a\x05label" + bytes([2 << 3 | 2, len(feature)]) + feature
    data = example(b"image", bytes([1 << 3 | 2, len(entry)]) + entry)
    theirs = tf.train.Example.FromString(data).features.feature["label"].int64_list.value
    assert parse_example(data).label == tuple(theirs) == (7, 9)


@pytest.mark.parametrize("numbers", [(0.25,), (0.5, -3.0, 1e-9), tuple([0.125] * 300)])
def test_labels_that_are_floats_are_written_as_tensorflow_does(numbers: tuple[float, ...]) -> None:
    feature = tf.train.Feature(float_list=tf.train.FloatList(value=numbers))
    theirs = tf_example(image_raw=bytes_feature(b"image"), label=feature)
    values = np.array(numbers, "<f4")
    assert example(b"image", number_entry(values.tobytes())) == theirs
    assert parse_example(theirs) == Record(b"image", tuple(values.tolist()))


def test_a_label_of_no_class_at_all_is_an_empty_list() -> None:
    theirs = tf_example(image_raw=bytes_feature(b"image"), label=int64_feature([]))
    assert example(b"image", label_entry([])) == theirs
    assert parse_example(theirs) == Record(b"image", ())


@pytest.mark.parametrize(
    "data",
    [
        b"",  # no features at all
        b"not a protobuf",  # a text
        example(b"image", label_entry([1]))[:-3],  # cut off
        example(b"image", b""),  # no label
        tf_example(label=int64_feature([1])),  # no image
        tf_example(image_raw=int64_feature([1]), label=int64_feature([1])),  # image: numbers
        tf_example(image_raw=bytes_feature(b""), label=bytes_feature(b"cat")),  # label: text
    ],
    ids=short,
)
def test_what_is_no_example_of_ours_is_refused(data: bytes) -> None:
    with pytest.raises(RecordError):
        parse_example(data)


def test_a_plain_file_is_byte_for_byte_what_tensorflow_writes(tmp_path: Path) -> None:
    assert written(RECORDS) == written_by_tf(RECORDS, None, tmp_path / "theirs")


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_tensorflow_reads_exactly_our_records(
    tmp_path: Path, compression: Compression | None
) -> None:
    path = tmp_path / "ours"
    path.write_bytes(written(RECORDS, compression))
    dataset = tf.data.TFRecordDataset(str(path), compression_type=compression or "")
    assert tuple(dataset.as_numpy_iterator()) == RECORDS


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_we_read_exactly_tensorflows_records(
    tmp_path: Path, compression: Compression | None
) -> None:
    assert tuple(read(written_by_tf(RECORDS, compression, tmp_path / "theirs"))) == RECORDS


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_the_compression_of_a_file_is_detected(
    tmp_path: Path, compression: Compression | None
) -> None:
    theirs = written_by_tf(RECORDS, compression, tmp_path / "theirs")
    assert detect_compression(theirs[:12]) == compression
    assert detect_compression(written(RECORDS, compression)[:12]) == compression


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_file_without_records_has_none(compression: Compression | None) -> None:
    assert read(written([], compression)) == []


@given(records=st.lists(images, max_size=5), compression=st.sampled_from(COMPRESSIONS))
def test_any_records_read_back(records: list[bytes], compression: Compression | None) -> None:
    assert read(written(records, compression)) == records


@given(head=st.binary(min_size=1, max_size=12))
def test_what_is_no_record_file_is_not_taken_for_a_plain_one(head: bytes) -> None:
    # That 12 random bytes hold their own checksum is one chance in four thousand million.
    with contextlib.suppress(RecordError):
        assert detect_compression(head) is not None


@pytest.mark.parametrize(
    ("at", "message"),
    [
        (0, "length"),  # the second record's length
        (8, "length"),  # the checksum of that
        (12, "data"),  # its data
        (15, "data"),  # the checksum of that
    ],
)
def test_a_changed_bit_is_found(at: int, message: str) -> None:
    first = frame(b"whole")
    damaged = bytearray(first + frame(b"abc") + frame(b"more"))
    damaged[len(first) + at] ^= 1
    records = FORMAT.records(io.BytesIO(bytes(damaged)))
    assert next(records) == b"whole"
    with pytest.raises(RecordError, match=f"checksum of a record's {message}, at byte 21"):
        next(records)


@given(bit=st.integers(0, 8 * len(frame(b"abc") + frame(b"defg")) - 1))
def test_any_changed_bit_is_found(bit: int) -> None:
    damaged = bytearray(frame(b"abc") + frame(b"defg"))
    damaged[bit // 8] ^= 1 << bit % 8
    with pytest.raises(RecordError):
        read(bytes(damaged))


def test_a_plain_file_cut_anywhere_but_between_records_is_refused() -> None:
    records = [b"abc", b"", b"defg"]
    whole = written(records)
    boundaries = {0: 0, 19: 1, 35: 2, 55: 3}  # 16 bytes beside the data of each record
    assert max(boundaries) == len(whole)
    for cut in range(len(whole) + 1):
        if cut in boundaries:
            assert read(whole[:cut]) == records[: boundaries[cut]]
        else:
            with pytest.raises(RecordError):
                read(whole[:cut])


@pytest.mark.parametrize("compression", ["GZIP", "ZLIB"])
def test_a_compressed_file_cut_anywhere_is_refused(compression: Compression) -> None:
    whole = written([b"abc", b"", b"defg"], compression)
    for cut in range(1, len(whole)):  # The last ones lack nothing but bytes of the trailer.
        with pytest.raises(RecordError):
            read(whole[:cut])


@pytest.mark.parametrize("compression", ["GZIP", "ZLIB"])
def test_a_changed_bit_in_a_compressed_stream_is_found(compression: Compression) -> None:
    whole = written([b"abc", b"", b"defg"], compression)
    # gzip's header (10 bytes) holds a time and the like, of which nothing depends.
    for at in range(10 if compression == "GZIP" else 0, len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 1
        with pytest.raises(RecordError):
            read(bytes(damaged))


def test_gzip_members_that_follow_each_other_are_all_read(tmp_path: Path) -> None:
    data = written([b"abc"], "GZIP") + written([b"defg"], "GZIP")
    (tmp_path / "both").write_bytes(data)
    theirs = tf.data.TFRecordDataset(str(tmp_path / "both"), compression_type="GZIP")
    assert read(data) == list(theirs.as_numpy_iterator()) == [b"abc", b"defg"]


@pytest.mark.parametrize("compression", ["GZIP", "ZLIB"])
def test_what_follows_a_stream_is_not_passed_over_in_silence(compression: Compression) -> None:
    with pytest.raises(RecordError):
        read(written([b"abc"], compression) + b"something else")


def is_even(number: int) -> bool:
    return number % 2 == 0


@given(st.lists(st.binary(max_size=40), max_size=8), st.sampled_from(COMPRESSIONS))
def test_records_that_are_not_wanted_are_counted(
    records: list[bytes], compression: Compression | None
) -> None:
    file = io.BytesIO(written(records, compression))
    found = list(FORMAT.scan(file, wanted=is_even))
    assert found == [data if is_even(n) else None for n, data in enumerate(records)]
    file.seek(0)
    assert FORMAT.count(file) == len(records)


def test_chosen_records_are_those_with_their_numbers() -> None:
    records = [example(b"%d" % n, label_entry([n])) for n in range(5)]
    file = io.BytesIO(written(records))
    assert list(FORMAT.chosen(file, {9, 3, 1})) == [(n, (b"%d" % n, (n,))) for n in (1, 3)]
    assert list(FORMAT.chosen(file, ())) == []


def test_of_wanted_records_checksums_are_checked_and_of_others_the_lengths() -> None:
    data = bytearray(written([b"first", b"second", b"third"]))
    second = len(written([b"first"]))
    data[second + 14] ^= 1  # in its data
    assert list(FORMAT.scan(io.BytesIO(data), wanted=is_even)) == [b"first", None, b"third"]
    with pytest.raises(RecordError, match=f"record's data, at byte {second}"):
        read(bytes(data))
    data[second + 3] ^= 1  # in its length
    with pytest.raises(RecordError, match=f"record's length, at byte {second}"):
        FORMAT.count(io.BytesIO(data))
