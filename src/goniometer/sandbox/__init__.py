"""Code that a model wrote, run against tests where it can do no harm and cannot fake a pass.

Two processes in two sandboxes: the program's side runs the code, the tests' side runs the tests and
asks the other for the values of calls, over a pipe (`inside/`). The verdict comes from the tests'
side, in which no code under test ever runs, over a channel that the program's side does not have:
to exit, to print, to patch `assert` or the builtins, or to read the frames, files and memory of its
own process gains a program nothing, and no secret has to be kept from it. It sees the arguments of
the calls and nothing of what is expected.

With bubblewrap (https://github.com/containers/bubblewrap) both have no network, a read-only file
system that holds the system's programs and Python but nothing of home, a scratch folder in memory,
an empty environment, processes and users of their own, limits (`Limits`), and none of the system
calls by which memory is had beside these (`system_calls.py`); all dies with the grade. The limit on
memory is of each process: memory times processes bounds the whole.

What a program can still do: know the tests by heart (a benchmark's leak), answer by what the
arguments tell, pass tests that are weak, and use the limits up. With `sandbox: none` it has the
user's files and network, a process that leaves its group outlives the grade, and a program that
looks for the tests' side among the user's processes can read or change it: a pass can be forged.
"""

from goniometer.sandbox.command import Sandbox, missing
from goniometer.sandbox.judge import Outcome, Status, UnitTests, judge
from goniometer.sandbox.limits import Limits

__all__ = ["Limits", "Outcome", "Sandbox", "Status", "UnitTests", "judge", "missing"]
