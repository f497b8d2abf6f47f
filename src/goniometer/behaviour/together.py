"""All that the model says of some updates, put together of what was measured on the same runs.

A study measures by stages that are found again (`study.together`), `compare --base --data` at once
(`measure`); both are read into results here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

from goniometer.behaviour.activations import Activations
from goniometer.behaviour.agreement import agreements
from goniometer.behaviour.cka import similarity, similarity_steps
from goniometer.behaviour.composed import composition
from goniometer.behaviour.connectivity import connectivity_of
from goniometer.behaviour.covariance import has_inputs, input_nulls
from goniometer.behaviour.divergence import Divergences, Text, base_completions, forward_kls
from goniometer.behaviour.evaluate import Scores
from goniometer.behaviour.losses import Losses
from goniometer.behaviour.points import Paths, point
from goniometer.behaviour.survey import Greedy, Survey, survey, work, workload
from goniometer.behaviour.texts import ReferenceTexts, Texts
from goniometer.config import Divergence as DivergenceSettings
from goniometer.deltas import Delta
from goniometer.model import LanguageModel
from goniometer.progress import Shown
from goniometer.results import (
    Behaviour,
    Divergence,
    InputNulls,
    PairReadings,
    Similarity,
)
from goniometer.seeds import derive
from goniometer.tasks import AbstractTask


@final
@dataclass(frozen=True)
class Measured:
    """What was measured of the same runs on the same base; what was not is absent.

    Attributes:
        base: the base's name.
        data: which texts, in words.
        paths: losses at all points.
        similarity: of activations.
        divergence: from the base, by run.
        scores: greedy answers to the same problems, by run.
        notes: what was left out, in words.
    """

    base: str
    data: str
    paths: Survey | None = None
    similarity: Similarity | None = None
    divergence: Mapping[str, Divergences] = field(default_factory=dict)
    scores: Mapping[str, Scores] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def behaviour_of(
    found: Measured, pairs: Sequence[PairReadings], task: AbstractTask | None
) -> Behaviour:
    """Read results from what was measured.

    Args:
        found: of some runs.
        pairs: geometry of these runs, for what it predicts of their sums.
        task: reads the answers of `found.scores`.
    """
    return Behaviour(
        base=found.base,
        data=found.data,
        connectivity=None if found.paths is None else connectivity_of(found.paths),
        similarity=found.similarity,
        divergence=tuple(
            Divergence(run=run, kl=kl.mean, error=kl.error, prompts=len(kl.values))
            for run, kl in found.divergence.items()
        ),
        agreement=() if task is None else agreements(found.scores, task),
        composed=() if found.paths is None else composition(found.paths, pairs),
    )


@final
@dataclass(frozen=True)
class Data:
    """Texts of one comparison, as the base reads them, and what is asked beside them.

    Attributes:
        about: which texts, in words.
        reference: right texts, of which losses are taken.
        texts: of which activations are compared.
        kl: how many prompts the base completes, and how far; KL is taken on what it says.
        greedy: problems of a task, answered at points.
        bare: bare answers, of which losses are taken too.
    """

    about: str
    reference: ReferenceTexts
    texts: tuple[Text, ...]
    kl: DivergenceSettings
    greedy: Greedy | None = None
    bare: Texts | None = None


def measure(
    base: LanguageModel,
    deltas: Mapping[str, Delta],
    data: Data,
    bars: Shown,
    paths: Paths,
    *,
    k: int | None = None,
) -> Measured:
    """Measure paths, similarity, KL and, with a task, answers, on one base loaded once.

    The seed of the paths is that of all the rest.

    Raises:
        GoniometerError: an update or a text that does not fit the base.
    """
    seed = paths.seed
    bare, greedy = data.bare, data.greedy
    total = workload(tuple(deltas), data.reference, paths, bare=bare, greedy=greedy)
    bars.say(f"losses along paths: {total}")
    found = survey_shown(base, deltas, data.reference, paths, bars, bare=bare, greedy=greedy)
    similar = similarity_shown(base, deltas, data.texts, Activations(seed=seed), bars)
    nulls = nulls_shown(base, deltas, data.texts, Activations("every token", seed=seed), bars, k=k)
    prompts = tuple(dict.fromkeys(prompt for prompt, _ in data.texts))[: data.kl.prompts]
    with bars.task("texts of the base", len(prompts)) as advance:
        own = base_completions(
            base, prompts, data.kl, seed=derive(seed, "divergence"), batch_size=32, advance=advance
        )
    with bars.task("KL from the base", len(deltas) * len(own)) as advance:
        kls = forward_kls(base, deltas, own, advance=advance)
    return Measured(
        base=base.name,
        data=data.about,
        paths=found,
        similarity=similar.model_copy(update={"input_nulls": nulls}),
        divergence=kls,
        scores={run: found.scores[point({run: 1.0})] for run in deltas if found.scores},
    )


def survey_shown(
    base: LanguageModel,
    deltas: Mapping[str, Delta],
    texts: ReferenceTexts,
    settings: Paths,
    bars: Shown,
    *,
    bare: Texts | None = None,
    greedy: Greedy | None = None,
    measured: Callable[..., Losses] | None = None,
) -> Survey:
    """As `survey`, with its progress shown."""
    total = work(tuple(deltas), texts, settings, bare=bare, greedy=greedy)
    with bars.task("losses along paths", total) as advance:
        return survey(
            base, deltas, texts, settings, bare=bare, greedy=greedy, advance=advance,
            measured=measured,
        )  # fmt: skip


def similarity_shown(
    base: LanguageModel,
    deltas: Mapping[str, Delta],
    texts: Sequence[Text],
    settings: Activations,
    bars: Shown,
    *,
    ceiling: tuple[str, str] | None = None,
) -> Similarity:
    """As `similarity`, with its progress shown."""
    total = similarity_steps(base, len(deltas), texts, settings)
    with bars.task("similarity of activations", total) as advance:
        return similarity(base, deltas, texts, settings, ceiling=ceiling, advance=advance)


def nulls_shown(
    base: LanguageModel,
    deltas: Mapping[str, Delta],
    texts: Sequence[Text],
    settings: Activations,
    bars: Shown,
    *,
    k: int | None = None,
) -> InputNulls | None:
    """As `input_nulls`, with its progress shown; None where no module has such a null."""
    if not has_inputs(base, deltas):
        return None
    with bars.task("what inputs alone give", None) as advance:
        return input_nulls(base, deltas, texts, settings, k=k, advance=advance)
