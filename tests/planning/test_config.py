"""The configuration, in files of three formats and under two sets of names."""

from __future__ import annotations

import json
import os
import pickle
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import ValidationError

import prep
from prep.config.model import Config
from prep.errors import ConfigError
from prep.settings.key import REQUIRED
from prep.settings.keys import ARTICLE_KEYS, KEYS
from prep.sources.labelling.label_rules import LabelRules
from prep.sources.naming import SourceName, Sources
from prep.text import shown

# A config file of the article's, with all of its keys.
ARTICLE = """{
  "label_map": "label_map_100.json",
  "split_number": 6000,
  "image_folder": "/media/datasets/ILSVRC2015/Data/CLS-LOC_100/",
  "record_path": "/media/datasets/ILSVRC2015/tf_records/",
  "image_type": "JPEG",
  "crop_size": 256,
  "image_quality": 90,
  "tf_record_compression": "GZIP",
  "batch": ["val", "test", "train"]
}"""
FORMATS = {
    ".json": '{"source": "photos", "output": "shards", "size": 224, "splits": ["train", "val"]}',
    ".yaml": "source: photos\noutput: shards\nsize: 224\nsplits: [train, val]\n",
    ".yml": "{source: photos, output: shards, size: 224, splits: [train, val]}",
    ".toml": 'source = "photos"\noutput = "shards"\nsize = 224\nsplits = ["train", "val"]\n',
    ".JSON": '{"output": "shards", "source": "photos", "crop_size": 224, "batch": "train,val"}',
}


def config(**values: Any) -> Config:
    return Config(**{"source": "photos", "output": "shards", **values})


def message(**values: Any) -> str:
    with pytest.raises(ConfigError) as error:
        config(**values)
    return str(error.value)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"source": "a", "ouput": "b"}, "ouput: unknown key; did you mean 'output'?"),
        (
            {"image_fodler": "a", "output": "b"},
            "image_fodler: unknown key; did you mean 'image_folder'?",
        ),
        # It says nothing of the other one, which is missing for another reason.
        (
            {"ouput": "b"},
            "source: missing; expected the path or URL of a folder, an archive or a list, or "
            "several of these; ouput: unknown key; did you mean 'output'?",
        ),
    ],
)
def test_a_mistyped_key_is_told_once(values: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigError) as error:
        Config(**values)
    assert str(error.value) == told


def test_it_shows_what_differs_from_the_default_first() -> None:
    options = {"source": {"secret": "s3cret"}}
    made = config(source="s3://a/b", size=224, max_refused=0.05, storage_options=options)
    assert repr(made) == "Config(source='s3://a/b', output='shards', size=224)"
    html = made._repr_html_()
    first, _, folded = html.partition("<details>")
    names = re.compile("<th>(.*?)</th>")
    assert names.findall(first) == ["source", "output", "storage_options", "size"]
    assert names.findall(folded) == [
        name for name in Config.model_fields if name not in names.findall(first)
    ]
    assert (
        f"<summary>{len(Config.model_fields) - 4} more keys, at their default</summary>" in folded
    )
    assert "s3cret" not in html + repr(made)


def test_it_may_be_given_as_a_mapping_or_a_file(tmp_path: Path) -> None:
    made = config(size=224)
    (tmp_path / "config.yaml").write_text("source: photos\noutput: shards\nsize: 224\n")
    assert Config.of(made) is made
    assert Config.of({"image_folder": "photos", "output": "shards", "crop_size": 224}) == made
    assert Config.of(tmp_path / "config.yaml") == Config.of(f"{tmp_path}/config.yaml") == made


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (5, "config: expected a prep.Config, a mapping .*; got a number"),
        ({1: 2}, "got a mapping"),
        (["source"], "got a list"),
        ({"source": "a", "ouput": "b"}, "did you mean 'output'"),
        ("nope.yaml", r"nope.yaml: can't be read"),
        ("photos", r"expected one that ends in .json, .yaml"),
    ],
)
def test_what_is_no_configuration_is_refused(given: Any, told: str) -> None:
    for function in (prep.plan, prep.run, prep.start):
        with pytest.raises(ConfigError, match=told):
            function(given)


