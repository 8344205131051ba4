"""Signals during work that must not be interrupted."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from prep.execution.interrupts import deferred, heard, noticing, pressed_again

BLOCKED = (
    "import signal; blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ());"
    " print(*(getattr(signal, name) in blocked for name in ('SIGINT', 'SIGHUP', 'SIGTERM')))"
)


pytestmark = pytest.mark.usefixtures("ctrl_c_interrupts")


def test_ctrl_c_takes_effect_at_the_end() -> None:
    reached = []

    def press() -> None:
        with deferred():
            os.kill(os.getpid(), signal.SIGINT)
            reached.append("the end")

    with pytest.raises(KeyboardInterrupt):
        press()
    assert reached == ["the end"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


@pytest.mark.parametrize("depth", [1, 2])
def test_it_takes_effect_at_once_where_it_is_heard(depth: int) -> None:
    reached = []

    def press() -> None:
        with contextlib.ExitStack() as stack:
            for _ in range(depth):
                stack.enter_context(deferred())
            try:
                with heard():
                    os.kill(os.getpid(), signal.SIGINT)
                    reached.append("the end of what is heard")
            except KeyboardInterrupt:
                os.kill(os.getpid(), signal.SIGINT)  # It is put off again.
                reached.append("the end")

    with pytest.raises(KeyboardInterrupt):
        press()
    assert reached == ["the end"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_what_came_before_is_heard_as_well() -> None:
    def press() -> None:
        with deferred():
            os.kill(os.getpid(), signal.SIGINT)
            with pytest.raises(KeyboardInterrupt), heard():
                raise AssertionError("it goes on")

    press()  # Once is enough.


def test_where_nothing_is_put_off_all_is_heard_anyway() -> None:
    with pytest.raises(KeyboardInterrupt), heard():
        os.kill(os.getpid(), signal.SIGINT)


def test_what_came_while_the_first_was_dealt_with_is_known() -> None:
    def press(times: int) -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
        finally:
            with deferred():
                if times > 1:
                    os.kill(os.getpid(), signal.SIGINT)

    for times in (1, 2):
        with pytest.raises(KeyboardInterrupt) as error:
            press(times)
        assert pressed_again(error.value) is (times > 1)


def test_it_is_known_though_something_else_went_wrong_between() -> None:
    def press() -> None:
        os.kill(os.getpid(), signal.SIGINT)

    def leave() -> None:
        try:
            raise OSError("it is away")
        except OSError:
            press()

    def press_twice() -> None:
        with contextlib.ExitStack() as stack:
            stack.callback(leave)
            press()

    with pytest.raises(KeyboardInterrupt) as error:
        press_twice()
    assert pressed_again(error.value)


def test_it_takes_effect_when_the_block_fails_too() -> None:
    def fail() -> None:
        with deferred():
            os.kill(os.getpid(), signal.SIGINT)
            raise RuntimeError

    with pytest.raises(KeyboardInterrupt):
        fail()


def test_a_termination_takes_effect_in_the_way_it_would_have() -> None:
    script = (
        "import os, signal; from prep.execution.interrupts import deferred\n"
        "with deferred():\n"
        "    os.kill(os.getpid(), signal.SIGTERM); print('the end', flush=True)\n"
        "print('not reached')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("the end\n", -signal.SIGTERM)


STOPS = (
    "import os, signal, sys\n"
    "from prep.execution.interrupts import deferred, stopped_by, stopping_in_order\n"
    "number = getattr(signal, sys.argv[1])\n"
    "try:\n"
    "    with stopping_in_order():\n"
    "        with deferred():\n"
    "            os.kill(os.getpid(), number); print('the end', flush=True)\n"
    "        print('not stopped')\n"
    "except KeyboardInterrupt:\n"
    "    print(stopped_by().name, flush=True)\n"
    "signal.raise_signal(signal.SIGTERM)"
)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_each_signal_stops_in_order_and_is_known(name: str) -> None:
    done = subprocess.run([sys.executable, "-c", STOPS, name], capture_output=True, text=True)
    assert done.stdout.split("\n") == ["the end", name, ""]
    assert done.returncode == -signal.SIGTERM  # Outside, it does what it did.


# As a module does that has a dataclass, while it is loaded.
STOPPED_IN_TEXT = """
import os, signal, sys
from prep.execution.interrupts import stopping_in_order
try:
    with stopping_in_order():
        exec("os.kill(os.getpid(), signal.SIGINT)")
except KeyboardInterrupt:
    sys.exit(130)
"""


def test_a_module_that_is_run_has_its_exit_code_wherever_it_was_stopped(tmp_path: Path) -> None:
    (tmp_path / "stopped.py").write_text(STOPPED_IN_TEXT)
    done = subprocess.run(
        [sys.executable, "-m", "stopped"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (130, "")


def test_a_signal_that_is_ignored_stays_so() -> None:
    """As ``nohup`` has it."""
    command = ["nohup", sys.executable, "-c", STOPS, "SIGHUP"]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.stdout.split("\n") == ["the end", "not stopped", ""]


@pytest.mark.parametrize("put_off", [False, True])
def test_a_signal_is_noticed_before_it_takes_effect(put_off: bool) -> None:
    noticed, reached = threading.Event(), []

    def press() -> None:
        with noticing(noticed.set), deferred() if put_off else contextlib.nullcontext():
            # The main thread only waits, as for a cluster.
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
            assert noticed.wait(30)
            reached.append("noticed")

    with pytest.raises(KeyboardInterrupt):
        press()
    assert not put_off or reached
    assert noticed.wait(30)
    assert signal.set_wakeup_fd(-1) == -1


def test_what_is_not_a_stop_is_not_noticed() -> None:
    told = []
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    with noticing(lambda: told.append("")):
        signal.raise_signal(signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, before)
    assert told == []


def test_who_listens_to_signals_already_goes_on_to() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer)
    try:
        with noticing(lambda: None):
            pass
        assert signal.set_wakeup_fd(before) == writer
    finally:
        os.close(reader)
        os.close(writer)


def test_processes_started_within_do_not_see_ctrl_c_but_can_be_ended() -> None:
    with deferred():
        shown = subprocess.run([sys.executable, "-c", BLOCKED], capture_output=True, text=True)
    assert shown.stdout == "True True False\n"


def test_without_a_signal_nothing_happens() -> None:
    with deferred():
        pass
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_handler_that_is_not_pythons_stays(tmp_path: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs a C compiler and Linux, to handle a signal before Python begins")
    library, source = (
        tmp_path / "handler.so",
        Path(__file__).parents[1] / "support/native/handler.c",
    )
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
    script = (
        "import os, signal; from prep.execution.interrupts import deferred\n"
        "with deferred():\n"
        "    os.kill(os.getpid(), signal.SIGTERM); print('within', flush=True)\n"
        "os.kill(os.getpid(), signal.SIGTERM); print('after', flush=True)"
    )
    environment = {**os.environ, "LD_PRELOAD": str(library)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True
    )
    assert done.stdout.split() == ["handled", "within", "handled", "after"]
    assert (done.stderr, done.returncode) == ("", 0)


def test_other_threads_may_use_it() -> None:
    results = []

    def use() -> None:
        with deferred():
            results.append(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ()))
        results.append(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ()))

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert results == [True, False]
