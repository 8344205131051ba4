"""Paths, URLs and storage options, without any server."""

from __future__ import annotations

import errno
import os
import pickle
import weakref
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import prep
from prep.storage.arguments import admit
from prep.storage.backends.faults import as_os_errors
from prep.storage.backends.filesystems import filesystem
from prep.storage.backends.grants import OPTIONS, grant
from prep.storage.locate import Access, Mounts, absolute, locate, read_range
from prep.storage.location import FileChanged, Location
from prep.storage.remote import RemotePath
from prep.storage.retry import is_transient


def config(**values: Any) -> prep.Config:
    return prep.Config(**{"source": "photos", "output": "shards", **values})


def test_a_url_of_this_machines_files_is_their_path(tmp_path: Path) -> None:
    made = config(source=f"file://{tmp_path}/a%20b", output="local:///out")
    assert (made.source, made.output) == (f"{tmp_path}/a b", "/out")
    assert locate(f"file://{tmp_path}") == tmp_path


def test_options_are_for_all_urls_or_for_each() -> None:
    urls = {"source": "s3://photos", "output": "sftp://host/shards", "label_map": "labels.json"}
    assert config(**urls, storage_options={"anon": True}).storage_options == {
        "source": {"anon": True},
        "output": {"anon": True},
    }
    by_key = {"source": {"anon": True}, "output": {"port": 2222}}
    assert config(**urls, storage_options=by_key).storage_options == by_key
    # A mapping of a storage's own, which is named unlike any key.
    nested = {"client_kwargs": {"region_name": "eu-west-1"}}
    made = config(**urls, storage_options=nested)
    assert made.storage_options == {"source": nested, "output": nested}
    # Of what is no URL, nothing is kept.
    assert config(storage_options={"key": "secret"}).storage_options is None


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            {"source": {"key": "s3cr3t"}, "outptu": {}},
            "storage_options: unknown key; did you mean 'output'",
        ),
        ({"source": {}, "secret": "s3cr3t"}, "no such key: secret; expected a mapping for each of"),
        ({"source": "s3cr3t"}, "no mapping: source; expected a mapping"),
    ],
)
def test_options_that_are_only_partly_by_key_are_refused(
    options: dict[str, Any], says: str
) -> None:
    for take in (
        lambda: config(source="s3://photos", storage_options=options),
        lambda: admit("output", "s3://shards", options),
    ):
        with pytest.raises(prep.PrepError, match=says) as error:
            take()
        assert "s3cr3t" not in str(error.value)


def test_the_options_of_a_run_do_for_its_output_too() -> None:
    by_key = {"source": {"anon": True}, "output": {"port": 2222}}
    assert admit("output", "sftp://host/by-key", by_key) == "sftp://host/by-key"
    assert OPTIONS.of("sftp://host/by-key") == {"port": 2222}
    admit("source", "s3://of-a-run", by_key)
    assert OPTIONS.of("s3://of-a-run") == {"anon": True}


def test_options_come_from_text_or_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "options.json").write_text('{"anon": true}')
    for text in ('{"anon": true}', f"@{tmp_path}/options.json"):
        made = config(source="s3://photos", storage_options=text)
        assert made.storage_options == {"source": {"anon": True}}
    with pytest.raises(prep.PrepError, match="absent' can't be read: No such file"):
        config(source="s3://photos", storage_options=f"@{tmp_path}/absent")


def test_a_storage_that_can_not_be_opened_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(prep.PrepError, match="source: protocol 'gopher' is unknown; expected"):
        config(source="gopher://host/photos")
    with pytest.raises(prep.PrepError, match="output: sftp:// needs a host"):
        config(output="sftp:///shards")
    with pytest.raises(prep.PrepError, match=r"output: oss:// needs a package .* ossfs"):
        config(output="oss://bucket/shards")  # Which is not among the extras.

    def absent(protocol: str) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("fsspec.get_filesystem_class", absent)
    with pytest.raises(prep.PrepError, match=r"not installed: pip install 'dask-prep\[s3\]'"):
        config(source="s3://photos")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("s3://", "s3:// needs a bucket: s3://BUCKET/PATH"),
        ("s3:///photos", "s3:// needs a bucket"),
        ("s3://key:s3cr3t@", "s3:// needs a bucket"),
        ("s3://key:s3c/r3t@bucket/photos", "write it as %2F, or give the secret in storage_opt"),
        ("S3://key:/s3cr3t@bucket", "write it as %2F"),
        ("s3a://key:s3c/r3t@bucket/photos", "write it as %2F"),
        ("memory://photos", "memory:// is seen by one process only"),
        ("https://host/labels.json?access_token=s3cr3t", "looks as if it held credentials"),
        ("https://host/labels.json?sv=1&sig=s3cr3t", "looks as if it held credentials"),
        ("https://host/l.json?X-Amz-Signature=s3cr3t", "looks as if it held credentials"),
        ("https://host/l.json?s3cr3t_token", "looks as if it held credentials"),
    ],
)
def test_a_url_that_lacks_something_or_shows_a_secret_is_refused(url: str, says: str) -> None:
    for attempt in (
        lambda: config(source=url),
        lambda: config(source=url, size=0),
        lambda: config(label_map=url),
        lambda: prep.verify(url),
    ):
        with pytest.raises(prep.PrepError) as error:
            attempt()
        assert says in str(error.value)
        assert "s3c" not in str(error.value)
        assert "r3t" not in str(error.value)


