"""What a grid says in words: beyond a seed, at matched sizes and rates, without wrong rows."""

from goniometer.report import notation
from goniometer.report.facts import grid, sweep
from goniometer.report.facts.differences import difference, rescaled
from goniometer.report.facts.index import Index, cosine
from goniometer.report.facts.seeds import Crossed, crossed
from goniometer.report.words.labels import size_kept


def sentences(index: Index) -> list[str]:
    """The grid's findings, none where there is no grid."""
    return [*_seeds(index), *matched(index), *_same_rate(index), *_without_wrong(index)]


def _seeds(index: Index) -> list[str]:
    found = [row for row in crossed(index) if row.found.corrected.value is not None]
    if not found:
        return []
    repeats = [value for row in found for value in row.repeats]
    ends = [_corrected(row) for row in (found[0], found[-1])[: len(found)]]
    picked = (
        f" These two are the largest and the smallest, picked out of {len(found)} pairs; their "
        "intervals are not adjusted for that."
    )
    whose = f", whose own runs have cosine {notation.span(min(repeats), max(repeats))}"
    return [
        f"Across {found[0].found.seeds} seeds of each arm{whose if repeats else ''}: corrected for "
        f"what a seed does, the cosine of two arms is {' down to '.join(ends)}."
        f"{picked if len(found) > len(ends) else ''} 1 would be one update."
    ]


def _corrected(row: Crossed) -> str:
    one = row.found
    text = f"{notation.reading(one.corrected)} for {one.a} and {one.b}"
    if one.low is None or one.high is None:
        return text
    return f"{text} (jackknife 95 %: {notation.span(one.low, one.high)})"


def matched(index: Index) -> list[str]:
    """What is left of a run's difference in accuracy at another's size: a sentence a run."""
    study = index.results.study
    found = study.matched if study else ()
    said = []
    of_first = ", of the first seed's runs" if grid.several_seeds(index) else ""
    for run, to in dict.fromkeys((one.run, one.to) for one in found):
        own = difference(index, run, to)
        mine = [one for one in found if (one.run, one.to) == (run, to) and one.factor.value]
        parts = [
            f"{left.text} at its {size_kept(one)} (factor "
            f"{notation.significant(one.factor.value or 0.0)})"
            for one in mine
            if (left := rescaled(index, one))
        ]
        if own is None or not parts:
            continue
        intervals = ", with Tango 95 % intervals" if own.ends else ""
        said.append(
            f"{run} against {to}, in points of accuracy{intervals} (n = {own.n}{of_first}): "
            f"{own.text} as trained; with {run}'s update rescaled to the size of {to}'s, "
            f"{notation.listed(parts)}. Rescaling leaves every cosine as it is."
        )
    return said


def _same_rate(index: Index) -> list[str]:
    """Arms of another learning rate, at that of the first arm."""
    first = index.cell_of.get(index.arms[0])
    said = []
    for arm in index.arms if first else ():
        if first is None or index.cell_of[arm].learning_rate == first.learning_rate:
            continue
        cell = grid.beside(index, first, arm, "learning rate")
        pair = index.pair(cell.name, first.name) if cell else None
        value = cosine(pair) if pair else None
        if cell is None or value is None:
            continue
        score = index.scores.get(cell.name)
        same = f", which is {cell.name}" if cell.role == "arm" else ""
        own = index.pair(arm, first.name)
        before = cosine(own) if own else None
        beside = "" if before is None else f" ({notation.in_unit(before, '')} at its own)"
        right = f", accuracy {notation.percent(score.accuracy)}" if score else ""
        said.append(
            f"{arm} at {first.name}'s learning rate{same}: cosine to {first.name} "
            f"{notation.in_unit(value, '')}{beside}{right}."
        )
    return said


def _without_wrong(index: Index) -> list[str]:
    """Runs that are the first arm's where no wrong row is left."""
    same = [
        arm
        for arm, cells in grid.families(index, "wrong share").items()
        for cell in cells
        if cell.wrong_share == 0
        and not cell.wrong_kept
        and (pair := sweep.to_first(index, cell, "wrong share"))
        and pair.state == "identical"
    ]
    if not same:
        return []
    named = notation.listed([index.arms[0], *same])
    return [f"Without wrong rows {named} are identical, as they must be."]
