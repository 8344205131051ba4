"""The rules for imports, the public names, and the values sent between processes."""

from __future__ import annotations

import ast
import dataclasses
import functools
import importlib.metadata
import pickle
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import prep
from prep import errors
from prep.images.stats import ChannelStats
from prep.operations.averaging.image_sums import ImageSums, image_group
from prep.operations.averaging.sampling import RandomDraw
from prep.operations.averaging.summing import Method, Part, Portion
from prep.output.findings import mismatch
from prep.output.receipt import ImageNote, ShardReceipt, Totals
from prep.planning.shards import ShardSpec
from prep.shards.check import ShardInspection
from prep.shards.writer import RunRef

PACKAGE = Path(prep.__file__).parent


@functools.cache
def sources() -> list[tuple[Path, ast.Module]]:
    """(path, syntax tree) of each source file."""
    return [(path, ast.parse(path.read_text(encoding="utf-8"))) for path in PACKAGE.rglob("*.py")]


def named_after_their_use(package: Path) -> bool:
    """Return whether each module of a package is named after a command, or a part of the page."""
    return package.name == "sections" or "commands" in package.parts


def test_packages_are_small_and_their_docstrings_name_all_that_is_in_them() -> None:
    for init, tree in sources():
        if init.name != "__init__.py":
            continue
        modules = {path.stem for path in init.parent.glob("*.py")} - {"__init__"}
        assert len(modules) <= 10, init.parent
        named = set(re.findall(r"\w+", ast.get_docstring(tree) or ""))
        if init.parent == PACKAGE:
            continue
        assert len(tree.body) == 1, init
        if not named_after_their_use(init.parent):
            packages = {path.parent.name for path in init.parent.glob("*/__init__.py")}
            assert (modules | packages) - named == set(), init


def test_names_mean_one_thing() -> None:
    seen: dict[str, set[Path]] = {}
    for path, tree in sources():
        if named_after_their_use(path.parent) or path.stem.startswith("__"):
            continue
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        public = {node.name for node in tree.body if isinstance(node, kinds)}
        for name in {path.name, *public}:
            seen.setdefault(name, set()).add(path)
    shared = {name for name, paths in seen.items() if len(paths) > 1 and not name.startswith("_")}
    # Each seam is the ``base`` of its package. Commands and sections have the names of others.
    assert shared - {"base.py"} == set()


def test_documents_name_files_and_modules_that_exist() -> None:
    root = PACKAGE.parent
    texts = [
        path.read_text(encoding="utf-8") for path in (*root.glob("*.md"), *root.glob("docs/*.md"))
    ]
    files = {
        name for text in texts for name in re.findall(r"\b(?:prep|tests|bench)/[\w/]+\.py\b", text)
    }
    modules = {
        name for text in texts for name in re.findall(r"python -m ((?:tests|bench)[\w.]*)", text)
    }
    assert files
    assert modules
    files |= {name.replace(".", "/") for name in modules}
    assert {name for name in files if not list(root.glob(name + "*"))} == set()


HELP = """
import sys
sys.argv = ["prep", "--help"]
from prep.cli.main import main
try:
    main()
except SystemExit:
    pass
"""


@pytest.mark.parametrize("code", ["import prep", "import prep.cli.main", HELP])
def test_what_is_slow_to_load_is_not_loaded_before_it_is_needed(code: str) -> None:
    code += "\nimport sys; print(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "prep" in loaded
    assert loaded.isdisjoint({"tensorflow", "distributed", "cv2", "pyarrow", "dask", "numpy"})


def test_the_public_names_are_these_and_all_of_them_exist() -> None:
    assert prep.__all__ == [
        "Callback",
        "Config",
        "ExportReport",
        "IndexReport",
        "JsonLinesCallback",
        "MeanReport",
        "Order",
        "PrepError",
        "RunHandle",
        "RunPlan",
        "RunReport",
        "StopRun",
        "TqdmCallback",
        "VerificationReport",
        "close_cluster",
        "cluster",
        "export",
        "find",
        "index",
        "load",
        "mean_rgb",
        "merge",
        "mix",
        "open",
        "plan",
        "report_page",
        "run",
        "save_splits",
        "show",
        "start",
        "verify",
    ]
    assert dir(prep) == prep.__all__
    for name in prep.__all__:
        assert callable(getattr(prep, name))
        assert getattr(prep, name).__doc__


def test_the_readme_and_the_notebooks_use_public_names() -> None:
    root = PACKAGE.parent
    for path in (root / "README.md", *root.glob("notebooks/*.ipynb")):
        text = path.read_text(encoding="utf-8")
        assert set(re.findall(r"\bprep\.([a-z]\w*)\(", text)) <= {*prep.__all__}


def test_it_knows_its_version_without_a_cost() -> None:
    assert prep.__version__ == importlib.metadata.version("dask-prep")
    code = "import sys, prep; print('importlib.metadata' in sys.modules); print(prep.__version__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", prep.__version__]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: prep.run(confg={}), "prep.run: confg: unknown keyword; did you mean 'config'?"),
        (
            lambda: prep.plan({}, source="a"),
            r"source: is a key .*prep.Config\(source=…\)",
        ),
        (lambda: prep.verify("a", repare=True), "did you mean 'repair'"),
        (lambda: prep.load("a", spilt="train"), "did you mean 'split'"),
    ],
)
def test_a_mistyped_keyword_names_the_nearest(call: Callable[[], Any], said: str) -> None:
    with pytest.raises(TypeError, match=said):
        call()