def test_the_articles_file_means_what_it_meant(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(ARTICLE)
    expected = Config(
        source="/media/datasets/ILSVRC2015/Data/CLS-LOC_100/",
        output="/media/datasets/ILSVRC2015/tf_records/",
        label_map="label_map_100.json",
        splits=("val", "test", "train"),
        image_type="JPEG",
        size=256,
        quality=90,
        images_per_shard=6000,
        compression="GZIP",
    )
    assert Config.from_file(tmp_path / "config.json") == expected


def test_every_key_of_the_article_is_known() -> None:
    for key in json.loads(ARTICLE):
        assert ARTICLE_KEYS.get(key, key) in Config.model_fields


@pytest.mark.parametrize("ending", FORMATS)
def test_all_formats_say_the_same(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"config{ending}"
    path.write_text(FORMATS[ending])
    assert Config.from_file(path) == config(size=224, splits=("train", "val"))


# The keys of other sources than class folders, written in each format and as flags.
OF_SOURCES = {
    ".json": """{"source": {"train": ["a.tar", "b.tar"], "val": "c.csv"}, "output": "shards",
      "columns": {"image": "path", "label": ["x", "y"]}, "images": "photos",
      "labels": {"from": "leaf", "rename": {"pug": "dog"}, "include": ["dog", 3]},
      "exclude": ["1.jpg", 7], "unlabelled": "keep", "unpack": true}""",
    ".yaml": """
      source: {train: [a.tar, b.tar], val: c.csv}
      output: shards
      columns: {image: path, label: [x, y]}
      images: photos
      labels: {from: leaf, rename: {pug: dog}, include: [dog, 3]}
      exclude: [1.jpg, 7]
      unlabelled: keep
      unpack: yes
      """,
    ".toml": """
      output = "shards"
      images = "photos"
      exclude = ["1.jpg", 7]
      unlabelled = "keep"
      unpack = true
      [source]
      train = ["a.tar", "b.tar"]
      val = "c.csv"
      [columns]
      image = "path"
      label = ["x", "y"]
      [labels]
      from = "leaf"
      include = ["dog", 3]
      rename = {pug = "dog"}
      """,
}


@pytest.mark.parametrize("ending", OF_SOURCES)
def test_all_formats_say_the_same_of_other_sources(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"config{ending}"
    path.write_text(textwrap.dedent(OF_SOURCES[ending]))
    made = Config.from_file(path)
    here = os.getcwd()
    assert made == config(
        source=Sources(
            (*(("train", f"{here}/{name}.tar") for name in "ab"), ("val", f"{here}/c.csv"))
        ),
        columns={"image": "path", "label": ("x", "y")},
        images=f"{here}/photos",
        labels=LabelRules(origin="leaf", rename={"pug": "dog"}, include=("dog", "3")),
        exclude=("1.jpg", "7"),
        unlabelled="keep",
        unpack=True,
    )
    assert str(made.source) == f"train: {here}/a.tar, train: {here}/b.tar, val: {here}/c.csv"
    assert pickle.loads(pickle.dumps(made)) == made
    assert Config.stored(json.loads(made.model_dump_json())) == made
    names = {"Config": Config, "Sources": Sources, "LabelRules": LabelRules}
    assert eval(repr(made), names) == made


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("source", '["a.tar", "b.csv"]', ["a.tar", "b.csv"]),
        ("source", '{"train": "a.tar"}', {"train": "a.tar"}),
        ("columns", "image=path, label=dx", {"image": "path", "label": "dx"}),
        ("columns", '{"label": ["x", "y"]}', {"label": ["x", "y"]}),
        ("labels", "from=leaf,order=file", {"from": "leaf", "order": "file"}),
        ("labels", '{"rename": {"pug": "dog"}}', {"rename": {"pug": "dog"}}),
    ],
)
def test_what_a_flag_says_in_text_is_what_a_file_says(key: str, text: str, value: Any) -> None:
    assert config(**{key: text}) == config(**{key: value})


def test_paths_that_an_output_holds_are_not_expanded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/other")
    made = config(
        source={"train": "/$$HOME/a.tar"},
        exclude="/$$HOME/bad.txt",
        labels={"names": "/$$HOME/words.txt", "include": "/$$HOME/some.txt"},
        images="/$$HOME",
    )
    assert isinstance(made.source, Sources)
    assert made.source.paths == ("/$HOME/a.tar",)
    assert Config.stored(json.loads(made.model_dump_json())) == made
    name = SourceName(given=made.source, roots=("/$HOME/photos",))
    assert SourceName.parse(str(name)) == name


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("source", [], "source: got an empty list; expected (image, label) pairs"),
        (
            "source",
            {},
            "source: got a mapping with nothing in it; expected a list of paths",
        ),
        ("source", ["a", 3], "source: got a number in it; expected"),
        ("source", ["a", "./a"], "is given twice; leave one out"),
        ("source", {"../up": "a"}, "source: a split can't be called '../up'"),
        ("source", {"train": None}, "source: got nothing in it; expected"),
        ("source", ["a", "caf\udce9.tar"], "which is not valid UTF-8; rename it"),
        ("columns", {"lable": "dx"}, "columns.lable: unknown key; did you mean 'label'?"),
        ("columns", {"image": ["a", "b"]}, "columns.image: got"),
        ("columns", "path", "columns: got 'path'; expected a mapping, NAME=VALUE,… or, for lists"),
        ("columns", 3, "columns: got a number; expected a mapping"),
        ("labels", {"form": "leaf"}, "labels.form: unknown key; did you mean 'from'?"),
        ("labels", {"from": "cat.*"}, "labels.from: got 'cat.*'; expected folder, leaf, path"),
        ("labels", {"from": "(?P<label>"}, "which is no regular expression: "),
        ("labels", {"rename": ["pug"]}, "labels.rename: got a list; expected a mapping of old"),
        ("labels", {"include": [""]}, "labels.include: got '' in it; expected names"),
        ("exclude", [1.5], "exclude: got 1.5 in it; expected names"),
        ("unlabelled", "drop", "unlabelled: got 'drop'; expected skip or keep"),
        ("layout", "tar", "layout: got 'tar'; expected auto, folders"),
        ("unpack", "perhaps", "unpack: got 'perhaps'; expected true or false"),
        ("extension", "", "extension: got ''; expected a file extension, such as jpg"),
    ],
)
def test_mistakes_in_keys_of_sources_are_told_in_a_line(key: str, value: Any, said: str) -> None:
    told = message(**{key: value})
    assert said in told
    assert "\n" not in told


