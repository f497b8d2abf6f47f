"""Python programs against unit tests: HumanEval, MBPP, and what has their form.

HumanEval (arXiv 2107.03374) has `prompt` (code up to the body), `entry_point`, `test` (a function
`check`) and `canonical_solution`; MBPP (arXiv 2108.07732) has `text` or `prompt`, `test_list`,
`test_setup_code` or `test_imports`, and `code`. The question shows MBPP's tests, as its authors do,
and not HumanEval's.

Of an answer, the last block fenced as Python that defines what the tests call is run; without a
fence, the whole text; a HumanEval answer that goes on after its prompt counts up to its first line
that is not indented. It has the standard library and nothing else, and so have the tests. Programs
run in a sandbox, `goniometer.sandbox`, which says what it holds off and what it does not.
"""

import ast
import json
import os
import re
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, ClassVar, final

from pydantic import Field

from goniometer.sandbox import Limits, Outcome, Sandbox, Status, UnitTests, judge, missing
from goniometer.tasks.base import (
    Correct,
    Grade,
    Problem,
    Ungraded,
    Wrong,
    WrongReason,
)
from goniometer.tasks.rows import AbstractRowsTask

_KEYS = {
    "question": ("question", "text", "prompt"),
    "solution": ("solution", "code", "canonical_solution"),
    "tests": ("tests", "test", "test_list"),
    "setup": ("test_setup_code", "test_imports"),
}
_FENCE = re.compile(r"(?ms)^[ \t]*```[ \t]*(\w*)[^\n]*\n(.*?)(?:^[ \t]*```|\Z)")
_LABELS = ("", "python", "python3", "py")
_WRONG: dict[Status, WrongReason] = {"failed": "tests", "error": "error", "timeout": "timeout"}


@final
@dataclass(frozen=True, kw_only=True)
class Code(AbstractRowsTask):
    """Programs to write; see AbstractRowsTask. The sandbox is tried on creation.

    Attributes:
        sandbox: `none` runs the code of a model with this user's rights, under resource limits
            alone; a pass can then be forged.
        cpu_seconds: a program's own time, for all tests of a problem.
        wall_seconds: until it is ended from outside.
        memory: of one of its processes, in MiB.
        processes: at a time, threads included.

    Raises:
        GoniometerError: as AbstractRowsTask, or there is no sandbox.
    """

    name: ClassVar[str] = "code"
    at_once: ClassVar[int] = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    expected: ClassVar[str] = "the keys of HumanEval or MBPP, and tests that call what they test"
    sandbox: Sandbox = "bubblewrap"
    cpu_seconds: Annotated[int, Field(ge=1, le=600)] = Limits.cpu_seconds
    wall_seconds: Annotated[float, Field(gt=0, le=3600)] = Limits.wall_seconds
    memory: Annotated[int, Field(ge=64, le=65536)] = Limits.memory
    processes: Annotated[int, Field(ge=1, le=256)] = Limits.processes

    def __post_init__(self) -> None:
        """Read all rows and try the sandbox."""
        AbstractRowsTask.__post_init__(self)
        if (fault := missing(self.sandbox)) is not None:
            raise fault

    @property
    def limits(self) -> Limits:
        """What one program may use."""
        return Limits(self.cpu_seconds, self.wall_seconds, self.memory, self.processes)

    @property
    def options(self) -> str:
        """The sandbox, its limits and the version of Python."""
        version = ".".join(map(str, sys.version_info[:2]))
        return f"{self.sandbox} {self.limits} Python {version}"

    def problem_of(self, row: dict[str, Any]) -> Problem | None:
        """Make a problem; None where a text is missing or the tests call nothing of a solution."""
        try:
            return _problem(row)
        except (ValueError, SyntaxError, RecursionError):  # all three of ast.parse too
            return None

    def grade(self, problem: Problem, completion: str, *, truncated: bool) -> Grade:
        """Run the problem's tests on the program in the completion; Ungraded without a verdict.

        Tests that do not run, or that want what a sandbox does not carry, are wrong answers where
        they do run on the problem's own solution, and nobody's where they do not.
        """
        if truncated:
            return Wrong("truncated")
        key = json.loads(problem.answer)
        program = program_of(completion, key["tests"]["names"][0], key["start"])
        if program is None:
            return Wrong("no_answer")
        outcome = _judge(program, problem.answer, self.limits, self.sandbox)
        if outcome.status == "passed":
            return Correct()
        reason = _WRONG.get(outcome.status)
        if outcome.status == "broken" and _solved(problem, self.limits, self.sandbox):
            reason = "tests"
        return Wrong(reason) if reason else Ungraded(f"{outcome.status}: {outcome.why}")


