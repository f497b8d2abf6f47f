"""The program's side: runs the code under test and answers calls of its functions.

It never sees the tests, what they expect, or a verdict: the tests' side is in another sandbox.
"""

import contextlib
import os
import sys
import types
from typing import Any

from .limits import impose
from .wire import decoded, encoded, receive, send

_MUTABLE = (list, dict, set, bytearray)


def main() -> None:
    """Say that the sandbox stands, load the program, and answer until there are no more calls."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):  # what the program prints goes nowhere, however much it is
        os.dup2(nothing, stream)
    send(replies, "ready")
    order = receive(requests)
    impose(order["limits"])
    module = types.ModuleType("program")  # no "__main__": a main guard is not run
    sys.modules["program"] = module
    kept: list[Any] = []
    with contextlib.suppress(EOFError):
        send(replies, _answer(lambda: _load(order["program"], module), kept))
        while True:
            request = receive(requests)
            send(replies, {"call": request["call"], **_answer(_Call(module, request, kept), kept)})


def _load(source: str, module: types.ModuleType) -> tuple[None, list[Any]]:
    exec(compile(source, "<program>", "exec"), module.__dict__)  # noqa: S102 (what this is for)
    return None, []


class _Call:
    """One call of a function; `()` gives its result, and what the arguments are after it."""

    def __init__(self, module: types.ModuleType, request: Any, kept: list[Any]) -> None:
        self.module, self.request, self.kept = module, request, kept

    def __call__(self) -> tuple[Any, list[Any]]:
        positional, named = (
            decoded(self.request[key], self.kept.__getitem__) for key in ("args", "kwargs")
        )
        function = getattr(self.module, self.request["name"])
        result = function(*positional, **named)
        return result, [one if isinstance(one, _MUTABLE) else None for one in positional]


def _answer(work: Any, kept: list[Any]) -> dict[str, Any]:
    def keep(value: Any) -> int:
        kept.append(value)
        return len(kept) - 1

    try:
        result, after = work()
        return {"result": encoded(result, keep), "after": encoded(after, keep)}
    except BaseException as error:  # SystemExit too
        return {"raised": type(error).__name__, "detail": str(error)[:200]}
