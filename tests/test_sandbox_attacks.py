"""Programs that want a pass they did not earn, or the machine: each gets and leaves nothing.

A program that attacks reports what it got, and its tests hold where that is nothing.
"""

import os
import secrets
import socket
import time
from dataclasses import replace
from pathlib import Path

import pytest

from goniometer.sandbox import Limits, UnitTests, judge, missing
from goniometer.sandbox.command import SCRATCH
from tests.processes import left

LIMITS = Limits(cpu_seconds=2, wall_seconds=10.0, memory=256, processes=12, scratch=4)
HASTY = replace(LIMITS, cpu_seconds=1, wall_seconds=0.8)
FAULT = missing("bubblewrap")
pytestmark = pytest.mark.skipif(FAULT is not None, reason=str(FAULT))

DOUBLE = UnitTests("assert double(2) == 4\nassert double(3) == 6", ("double",))


def outcome(program: str, expected: object = None, *arguments: object):
    call = f"got({', '.join(map(repr, arguments))})"
    tests = (
        DOUBLE
        if expected is None
        else UnitTests(f"assert {call} == {expected!r}, {call}", ("got",))
    )
    return judge(program, tests, LIMITS)


@pytest.fixture
def name():
    """A name that a program gives to its processes, none of which is left a second later."""
    token = f"g{secrets.token_hex(5)}"
    yield token
    assert not left(token)


NAMED = "import os, time\nopen('/proc/self/comm', 'w').write({!r})\n"

# A pass that was not earned.
FAKES = {
    "exit at once": "import os\nos._exit(0)",
    "exit when asked": "import os\ndef double(n): os._exit(0)",
    "sys.exit": "import sys\nsys.exit(0)",
    "sys.exit when asked": "import sys\ndef double(n): sys.exit(0)",
    "SystemExit": "def double(n): raise SystemExit(0)",
    "exit handler": "import atexit, os\natexit.register(os._exit, 0)\nraise KeyboardInterrupt",
    "a verdict in print": 'print(\'["passed", ""]\')\ndef double(n): print(\'["passed", ""]\')',
    "a verdict in every file": (
        "import os\ndef double(n):\n"
        " for fd in range(20):\n"
        '  try: os.write(fd, b\'["passed", ""]\\n\')\n'
        "  except OSError: pass"
    ),
    "assertions that do nothing": (
        "import builtins\n"
        "class Silent(BaseException): pass\n"
        "builtins.AssertionError = Silent\n"
        "builtins.__dict__['__debug__'] = False\n"
        "def double(n): return 0"
    ),
    "equal to everything": (
        "class Equal:\n"
        " def __eq__(self, other): return True\n"
        " __hash__ = None\n"
        "def double(n): return Equal()"
    ),
    "an integer equal to everything": (
        "class Equal(int):\n"
        " def __eq__(self, other): return True\n"
        " __hash__ = None\n"
        "def double(n): return Equal(1)"
    ),
    "the values expected, from the frames": (
        "import gc, sys\ndef double(n):\n"
        " frame, texts = sys._getframe(), []\n"
        " while frame: texts.append(repr(frame.f_locals)); frame = frame.f_back\n"
        " texts += [text for text in gc.get_objects() if isinstance(text, str)]\n"
        " return 2 * n if any('assert ' + 'double' in text for text in texts) else None"
    ),
    "answers before the questions": (
        "import os\nfor fd in range(3, 20):\n"
        " for call in (1, 2):\n"
        '  line = \'{"call": %d, "result": ["int", "0x4"], "after": []}\\n\' % call\n'
        "  try: os.write(fd, line.encode())\n"
        "  except OSError: pass\n"
        "def double(n): return 4"
    ),
    "answers twice": "import os\ndef double(n):\n os.fork()\n return 4",
    "another harness": (
        "import sys\n"
        "for path in ('/harness/inside/tests.py', '/harness/inside/program.py'):\n"
        " try: open(path, 'w').write('')\n"
        " except OSError: pass\n"
        "sys.modules['inside.tests'] = sys.modules['inside.wire'] = None\n"
        "def double(n): return 0"
    ),
}