def test_a_url_that_shows_nothing_is_taken() -> None:
    for url in (
        "s3://arn:aws:s3:eu-west-1:123456789012:accesspoint/name/photos",
        "s3://bucket/a:b@c/d",
        "https://host/labels.json?version=3&monkey=1",
    ):
        assert config(label_map=url).label_map == url


def test_a_secret_with_a_slash_may_be_quoted() -> None:
    made = config(source="s3://key:se%2Fc%2Br3t@bucket/photos")
    assert made.source == "s3://bucket/photos"
    assert made.storage_options == {"source": {"key": "key", "secret": "se/c+r3t"}}


def test_a_protocol_is_the_same_in_upper_case() -> None:
    made = config(source="S3://Bucket/Photos", storage_options={"key": "known"})
    assert made.source == "s3://Bucket/Photos"
    made.grant()
    assert OPTIONS.of("s3://Bucket/Photos/train") == {"key": "known"}
    grant("S3://Upper/a", {"key": "upper"})
    assert OPTIONS.of("s3://Upper/a/b") == OPTIONS.of("S3://Upper/a/b") == {"key": "upper"}
    assert absolute("S3://Upper/a/") == "s3://Upper/a"
    assert locate("S3://Upper/a") == RemotePath("s3://Upper/a")


def test_the_nearest_options_hold() -> None:
    grant("s3://nearest", {"key": "far"})
    grant("s3://nearest/a/", {"key": "near"})
    assert OPTIONS.of("s3://nearest/a/b") == {"key": "near"}
    assert OPTIONS.of("s3://nearest/ab") == {"key": "far"}
    assert OPTIONS.of("s3://nearest-not") == {}


def test_access_goes_to_another_process_and_hides_its_options() -> None:
    access = Access(options={"s3://b": {"secret": "s3cr3t"}})
    sent = pickle.dumps(access)
    assert b"s3cr3t" not in sent
    assert pickle.loads(sent) == access
    assert "s3cr3t" not in repr(access)


NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1)


@given(st.lists(NAMES.filter(lambda name: name not in (".", "..")), min_size=1, max_size=4))
def test_a_name_is_what_it_is_whatever_is_in_it(names: list[str]) -> None:
    """As pathlib has it: neither '?' nor '#' nor '%' means anything."""
    there, here = RemotePath("s3://bucket/root"), Path("/root")
    for name in names:
        there, here = there / name, here / name
    assert there.name == here.name
    assert there._requests.path == f"bucket{here}"
    assert there.parent.name == here.parent.name
    root = RemotePath("s3://bucket/root")
    assert str(there.relative_to(root)) == str(here.relative_to("/root"))
    assert pickle.loads(pickle.dumps(there)) == there


class EndpointConnectionError(Exception):
    """As botocore's, which need not be installed."""


class Refused(Exception):
    status = 403


