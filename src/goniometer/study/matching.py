"""Matched sizes as stages: updates rescaled to another's norm or KL, and what they then do."""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from goniometer.behaviour.divergence import Text, forward_kl
from goniometer.behaviour.matched import factor_by_kl, factor_by_norm, norm
from goniometer.behaviour.placed import Placed
from goniometer.config import Match
from goniometer.deltas import Delta
from goniometer.results import BASE, Matched, Reading
from goniometer.statistics import compare_all
from goniometer.study.scoring import (
    Evaluated,
    State,
    diverge_one,
    evaluate_one,
    get_texts,
    graded,
    key_of,
    score,
)
from goniometer.study.stages import Run, Sampled


def match_all(
    run: Run,
    updates: Mapping[str, Delta],
    evaluated: Mapping[str, Evaluated],
    sampled: Sampled,
    states: Mapping[str, State],
) -> tuple[Matched, ...]:
    """Rescale the updates that the study names to the size of another, and evaluate them so.

    Where one of the two was not trained to its end, its size is no size of its arm's.
    """
    match = run.study.match
    if match is None:
        return ()
    found = []
    for name in match.arms:
        ended = [f"{one} is {states[one]}" for one in (name, match.to) if states[one] != "trained"]
        for by in match.by if name != match.to else ():
            if ended:
                reason = Reading(undefined=" and ".join(ended))
                found.append(_not_matched(name, match.to, by, reason))
            else:
                found.append(_match_one(run, match, name, by, updates, evaluated, sampled))
    return tuple(found)


def _not_matched(name: str, to: str, by: Literal["norm", "kl"], factor: Reading) -> Matched:
    absent = Reading(undefined="there is no such factor")
    return Matched(
        run=name, to=to, by=by, factor=factor, norm=absent, kl=absent,
        nll_right=None, nll_wrong=None, accuracy=None,
    )  # fmt: skip


def _match_one(
    run: Run,
    match: Match,
    name: str,
    by: Literal["norm", "kl"],
    updates: Mapping[str, Delta],
    evaluated: Mapping[str, Evaluated],
    sampled: Sampled,
) -> Matched:
    delta, target, texts = updates[name], updates[match.to], get_texts(run)
    own = norm(delta)
    if by == "norm":
        factor = factor_by_norm(own, norm(target))
    else:
        divergence = evaluated[match.to].divergence
        wanted = Reading(undefined="not measured") if divergence is None else divergence.mean
        factor = _find_factor(run, Placed(run.base, delta), name, wanted, texts)
    nothing = _not_matched(name, match.to, by, factor)
    if factor.value is None:
        return nothing
    placed = Placed(run.base, delta, factor.value)
    label = f"{name} matched by {by}"
    found = evaluate_one(run, label, placed, sampled)
    likelihood, divergence = found.held_out, diverge_one(run, label, placed, texts)
    scores = {label: found.scores, match.to: evaluated[match.to].scores}
    (against,) = compare_all(
        {name: graded(of) for name, of in scores.items()}, run.study.evaluation.margin
    )
    return nothing.model_copy(
        update={
            "norm": Reading(value=own * factor.value),
            "kl": divergence.mean,
            "kl_error": divergence.error,
            "paired": against,
            "nll_right": _finite(likelihood.nll_right),
            "nll_wrong": _finite(likelihood.nll_wrong),
            "accuracy": score(name, found, evaluated[BASE].scores),
        }
    )


def _find_factor(
    run: Run, placed: Placed, name: str, wanted: Reading, texts: tuple[Text, ...]
) -> Reading:
    def kl_at(factor: float) -> float:
        mean = forward_kl(dataclasses.replace(placed, factor=factor), texts).mean
        return math.nan if mean.value is None else mean.value

    def make(folder: Path) -> None:
        with run.bars.task(f"match KL · {name}", None):
            factor = factor_by_kl(kl_at, wanted)
        (folder / "factor.json").write_text(factor.model_dump_json() + "\n")

    inputs = key_of(placed) | {"texts": texts, "wanted": wanted.model_dump(mode="json")}
    folder = run.ensure("matched", name, inputs, make)
    return Reading.model_validate_json((folder / "factor.json").read_text())


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
