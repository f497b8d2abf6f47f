"""What a person sees in the terminal at the end of a study: the answer, one row a run."""

from rich import box
from rich.console import Console
from rich.table import Table

from goniometer.report import answer
from goniometer.results import Cell, Comparison, CrossSeed, Matched, Results, StudyResults


def print_study(results: Results, console: Console) -> None:
    """Print the answer in words, then accuracy, size and cosine to the first arm of each run."""
    study = results.study
    if study is None:
        return
    console.print(answer(results), style="bold", soft_wrap=True, highlight=False)
    first = study.cells[0].name
    numbers = ("right", "95 %", "changed", "norm", "clipped", "pairs ordered", f"cosine to {first}")
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("run", no_wrap=True)
    for column in numbers:
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("state")
    base, *_ = study.accuracies
    interval = f"{base.low:.1%} to {base.high:.1%}"
    table.add_row(base.run, f"{base.accuracy:.1%}", interval, *[""] * 5, "")
    for cell in study.cells:
        table.add_row(cell.name, *_row(cell, study, results.comparison, first), cell.state)
    console.print(table)
    for floor in results.comparison.floors:
        bound = "needs 3 runs" if floor.low is None else f"{floor.low:.3f}"
        cosines = ", ".join(f"{value:.3f}" for value in floor.cosines)
        line = f"floor of {floor.arm}, {floor.kind}: cosines {cosines}; lower bound {bound}"
        console.print(line, soft_wrap=True, highlight=False)
    for line in (*map(_across, study.cross_seed), *map(_matched, study.matched)):
        console.print(line, soft_wrap=True, highlight=False)
    console.print(_readings(study), soft_wrap=True, highlight=False)
    failed = [check for check in study.checks if not check.passed]
    console.print(f"checks: {len(study.checks) - len(failed)} of {len(study.checks)} passed")
    for check in failed:
        line = f"failed: {check.name}: required {check.required}, found {check.found}"
        console.print(line, style="yellow", soft_wrap=True)


def _row(cell: Cell, study: StudyResults, comparison: Comparison, first: str) -> tuple[str, ...]:
    score = next(accuracy for accuracy in study.accuracies if accuracy.run == cell.name)
    run = next(run for run in comparison.runs if run.name == cell.name)
    norm = run.scopes["all"]["norm"].value
    pair = next((p for p in comparison.pairs if {p.a, p.b} == {first, cell.name}), None)
    cosine = pair.scopes["union"].readings["cosine"].value if pair else None
    return (
        f"{score.accuracy:.1%}",
        f"{score.low:.1%} to {score.high:.1%}",
        "" if score.changed is None else f"{score.changed:.1%}",
        "undefined" if norm is None else f"{norm:.3f}",
        f"{cell.clipped:.0%}",
        "undefined" if cell.ordered_pairs is None else f"{cell.ordered_pairs:.1%}",
        "" if cosine is None else f"{cosine:.3f}",
    )


def _readings(study: StudyResults) -> str:
    """Say how many completions were cut off, and how many another extractor reads otherwise."""
    cut = [score.truncated / score.n for score in study.accuracies]
    line = f"truncated: {min(cut):.1%} to {max(cut):.1%} of the completions of a run"
    counts = [score.extractors_disagree for score in study.accuracies]
    known = [count for count in counts if count is not None]
    if not known:
        return line
    return f"{line}; the other extractor decides {min(known)} to {max(known)} otherwise"


def _across(pair: CrossSeed) -> str:
    value = pair.corrected.value
    if value is None:
        return f"{pair.a} and {pair.b} across {pair.seeds} seeds: {pair.corrected.undefined}"
    span = "" if pair.low is None else f" ({pair.low:.3f} to {pair.high:.3f}, jackknife 95 %)"
    return f"{pair.a} and {pair.b} across {pair.seeds} seeds: corrected cosine {value:.3f}{span}"


def _matched(run: Matched) -> str:
    what = f"{run.run} matched to {run.to} by {run.by}"
    if run.factor.value is None or run.accuracy is None:
        return f"{what}: {run.factor.undefined}"
    return f"{what}: times {run.factor.value:.3g}, {run.accuracy.accuracy:.1%} right"
