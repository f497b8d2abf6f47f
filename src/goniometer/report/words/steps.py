"""The answer about trajectories in words: shares along one direction, and the way to the end."""

from goniometer.report import notation
from goniometer.results import Trajectory

MOST_NAMED = 2  # runs in the headline; of more, the range is said


def headline(found: tuple[Trajectory, ...]) -> str:
    """What one direction holds of each run's checkpoints, and what chance would give."""
    if len(found) <= MOST_NAMED:
        return " ".join(_share(one) for one in found)
    shares = [one.rank_one["union"] for one in found]
    values = [share.totals.value for share in shares if share.totals.value is not None]
    nulls = [share.totals_null.value for share in shares if share.totals_null.value is not None]
    if not values:
        return "No checkpoint differs from the base."
    return (
        f"One direction holds {_span(values)} of the energy of each of {len(found)} runs' "
        f"checkpoints; orthogonal increments would give {_span(nulls)}."
    )


def _span(shares: list[float]) -> str:
    return f"{notation.percent(min(shares))} to {notation.percent(max(shares))}"


def sentences(found: tuple[Trajectory, ...]) -> list[str]:
    """How each run went on its way, with the nulls beside."""
    return [text for one in found for text in (_increments(one), _norm(one), *_way(one)) if text]


def _share(one: Trajectory) -> str:
    share = one.rank_one["union"]
    if share.totals.value is None or share.totals_null.value is None:
        return f"{one.name}: {share.totals.undefined}."
    return (
        f"{one.name}: one direction holds {notation.percent(share.totals.value)} of the energy of "
        f"{len(one.steps)} checkpoints; orthogonal increments would give "
        f"{notation.percent(share.totals_null.value)}."
    )


def _increments(one: Trajectory) -> str:
    share = one.rank_one["union"]
    if share.increments.value is None or share.increments_null.value is None:
        return ""
    text = (
        f"{one.name}, of what was added between checkpoints: one direction holds "
        f"{notation.percent(share.increments.value)} (independent "
        f"{notation.percent(share.increments_null.value)})"
    )
    turns = [s.cosine_of_increments.value for s in one.steps]
    known = [value for value in turns if value is not None]
    if known:
        text += f"; from one to the next, cosine {notation.span(min(known), max(known))}"
        text += " (independent 0)"
    return f"{text}."


def _norm(one: Trajectory) -> str:
    last = one.steps[-1]
    return (
        f"{one.name} ends at norm {notation.significant(last.norm)}, where orthogonal increments "
        f"would end at {notation.significant(last.norm_null)}."
    )


def _way(one: Trajectory) -> list[str]:
    """The first checkpoint and the last before the end, seen from the end."""
    parts = [
        f"{notation.reading(step.cosine_to_final)} at step {step.step} "
        f"(independent {notation.reading(step.cosine_to_final_null)})"
        for step in (one.steps[0], one.steps[-2])
        if step.cosine_to_final.value is not None
    ]
    return [f"{one.name}, cosine to its final checkpoint: {notation.listed(parts)}."] * bool(parts)
