"""Jobs in processes of their own: results in order, faults early, no process left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from goniometer.engine import run_local, run_spawned
from goniometer.errors import GoniometerError


def named(folder: Path) -> Callable[[int], tuple[int, int]]:
    """Note that a process has opened; its jobs say what they got, and where."""
    (folder / f"opened-{os.getpid()}").touch()

    def job(number: int) -> tuple[int, int]:
        (folder / f"job-{number}").touch()
        if number == 13:
            os._exit(3)
        time.sleep(0.05)
        return number * number, os.getpid()

    return job


def sleeping(folder: Path) -> Callable[[int], None]:
    def job(number: int) -> None:
        (folder / f"pid-{os.getpid()}").touch()
        time.sleep(60)

    return job


def test_results_are_those_of_one_process_in_the_order_of_the_jobs(tmp_path: Path):
    seen: list[int] = []
    found = run_spawned(
        named, tmp_path, [4, 1, 3, 2], workers=2, done=lambda one: seen.append(one[0])
    )
    assert [square for square, _ in found] == run_local(lambda n: n * n, [4, 1, 3, 2])
    assert sorted(seen) == [1, 4, 9, 16]
    opened = {int(path.name.split("-")[1]) for path in tmp_path.glob("opened-*")}
    assert {process for _, process in found} <= opened
    assert os.getpid() not in opened
    assert len(opened) <= 2, "each process opens once"


def test_what_done_raises_ends_it_and_the_last_jobs_never_begin(tmp_path: Path):
    def done(result: tuple[int, int]) -> None:
        raise GoniometerError("no more")

    with pytest.raises(GoniometerError, match="no more"):
        run_spawned(named, tmp_path, range(40, 80), workers=2, done=done)
    assert 0 < len(list(tmp_path.glob("job-*"))) < 40
    assert not [path for path in tmp_path.glob("opened-*") if _alive(_process(path))]


def test_a_process_that_is_ended_from_outside_is_one_line(tmp_path: Path):
    with pytest.raises(GoniometerError, match=r"training\.workers.*ended from outside"):
        run_spawned(named, tmp_path, [13], workers=1)


def test_processes_end_with_a_parent_that_is_killed(tmp_path: Path):
    command = [sys.executable, "-c", _program(tmp_path)]
    parent = subprocess.Popen(command, cwd=Path(__file__).parent.parent)
    try:
        started = _started(tmp_path)
    finally:
        parent.kill()
        parent.wait()
    children = [_process(path) for path in started]
    deadline = time.monotonic() + 20
    while (left := [child for child in children if _alive(child)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    for child in left:  # else they would wait for jobs for good
        os.kill(int(child.name), signal.SIGKILL)
    assert not left


def _program(folder: Path) -> str:
    return (
        "from pathlib import Path; from tests.test_engine import sleeping; "
        "from goniometer.engine import run_spawned; "
        f"run_spawned(sleeping, Path({str(folder)!r}), [1, 2], workers=2)"
    )


def _started(folder: Path) -> list[Path]:
    deadline = time.monotonic() + 60
    while len(found := list(folder.glob("pid-*"))) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def _process(told: Path) -> Path:
    return Path("/proc", told.name.split("-")[1])


def _alive(process: Path) -> bool:
    try:
        return "State:\tZ" not in (process / "status").read_text()
    except OSError:
        return False


def test_an_interrupt_ends_all_of_them_at_once(tmp_path: Path):
    """As at a terminal, where Ctrl-C reaches every process; none prints a traceback but ours."""
    # The tests themselves may be a background job, whose children ignore interrupts.
    listening = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    parent = subprocess.Popen(
        [sys.executable, "-c", listening + _program(tmp_path)],
        cwd=Path(__file__).parent.parent,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    _started(tmp_path)
    os.killpg(parent.pid, signal.SIGINT)
    _, printed = parent.communicate(timeout=20)
    assert printed.count("KeyboardInterrupt") == 1
    assert "SpawnProcess" not in printed
