"""Our notebooks, and the display of a run in a cell, executed by real kernels."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest
from distributed import Client
from nbclient import NotebookClient

import prep
from tests.support.clusters import wait_until
from tests.support.gates import Gate
from tests.support.pictures import link_photos

REPO = Path(__file__).resolve().parents[2]
OURS = sorted((REPO / "notebooks").glob("*.ipynb"))
IMAGES, SHARDS = 1200, 24


class Reader(NotebookClient):
    """Executes a notebook as a front end does, and keeps what is said about outputs on the way."""

    def __init__(self, notebook: Any, folder: Path) -> None:
        resources = {"metadata": {"path": str(folder)}}
        super().__init__(notebook, timeout=200, kernel_name="python3", resources=resources)
        self.updates: list[str] = []
        self.pid = 0
        #: What was seen, in turn: the cell that runs, and the first words of its output.
        self.seen: list[tuple[int, str]] = []

    def process_message(self, msg: dict[str, Any], cell: Any, cell_index: int) -> Any:
        if msg["msg_type"] == "update_display_data":
            self.updates.append(msg["content"]["data"]["text/plain"])
        if msg["msg_type"] in ("display_data", "update_display_data"):
            self.seen.append((cell_index, msg["content"]["data"]["text/plain"]))
        return super().process_message(msg, cell, cell_index)


def execute(
    folder: Path, *cells: str, allow_errors: bool = False
) -> tuple[Reader, list[list[Any]]]:
    """Runs cells in a kernel of their own, and gives back all outputs of each."""
    notebook = nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, cells)))
    reader = Reader(notebook, folder)
    reader.allow_errors = allow_errors
    reader.execute()
    return reader, [cell.outputs for cell in notebook.cells]


def started_below(folder: Path) -> list[psutil.Process]:
    """All processes that work in a folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd().startswith(str(folder)):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``photos`` that take a few milliseconds each."""
    root = tmp_path_factory.mktemp("notebooks")
    link_photos(root, IMAGES)
    return root


SETUP = """
import os, prep
def config(output):
    return prep.Config(source="photos", output=output, size=448, images_per_shard=50)
def scheduler():
    with prep.execution.clusters.session.session_client() as client:
        return client.sync(client.scheduler.identity)["id"]
"""
# The worker has written two runs, and is held at the second shard of the third.
INTERRUPTED = f"""
import signal, threading, time
from pathlib import Path
gate = Path(os.environ["PREP_TEST_GATE"])
gate.write_text("{2 * IMAGES + IMAGES // SHARDS}")
def interrupt():
    while not list(Path("third").glob(".prep/receipts/*/*.json")):
        time.sleep(0.02)
    os.killpg(os.getpgid(0), signal.SIGINT)  # As Jupyter does: the workers get it, too.
threading.Thread(target=interrupt).start()
try:
    prep.run(config("third"))
except KeyboardInterrupt as error:
    print(type(error).__name__, error)
