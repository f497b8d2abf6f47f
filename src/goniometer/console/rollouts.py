"""The verb `rollouts`: import what others wrote, say what it is, write the Parquet of a study."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from goniometer import tasks
from goniometer.console.terminal import stdout
from goniometer.errors import GoniometerError
from goniometer.model import skeleton
from goniometer.progress import bars
from goniometer.rollouts import sources
from goniometer.rollouts.foreign import Imported, Source, encode, read
from goniometer.rollouts.foreign.ids import Row, distinct
from goniometer.tasks import Ungraded, Wrong


@final
@dataclass(frozen=True)
class Wanted:
    """What of the sources is wanted: how many prompts, rows of each, and who grades them."""

    prompts: int | None = None
    samples: int | None = None
    task: str | None = None
    task_options: Mapping[str, Any] | None = None


def imported(given: Sequence[Source], model: str, out: Path, wanted: Wanted) -> None:
    """Import sources, print what they hold, write Parquet that a study's `rollouts.file` names.

    Raises:
        GoniometerError: as `read` and `encode`; no such model or task; a place that cannot be
            written.
    """
    _check_out(out)
    task = None
    if wanted.task is not None:
        task = tasks.build(wanted.task, wanted.task_options or {}, "--task")
    encoder = skeleton(model)
    with bars() as shown:
        with shown.task("rollouts · read", None) as advance:

            def rows() -> Iterator[Row]:
                for source in given:
                    for row in distinct(read(source)):
                        advance(1)
                        yield row

            limits = {"prompts": wanted.prompts, "samples": wanted.samples}
            found = encode(rows(), encoder, task=task, **limits)
        with shown.task("rollouts · write", None):
            sources.save(found.rollouts, out)
    print_imported(found, stdout())
    stdout().print(f"rollouts: {out}", soft_wrap=True, highlight=False)


def print_imported(found: Imported, console: Console) -> None:
    """Print what was imported: prompts, rows, grades, and what was left out and why."""
    rollouts, counts = found.rollouts, found.counts
    groups = [[rollouts.rows[i] for i in indices] for _, indices in rollouts.groups()]
    mixed = sum(any(r.correct for r in g) and any(r.wrong for r in g) for g in groups)
    total = len(rollouts.rows)
    distinct_rows = {(row.problem_id, row.completion_tokens) for row in rollouts.rows}
    ungraded = Counter(r.grade.reason for r in rollouts.rows if isinstance(r.grade, Ungraded))
    wrong = Counter(r.grade.reason for r in rollouts.rows if isinstance(r.grade, Wrong))
    truncated = sum(row.truncated for row in rollouts.rows)
    lines: list[tuple[str, str, str]] = [
        ("prompts", str(len(groups)), ""),
        ("with right and wrong rows", str(mixed), f"{mixed / len(groups):.1%}"),
        ("rows", str(total), ""),
        _share("right", sum(row.correct for row in rollouts.rows), total),
        _share("wrong", wrong.total(), total),
        *(_share(f"wrong: {why}", n, total) for why, n in sorted(wrong.items()) if len(wrong) > 1),
        *(_share(f"ungraded: {why}", n, total) for why, n in sorted(ungraded.items())),
        _share("truncated", truncated, total),
        _share("not said whether truncated", counts.unsaid, total),
        _share("duplicates of a row before", total - len(distinct_rows), total),
        _share("with log-probs", sum(r.logprobs is not None for r in rollouts.rows), total),
    ]
    if counts.agreed or counts.differ:
        lines.append(_share("label contradicted by the task", counts.differ, total))
    lines += [(f"left out: {why}", str(n), "") for why, n in counts.dropped.most_common()]
    if counts.logprobs:
        lines.append(("log-probs of other tokens, left out", str(counts.logprobs), ""))
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("rollouts", no_wrap=True)
    table.add_column("count", justify="right")
    table.add_column("share", justify="right")
    for line in lines:
        table.add_row(*map(escape, line))
    console.print(table)


def _share(name: str, count: int, total: int) -> tuple[str, str, str]:
    return name, str(count), f"{count / total:.1%}"


def _check_out(out: Path) -> None:
    if out.suffix != ".parquet":
        raise GoniometerError("not a Parquet file", file=out, expected="a name in .parquet")
    if not out.absolute().parent.is_dir():
        raise GoniometerError("no such folder", file=out.parent, key="--out")
    if out.is_dir():
        raise GoniometerError("a folder, and no file", file=out, key="--out")
