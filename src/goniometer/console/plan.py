"""What `goniometer study --plan` prints: cells, work, memory, disk and hours. No work is done."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from goniometer.study.cells import CellPlan
from goniometer.study.estimate.lengths import Lengths
from goniometer.study.estimate.measure import Speed
from goniometer.study.estimate.memory import Disk, Memory, disk_of, memory_of
from goniometer.study.estimate.size import Size
from goniometer.study.estimate.work import MIXED, work_of
from goniometer.study.plan import Plan
from goniometer.study.preflight import Examined

FOLDED = 24  # cells above which floors and grid are one line an arm


def print_plan(found: Examined, speed: Speed | None, console: Console) -> None:
    """Print a study that has no faults; what is not here is said at the end."""
    plan, study = found.plan, found.study
    text = f"{study.name}: {len(plan.cells)} cells, base {study.models.base}"
    size, lengths = found.size, found.lengths
    if size is not None:
        text += f", {size.parameters:,} weights"
    console.print(text, style="bold", highlight=False, soft_wrap=True, markup=False)
    console.print(_cells(plan))
    _say(console, f"{study.training.updates} steps a cell of {_step(plan)}")
    _say(console, f"text lengths: {_lengths(lengths)}")
    if size is None:
        _say(console, "memory, disk and hours: not known, as the base's config is not here")
    else:
        console.print(_work(plan, size, lengths, speed))
        console.print(_memory(plan, size, lengths))
        _say(console, f"disk: {_disk(disk_of(plan, size, lengths))}")
        _say(console, _hours(plan, size, lengths, speed, here=found.base is not None))
    for line in found.warnings:
        console.print(
            f"warning: {line}", style="yellow", soft_wrap=True, highlight=False, markup=False
        )
    for fault in found.absent.found:
        console.print(
            f"not here: {fault}", style="yellow", soft_wrap=True, highlight=False, markup=False
        )


def _cells(plan: Plan) -> Table:
    table = Table(box=box.SIMPLE_HEAD)  # in the order of the cells, floors and grid after the arms
    for column in ("cell", "role", "objective", "options", "weights"):
        table.add_column(column, overflow="fold")
    for column in ("lr", "init", "order", "wrong rows"):
        table.add_column(column, justify="right", no_wrap=True)
    folded = len(plan.cells) > FOLDED
    groups: dict[tuple[str, str], list[CellPlan]] = {}
    for cell in plan.cells:
        groups.setdefault((cell.arm, cell.role), []).append(cell)
    for (arm, role), cells in groups.items():
        if folded and role != "arm" and len(cells) > 1:
            names = ", ".join(cell.name.removeprefix(f"{arm} ") for cell in cells)
            table.add_row(escape(f"{arm}: {len(cells)} more"), role, escape(names), *[""] * 6)
        else:
            for one in cells:
                table.add_row(*_cell(one))
    return table


def _cell(cell: CellPlan) -> tuple[str, ...]:
    options = ", ".join(f"{name}={value}" for name, value in cell.options.items())
    share = "as sampled" if cell.wrong_share is None else f"{cell.wrong_share:.0%}"
    numbers = (f"{cell.learning_rate:g}", str(cell.init), str(cell.order), share)
    texts = (cell.name, cell.role, cell.objective_name, options, cell.regime)
    return (*map(escape, texts), *numbers)


def _step(plan: Plan) -> str:
    prompts, rows = plan.study.training.prompts_per_step, plan.study.rollouts.rows_per_prompt
    text = f"{prompts} prompts, {prompts * rows} rows where an arm takes all"
    settings = plan.study.training
    return text if settings.stop_after is None else f"{text}; scheduled for {settings.steps}"


def _lengths(lengths: Lengths) -> str:
    parts = f"prompt {lengths.prompt:.0f}, completion {lengths.completion:.0f} tokens in the mean"
    return f"{parts} ({lengths.source})"


def _work(plan: Plan, size: Size, lengths: Lengths, speed: Speed | None) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title="work", title_justify="left")
    table.add_column("stage")
    for column in ("runs", "rows", "tokens", "FLOPs", "hours"):
        table.add_column(column, justify="right", no_wrap=True)
    for stage in work_of(plan, size, lengths):
        hours = "" if speed is None else f"{speed.hours(stage):.2f}"
        numbers = (f"{stage.rows:,}", f"{stage.tokens:,}", f"{stage.flops:.1e}", hours)
        table.add_row(escape(stage.name), str(stage.runs), *numbers)
    return table


def _memory(plan: Plan, size: Size, lengths: Lengths) -> Table:
    """One row an objective and regime: seeds and rates take the same."""
    parts = ("weights", "moving", "gradients", "optimiser", "last_good", "activations", "logits")
    table = Table(box=box.SIMPLE_HEAD, title="memory of a step, from above", title_justify="left")
    table.add_column("objective")
    for column in (*parts, "total"):
        table.add_column(column.replace("_", " "), justify="right", no_wrap=True)
    seen: dict[tuple[str, str], Memory] = {}
    for cell in plan.cells:
        memory = memory_of(cell, plan, size, lengths)
        key = (cell.objective_name, cell.regime)
        seen[key] = max(seen.get(key, memory), memory, key=lambda one: one.total)
    for (name, regime), memory in seen.items():
        values = [getattr(memory, part) for part in parts]
        cells = ("not known" if value is None else bytes_of(value) for value in values)
        table.add_row(escape(f"{name}, {regime}"), *cells, bytes_of(memory.total))
    return table


def _disk(disk: Disk) -> str:
    parts = {
        "cells": disk.cells,
        "base": disk.base,
        "rollouts": disk.rollouts,
        "scores": disk.scores,
        "paths": disk.paths,
        "report": disk.report,
    }
    listed = ", ".join(f"{name} {bytes_of(size)}" for name, size in parts.items() if size)
    return f"about {bytes_of(disk.total)} ({listed})"


def _hours(plan: Plan, size: Size, lengths: Lengths, speed: Speed | None, *, here: bool) -> str:
    if speed is None:
        return "hours: not measured" + ("" if here else ": the model is not here")
    stages = work_of(plan, size, lengths)
    settings = plan.study.training
    workers = min(settings.workers, len(plan.cells))
    total = speed.waited(stages, workers)
    apart = "" if workers == 1 else f" in each of {workers} processes"
    mixed = f"{MIXED:.0%} of prompts are mixed"
    if speed.given:
        also = f", and {mixed}" if plan.study.rollouts.file is None else ""
        return (
            f"hours: {total:.2f} if {speed.flops / 1e9:g} GFLOP/s in steps and {speed.written:g} "
            f"tokens/s written{apart}, as given{also}"
        )
    note = f"; if {mixed}" if plan.study.rollouts.file is None else ""
    return (
        f"hours: {total:.2f} on this machine as it is now, with {settings.threads} "
        f"CPU threads{apart} or its GPU (measured in one process: {speed.flops / 1e9:.1f} GFLOP/s "
        f"in steps, {speed.written:.0f} tokens/s written{note})"
    )


def bytes_of(count: float) -> str:
    """Say a number of bytes with its decimal unit."""
    units: Sequence[str] = ("B", "kB", "MB", "GB", "TB", "PB")
    place = 0
    while count >= 1000 and place < len(units) - 1:
        count, place = count / 1000, place + 1
    return f"{count:.0f} {units[place]}" if place < 2 else f"{count:.1f} {units[place]}"


def _say(console: Console, line: str) -> None:
    console.print(line, soft_wrap=True, highlight=False, markup=False)