def test_what_is_given_beside_the_file_wins(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(ARTICLE)
    changed = Config.from_file(path, size=64, image_quality=50)  # under either name
    assert (changed.size, changed.quality, changed.images_per_shard) == (64, 50, 6000)


@pytest.mark.parametrize(
    ("key", "given", "meant"),
    [
        ("compression", "gzip", "GZIP"),  # in any case
        ("compression", "none", None),  # as a word
        ("compression", "", None),  # as no word
        ("splits", "train, val", ("train", "val")),  # as at a terminal
        ("splits", ["a,b"], ("a,b",)),  # a comma can be part of a name
        ("size", "224", 224),  # as at a terminal
        ("seed", (1 << 32) - 1, (1 << 32) - 1),  # the largest
        ("label_map", {"cat": 0, "dog": 1}, {"cat": 0, "dog": 1}),  # the map itself
        ("label_map", {"cat": [0, 1]}, {"cat": [0, 1]}),  # one-hot
    ],
)
def test_a_value_may_be_written_as_is_convenient(key: str, given: Any, meant: Any) -> None:
    assert getattr(config(**{key: given}), key) == meant


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("size", 0),  # below the least
        ("size", 4097),  # above the most
        ("size", 2.5),  # no whole number
        ("size", True),  # no number
        ("size", "large"),  # a word
        ("size", None),  # nothing
        ("quality", 101),  # above the most
        ("images_per_shard", 0),  # below the least
        ("seed", -1),  # below the least
        ("seed", 1 << 32),  # more than the generator takes
        ("compression", "BROTLI"),  # not one of them
        ("interpolation", "nearest"),  # not one of them
        ("encoding", "gif"),  # not one of them
        ("on_bad_image", "ignore"),  # not one of them
        ("source", ""),  # no path
        ("output", 7),  # no text
        ("splits", []),  # none
        ("splits", ["train", "train"]),  # one twice
        ("image_type", ""),  # no extension
        ("label_map", 3),  # neither a path nor a map
    ],
)
def test_what_is_not_allowed_is_refused_by_name_value_and_remedy(key: str, value: Any) -> None:
    said = message(**{key: value})
    assert said == f"{key}: got {shown(value)}; expected {KEYS[key].allowed}"


