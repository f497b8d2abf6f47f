"""Judge a program by its tests: two processes, two sandboxes, the tests' side's verdict."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Literal, final

from goniometer.sandbox.command import ENVIRONMENT, Sandbox, command
from goniometer.sandbox.inside.wire import receive
from goniometer.sandbox.limits import Limits
from goniometer.sandbox.system_calls import descriptor

Process = subprocess.Popen[bytes]
Status = Literal["passed", "failed", "error", "timeout", "broken", "sandbox"]

START_SECONDS = 60.0  # for both sandboxes to stand; a busy machine is not the program's fault


@final
@dataclass(frozen=True)
class UnitTests:
    """Tests of a program.

    Attributes:
        source: Python that raises where the program is wrong. Where it defines `check`, that is
            called with the first function.
        names: what the tests call of the program; each is a function in their namespace.
        context: Python that is run before the tests, beside them: what else they need.
    """

    source: str
    names: tuple[str, ...]
    context: str = ""


@final
@dataclass(frozen=True)
class Outcome:
    """What came of it: the status, and why in one line.

    `passed`: the tests ran to their end. `failed`: one did not hold. `error`: the program does not
    load, raised or ended. `timeout`: it was ended. `broken`: the tests themselves do not run, or
    want of the program what cannot be carried. `sandbox`: no verdict, and not the program's fault.
    """

    status: Status
    why: str = ""


def judge(
    program: str, tests: UnitTests, limits: Limits, sandbox: Sandbox = "bubblewrap"
) -> Outcome:
    """Run the tests on the program; every process is gone when this returns.

    Thread-safe: several can run at once. `missing` says before whether the sandbox can be had.
    """
    order = {
        "program": program,
        "tests": tests.source,
        "names": tests.names,
        "context": tests.context,
        "limits": limits.resources(),
        "wall_seconds": limits.whole_wall_seconds,
    }
    with ExitStack() as stack:
        try:
            channel, *sides = _start(stack, limits, sandbox)
        except OSError as error:
            return Outcome("sandbox", str(error))
        outcome = _verdict(channel, order, limits)
        if outcome is None:
            return Outcome("sandbox", _first_line(sides))
        if outcome.status == "error" and _out_of_cpu_time(sides[0]):
            return Outcome("timeout", f"more than {limits.cpu_seconds} s of CPU time")
        return outcome


def _start(
    stack: ExitStack, limits: Limits, sandbox: Sandbox
) -> tuple[socket.socket, Process, Process]:
    """Start the program's and the tests' side, to be killed by the stack; and the channel's end.

    The program's standard input and output are the pipes to the tests' side and from it; nothing
    of the channel is open in its process.
    """
    ours, theirs = socket.socketpair()
    stack.enter_context(ours)
    with ExitStack() as passed:
        passed.enter_context(theirs)
        requests, answers = _pipe(passed), _pipe(passed)
        folder = "/"
        if sandbox == "none":
            folder = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        channel = theirs.fileno()
        started = []
        for side, arguments, source, sink in (
            ("program", (), requests[0], answers[1]),
            ("tests", (str(channel),), answers[0], requests[1]),
        ):
            refused = passed.enter_context(descriptor())
            inherited = [*map(int, arguments), *([] if refused is None else [refused])]
            process = subprocess.Popen(  # noqa: S603
                command(side, sandbox, limits.scratch * 2**20, refused, *arguments),
                stdin=source,
                stdout=sink,
                stderr=subprocess.PIPE,
                cwd=folder,
                env=ENVIRONMENT,
                pass_fds=inherited,
                start_new_session=True,
            )
            stack.callback(_end, process)
            started.append(process)
    return ours, started[0], started[1]


def _verdict(channel: socket.socket, order: Any, limits: Limits) -> Outcome | None:
    """Wait for the verdict; None where the tests' side gave none for no reason of the program."""
    try:
        channel.settimeout(START_SECONDS)
        channel.sendall(json.dumps(order).encode() + b"\n")
        lines = channel.makefile("rb")
        if receive(lines) != "ready":
            return None
        channel.settimeout(limits.wall_seconds)
        with contextlib.suppress(TimeoutError):
            status, why = receive(lines)
            return Outcome(status, " ".join(why.split()))
    except (OSError, EOFError, ValueError):
        return None
    return Outcome("timeout", f"more than {limits.wall_seconds:g} s")


def _end(process: Process) -> None:
    """Kill what was started: bubblewrap's namespace dies with it, else the process group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()
    if process.stderr is not None:
        process.stderr.close()


def _out_of_cpu_time(program: Process) -> bool:
    """Tell whether the signal of the limit on CPU time ended it, bubblewrap in between or not."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        return program.wait(timeout=1) in (-signal.SIGXCPU, 128 + signal.SIGXCPU)
    return False


def _first_line(sides: Sequence[Process]) -> str:
    """Read what the sandboxes said on standard error, at most a page, without waiting."""
    for side in sides:
        errors = side.stderr.fileno()  # type: ignore[union-attr]
        os.set_blocking(errors, False)
        with contextlib.suppress(BlockingIOError):
            lines = os.read(errors, 4096).decode(errors="replace").strip().splitlines()
            if lines:
                return lines[-1]
    return "the tests' process ended without a verdict"


def _pipe(stack: ExitStack) -> tuple[int, int]:
    ends = os.pipe()
    for end in ends:
        stack.callback(os.close, end)
    return ends
