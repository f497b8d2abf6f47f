"""A made-up study in which every claim holds; tests change one thing and ask again."""

import math
from itertools import combinations
from typing import Any

from goniometer.claims import judge
from goniometer.results import (
    Accuracy,
    Band,
    Behaviour,
    Cell,
    Claim,
    Comparison,
    Connectivity,
    Floor,
    LayerSimilarity,
    Paired,
    PairReadings,
    PairSimilarity,
    Reading,
    Results,
    RolloutReport,
    RunReadings,
    Scope,
    Segment,
    Similarity,
    StudyResults,
)

# Names are the user's: no claim may depend on them. Objectives, learning rates and roles are not.
ARMS = {
    "everything": ("sft", 1e-3), "filtered": ("rft", 1e-3), "mixed": ("rift", 1e-3),
    "dynamic": ("dft", 1e-3), "grouped": ("offline_grpo", 1e-3),
    "preferred": ("dpo", 1e-3), "preferred, slow": ("dpo", 1e-4),
}  # fmt: skip
ORDERS, INITS = ("everything", "order 1", "order 2"), ("everything", "init 1", "init 2")
ORDER, INIT = "same init, other order", "other init, same order"
RUNS = (*ARMS, "order 1", "order 2", "init 1", "init 2")
LAYERS = 7
FIVE = tuple(ARMS)[:5]
NAN = math.nan
REPEAT = 0.36  # cosine of an arm and its own repeat at another seed
POSITIONS = (0.0, 0.25, 0.5, 0.75, 1.0)


def key(a: str, b: str) -> tuple[str, str]:
    return (a, b) if RUNS.index(a) < RUNS.index(b) else (b, a)


def told(run: str) -> tuple[str, int]:
    """Arm and seed of a run."""
    arm, _, seed = run.partition(" seed ")
    return arm, int(seed or 0)


def reading(value: float | None) -> Reading:
    if value is None or math.isnan(value):
        return Reading(undefined="nothing there")
    return Reading(value=value)


