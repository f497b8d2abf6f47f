"""Synthetic behaviour for the report's tests: paths, similarity, divergence and sums of runs."""

import math
import random
from itertools import combinations
from typing import Any

from goniometer.results import (
    Agreement,
    Band,
    Behaviour,
    Composed,
    Connectivity,
    Divergence,
    InputNull,
    InputNulls,
    LayerSimilarity,
    PairSimilarity,
    Reading,
    Results,
    Segment,
    Similarity,
)
from tests.results_factory import expected_cosine, results

BASE, BASE_LOSS = "base", 1.31
POSITIONS = tuple(i / 10 for i in range(11))
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj")


def _segment(start: str, end: str, noise: random.Random, *, accuracy: bool) -> Segment:
    """A path whose bump is as high as its ends are unlike; one point is not finite."""
    likeness = 1.0 if BASE in (start, end) else expected_cosine(start, end)
    bump = 0.6 * max(0.0, 0.3 - likeness) if BASE not in (start, end) else 0.0
    first = BASE_LOSS if start == BASE else 0.8 + 0.05 * noise.random()
    last = 0.8 + 0.05 * noise.random()
    dip = -0.1 if start == BASE else -0.01
    loss: list[float | None] = [
        first + x * (last - first) + 4 * (bump + dip) * x * (1 - x) for x in POSITIONS
    ]
    above = [y - first - x * (last - first) for x, y in zip(POSITIONS, loss, strict=True) if y]
    barrier = max(0.0, *above)
    if (start, end) == ("SFT", "DPO"):
        loss[3] = None
    contrast = bump + dip
    return Segment(
        start=start,
        end=end,
        positions=POSITIONS,
        loss=tuple(loss),
        low=tuple(y and y - 0.03 for y in loss),
        high=tuple(y and y + 0.03 for y in loss),
        barrier=Reading(value=barrier),
        barrier_at=0.5 if bump + dip > 0 else None,
        midpoint=Reading(value=contrast),
        midpoint_low=contrast - 0.02,
        midpoint_high=contrast + 0.02,
        monotone=None if start == BASE else bump == 0,
        accuracy=tuple(0.4 - 0.5 * bump * x * (1 - x) for x in POSITIONS) if accuracy else (),
        bare_answer=(),
    )


def _similarity(runs: tuple[str, ...], layers: int, noise: random.Random) -> Similarity:
    pairs = []
    for a, b in [*((BASE, run) for run in runs), *combinations(runs, 2)]:
        alike = 0.6 if BASE in (a, b) else expected_cosine(a, b)
        found = []
        for layer in range(layers + 1):
            value = 1 - 0.2 * (1 - alike) * layer / layers - 0.002 * noise.random()
            found.append(
                LayerSimilarity(
                    layer=layer,
                    cka=Reading(value=value),
                    low=value - 0.01,
                    high=min(1.0, value + 0.01),
                    biased=Reading(value=min(1.0, value + 0.004)),
                )
            )
        pairs.append(PairSimilarity(a=a, b=b, layers=tuple(found)))
    return Similarity(
        positions="completion tokens",
        tokens=4096,
        prompts=200,
        width=128,
        groups=20,
        pairs=tuple(pairs),
        ceiling=runs[:2] if len(runs) > 2 else None,
        random_features=Band(low=-0.002, median=0.0, high=0.002, draws=100),
        random_features_biased=Band(low=0.02, median=0.03, high=0.04, draws=100),
        input_nulls=_inputs(layers),
    )


def _inputs(layers: int) -> InputNulls:
    def bands(shift: float) -> dict[str, Band]:
        angles = {
            f"angle_right_{which}": Band(low=a - 9, median=a, high=a + 5, draws=50)
            for which, a in (("smallest", 40 - shift), ("median", 60 - shift), ("largest", 80.0))
        }
        v1 = Band(low=0.02, median=0.25, high=0.5 + shift / 100, draws=50)
        return angles | {"v1": v1}

    of = {"covariance": bands(0), "second moment": bands(8)}
    modules = tuple(
        InputNull(
            module=f"model.layers.{layer}.self_attn.{name}",
            rank=16,
            bands=of,
            effective_rank={"covariance": 31.0, "second moment": 22.0},
        )
        for layer in range(layers)
        for name in PROJECTIONS
    )
    return InputNulls(
        modules=modules, whole=of, k=5, tokens=4096, prompts=200, positions="completion tokens"
    )


def _composed(a: str, b: str, weights: tuple[float, float], noise: random.Random) -> Composed:
    cosine = expected_cosine(a, b)
    expected = BASE_LOSS - 0.45 * sum(weights)
    nll = expected + 0.3 * cosine * sum(weights) + 0.02 * noise.random()
    interference = nll - expected
    return Composed(
        a=a,
        b=b,
        weights=weights,
        nll=Reading(value=nll),
        low=nll - 0.02,
        high=nll + 0.02,
        expected=Reading(value=expected),
        accuracy=Reading(undefined="not asked for"),
        interference=Reading(value=interference),
        interference_low=interference - 0.02,
        interference_high=interference + 0.02,
        cosine=Reading(value=cosine),
        off_subspace=Reading(value=math.sqrt(1 - min(1.0, cosine**2))),
        by_cosine=Reading(value=0.8 * interference),
        by_off_subspace=(Reading(value=-0.3), Reading(value=0.5)),
    )


def behaviour(runs: tuple[str, ...], layers: int, *, accuracy: bool = False) -> Behaviour:
    """All that the model may say of these runs."""
    noise = random.Random("behaviour")
    pairs = list(combinations(runs, 2))
    ends = [*((BASE, run) for run in runs), *pairs]
    return Behaviour(
        base="embedded:base",
        data="40 held-out reference solutions",
        connectivity=Connectivity(
            texts="reference solutions",
            items=40,
            tokens=5120,
            draws=2000,
            base=BASE,
            base_loss=BASE_LOSS,
            segments=tuple(_segment(*two, noise, accuracy=accuracy) for two in ends),
        ),
        similarity=_similarity(runs, layers, noise),
        divergence=tuple(
            Divergence(run=run, kl=Reading(value=0.4 + 0.1 * i), error=0.05, prompts=64)
            for i, run in enumerate(runs)
        ),
        agreement=tuple(
            Agreement(
                a=a,
                b=b,
                n=500,
                same_outcome=0.7 + 0.2 * max(0.0, expected_cosine(a, b)),
                same_answer=0.6,
                kappa=Reading(value=0.5 * expected_cosine(a, b)),
            )
            for a, b in pairs
        ),
        composed=tuple(
            _composed(a, b, weights, noise) for a, b in pairs for weights in ((1, 1), (0.5, 0.5))
        ),
    )


def behaved(found: Results, *, accuracy: bool = False) -> Results:
    """The same results with behaviour of all their runs but the study's repeats."""
    runs = tuple(run.name for run in found.comparison.runs if " order " not in run.name)
    layers = len(found.comparison.layers)
    return found.model_copy(update={"behaviour": behaviour(runs, layers, accuracy=accuracy)})


def with_behaviour(**of_comparison: Any) -> Results:
    """A comparison of adapters with all that the model says of them."""
    return behaved(results(**of_comparison), accuracy=True)