gate.unlink()
"""


@pytest.fixture(scope="module")
def session(home: Path) -> tuple[Reader, list[Any]]:
    """Four runs in one kernel, and what is seen of them."""
    with Gate(home) as gate:
        gate.open()  # Until it is closed there.
        return execute(
            home,
            SETUP,
            "run = prep.start(config('first'), workers=1)\nrun",
            "report = run.result()\nfirst = scheduler()\nreport",
            "run = prep.start(config('second'), workers=1)\nrun",
            "run.result()\nprint(scheduler() == first)",
            INTERRUPTED,
            "prep.run(config('third')).resumed_shards",
            "print(scheduler() == first)",
            "report = prep.run(config('third'))",
        )


@pytest.mark.slow
def test_a_run_is_seen_in_its_cell_from_beginning_to_end(session: tuple[Reader, list[Any]]) -> None:
    reader, outputs = session
    (shown,) = outputs[1]
    assert "text/html" in shown.data
    assert "done · 1,200 of 1,200 images · 24 of 24 shards" in shown.data["text/plain"]
    assert '<span class="prep-good">done</span>' in shown.data["text/html"]
    assert "/prep" in shown.data["text/html"]

    end = next(n for n, text in enumerate(reader.updates) if ": done" in text)
    states = reader.updates[:end]
    found = (re.search(r"([\d,]+) of 1,200 images", text) for text in states)
    done = [int(match[1].replace(",", "")) for match in found if match]
    assert done == sorted(done)
    assert len({number for number in done if 0 < number < IMAGES}) >= 2
    assert any("left" in text for text in states)


@pytest.mark.slow
def test_a_report_shows_itself(session: tuple[Reader, list[Any]]) -> None:
    _, outputs = session
    (shown,) = outputs[2]
    assert "1,200 of 1,200 images written" in shown.data["text/html"]
    assert shown.data["text/plain"].startswith("RunReport\n")


@pytest.mark.slow
def test_a_cell_that_is_run_again_uses_the_cluster_that_is_there(
    session: tuple[Reader, list[Any]],
) -> None:
    _, outputs = session
    assert outputs[4][-1].text == "True\n"
    assert outputs[7][-1].text == "True\n"  # After an interrupt, too.


@pytest.mark.slow
def test_a_run_that_is_waited_for_is_seen_and_can_be_interrupted(
    session: tuple[Reader, list[Any]],
) -> None:
    _, outputs = session
    shown, printed = outputs[5]
    assert "photos → third: stopped" in shown.data["text/plain"]
    found = re.match(r"Interrupted stopped: (\d+) of 24 shards are committed", printed.text)
    assert found is not None
    shown, resumed = outputs[6]
    assert "photos → third: done · 1,200 of 1,200 images" in shown.data["text/plain"]
    assert resumed.data["text/plain"] == found[1]


@pytest.mark.slow
def test_a_run_says_what_it_does_before_it_writes(session: tuple[Reader, list[Any]]) -> None:
    reader, _ = session
    seen = [text.partition(" · ")[0] for cell, text in reader.seen if cell == 6]
    assert seen[0] == "photos → third: listing photos"
    stages = list(dict.fromkeys(seen))
    assert stages[1] == "photos → third: starting the cluster"
    assert stages[-1] == "photos → third: done"


@pytest.mark.slow
def test_a_run_of_a_complete_output_says_so(session: tuple[Reader, list[Any]]) -> None:
    _, outputs = session
    (shown,) = outputs[8]
    end = "already complete, nothing to do"
    assert shown.data["text/plain"].startswith("photos → third: done · 1,200 of 1,200 images")
    assert shown.data["text/plain"].endswith(end)
    assert end in shown.data["text/html"]


@pytest.mark.slow
def test_a_kernel_that_ends_leaves_nothing_behind(
    session: tuple[Reader, list[Any]], home: Path
) -> None:
    wait_until(lambda: started_below(home) == [])
    assert list(home.glob("**/*.partial")) == []


@pytest.mark.slow
def test_a_kernel_that_is_shut_down_stops_its_run(home: Path, client: Client) -> None:
    with Gate(home, first=IMAGES // SHARDS):
        execute(
            home,
            SETUP,
            "run = prep.start(config('left'), workers=1)",
            "import time\nwhile not run.counters().shards: time.sleep(0.05)",
        )
    wait_until(lambda: started_below(home) == [])
    committed = len(list(home.glob("left/.prep/receipts/*/*.json")))
    assert committed == 1
    # The kernel ends its workers before it lets anybody else clear up: the next run does.
    photos, output = home / "photos", home / "left"
    config = prep.Config(source=photos, output=output, size=448, images_per_shard=50)
    report = prep.run(config, client)
    assert (report.resumed_shards, report.images["written"]) == (committed, IMAGES)
    assert list(home.glob("left/**/*.partial")) == []


@pytest.mark.slow
def test_an_output_that_is_shown_twice_is_kept_up_to_date_twice(home: Path) -> None:
    _, outputs = execute(
        home, SETUP, "run = prep.start(config('twice'), workers=1)\nrun", "run", "_ = run.result()"
    )
    for (shown,) in outputs[1:3]:
        assert "done · 1,200 of 1,200 images" in shown.data["text/plain"]


@pytest.mark.slow
def test_errors_are_seen_in_the_cell(home: Path) -> None:
    (home / "empty").mkdir()
    _, outputs = execute(
        home,
        SETUP,
        "run = prep.start(prep.Config(source='empty', output='none'))\nrun",
        "try:\n    run.result()\nexcept prep.PrepError as error:\n    print(error)",
    )
    (shown,) = outputs[1]
    (printed,) = outputs[2]
    assert "failed" in shown.data["text/plain"]
    assert printed.text.strip() in shown.data["text/plain"]


HELPER = """
import prep
def helper():
    try:
        raise KeyError("first")
    except KeyError:
        return prep.Config(source="photos", ouput="shards")
"""
HANDLER = """
def handler(shell, kind, error, trace, tb_offset=None):
    print("the user's:", error)
get_ipython().set_custom_exc((prep.PrepError,), handler)
helper()
"""


def test_an_error_shows_the_lines_of_the_caller_alone_and_percent_tb_all(tmp_path: Path) -> None:
    _, outputs = execute(tmp_path, HELPER, "helper()", "%tb", HANDLER, allow_errors=True)
    short, whole = ("\n".join(outputs[cell][0].traceback) for cell in (1, 2))
    plain = [re.sub(r"\x1b\[[\d;]*m", "", text) for text in (short, whole)]
    for text in plain:
        assert "----> 1 helper()" in text
        assert 'prep.Config(source="photos", ouput="shards")' in text
        assert text.endswith("ConfigError: ouput: unknown key; did you mean 'output'?")
    assert "model.py" not in plain[0]
    assert "KeyError: 'first'" not in plain[0]
    assert len(plain[0].splitlines()) < 20
    assert "raise ConfigError(told)" in plain[1]
    assert "KeyError: 'first'" in plain[1]
    (said,) = outputs[3]
    assert said.text == "the user's: ouput: unknown key; did you mean 'output'?\n"


def test_there_are_notebooks() -> None:
    assert len(OURS) == 4


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.stem)
def test_notebooks_are_kept_clean(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    notebook = json.loads(text)
    nbformat.validate(copy.deepcopy(notebook))
    for cell in notebook["cells"]:
        assert cell["metadata"] == {}
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None
    assert (
        path.read_text(encoding="utf-8")
        == json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    )
    assert notebook["metadata"].keys() == {"kernelspec", "language_info"}


@pytest.mark.slow
@pytest.mark.parametrize("path", OURS, ids=lambda path: path.stem)
def test_notebooks_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary, work = tmp_path / "tmp", tmp_path / "work"
    temporary.mkdir()
    work.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    notebook = nbformat.read(path, as_version=4)
    Reader(notebook, work).execute()
    said = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert [o.text for o in said if o.get("name") == "stderr" and "prep" in o.text] == []
    assert list(work.iterdir()) == []
    assert [p for p in temporary.iterdir() if p.name.startswith("tmp")] == []
    wait_until(lambda: started_below(tmp_path) == [])
