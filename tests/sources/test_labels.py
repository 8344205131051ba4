"""Label maps: numbers or one-hot lists, read, built and checked."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import prep
from prep.errors import LabelError
from prep.sources.labels import LabelMap

names = st.text(min_size=1, max_size=8)


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_classes_are_numbered_by_name() -> None:
    assert LabelMap.build(["dog", "Ant", "cat", "dog"]).numbers == {"Ant": 0, "cat": 1, "dog": 2}


@given(classes=st.sets(names, max_size=8))
def test_a_built_map_has_a_number_for_each_class_and_no_gaps(classes: set[str]) -> None:
    numbers = LabelMap.build(classes).numbers
    assert set(numbers) == classes
    assert sorted(numbers.values()) == list(range(len(classes)))


def test_numbers_are_features_of_one_integer(tmp_path: Path) -> None:
    labels = LabelMap.read(written(tmp_path / "map", '{"cat": 3, "dog": -7, "ox": 3}'))
    assert [labels.feature(name) for name in ("cat", "dog", "ox")] == [(3,), (-7,), (3,)]


def test_one_hot_lists_are_features_as_they_stand(tmp_path: Path) -> None:
    labels = LabelMap.read(written(tmp_path / "map", '{"cat": [0, 0, 1], "dog": [1, 0, 0]}'))
    assert labels.width == 3
    assert labels.feature("cat") == (0, 0, 1)
    assert labels.feature("dog") == (1, 0, 0)


def one_hot(width: int) -> st.SearchStrategy[list[int]]:
    return st.integers(0, width - 1).map(lambda one: [int(i == one) for i in range(width)])


one_hot_maps = st.integers(1, 6).flatmap(
    lambda width: st.dictionaries(names, one_hot(width), min_size=1)
)
number_maps = st.dictionaries(names, st.integers(-(1 << 63), (1 << 63) - 1), min_size=1)


@given(value=one_hot_maps | number_maps)
def test_any_map_is_stored_as_it_was_read(value: dict[str, Any]) -> None:
    assert LabelMap.parse(json.loads(json.dumps(value))).to_json() == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "can't be read"),  # an empty file
        ("{", "can't be read"),  # no JSON
        ("[1, 2]", "expected a mapping"),  # a list
        ("{}", "expected a mapping"),  # no classes
        ('{"cat": "3"}', "class 'cat' has \"3\"; expected a whole number"),  # a number as text
        ('{"cat": 1.0}', "class 'cat' has 1.0; expected a whole number"),  # a float
        (
            '{"cat": true}',
            "class 'cat' has true; expected a whole number",
        ),  # a kind of int to Python
        ('{"cat": null}', "class 'cat' has null; expected a whole number"),  # nothing
        ('{"cat": 9223372036854775808}', "class 'cat' has 9223372036854775808"),  # past int64
        ('{"cat": 1, "dog": [0, 1]}', "class 'dog' has [0, 1]; expected a whole number"),  # mixed
        ('{"cat": [0, 1], "dog": 1}', "class 'dog' has 1; expected a list of 2"),  # the other way
        ('{"cat": [0, 1], "dog": [1]}', "class 'dog' has [1]; expected a list of 2"),  # lengths
        ('{"cat": [1, 1]}', "class 'cat' has [1, 1]; expected a list of 2"),  # two ones
        ('{"cat": [0, 0]}', "class 'cat' has [0, 0]; expected a list of 2"),  # none
        ('{"cat": [0, 2]}', "class 'cat' has [0, 2]; expected a list of 2"),  # another number
        ('{"cat": [false, true]}', "class 'cat' has [false, true]"),  # not numbers
        ('{"cat": []}', "class 'cat' has []"),  # an empty list
        ('{"cat": [0, 1], "cat": [1, 0]}', "'cat'"),  # a class twice: which is it?
    ],
)
def test_what_is_no_label_map_is_refused_by_name(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path / "map.json", text)
    with pytest.raises(LabelError) as error:
        LabelMap.read(path)
    assert said in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_map_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match=r"absent\.json"):
        LabelMap.read(tmp_path / "absent.json")


def test_a_pipe_beside_the_images_is_no_label_map(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat/1.jpg").write_bytes(b"an image")
    os.mkfifo(tmp_path / "label_map.json")
    with pytest.raises(LabelError, match="expected a file, found something else"):
        prep.plan(prep.Config(source=tmp_path, output=tmp_path / "out"))


def test_a_label_map_that_is_not_mounted_is_not_made_up_for(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat/1.jpg").write_bytes(b"an image")
    (tmp_path / "label_map.json").symlink_to(tmp_path / "absent/label_map.json")
    with pytest.raises(LabelError, match="expected a file, found a broken link"):
        prep.plan(prep.Config(source=tmp_path, output=tmp_path / "out"))


def test_a_map_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "map.json").write_bytes(b'{"caf\xe9": 0}')  # Latin-1
    with pytest.raises(LabelError, match="can't be read"):
        LabelMap.read(tmp_path / "map.json")


def test_classes_without_a_label_are_named() -> None:
    labels = LabelMap.build(["cat", "dog"])
    labels.require(["dog", "cat", "dog"])
    with pytest.raises(LabelError, match=r"2 classes .*: 'ant', 'ox'; add them"):
        labels.require(["ox", "dog", "ant"])


def test_a_thousand_absent_classes_make_a_message_that_can_be_read() -> None:
    with pytest.raises(LabelError, match=r"1,000 classes .*'c0019' and 980 more;") as error:
        LabelMap.build(["cat"]).require(f"c{n:04}" for n in range(1000))
    assert len(str(error.value)) < 500


@pytest.mark.parametrize(
    ("labels", "present", "said"),
    [
        ({"cat": 0, "dog": 1}, ["cat", "dog"], []),
        ({"cat": 1, "dog": 2}, ["cat", "dog"], []),  # Numbers from 1 are common, too.
        ({"cat": [1, 0], "dog": [0, 1]}, ["cat", "dog"], []),
        (
            {"cat": 0, "dog": 1, "Cat": 0},
            ["cat", "dog", "Cat"],
            ["several classes have the number 0: 'cat', 'Cat'"],
        ),
        (
            {"cat": 0, "dog": 1, "Cat": 0, "Dog": 1},
            ["cat", "dog", "Cat", "Dog"],
            ["2 numbers each belong to several classes: 0 ('cat', 'Cat'), 1 ('dog', 'Dog')"],
        ),
        (
            {"cat": 0, "dog": 2, "eel": 6},
            ["cat", "dog", "eel"],
            ["no class has the number 1, 3 to 5"],
        ),
        ({"cat": [1, 0, 0], "dog": [0, 1, 0]}, ["cat", "dog"], ["no class has the number 2"]),
        (
            {"cat": 5, "dog": 6},
            ["cat", "dog"],
            ["the numbers begin at 5; training code usually expects 0"],
        ),
        (
            {"cat": 0, "dog": 1, "eel": 2},
            ["cat"],
            ["no images of 2 classes in the map: 'dog', 'eel'"],
        ),
    ],
)
def test_possible_mistakes_in_a_label_map_are_told(
    labels: Any, present: list[str], said: list[str]
) -> None:
    doubts = LabelMap.parse(labels).doubts(present)
    assert list(doubts) == [f"label map: {doubt}" for doubt in said]