class World:
    """The numbers that a test may change before it asks for the results."""

    def __init__(self, seeds: int = 1, *, inits: tuple[str, ...] = INITS) -> None:
        self.seeds, self.inits = seeds, inits
        pairs = list(combinations(RUNS, 2))
        others = {*INITS[1:]}
        self.cosine = dict.fromkeys(pairs, 0.55) | {p: 0.05 for p in pairs if "preferred" in p}
        self.cosine |= {p: 0.05 for p in pairs if "preferred, slow" in p}
        self.cosine |= dict.fromkeys(combinations(FIVE[:3], 2), 0.97)
        self.cosine |= {("everything", "grouped"): 0.74}
        self.cosine |= {("preferred", "preferred, slow"): 0.55}
        self.cosine |= dict.fromkeys(combinations(ORDERS, 2), 0.975)
        self.cosine |= {p: 0.07 for p in pairs if {*p} & others}
        self.growth = dict.fromkeys(pairs, 0.0) | {("everything", "grouped"): 0.2}
        self.u1 = dict.fromkeys(pairs, 0.5) | dict.fromkeys(combinations(ORDERS, 2), 0.94)
        self.u1 |= {p: 0.99 for p in pairs if {*p} & others}
        self.v1 = dict.fromkeys(pairs, 0.95) | {p: 0.07 for p in pairs if {*p} & others}
        self.norm = dict.fromkeys(RUNS, 3.0) | {"preferred": 1.5, "preferred, slow": 0.5}
        self.rank = dict.fromkeys(RUNS, 16.0) | {"preferred": 24.0}
        self.low: float | None = 0.96
        self.v1_null = 0.3
        self.verdicts = dict.fromkeys(combinations(FIVE, 2), "equivalent within the margin")
        self.verdicts |= {(a, "preferred"): "different" for a in FIVE}
        self.accuracy = dict.fromkeys(RUNS, 0.85) | {"preferred": 0.9}
        self.accuracy |= {"order 1": 0.852, "order 2": 0.848}
        self.cells: dict[str, dict[str, Any]] = {}
        # Of pairs of runs at other seeds: what stands in place of the rule.
        self.seeded: dict[tuple[str, str, str], float] = {}
        self.segments: dict[tuple[str, str], tuple[float, ...]] = {}
        self.cka: dict[tuple[str, str], tuple[float, ...]] = {}
        self.ceiling: tuple[str, str] | None = ("everything", "init 1")
        self.monotone: dict[tuple[str, str], bool | None] = {}
        self.hump_high: dict[tuple[str, str], float] = {}

    def with_behaviour(self) -> "World":
        """Also what needs the model, so that claims 5, 7 and 8 hold too."""
        flat, valley = (1.0, 1.0, 1.0, 1.0, 1.0), (1.0, 0.98, 0.95, 0.93, 0.92)
        self.segments = {
            ("everything", "grouped"): valley, ("mixed", "preferred"): (1, 2, 4, 3, 1.5),
            ("everything", "preferred"): (1, 2, 4, 3, 1.5), ("everything", "order 1"): flat,
            ("everything", "init 1"): flat,
        }  # fmt: skip
        collapse = (1.0, 0.97, 0.95, 0.94, 0.93, 0.5, 0.45)
        self.cka = {
            ("base", "preferred"): collapse, ("everything", "preferred"): collapse,
            ("everything", "mixed"): (0.999,) * 7, ("everything", "init 1"): (0.995,) * 7,
        }  # fmt: skip
        return self

    @property
    def runs(self) -> tuple[str, ...]:
        """All runs, those of the grid's seeds last."""
        known = tuple(run for run in RUNS if not run.startswith("init") or run in self.inits)
        return known + tuple(f"{a} seed {s}" for a in ARMS for s in range(1, self.seeds))

    def results(self) -> Results:
        return Results(
            title="", versions={}, comparison=self._comparison(), study=self._study(),
            behaviour=self._behaviour() if self.segments or self.cka else None,
        )  # fmt: skip

    def claim(self, number: int) -> Claim:
        return judge(self.results())[number - 1]

    def change(self, changes: dict[str, Any]) -> "World":
        """Change numbers that are there: a dict is merged, anything else set."""
        for name, value in changes.items():
            if isinstance(value, dict):
                known = getattr(self, name)
                assert (
                    name in {"seeded", "cells", "monotone", "hump_high"}
                    or known.keys() >= value.keys()
                )
                known.update(value)
            else:
                setattr(self, name, value)
        return self

    def _read(self, measure: str, a: str, b: str) -> float:
        """A measure of two runs: at one seed the arms' own, across seeds what a repeat leaves."""
        (x, s), (y, t) = told(a), told(b)
        for ends in ((a, b), (b, a)):
            if (measure, *ends) in self.seeded:
                return self.seeded[(measure, *ends)]
        if s == t:
            return getattr(self, measure)[key(x, y)]
        rule = {"cosine": REPEAT, "u1": 0.99, "v1": 0.07, "growth": 0.0}[measure]
        if measure == "cosine" and x != y:
            return rule * self.cosine[key(x, y)]
        return rule

    def _comparison(self) -> Comparison:
        floors = [
            Floor(kind=kind, runs=runs, cosines=cosines, low=low, rule="")
            for kind, runs, low in ((ORDER, ORDERS, self.low), (INIT, self.inits, None))
            for cosines in [tuple(self.cosine[key(*p)] for p in combinations(runs, 2))]
        ]
        bands = {
            "cosine": {"independent": band(0.01), "shared_A0": band(0.02)},
            "v1": {"independent": band(0.05), "shared_A0": band(self.v1_null)},
            "u1": {"independent": band(0.03), "shared_A0": band(0.03)},
        }
        return Comparison(
            k=4, origin=None, seed=0, layers=tuple(range(LAYERS)), projections=(), measures={},
            runs=tuple(self._run(name) for name in self.runs),
            pairs=tuple(self._pair(b, a) for a, b in combinations(self.runs, 2)),  # other way round
            nulls={"ranks": {"union": bands}}, floors=tuple(floors),
        )  # fmt: skip

    def _run(self, name: str) -> RunReadings:
        arm, _ = told(name)
        sizes = {"norm": self.norm[arm], "effective_rank": self.rank[arm]}
        return RunReadings(
            name=name, source="", fingerprint="", format="", base=None, ranks=(16, 16), modules=28,
            state="ok", scopes={"all": {m: Reading(value=v) for m, v in sizes.items()}},
        )  # fmt: skip

    def _pair(self, a: str, b: str) -> PairReadings:
        cosine = self._read("cosine", a, b)
        off = math.sqrt(1 - cosine**2)
        whole = {"cosine": cosine, "off_direction": off}
        whole |= {side: self._read(side, a, b) for side in ("u1", "v1")}
        growth = self._read("growth", a, b)
        scopes = {"union": whole} | {
            f"layer.{i}": {"off_direction": off + growth * (i == LAYERS - 1)} for i in range(LAYERS)
        }
        return PairReadings(
            a=a, b=b, state="comparable", null_group="ranks", verdict="",
            scopes={
                name: Scope(
                    modules=4, energy_share=1, readings={m: reading(v) for m, v in found.items()}
                )
                for name, found in scopes.items()
            },
        )  # fmt: skip

    def _study(self) -> StudyResults:
        return StudyResults(
            config={}, fingerprint="",
            rollouts=RolloutReport(
                prompts_sampled=1, samples_per_prompt=1, prompts_kept=1, rows=1, wrong_sampled=0,
                wrong_kept=0, mixed=0, duplicates=0, truncated=0, ungraded=0,
            ),
            cells=tuple(self._cell(name) for name in self.runs),
            accuracies=tuple(
                Accuracy(run=run, n=100, correct=80, truncated=0, ungraded=0, accuracy=value,
                         low=0.7, high=0.9, changed=None)
                for run, value in self._accuracies().items()
            ),
            paired=tuple(self._paired(a, b) for a, b in self.verdicts), checks=(),
        )  # fmt: skip

    def _accuracies(self) -> dict[str, float]:
        # A seed moves all arms alike, so that their differences do not move.
        seeded = {run: self.accuracy[told(run)[0]] + 0.002 * told(run)[1] for run in self.runs}
        return {"base": 0.8} | seeded | {k: v for k, v in self.accuracy.items() if k not in RUNS}

    def _cell(self, name: str) -> Cell:
        arm, seed = told(name)
        objective, rate = ARMS.get(arm, ("sft", 1e-3))
        init = int(name[5:]) if name.startswith("init") else 1000 * (seed > 0) + seed
        cell = Cell(
            name=name, arm=arm if arm in ARMS else "everything", objective=objective, options={},
            role="grid" if seed else "arm" if name in ARMS else "floor", seed=seed,
            learning_rate=rate, init_seed=init, order_seed=seed,
            state="trained", unit="tokens", steps=1, losses=(), gradient_norms=(), clipped=0,
            nll_right=None, nll_wrong=None, nll_right_base=1, nll_wrong_base=1, ordered_pairs=None,
        )  # fmt: skip
        return cell.model_copy(update=self.cells.get(name, {}))

    def _paired(self, a: str, b: str) -> Paired:
        difference = self.accuracy[a] - self.accuracy[b]
        return Paired(
            a=a, b=b, n=100, both=80, only_a=0, only_b=5, neither=15, dropped=0,
            difference=difference, low=difference - 0.01, high=difference + 0.01, p_exact=0.01,
            p_mid=0.01, p_holm=0.02, margin=0.02, p_equivalence=0.5, p_equivalence_holm=0.5,
            smallest_margin=0.03, verdict=self.verdicts[a, b],
        )  # fmt: skip

    def _behaviour(self) -> Behaviour:
        paths = Connectivity(
            texts="reference solutions", items=50, tokens=1000, draws=100, base="base",
            base_loss=1.0, segments=tuple(self._segment(*ends) for ends in self.segments),
        )  # fmt: skip
        similarity = Similarity(
            positions="completion tokens", tokens=1000, prompts=50, width=64, groups=20,
            pairs=tuple(
                PairSimilarity(a=a, b=b, layers=tuple(_layer(*each) for each in enumerate(values)))
                for (a, b), values in self.cka.items()
            ),
            ceiling=self.ceiling, random_features=band(0.01), random_features_biased=band(0.1),
        )  # fmt: skip
        return Behaviour(
            base="base", data="", connectivity=paths if self.segments else None,
            similarity=similarity if self.cka else None,
        )  # fmt: skip

    def _segment(self, start: str, end: str) -> Segment:
        loss = self.segments[start, end][::-1]  # the other way round
        contrast = loss[2] - (loss[0] + loss[-1]) / 2
        known = not math.isnan(contrast)
        height = max(x - max(min(loss[: i + 1]), min(loss[i:])) for i, x in enumerate(loss))
        return Segment(
            start=end, end=start, positions=POSITIONS,
            loss=tuple(None if math.isnan(value) else value for value in loss),
            low=(None,) * 5, high=(None,) * 5, barrier=reading(contrast),
            barrier_at=0.5, midpoint=reading(contrast),
            midpoint_low=contrast - 0.005 if known else None,
            midpoint_high=contrast + 0.005 if known else None,
            monotone=self.monotone.get((start, end), True),
            hump=height if known else None,
            hump_high=self._hump_high((start, end), height) if known else None,
        )  # fmt: skip

    def _hump_high(self, ends: tuple[str, str], height: float) -> float | None:
        if self.monotone.get(ends, True) is None:
            return None
        return self.hump_high.get(ends, height + 0.005)


def _layer(layer: int, value: float) -> LayerSimilarity:
    return LayerSimilarity(
        layer=layer, cka=reading(value), low=value - 0.004, high=min(1.0, value + 0.004),
        biased=reading(value),
    )  # fmt: skip


def band(high: float) -> Band:
    return Band(low=-high, median=0, high=high, draws=200)
