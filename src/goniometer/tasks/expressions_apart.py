"""Expressions graded in a process of its own, for threads: math-verify's limits need a main thread.

The process is started at the first grade of a thread and ends with this one; the threads take
turns. What does not answer in time, limit or no limit, is ended: its grade is Ungraded.
"""

import atexit
import functools
import json
import os
import select
import subprocess
import sys
from dataclasses import dataclass, field
from threading import Lock
from typing import IO, final

from goniometer.tasks.base import Grade, Ungraded, grade_from_text, grade_to_text
from goniometer.tasks.expressions_here import grade_here

STARTS = 120.0  # seconds in which the process must be ready
SPARE = 5.0  # seconds beside those of two parses and one comparison
_FINDING = Lock()
_LATE = Ungraded("math-verify: no answer in time, outside the main thread")


def grade_apart(text: str, gold: str, truncated: bool, seconds: int) -> Grade:
    """Grade as `grade_expression` does, from any thread; the limits hold.

    Args:
        text: the completion.
        gold: the key.
        truncated: whether the text was cut off.
        seconds: for one parse, and for one comparison.
    """
    with _FINDING:  # or threads that are first at once would start one each
        process = _process(os.getpid(), seconds)
    return process.grade(text, gold, truncated)


@functools.lru_cache(maxsize=1)
def _process(pid: int, seconds: int) -> "_Process":
    """The process of this one, and of no parent that was forked."""
    made = _Process(seconds)
    atexit.register(made.end)
    return made


@final
@dataclass
class _Process:
    """A grader that is asked by lines of JSON; not started yet, or ended, where `_running` is not.

    Attributes:
        seconds: for one parse, and for one comparison.
    """

    seconds: int
    _running: subprocess.Popen[bytes] | None = None
    _lock: Lock = field(default_factory=Lock)

    def grade(self, text: str, gold: str, truncated: bool) -> Grade:
        """Ask it; one that does not answer is ended, and the next grade starts another."""
        with self._lock:
            try:
                running = self._running or self._started()
                return grade_from_text(self._asked(running, [text, gold, truncated]))
            except TimeoutError:
                self.end()
                return _LATE
            except (OSError, ValueError) as error:  # it ended, or said something else
                self.end()
                return Ungraded(f"math-verify: {type(error).__name__}: {error}"[:120])

    def _started(self) -> subprocess.Popen[bytes]:
        code = f"from {__name__} import serve; serve({self.seconds})"
        self._running = running = subprocess.Popen(  # noqa: S603 (this interpreter, our own code)
            [sys.executable, "-P", "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            start_new_session=True,  # an interrupt is for this process
        )
        _line(running.stdout, STARTS)
        return running

    def _asked(self, running: subprocess.Popen[bytes], question: list[object]) -> str:
        assert running.stdin is not None  # noqa: S101 (for the type checker: both are pipes)
        running.stdin.write(json.dumps(question).encode() + b"\n")
        running.stdin.flush()
        return str(json.loads(_line(running.stdout, 3 * self.seconds + SPARE)))

    def end(self) -> None:
        """End it, whatever it does."""
        running, self._running = self._running, None
        if running is not None:
            running.kill()
            running.communicate()


def _line(pipe: IO[bytes] | None, seconds: float) -> bytes:
    assert pipe is not None  # noqa: S101 (for the type checker)
    if not select.select([pipe], [], [], seconds)[0]:
        raise TimeoutError
    if not (line := pipe.readline()):
        raise ValueError("the process ended")
    return line


def serve(seconds: int) -> None:
    """Grade what comes by lines of JSON, until there is no more."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    import math_verify  # noqa: F401 (before the first limit runs)

    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        text, gold, truncated = json.loads(line)
        grade = grade_here(text, gold, truncated, seconds)
        print(json.dumps(grade_to_text(grade)), file=answers, flush=True)
