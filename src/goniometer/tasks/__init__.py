"""What is asked: tasks, one file each, listed in one table.

To add a task: write `tasks/yours.py` with a final subclass of `AbstractTask` (problems in
disjoint splits, one grader that is both reward and score) and add its line to TASKS below.
"""

from goniometer.tasks.arithmetic import Arithmetic
from goniometer.tasks.base import (
    AbstractTask,
    Correct,
    Grade,
    Problem,
    Split,
    Ungraded,
    Wrong,
    grade_from_text,
    grade_or_ungraded,
    grade_to_text,
)

TASKS: dict[str, type[AbstractTask]] = {"arithmetic": Arithmetic}

__all__ = [
    "TASKS",
    "AbstractTask",
    "Correct",
    "Grade",
    "Problem",
    "Split",
    "Ungraded",
    "Wrong",
    "grade_from_text",
    "grade_or_ungraded",
    "grade_to_text",
]