@pytest.mark.parametrize("program", FAKES.values(), ids=FAKES)
def test_a_pass_cannot_be_faked(program):
    assert outcome(program).status in ("error", "failed", "broken")


def test_a_raised_stop_does_not_end_the_loop_over_the_tests():
    loop = UnitTests("assert all(map(double, [1, 2]))\nlist(map(double, [1, 2]))", ("double",))
    assert judge("def double(n): raise StopIteration", loop, LIMITS).status == "error"


# What is used up.


def test_a_fork_bomb_stays_below_the_limit_and_dies(name):
    bomb = NAMED.format(name) + (
        "def double(n):\n while True:\n  try: os.fork()\n  except OSError: pass"
    )
    assert judge(bomb, DOUBLE, HASTY).status == "timeout"


def test_processes_are_counted_and_the_limit_cannot_be_raised(name):
    count = (
        f"{NAMED.format(name)}import resource\n"
        "def got(most):\n"
        " try: resource.setrlimit(resource.RLIMIT_NPROC, (most, most))\n"
        " except (ValueError, OSError): pass\n"
        " for made in range(most):\n"
        "  try:\n"
        "   if os.fork() == 0: time.sleep(60)\n"
        "  except OSError: return made\n"
        " return most"
    )
    tests = UnitTests(f"assert 0 < got(100) <= {LIMITS.processes}", ("got",))
    assert judge(count, tests, LIMITS).status == "passed"


def test_children_that_leave_their_session_die_with_the_grade(name):
    orphan = (
        f"{NAMED.format(name)}import signal\n"
        "def got():\n"
        " if os.fork() == 0:\n"
        "  os.setsid()\n"
        "  signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\n"
        "  if os.fork() == 0: time.sleep(60)\n"
        "  os._exit(0)\n"
        " os.wait()\n"
        " return 'orphaned'"
    )
    assert outcome(orphan, "orphaned").status == "passed"


ENDLESS = {
    "output": "def double(n):\n while True: print('x' * 10000)",
    "output of children": "import os\ndef double(n):\n while True: os.system('echo x; echo y >&2')",
    "sleep": "import time\ntime.sleep(1000)",
    "work": "def double(n):\n while True: pass",
    "signals ignored": (
        "import signal, time\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\ntime.sleep(1000)"
    ),
}


@pytest.mark.parametrize("program", ENDLESS.values(), ids=ENDLESS)
def test_what_does_not_end_is_ended(program):
    began = time.monotonic()
    assert judge(program, DOUBLE, HASTY).status == "timeout"
    assert time.monotonic() - began < 10 * HASTY.wall_seconds


@pytest.mark.parametrize(
    "program",
    [
        "def double(n): return bytearray(10**10)",
        "def double(n):\n text = 'x'\n while True: text += text",
        "def double(n): return ['x' * 100] * 10**5",  # fits there, and is no answer
        "import os\nfor fd in range(3, 20):\n try: os.write(fd, b'x' * 10**7)\n except OSError: 0",
    ],
)
def test_memory_and_answers_are_bounded(program):
    assert outcome(program).status == "error"


def test_the_scratch_folder_is_bounded_and_the_next_grade_has_another():
    fill = (
        "import os\ndef got():\n"
        " total = len(os.listdir('.'))\n"
        " try:\n"
        "  for number in range(100):\n"
        "   with open(f'{number}', 'wb') as file: total += file.write(bytes(2**20))\n"
        " except OSError: pass\n"
        " return total"
    )
    tests = UnitTests(f"assert 2**20 <= got() <= {LIMITS.scratch} * 2**20", ("got",))
    assert [judge(fill, tests, LIMITS).status for _ in range(2)] == ["passed"] * 2


