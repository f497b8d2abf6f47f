"""A program's side and its tests' side: verdicts, what goes between them, and no sandbox at all."""

import os
import secrets
from concurrent.futures import ThreadPoolExecutor
from enum import IntEnum

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goniometer.errors import AbsentError
from goniometer.sandbox import Limits, UnitTests, command, judge, missing
from goniometer.sandbox.inside.wire import Handle, decoded, encoded
from tests.processes import left

LIMITS = Limits(cpu_seconds=2, wall_seconds=10.0, memory=256, processes=12, scratch=4)


@pytest.fixture(params=["bubblewrap", "none"])
def sandbox(request):
    if (fault := missing(request.param)) is not None:
        pytest.skip(str(fault))
    return request.param


def verdict(sandbox, program, *tests, names=("f",), context="", limits=LIMITS):
    return judge(program, UnitTests("\n".join(tests), names, context), limits, sandbox)


RIGHT = "def f(n): return n + 1"
VERDICTS = {
    RIGHT: "passed",
    "f = 1 .__add__": "passed",
    "import dataclasses as d\n@d.dataclass\nclass D: n: int\ndef f(n): return D(n).n + 1": "passed",
    "import sys\nsys.path.insert(0, 'x')\nimport code, json\n" + RIGHT: "passed",
    f"{RIGHT}\nif __name__ == '__main__': input()": "passed",
    f"print('said')\n{RIGHT}": "passed",
    "def f(n): return n": "failed",
    "def f(n): return None": "failed",
    "def f(n): raise AssertionError": "error",
    "def f(n): return n + g": "error",
    "def f(n, m): return n": "error",
    "def f(n) return n": "error",
    "def g(n): return n + 1": "error",
    "import numpy": "error",
    "": "error",
}


@pytest.mark.parametrize(("program", "status"), VERDICTS.items(), ids=range(len(VERDICTS)))
def test_verdicts(sandbox, program, status):
    assert verdict(sandbox, program, "assert f(1) == 2", "assert f(5) - 6 < 1e-6").status == status


def test_time_runs_out_by_work_and_by_waiting(sandbox):
    work = verdict(sandbox, "def f(n):\n while True: n += 1", "f(1)", limits=Limits(cpu_seconds=1))
    assert (work.status, work.why) == ("timeout", "more than 1 s of CPU time")
    wait = "import time\ndef f(n): time.sleep(99)"
    assert verdict(sandbox, wait, "f(1)", limits=Limits(wall_seconds=0.5)).status == "timeout"


def test_memory_files_and_output_are_bounded(sandbox):
    for spent in ("bytearray(10**10)", "open('x', 'wb').write(bytes(2**23)) == 2**23 or 1 / 0"):
        assert verdict(sandbox, f"def f(n): return {spent}", "f(1)").status == "error", spent
    flood = "import os\nfor fd in (1, 2):\n for _ in range(300): os.write(fd, b'x' * 10**5)\n"
    assert verdict(sandbox, flood + RIGHT, "assert f(1) == 2").status == "passed"


def test_children_end_with_the_grade(sandbox):
    # Without a sandbox the fork may fail: the user's other processes count.
    child = (
        "import os, time\ntry:\n if os.fork() == 0:\n"
        f"  open('/proc/self/comm', 'w').write('{(token := f'g{secrets.token_hex(5)}')}')\n"
        "  time.sleep(60)\nexcept OSError: pass\n"
    )
    assert verdict(sandbox, child + RIGHT, "assert f(1) == 2").status == "passed"
    assert not left(token)


def test_tests_that_cannot_run_are_not_the_programs_fault(sandbox):
    for broken in ("assert f(1) == two", "assert f(1) = 2", "import none_such", "f(print)", "1"):
        assert verdict(sandbox, RIGHT, broken).status == "broken", broken


def test_a_test_that_catches_everything_does_not_pass_an_ended_program(sandbox):
    program = "import os\ndef f(n): os._exit(0)"
    assert verdict(sandbox, program, "try: f(1)\nexcept: pass").status == "error"


