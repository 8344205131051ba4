"""Parsing of text from outside, without harm from anything written there."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prep.parsing import parse_json, parse_marked_yaml, parse_toml, parse_yaml, read_text, text_of

PARSERS: dict[str, Callable[[str], Any]] = {
    "json": parse_json,
    "yaml": parse_yaml,
    "marked yaml": parse_marked_yaml,
    "toml": parse_toml,
}
DEEP = 200_000


def why(parse: Callable[[Any], Any], text: str | bytes) -> str:
    with pytest.raises(ValueError) as error:  # noqa: PT011 - its text is looked at
        parse(text)
    return str(error.value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("json", "[" * DEEP),
        ("json", "[" * DEEP + "]" * DEEP),
        ("json", '{"a":' * DEEP),
        ("json", "[" * 65 + "]" * 65),  # which Python would parse
        ("yaml", "[" * DEEP),
        ("yaml", "[" * 65 + "]" * 65),
        ("yaml", "- " * 5000),
        ("yaml", "a: &a [*a]"),  # endless
        ("marked yaml", "[" * DEEP),
        ("marked yaml", "&a {b: *a}"),
        ("toml", "a = " + "[" * DEEP),
        ("toml", "a = " + "[" * 65 + "]" * 65),
        ("toml", "a." * 65 + "b = 1"),
    ],
    ids=lambda text: text[:20],
)
def test_what_is_nested_deeply_is_refused(name: str, text: str) -> None:
    assert "lists and mappings are nested more than 64 levels deep" in why(PARSERS[name], text)


@pytest.mark.parametrize("name", ["json", "yaml", "toml"])
def test_what_is_nested_as_deeply_as_allowed_is_parsed(name: str) -> None:
    lists = "[" * 63 + "]" * 63
    value = PARSERS[name]({"toml": f"a = {lists}"}.get(name, f'{{"a": {lists}}}'))
    depth = 0
    value = value["a"]
    while value:
        (value,), depth = value, depth + 1
    assert depth == 62


def test_aliases_do_not_multiply() -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    for n in range(1, 12):
        lines.append(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]")
    for parse in (parse_yaml, parse_marked_yaml):
        assert "aliases (*name) taken apart" in why(parse, "\n".join(lines))
    shared = parse_yaml("a: &a [1, 2]\nb: [*a, *a]")
    assert shared == {"a": [1, 2], "b": [[1, 2], [1, 2]]}


def test_what_is_larger_than_a_file_of_its_kind_is_refused(tmp_path: Path) -> None:
    assert "larger than 1 MiB" in why(lambda text: parse_json(text, 1 << 20), " " * (1 << 20) + "1")
    assert parse_json(" " * (1 << 20) + "1") == 1
    assert "larger than 4 MiB" in why(parse_yaml, " " * (5 << 20))
    assert "larger than 64 MiB" in why(read_text, "/dev/zero")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\xef\xbb\xbf{}", "{}"),  # as Windows saves it
        ("straße".encode(), "straße"),
        (b"", ""),
    ],
)
def test_text_is_utf_8_with_or_without_its_mark(tmp_path: Path, data: bytes, text: str) -> None:
    (tmp_path / "file").write_bytes(data)
    assert read_text(tmp_path / "file") == text_of(data) == text


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("{}".encode("utf-16"), "it is UTF-16; save it as UTF-8"),
        (b"size: 1\n# caf\xe9\n", "line 2 is not valid UTF-8"),
        (b"\xff\xd8\xff\xe0", "line 1 is not valid UTF-8"),  # a photo
    ],
)
def test_other_text_is_refused_in_words(data: bytes, said: str) -> None:
    assert why(text_of, data).startswith(said)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_in_json_is_refused(number: str) -> None:
    assert json.loads(number) != 0  # Python's parser takes it
    assert why(parse_json, f"[{number}]") == f"{number} is not a number in JSON"


@pytest.mark.parametrize("text", ["!!bool maybe", "!!timestamp soon", "!!int many", "? [a]\n: b"])
def test_yaml_whose_values_belie_their_tags_is_refused(text: str) -> None:
    for parse in (parse_yaml, parse_marked_yaml):
        assert why(parse, text)