def test_other_names_do_not_exist() -> None:
    with pytest.raises(AttributeError, match="'prep' has no attribute 'launch'"):
        _ = prep.launch


def all_errors(base: type[BaseException]) -> Iterator[type[BaseException]]:
    yield base
    for kind in base.__subclasses__():
        yield from all_errors(kind)


@pytest.mark.parametrize("kind", list(all_errors(errors.PrepError)))
def test_errors_survive_the_way_from_a_worker(kind: type[errors.PrepError]) -> None:
    args = ("damaged", "half of it") if kind is errors.RefusedImage else ("what went wrong",)
    error = kind(*args)
    after = pickle.loads(pickle.dumps(error))
    assert type(after) is kind
    assert (str(after), after.args, vars(after)) == (str(error), error.args, vars(error))


def test_every_error_is_in_the_tree_that_is_drawn_and_has_its_exit_code() -> None:
    codes = {kind.__name__: kind.exit_code for kind in all_errors(errors.PrepError)}  # type: ignore[attr-defined]
    for name in codes:
        assert f" {name} " in errors.__doc__
    assert codes.pop("Interrupted") == 130  # as for a program that Ctrl-C has stopped
    usage = {kind.__name__ for kind in all_errors(errors.UsageError)}
    assert {name for name, code in codes.items() if code == 2} == usage
    assert {name for name, code in codes.items() if code == 1} == codes.keys() - usage


STATS = ChannelStats(images=2, pixels=8, sums=(1, 2, 3), squares=(1, 4, 9))
FINDING = ImageNote(path="caf\udce9.jpg", reason="damaged", detail="half of it")
SHARD = ShardSpec(split="train", index=0, count=2, start=0, stop=50)
PROBLEM = mismatch("mean_rgb.json", "{}", "[]", "remake")
VALUES = [
    SHARD,
    PROBLEM,
    ShardInspection(shard=SHARD, records=50, problems=(PROBLEM,)),
    RunRef(output="/shards", digest="0" * 64, run="1", stop_at_bad_image=True),
    FINDING,
    STATS,
    Portion(files=["/a.jpg"], method=Method(sample=RandomDraw(fraction=0.1))),
    Part(sums=ImageSums.of([(8, image_group((1, 2, 3)))]), refused=(FINDING,), seen=2),
    Totals(shards=1, bytes=7, written={"cat": 2}, stats=STATS, findings=(FINDING,)),
    ShardReceipt(
        split="train",
        index=0,
        count=2,
        fingerprint="0" * 64,
        file="train/train-00000-of-00002.tfrecord",
        bytes=7,
        sha256="f" * 64,
        written={"cat": 2},
        checksums="0000000000c0ffee",
        source_bytes=9,
        stats=STATS,
        findings=(FINDING,),
        seconds=0.5,
        worker="host:1",
    ),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_what_travels_between_processes_survives_it_and_can_not_be_changed(value: Any) -> None:
    assert pickle.loads(pickle.dumps(value)) == value
    first = dataclasses.fields(value)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, first, None)


# What changes files, and who may do so by a path: all that is done in an output goes through
# a location's methods, which follow no link there, and are told which output it is.
CHANGING = {
    *("mkdir", "makedirs", "rmdir", "removedirs", "unlink", "rename", "renames", "rmtree", "move"),
    *("write_text", "write_bytes", "touch", "symlink_to", "hardlink_to", "copyfile", "copytree"),
    *("chmod", "utime", "link", "symlink", "mkfifo"),
}
MAY_CHANGE_FILES = {
    "sources",  # the demonstration makes images, in a folder of its own
    "output",  # locks and leases, and the folders that they were made in
    "execution",  # probes; notes in a temporary folder
    "storage",
}
SAYS_WHERE = {
    *(".create", ".publish", ".publish_json", ".make_folder", ".remove_file", ".remove_folder"),
    *(".empty_folder", ".remove_leftovers", ".require_unlinked", ".put_if_absent", ".put_over"),
    *("publish_table", "exclusive"),
}


def calls() -> Iterator[tuple[str, str, set[str | None]]]:
    """(module or package, what is called, the keywords it is given) of each call."""
    for path, tree in sources():
        module = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                keywords = {keyword.arg for keyword in node.keywords}
                yield module, ast.unparse(node.func), keywords


def test_few_change_files_by_their_paths() -> None:
    users = {module for module, name, _ in calls() if name.rpartition(".")[2] in CHANGING}
    assert users - MAY_CHANGE_FILES == set()


def test_what_changes_an_output_says_which() -> None:
    found = [
        (module, last, keywords)
        for module, name, keywords in calls()
        if (last := "".join(name.rpartition(".")[1:])) in SAYS_WHERE
        if module != "storage" and not re.fullmatch(r"(self|journal|report)\.\w+", name)
    ]
    assert {name for _, name, _ in found} == SAYS_WHERE
    assert [(module, name) for module, name, keywords in found if "within" not in keywords] == []


def test_what_is_said_to_be_shown_by_tests_is() -> None:
    root = PACKAGE.parent
    named = set(re.findall(r"`(test_\w+)`", (root / "RELIABILITY.md").read_text(encoding="utf-8")))
    assert len(named) > 20
    there = {
        name
        for path in (root / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert named - there == set()