# What is out of reach.

TRY = (
    "import os\ndef got(*paths):\n"
    " reached = []\n"
    " for path in paths:\n"
    "  try: {}\n"
    "  except OSError: continue\n"
    "  reached.append(path)\n"
    " return reached"
)


def test_nothing_is_written_outside_the_scratch_folder(tmp_path):
    places = "/ /dev /dev/shm /usr /harness /harness/inside /python /proc/sys/kernel"
    paths = (str(tmp_path), *places.split(), SCRATCH)
    program = TRY.format("open(os.path.join(path, 'planted'), 'w').write('x')")
    assert outcome(program, [SCRATCH], *paths).status == "passed"
    assert not list(tmp_path.iterdir())


def test_nothing_of_home_of_the_tests_or_of_other_processes_is_read(tmp_path):
    kept = tmp_path / "kept"
    kept.write_text("secret")
    paths = [str(kept), __file__, str(Path.home()), "/etc/passwd", "/etc/hostname", "/var"]
    paths += ["/proc/1/root/etc/passwd", f"/proc/1/root{kept}", f"/proc/self/root{kept}"]
    program = TRY.format("os.listdir(path) if os.path.isdir(path) else open(path).read()")
    assert outcome(program, [], *paths).status == "passed"


def test_symbolic_links_lead_nowhere(tmp_path):
    kept = tmp_path / "kept"
    kept.write_text("mine")
    program = TRY.format(
        "os.symlink(path, f'/tmp/{len(path)}'); open(f'/tmp/{len(path)}', 'r+').write('planted')"
    )
    paths = (str(kept), f"../..{kept}", "/proc/1/cwd", "/usr/bin/env", "/proc/self/exe")
    assert outcome(program, [], *paths).status == "passed"
    assert kept.read_text() == "mine"


def test_no_network_not_even_of_this_machine():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as local:
        hidden = f"\0{secrets.token_hex(8)}"
        local.bind(hidden)
        local.listen()
        program = (
            "import socket\ndef got(*places):\n"
            " reached = []\n"
            " for family, place in places:\n"
            "  try:\n"
            "   with socket.socket(family) as one:\n"
            "    one.settimeout(0.2)\n"
            "    one.connect(place)\n"
            "    reached.append(place)\n"
            "  except OSError: pass\n"
            " return reached"
        )
        places = ((2, server.getsockname()), (2, ("192.0.2.1", 80)), (1, hidden))
        assert outcome(program, [], *places).status == "passed"
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_no_signal_reaches_a_process_outside():
    program = (
        "import os, signal\ndef got(*processes):\n"
        " reached = []\n"
        " for process in processes:\n"
        "  try: os.kill(process, signal.SIGTERM)\n"
        "  except OSError: continue\n"
        "  reached.append(process)\n"
        " return reached, os.listdir('/proc').count(str(processes[0]))"
    )
    assert os.getpid() > 100
    assert outcome(program, ([], 0), os.getpid(), os.getppid()).status == "passed"
    everything = "import os, signal\ndef double(n): os.kill(-1, signal.SIGKILL); os.kill(0, 9)"
    assert outcome(everything).status == "error"


def test_no_rights_can_be_had_by_a_namespace_of_ones_own():
    program = (
        "import ctypes, os\n"
        "def got(): return ctypes.CDLL(None).unshare(0x10000000), os.getuid(), 'HOME' in os.environ"
    )
    assert outcome(program, (-1, 65534, False)).status == "passed"


def test_no_memory_beside_the_limit_of_the_process():
    program = (
        "import ctypes, os\n"
        "system = ctypes.CDLL(None)\n"
        "def got():\n"
        " try: return os.memfd_create('kept')\n"
        " except OSError: return system.shmget(0, 2**20, 0o1600), system.msgget(0, 0o1600)"
    )
    assert outcome(program, (-1, -1)).status == "passed"
