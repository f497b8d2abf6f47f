"""All points that paths and sums need, measured once: what connectivity and composition read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import final

import numpy as np
from jaxtyping import Float

from goniometer.behaviour.evaluate import Scores, evaluate
from goniometer.behaviour.interval import resampled
from goniometer.behaviour.losses import Losses, losses_at
from goniometer.behaviour.placed import Placed
from goniometer.behaviour.points import USUAL, Paths, Point, ends_of_segments, mixture, points_of
from goniometer.behaviour.texts import ReferenceTexts, Texts
from goniometer.config import Evaluation
from goniometer.deltas import Delta
from goniometer.errors import GoniometerError
from goniometer.model import LanguageModel
from goniometer.results import Reading
from goniometer.seeds import derive
from goniometer.tasks import AbstractTask, Problem


@final
@dataclass(frozen=True)
class Greedy:
    """Problems to answer greedily at points: costs a generation of each at each point.

    Without `everywhere`, only at ends, midpoints and sums.
    """

    task: AbstractTask
    problems: Sequence[Problem]
    settings: Evaluation
    everywhere: bool = True

    def points(self, runs: Sequence[str], settings: Paths) -> list[Point]:
        """Where answers are asked for."""
        few = settings if self.everywhere else replace(settings, positions=3)
        return points_of(runs, few)


@final
@dataclass(frozen=True, eq=False)
class Survey:
    """What was measured at each point, and the same bootstrap draws for all of them."""

    runs: tuple[str, ...]
    settings: Paths
    texts: ReferenceTexts
    losses: Losses
    bare: Losses | None = None
    scores: Mapping[Point, Scores] = field(default_factory=dict)
    drawn: Mapping[Point, Float[np.ndarray, " draw"]] = field(init=False)

    def __post_init__(self) -> None:
        """Draw items, the same ones at every point."""
        sums = np.stack(list(self.losses.sums.values()))
        seed = derive(self.settings.seed, "items of paths")
        columns = resampled(sums, self.losses.tokens, self.settings.draws, seed).T
        object.__setattr__(self, "drawn", dict(zip(self.losses.sums, columns, strict=True)))

    @property
    def items(self) -> int:
        """Problems: what is resampled."""
        return len(self.losses.items)

    @cached_property
    def accuracy(self) -> dict[Point, float | None]:
        """Share of right answers by point, among those that could be graded."""
        return {where: found.share for where, found in self.scores.items()}


def survey(
    base: LanguageModel,
    deltas: Mapping[str, Delta],
    texts: ReferenceTexts,
    settings: Paths = USUAL,
    *,
    bare: Texts | None = None,
    greedy: Greedy | None = None,
    advance: Callable[[int], None] = lambda _: None,
    measured: Callable[..., Losses] | None = None,
) -> Survey:
    """Measure all segments between runs and from the base, each distinct point once.

    Args:
        base: what the runs were tuned from; left as it was.
        deltas: updates by run, low rank, DoRA's or of full checkpoints.
        texts: held out, fixed, the same at every point.
        settings: positions, draws, seed.
        bare: the paper's bare answers, see `bare_answers`.
        greedy: problems to answer at every point.
        advance: called with a number of texts or problems done; `work` says how many there are.
        measured: instead of `losses_at` on this base, by the same arguments after it.

    Raises:
        GoniometerError: no runs; what does not fit the base, by its name.
    """
    if not deltas:
        raise GoniometerError("there are no runs to draw paths between")
    wanted = points_of(tuple(deltas), settings)
    if bare is not None:
        bare.require_fit(base)
    measured = partial(
        measured or partial(losses_at, base),
        deltas, wanted, batch_tokens=settings.batch_tokens, advance=advance,
    )  # fmt: skip
    losses = measured(texts=texts.texts)
    bare_losses = None if bare is None else measured(texts=bare)
    scores = {}
    if greedy is not None:
        asked = greedy.points(tuple(deltas), settings)
        scores = _scores(base, deltas, asked, greedy, advance)
    return Survey(tuple(deltas), settings, texts, losses, bare_losses, scores)


def _scores(
    base: LanguageModel,
    deltas: Mapping[str, Delta],
    points: Sequence[Point],
    greedy: Greedy,
    advance: Callable[[int], None],
) -> dict[Point, Scores]:
    """Let each point answer, one at a time."""
    return {
        where: evaluate(
            Placed(base, mixture(deltas, where)),
            greedy.task,
            greedy.problems,
            greedy.settings,
            advance,
        )
        for where in points
    }


def work(
    runs: Sequence[str],
    texts: ReferenceTexts,
    settings: Paths = USUAL,
    *,
    bare: Texts | None = None,
    greedy: Greedy | None = None,
) -> int:
    """Total of what `survey` counts by `advance`."""
    each = len(texts.texts.items) + (len(bare.items) if bare else 0)
    asked = len(greedy.points(runs, settings)) * len(greedy.problems) if greedy else 0
    return len(points_of(runs, settings)) * each + asked


def workload(
    runs: Sequence[str],
    texts: ReferenceTexts,
    settings: Paths,
    *,
    bare: Texts | None = None,
    greedy: Greedy | None = None,
) -> str:
    """Say what `survey` will take, before it does."""
    points, lines = len(points_of(runs, settings)), len(ends_of_segments(runs))
    said = f"{points} points on {lines} paths x {len(texts.texts.items)} texts"
    said += "" if bare is None else f" and {len(bare.items)} bare answers"
    if greedy is None:
        return said
    asked = len(greedy.points(runs, settings))
    return f"{said}; then {len(greedy.problems)} problems of {greedy.task.name} x {asked} points"


def finite(value: float, what: str) -> Reading:
    """Return a reading of a number, undefined where it is not finite."""
    if np.isfinite(value):
        return Reading(value=float(value))
    return Reading(undefined=f"{what} is not finite")