@pytest.mark.parametrize(
    ("raised", "number", "passes"),
    [
        (FileNotFoundError("no such key"), errno.ENOENT, False),  # without a number
        (PermissionError("Access Denied"), errno.EACCES, False),
        (TimeoutError(), errno.ETIMEDOUT, True),
        (OSError(errno.EBUSY, "SlowDown"), errno.EBUSY, True),  # with its own
        (OSError("Socket is closed"), errno.EIO, True),  # paramiko's
        (EOFError(), errno.ECONNRESET, True),  # a server that hangs up
        (EndpointConnectionError("http://host"), errno.ECONNRESET, True),
        (Refused("token expired"), errno.EACCES, False),  # a status of HTTP
        (TypeError("unexpected keyword 'colour'"), errno.EINVAL, False),  # options it has not
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_error_becomes_one_of_the_system(
    raised: Exception, number: int, passes: bool
) -> None:
    with pytest.raises(OSError) as error, as_os_errors("s3://b/a", {}):  # noqa: PT011
        raise raised
    assert error.value.errno == number
    assert is_transient(error.value) is passes
    assert error.value.filename == "s3://b/a"
    assert error.value.strerror
    assert error.value.__suppress_context__


def test_an_interrupt_is_none_of_them() -> None:
    with pytest.raises(KeyboardInterrupt), as_os_errors("s3://b/a", {}):
        raise KeyboardInterrupt


@pytest.fixture
def mounted() -> Iterator[Callable[..., Mounts]]:
    """Mounts folders for somebody, for the length of the test."""
    done: list[tuple[str, Mounts]] = []

    def mount(holder: str, folders: Mapping[str, str]) -> Mounts:
        mounts = Mounts.of(folders)
        mounts.apply(holder)
        done.append((holder, mounts))
        return mounts

    yield mount
    for holder, mounts in done:
        mounts.withdraw(holder)


def test_a_mounted_folder_is_found_where_it_is(
    tmp_path: Path, mounted: Callable[..., Mounts]
) -> None:
    mounted("one", {"/nowhere/photos/": str(tmp_path)})
    assert locate("/nowhere/photos/train") == tmp_path / "train"
    assert locate("/nowhere/photos2") == Path("/nowhere/photos2")
    assert absolute("/nowhere/photos/train") == "/nowhere/photos/train"
    assert os.fspath(locate("/nowhere/photos")) == str(tmp_path)


def test_what_others_mount_takes_nothing_from_whoever_was_first(
    mounted: Callable[..., Mounts],
) -> None:
    def found() -> list[str]:
        return [str(locate(path)) for path in ("/nowhere/a", "/nowhere/b")]

    first = mounted("first", {"/nowhere/a": "/1/a"})
    second = mounted("second", {"/nowhere/a": "/2/a", "/nowhere/b": "/2/b"})
    assert found() == ["/1/a", "/2/b"]
    again = mounted("first", {"/nowhere/a": "/1/again"})
    first.withdraw("first")  # It was replaced, and is nobody's any more.
    assert found() == ["/1/again", "/2/b"]
    again.withdraw("first")
    assert found() == ["/2/a", "/2/b"]
    second.withdraw("second")
    assert found() == ["/nowhere/a", "/nowhere/b"]


def test_options_of_several_add_up_and_ones_own_come_first() -> None:
    theirs = Access(options={"s3://theirs": {"key": "t"}, "s3://own": {"key": "t"}})
    grant("s3://own", {"key": "own"})
    theirs.apply("them")
    assert OPTIONS.of("s3://own/a") == {"key": "own"}
    assert OPTIONS.of("s3://theirs/a") == {"key": "t"}
    theirs.withdraw("them")
    assert OPTIONS.of("s3://theirs/a") == {}
    assert OPTIONS.of("s3://own/a") == {"key": "own"}


def test_nothing_stays_open_with_options_that_were_taken_back() -> None:
    theirs = Access(options={"memory://theirs": {"secret": "s"}})
    theirs.apply("them")
    opened = weakref.ref(filesystem("memory://theirs/a"))
    assert opened() is filesystem("memory://theirs/b")
    theirs.withdraw("them")
    assert opened() is None


@pytest.fixture(params=["disk", "storage"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    """An output that is not there yet."""
    return locate(tmp_path / "out" if request.param == "disk" else f"memory://{tmp_path.name}/out")


def test_a_location_keeps_its_promises_on_a_disk_and_in_a_storage(root: Location) -> None:
    file, state = root / "train" / "a.json", root / ".prep"
    assert (file.name, file.suffix, file.parent) == ("a.json", ".json", root / "train")
    assert str(file.relative_to(root)) == "train/a.json"
    assert file.with_suffix(".csv") < file
    assert not root.exists()
    assert file.parent.names() == []
    assert file.identity() is None
    file.publish_json({"a": 1}, within=root)
    before = file.identity()
    assert file.is_file()
    assert file.parent.is_dir()
    assert file.read_patiently() == file.read_at_most(100) == b'{\n  "a": 1\n}\n'
    with pytest.raises(ValueError, match="at most 5 are read"):
        file.read_at_most(5)
    assert read_range(str(file), 4, 3) == b'"a"'
    with pytest.raises(FileChanged, match="changed since it was listed"):
        read_range(str(file), 10, 10)
    with pytest.raises(FileExistsError):
        file.put_if_absent(b"other", within=root)
    file.put_over(b"longer than it was", within=root)
    assert file.identity() != before
    with pytest.raises(ZeroDivisionError), file.create(within=root) as new:
        new.write(bytes(1 // 0))
    with file.open_regular() as opened:
        assert opened.read() == b"longer than it was"
    state.make_folder(within=root)
    (state / "lock").publish(b"", within=root)
    (state / "plan").publish(b"", within=root)
    assert state.names("l") == ["lock"]
    assert [(name, status.st_size) for name, status in (root / "train").listed()] == [
        ("a.json", 18)
    ]
    assert sorted(place.name for place in root.files_below()) == ["a.json", "lock", "plan"]
    assert list(root.each(str.upper, ["a", "b"])) == ["A", "B"]
    state.empty_folder(within=root, keep=lambda name: name == "lock")
    assert [place.name for place in state.iterdir()] == ["lock"]
    for _ in range(2):
        file.remove_file(within=root)
    assert not file.exists()