def test_exceptions_changed_arguments_and_objects_cross_over(sandbox):
    program = (
        "def f(rows): rows.append(rows.pop(0))\n"
        "def g(n): raise ValueError(n)\n"
        "class Pair:\n def __init__(self, a): self.a = a\n"
        "def total(pairs): return sum(pair.a for pair in pairs)\n"
        "def squares():\n n = 0\n while True: yield n * n; n += 1\n"
    )
    tests = (
        "rows = same = [1, 2, 3]\nassert f(rows) is None\nassert same == [2, 3, 1]",
        "try: g(7)\nexcept ValueError as error: assert str(error) == '7'\nelse: assert False",
        "assert total([Pair(2), Pair(a=3)]) == 5",
        "assert Pair(2) != Pair(2)",
        "assert next(squares()) == 0 and sum(zip(*[squares()] * 2).__next__()) == 1",
    )
    names = ("f", "g", "Pair", "total", "squares")
    assert verdict(sandbox, program, *tests, names=names).status == "passed"


def test_a_check_is_called_with_the_first_function_and_the_context_is_the_tests_own(sandbox):
    check = "def check(candidate): assert candidate(1) == two"
    assert verdict(sandbox, RIGHT, check, context="two = 2").status == "passed"
    forged = f"{RIGHT}\ntwo = 3\ndef check(candidate): pass\ndef f(n): return 3"
    assert verdict(sandbox, forged, check, context="two = 2").status == "failed"


def test_equal_programs_have_equal_outcomes_several_at_once(sandbox):
    program = "def f(n): return list({'a', 'b', 'c', str(n)})"  # the order is by hashes of text
    tests = UnitTests("assert False, f(1)", ("f",))
    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(lambda _: judge(program, tests, LIMITS, sandbox), range(8)))
    assert len(set(outcomes)) == 1
    assert "'a'" in outcomes[0].why


def test_nothing_stays_open(sandbox):
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    verdict(sandbox, RIGHT, "assert f(1) == 2")
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


# Machines without bubblewrap


def test_without_bubblewrap_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(command.shutil, "which", lambda name: None)
    command._fault_of_bubblewrap.cache_clear()
    try:
        fault = missing("bubblewrap")
    finally:
        command._fault_of_bubblewrap.cache_clear()
    assert isinstance(fault, AbsentError)
    assert "apt-get install bubblewrap" in str(fault)
    assert "sandbox: none" in str(fault)


def test_a_sandbox_that_does_not_start_is_no_verdict_on_the_program(monkeypatch, tmp_path):
    failing = tmp_path / "bwrap"
    failing.write_text("#!/bin/sh\necho 'no user namespaces' >&2\nexit 1\n")
    failing.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    outcome = judge(RIGHT, UnitTests("assert f(1) == 2", ("f",)), LIMITS)
    assert (outcome.status, outcome.why) == ("sandbox", "no user namespaces")


def test_root_is_refused_without_a_sandbox(monkeypatch):
    monkeypatch.setattr(command.os, "geteuid", lambda: 0)
    assert "binds root" in str(missing("none"))
    monkeypatch.setattr(command.os, "geteuid", lambda: 1000)
    assert missing("none") is None


# The wire

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.complex_numbers(allow_nan=False)
    | st.text(st.characters())
    | st.binary()
    | st.builds(range, st.integers(-9, 9), st.integers(-9, 9)),
    lambda values: (
        st.lists(values)
        | st.lists(values).map(tuple)
        | st.dictionaries(st.text() | st.integers() | st.tuples(st.integers()), values)
        | st.frozensets(st.integers() | st.text())
        | st.sets(st.floats(allow_nan=False))
    ),
)


def never(value):
    raise AssertionError(value)


@settings(max_examples=40)
@given(PLAIN)
def test_plain_values_come_back_with_their_types(value):
    back = decoded(encoded(value, never), never)
    assert back == value
    assert repr(back) == repr(value) or "{" in repr(value)  # 1 is not True, 0.0 not -0.0


def test_subclasses_come_back_plain_iterators_as_iterators_and_long_integers_whole():
    colour = IntEnum("colour", ["RED"])
    assert type(decoded(encoded(colour.RED, never), never)) is int
    assert decoded(encoded(10**6000, never), never) == 10**6000
    assert list(decoded(encoded(iter([1, (2,)]), never), never)) == [1, (2,)]
    handle = decoded(encoded([object()], lambda value: 5), Handle)[0]
    assert handle.number == 5
    assert encoded(handle, never) == ["handle", 5]


@pytest.mark.parametrize(
    "message",
    [
        *(1, 1.5, {}, [], ["list"], ["list", 3], ["set", [["list", []]]], ["int", 3], ["int", "z"]),
        *(["dict", [["list", [None]]]], ["os.system", "true"], [["list", []], 1], ["range"]),
    ],
)
def test_what_is_no_value_is_refused(message):
    with pytest.raises(ValueError, match="not a value"):
        decoded(message, never)