def program_of(completion: str, name: str, start: str = "") -> str | None:
    """Return the program in a completion, or None where it holds none.

    Args:
        completion: the model's text.
        name: of the function that it must define.
        start: code that the program may go on from; it stands before every program.
    """
    blocks = [code for label, code in _FENCE.findall(completion) if label.lower() in _LABELS]
    for code in reversed(blocks or [completion]):
        if _defines(textwrap.dedent(code), name):
            return f"{start}\n\n{textwrap.dedent(code)}"
    for code in reversed(blocks or [completion]):
        lines = code.splitlines()
        first = next((line for line in lines if line.strip()), "")
        if start and first[:1].isspace():
            body = (n for n, line in enumerate(lines) if line.strip() and not line[0].isspace())
            return "\n".join([start.rstrip("\n"), *lines[: next(body, len(lines))]])
    return None


def _defines(code: str, name: str) -> bool:
    name = re.escape(name)
    defined = rf"^(?:(?:async[ \t]+)?def|class)[ \t]+{name}\b|^{name}[ \t]*[:=]"
    return re.search(defined, code, re.MULTILINE) is not None


def _judge(program: str, answer: str, limits: Limits, sandbox: Sandbox) -> Outcome:
    tests = json.loads(answer)["tests"]
    return judge(program, UnitTests(**tests | {"names": tuple(tests["names"])}), limits, sandbox)


@lru_cache(maxsize=4096)
def _solved(problem: Problem, limits: Limits, sandbox: Sandbox) -> bool:
    """Tell whether the problem's tests pass its own solution."""
    key = json.loads(problem.answer)
    program = program_of(problem.solution, key["tests"]["names"][0], key["start"])
    return program is not None and (
        _judge(program, problem.answer, limits, sandbox).status == "passed"
    )


def _problem(row: Mapping[str, Any]) -> Problem:
    question, solution, tests, setup = (_text(row, keys) for keys in _KEYS.values())
    for value, keys in zip((question, solution, tests), _KEYS.values(), strict=False):
        if not value.strip():
            raise ValueError(f"it has no text under {' or '.join(keys)}")
    entry, start = row.get("entry_point"), ""
    names: tuple[str, ...]
    if isinstance(entry, str) and _defines(question, entry):  # HumanEval: the prompt is code
        start, names = question, (entry,)
        if not _defines(solution, entry):
            solution = f"{question}{solution}"
        question = f"Complete this Python function.\n\n```python\n{start.strip()}\n```"
    else:
        names = _called(tests, solution, entry if isinstance(entry, str) else None)
        question = f"{question.strip()}\n\nYour code should pass these tests:\n\n{tests}"
    judged = {"source": tests, "names": names, "context": start or setup}
    return Problem(
        question=f"{question}\n",
        answer=json.dumps({"tests": judged, "start": start}),
        solution=f"```python\n{solution.strip()}\n```",
    )


def _text(row: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    value = next((row[key] for key in keys if row.get(key)), "")
    lines: list[Any] = value if isinstance(value, list) else [value]
    if not all(isinstance(line, str) for line in lines):
        raise ValueError(f"{' or '.join(keys)} is neither a text nor a list of texts")
    return "\n".join(lines).replace("\r\n", "\n")


def _called(tests: str, solution: str, entry: str | None) -> tuple[str, ...]:
    """Return what the tests call of what the solution defines, outermost calls first."""
    defined = {getattr(node, "name", None) for node in ast.parse(solution).body}
    names = [entry] if entry is not None else []
    for statement in ast.parse(tests).body:
        calls = (node.func for node in ast.walk(statement) if isinstance(node, ast.Call))
        names += [call.id for call in calls if isinstance(call, ast.Name) and call.id in defined]
    if not names:
        raise ValueError("its tests call nothing that its solution defines")
    return tuple(dict.fromkeys(names))
