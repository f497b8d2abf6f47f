"""The tests' side: runs the tests, in which the program's functions are calls to the other sandbox.

No code under test ever runs in this process, so that its verdict is its own. What the program can
do is answer: plain values and the names of exceptions.
"""

import builtins
import os
import socket
import sys
from collections.abc import Callable, Mapping
from typing import Any

from .limits import impose
from .wire import Handle, UncarriedError, decoded, encoded, receive, send

Verdict = tuple[str, str]  # of judge.Status, and why
# The tests are at fault, or else ask for what the program does not have: its reference shows which.
_OF_THE_TESTS = (NameError, SyntaxError, ImportError, UncarriedError)

# A loop takes the first two for its end; the others are not made of a text alone.
_UNUSUAL = (StopIteration, StopAsyncIteration, UnicodeError, ExceptionGroup)


class ProgramEndedError(BaseException):
    """The program's process is gone, or says what is no answer; tests do not catch this."""


class Program:
    """The other side of the pipes on standard input and output.

    Attributes:
        calls: made so far.
        ended: why there will be no more answers; empty while there are.
        raised: the last exception that the program raised in a call.
    """

    def __init__(self) -> None:
        """Take over the pipes, so that what the tests print goes nowhere."""
        self.answers, self.requests = os.fdopen(os.dup(0), "rb"), os.dup(1)
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1):
            os.dup2(nothing, stream)
        self.calls = 0
        self.ended = ""
        self.raised: BaseException | None = None

    def load(self, source: str, limits: Mapping[str, int]) -> str:
        """Hand the program over; return why it does not load, or nothing."""
        answer = self._ask({"program": source, "limits": limits})
        return f"{answer['raised']}: {answer['detail']}" if "raised" in answer else ""

    def function(self, name: str) -> Callable[..., Any]:
        """Return a function that calls the program's function of that name."""

        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            message = {"args": encoded(args, _refuse), "kwargs": encoded(kwargs, _refuse)}
            answer = self._ask({"call": self.calls, "name": name, **message})
            try:
                if answer["call"] != self.calls:
                    raise ValueError("an answer to another call")
                if "raised" in answer:
                    self.raised = _exception(answer["raised"], answer["detail"])
                else:
                    result = decoded(answer["result"], Handle)
                    _change(args, decoded(answer["after"], Handle))
            except (ValueError, TypeError, LookupError, RecursionError, MemoryError) as error:
                raise self._end(f"no answer: {error}") from None
            if "raised" in answer:
                raise self.raised  # type: ignore[misc]
            return result

        call.__name__ = name
        return call

    def _ask(self, message: Any) -> Any:
        try:
            send(self.requests, message)
            return receive(self.answers)
        except (OSError, EOFError):
            raise self._end("its process ended") from None
        except (ValueError, RecursionError, MemoryError) as error:
            raise self._end(f"no answer: {error}") from None

    def _end(self, why: str) -> ProgramEndedError:
        self.ended = self.ended or why
        return ProgramEndedError(why)


def main() -> None:
    """Read the order from the socket whose descriptor is the argument, and send the verdict."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    order = receive(channel.makefile("rb"))  # type: ignore[arg-type]
    program = Program()
    if receive(program.answers) != "ready":
        return
    send(channel.fileno(), "ready")
    impose(order["limits"] | {"CPU": order["wall_seconds"]})
    send(channel.fileno(), verdict(program, order))


def verdict(program: Program, order: Mapping[str, Any]) -> Verdict:
    """Load the program and run the tests on it."""
    try:
        if fault := program.load(order["program"], order["limits"]):
            return "error", fault
        namespace: dict[str, Any] = {"__name__": "tests"}
        _run(order["context"], namespace)
        namespace |= {name: program.function(name) for name in order["names"]}
        _run(order["tests"], namespace)
        if "check" in namespace and "check" not in order["names"]:  # as HumanEval writes its tests
            namespace["check"](namespace[order["names"][0]])
    except BaseException as error:
        return _fault(program, error)
    if program.ended:
        return "error", program.ended
    return ("passed", "") if program.calls else ("broken", "the tests call nothing")


def _run(source: str, namespace: dict[str, Any]) -> None:
    exec(compile(source, "<tests>", "exec"), namespace)  # noqa: S102 (what this is for)


def _fault(program: Program, error: BaseException) -> Verdict:
    why = f"{type(error).__name__}: {error}"[:200]
    if program.ended:
        return "error", program.ended
    if error is program.raised:
        return "error", why
    if isinstance(error, AssertionError):
        return "failed", why
    if not program.calls or isinstance(error, _OF_THE_TESTS):
        return "broken", why
    return "failed", why  # such as a None that is compared with a number


def _refuse(value: Any) -> int:
    raise UncarriedError(f"the tests hand over a {type(value).__name__}")


def _exception(name: str, detail: str) -> Exception:
    """Make the exception of that name; only such as report an error, and none that ends a loop."""
    kind = getattr(builtins, str(name), None)
    if isinstance(kind, type) and issubclass(kind, Exception) and not issubclass(kind, _UNUSUAL):
        return kind(detail)
    return RuntimeError(f"{name}: {detail}")


def _change(given: tuple[Any, ...], after: list[Any]) -> None:
    """Make the arguments that the program can change in place what they are now."""
    for old, new in zip(given, after, strict=True):
        if new is None or type(old) is not type(new):
            continue
        if isinstance(old, list | bytearray):
            old[:] = new
        else:
            old.clear()
            old.update(new)
