"""Tasks of the table with small files of their own."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from goniometer import tasks
from goniometer.sandbox import Sandbox, missing
from goniometer.tasks import AbstractTask

SPLITS = ("pretrain", "train", "validation", "test")
SHARES = {"pretrain": 0.3, "train": 0.6, "validation": 0.1}  # of GSM8K's train file


def write_rows(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def gsm8k(folder: Path, rows: int) -> AbstractTask:
    """GSM8K with that many questions in each of its two files."""
    for name, first in (("train", 0), ("test", rows)):
        write_rows(
            folder / f"{name}.jsonl",
            (
                {
                    "question": f"How much is {n} + 1?",
                    "answer": f"<<{n}+1={n + 1}>>\n#### {n + 1:,}",
                }
                for n in range(first, first + rows)
            ),
        )
    files = {"file": folder / "train.jsonl", "test_file": folder / "test.jsonl"}
    return tasks.build("gsm8k", {key: str(path) for key, path in files.items()}, "study")


def code(folder: Path, rows: int, sandbox: Sandbox) -> AbstractTask:
    """Programs to write, that many in each of the two files."""
    for name, first in (("code_train", 0), ("code_test", rows)):
        write_rows(
            folder / f"{name}.jsonl",
            (
                {
                    "text": f"Write a function that adds {n}.",
                    "code": f"def add(m):\n    return m + {n}",
                    "test_list": [f"assert add(3) == {3 + n}", f"assert add(-1) == {n - 1}"],
                }
                for n in range(first, first + rows)
            ),
        )
    files = {"file": folder / "code_train.jsonl", "test_file": folder / "code_test.jsonl"}
    options = {key: str(path) for key, path in files.items()}
    return tasks.build("code", options | {"sandbox": sandbox}, "study")


def every_task(folder: Path) -> dict[str, AbstractTask]:
    """One of each name in the table, but for code where this machine has no sandbox."""
    made = {"gsm8k": gsm8k(folder, rows=3000)}
    write_rows(
        folder / "all.jsonl",
        ({"question": f"What is {n} of ten?", "answer": f"{n % 1000:03d}"} for n in range(3000)),
    )
    write_rows(
        folder / "tests.jsonl",
        ({"question": f"What is {n} of two?", "answer": f"{n % 1000:03d}"} for n in range(300)),
    )
    for name in ("aime", "math", "file"):
        files = {"file": str(folder / "all.jsonl"), "test_file": str(folder / "tests.jsonl")}
        made[name] = tasks.build(name, files, "study")
    if missing("bubblewrap") is None:
        made["code"] = code(folder, rows=3000, sandbox="bubblewrap")
    names = [name for name in tasks.TASKS if name != "code" or name in made]
    return {name: made.get(name) or tasks.TASKS[name]() for name in names}
