"""What is asked: tasks, one file each, listed in one table.

To add a task: write `tasks/yours.py` with a final frozen dataclass that subclasses `AbstractTask`
(problems in disjoint splits, one grader that is both reward and score; its fields are the options
that a study's task section may hold; one whose problems stand in files or data sets subclasses
`AbstractRowsTask`) and add its line to TASKS below.
"""

from collections.abc import Mapping

from goniometer.errors import GoniometerError
from goniometer.options import from_options, nearest
from goniometer.tasks.aime import AIME
from goniometer.tasks.arithmetic import Arithmetic
from goniometer.tasks.base import (
    AbstractTask,
    Correct,
    Grade,
    Problem,
    Split,
    Ungraded,
    Wrong,
    grade_all,
    grade_from_text,
    grade_or_ungraded,
    grade_to_text,
)
from goniometer.tasks.code import Code
from goniometer.tasks.file import File
from goniometer.tasks.gsm8k import GSM8K
from goniometer.tasks.math import MATH

TASKS: dict[str, type[AbstractTask]] = {
    "arithmetic": Arithmetic,
    "gsm8k": GSM8K,
    "aime": AIME,
    "math": MATH,
    "file": File,
    "code": Code,
}

__all__ = [
    "TASKS",
    "AbstractTask",
    "Correct",
    "Grade",
    "Problem",
    "Split",
    "Ungraded",
    "Wrong",
    "build",
    "grade_all",
    "grade_from_text",
    "grade_or_ungraded",
    "grade_to_text",
]


def build(name: str, options: Mapping[str, object], where: str) -> AbstractTask:
    """Make a task from its name and its options as a file gives them; its files are read.

    Args:
        name: a key of TASKS.
        options: values of the task's fields; what is absent has its default.
        where: what to call the study in an error.

    Raises:
        GoniometerError: unknown task (the nearest known one is named); or as `from_options`; or
            what the task finds wrong with its files.
    """
    if name not in TASKS:
        fix = nearest(name, list(TASKS))
        raise GoniometerError(f"unknown task {name!r}", file=where, key="task.name", fix=fix)
    return from_options(TASKS[name], options, where, "task")