def test_a_split_that_no_output_could_hold_is_refused_with_the_reason() -> None:
    assert message(splits=["train/cat"]) == (
        "splits: a split can't be called 'train/cat': it has to be the name of one folder"
    )


def test_a_key_of_the_article_is_named_by_ours() -> None:
    assert message(crop_size=0) == (
        "size: got 0; expected a whole number from 1 to 4096, or HEIGHTxWIDTH such as 224x336"
    )


def test_an_unknown_key_is_named_with_those_that_are_known() -> None:
    assert message(shade="red") == (
        "shade: unknown key; there are source, output, label_map, storage_options, splits "
        f"and {len(Config.model_fields) + len(ARTICLE_KEYS) - 5} more"
    )


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("ouptut", "output"),
        ("record_pth", "record_path"),  # the article's
        ("images-per-shard", "images_per_shard"),  # as the flag is written
        ("Size", "size"),
    ],
)
def test_an_unknown_key_that_is_nearly_another_is_told_which(
    key: str, meant: str, tmp_path: Path
) -> None:
    expected = f"{key}: unknown key; did you mean {meant!r}?"
    assert message(**{key: 1}) == expected
    for name, text in (("a.json", json.dumps({key: 1})), ("a.yaml", f"{key}: 1")):
        (tmp_path / name).write_text(text)
        with pytest.raises(ConfigError) as error:
            Config.from_file(tmp_path / name, source="photos", output="shards")
        assert str(error.value) == expected


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), "nan", "1e999"])
@pytest.mark.parametrize("key", ["max_aspect", "max_refused", "image_timeout", "size"])
def test_a_number_that_is_none_is_refused(key: str, value: float | str) -> None:
    assert message(**{key: value}) == f"{key}: got {shown(value)}; expected {KEYS[key].allowed}"


def test_options_by_a_key_that_is_nearly_another_are_not_taken_for_all() -> None:
    said = message(storage_options={"sorce": {"anon": True}})
    assert said == "storage_options: unknown key; did you mean 'source'?"
    assert config(source="s3://a", storage_options={"client_kwargs": {"verify": False}})


def test_a_missing_key_is_named() -> None:
    with pytest.raises(ConfigError, match="output: missing; expected the path of a folder"):
        Config(source="photos")


def test_several_mistakes_are_named_together_in_one_line() -> None:
    said = message(size=0, quality="best\nof all", colour="red")
    assert "size: got 0" in said
    assert r"quality: got 'best\nof all'" in said
    assert "colour: unknown" in said
    assert "\n" not in said


def test_a_large_value_is_not_shown_whole() -> None:
    said = message(label_map={f"class {n}": 0.5 for n in range(1000)})
    assert len(said) < 500


@pytest.mark.parametrize(
    "values",
    [
        {"size": 1, "crop_size": 2},  # in a call
        {"crop_size": 2, "size": 2},  # the same value twice: one of them is a leftover
    ],
)
def test_a_key_given_under_both_names_is_refused(values: dict[str, int], tmp_path: Path) -> None:
    assert "size: given twice" in message(**values)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"source": "a", "output": "b", **values}))
    with pytest.raises(ConfigError, match="size: given twice"):
        Config.from_file(path)
    path.write_text('{"source": "a", "output": "b"}')
    with pytest.raises(ConfigError, match="size: given twice"):
        Config.from_file(path, **values)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("config.json", "{", "can't be read"),  # half a file
        ("config.json", '["source"]', "expected keys and values"),  # a list
        ("config.yaml", "a: b: c", "can't be read"),  # a message of several lines, made one
        ("config.yaml", "", "expected keys and values"),  # an empty file
        ("config.yaml", "1: photos", "expected keys and values"),  # a key that is no text
        ("config.toml", "source = photos", "can't be read"),  # no quotes
        ("config.json", '{"size": 1, "seed": 2, "size": 1}', "given twice: 'size'"),  # the same
        ("config.yaml", "size: 1\nseed: 2\n'size': 3", "given twice: 'size'"),  # one in quotes
        ("config.yml", "label_map: {cat: 0, cat: 1}", "given twice: 'cat'"),  # further in
        ("config.toml", "size = 1\nsize = 2", "can't be read"),  # which the format forbids
        ("config.ini", "source = photos", "expected one that ends in .json, .yaml, .yml, .toml"),
    ],
)
def test_a_file_that_is_no_config_is_named(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError) as error:
        Config.from_file(tmp_path / name)
    assert said in str(error.value)
    assert str(tmp_path / name) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_absent_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.json: can't be read"):
        Config.from_file(tmp_path / "absent.json")


def test_yaml_may_say_otherwise_than_what_it_merges(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("{<<: {source: a, size: 64}, source: photos, output: shards}")
    assert Config.from_file(path) == config(size=64)


def test_yamls_tags_make_no_objects(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("source: !!python/object/apply:os.getcwd []\noutput: shards\n")
    with pytest.raises(ConfigError, match="can't be read"):
        Config.from_file(path)


def test_float32_and_its_mean_go_together() -> None:
    assert config(encoding="float32", mean_file="mean.json").mean_file == "mean.json"
    assert message(encoding="float32").startswith("mean_file: missing; encoding float32 needs")
    assert "which only encoding float32 uses" in message(mean_file="mean.json")


def test_a_config_can_not_be_changed() -> None:
    made = config()
    with pytest.raises(ValidationError):
        made.size = 3  # type: ignore[misc]


def test_a_config_survives_pickling() -> None:
    made = config(size=64, splits=["train"], label_map={"cat": [1, 0], "dog": [0, 1]})
    assert pickle.loads(pickle.dumps(made)) == made


def test_every_key_has_a_help_text_and_says_what_it_may_be() -> None:
    for key in KEYS.values():
        assert key.help
        assert key.allowed


def words(kind: Any) -> Iterator[str]:
    """The words that a type allows, if it is of words."""
    for part in get_args(kind):
        if isinstance(part, str):
            yield part
        else:
            yield from words(part)


def test_the_keys_that_help_is_made_of_are_those_of_the_model() -> None:
    assert list(KEYS) == list(Config.model_fields)
    for name, field in Config.model_fields.items():
        key = KEYS[name]
        assert field.description == key.help
        assert field.is_required() == (key.default is REQUIRED)
        assert field.is_required() or field.default == key.default
        assert set(words(field.annotation)) == set(key.words) - {"none"}
