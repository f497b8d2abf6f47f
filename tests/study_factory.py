"""What a synthetic study adds to a synthetic comparison: cells, scores, checks, claims, a grid.

A run's name says what it is: `SFT`, `SFT order 1`, `SFT init 1`, and in a grid `SFT seed 1`,
`SFT lr 0.003`, `SFT wrong 50`. `results_factory.results(study=True, runs=GRID)` has all of it.
"""

import math
import random
from itertools import combinations, permutations
from statistics import fmean

from goniometer.results import (
    Accuracy,
    Cell,
    Check,
    Claim,
    ClaimPart,
    Coefficients,
    Comparison,
    CrossSeed,
    Matched,
    Paired,
    Reading,
    RolloutReport,
    StudyResults,
)

N = 1319
SCORES = {"base": 0.82, "SFT": 0.873, "RFT": 0.881, "RIFT": 0.879, "DFT": 0.877, "GRPO": 0.882}
MARGIN = 0.02
SEEDS = (1, 2)
RATES = {"SFT": 1e-3, "DPO": 1e-4}  # the arm's own; others have SFT's
SWEPT_RATES = (1e-4, 1e-3, 3e-3)
GRID_ARMS = ("SFT", "RFT", "RIFT", "DFT", "GRPO", "DPO")
GRID = (
    *GRID_ARMS, "SFT order 1", "SFT order 2", "SFT init 1",
    *(f"{arm} seed {seed}" for arm in GRID_ARMS for seed in SEEDS),
    *(f"{arm} lr {rate:g}" for arm in ("SFT", "DPO") for rate in SWEPT_RATES if rate != RATES[arm]),
    *(f"{arm} wrong {share}" for arm in ("SFT", "RFT", "RIFT") for share in (0, 50)),
)  # fmt: skip
WRONG_KEPT = 0.44
ACHIEVED = {0: 0.0, 50: 0.47}  # of the shares of wrong rows that are asked for, in %
CUT = 48  # tokens of the completions over which a KL is summed


def told(name: str) -> tuple[str, str, float]:
    """Arm, what was moved (empty for the arm) and to where, as the name has it."""
    arm, *rest = name.split()
    return (arm, rest[0], float(rest[1])) if len(rest) == 2 else (name, "", 0.0)


def moved_apart(a: str, b: str) -> float:
    """By how much two runs are less alike than their objectives, for what the grid moved."""
    (_, moved_a, to_a), (_, moved_b, to_b) = told(a), told(b)
    seeds = [to if moved == "seed" else 0 for moved, to in ((moved_a, to_a), (moved_b, to_b))]
    apart = 0.36 if seeds[0] != seeds[1] else 1.0
    for of, loss in (("lr", 0.58), ("wrong", 0.88)):
        if of in (moved_a, moved_b) and (moved_a, to_a) != (moved_b, to_b):
            apart *= loss
    return apart


def one_run(a: str, b: str) -> bool:
    """Without wrong rows SFT and RFT are one run."""
    return {a, b} == {"SFT wrong 0", "RFT wrong 0"}


def _score(name: str) -> float:
    return SCORES.get(name.split(maxsplit=1)[0], 0.902 if name.startswith("DPO") else 0.88)


def _wilson(correct: int, n: int) -> tuple[float, float]:
    z, p = 1.96, correct / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return centre - half, centre + half


def _accuracy(name: str) -> Accuracy:
    noise = random.Random(name)
    correct = round(N * (_score(name) + noise.gauss(0, 0.004)))
    low, high = _wilson(correct, N)
    return Accuracy(
        run=name, n=N, correct=correct, truncated=noise.randrange(6), ungraded=noise.randrange(2),
        accuracy=correct / N, low=low, high=high,
        changed=None if name == "base" else noise.uniform(0.3, 0.7),
    )  # fmt: skip


def _paired(a: Accuracy, b: Accuracy, pairs: int) -> Paired:
    shift = a.correct - b.correct
    churn = 18 + random.Random(a.run + b.run).randrange(50)
    only_a, only_b = churn + max(shift, 0), churn + max(-shift, 0)
    both = min(a.correct - only_a, b.correct - only_b)
    difference = (only_a - only_b) / N
    half = 1.96 * math.sqrt(only_a + only_b) / N
    z = abs(only_a - only_b) / math.sqrt(only_a + only_b)
    p = math.erfc(z / math.sqrt(2))
    holm = min(1.0, p * pairs / 2)
    inside = abs(difference) + half * 1.1 < MARGIN
    verdicts = {
        (True, True): "different but within the margin",
        (True, False): "different",
        (False, True): "equivalent within the margin",
        (False, False): "undecided",
    }
    return Paired(
        a=a.run, b=b.run, n=N, both=both, only_a=only_a, only_b=only_b,
        neither=N - both - only_a - only_b, dropped=a.ungraded + b.ungraded,
        difference=difference, low=difference - half, high=difference + half,
        p_exact=p, p_mid=p * 0.9, p_holm=holm, margin=MARGIN,
        p_equivalence=0.01 if inside else 0.4, p_equivalence_holm=0.03 if inside else 1.0,
        smallest_margin=abs(difference) + half * 0.84,
        verdict=verdicts[holm < 0.05, inside],
    )  # fmt: skip


def _achieved(moved: str, to: float) -> float:
    return ACHIEVED[int(to)] if moved == "wrong" else WRONG_KEPT


def _cell(name: str, steps: int) -> Cell:
    noise = random.Random(f"cell {name}")
    objective, moved, to = told(name)
    start, end = (0.693, 0.44) if objective == "DPO" else (0.52, 0.31)
    diverged = name == "GRPO"
    length = steps * 3 // 4 if diverged else steps
    decay = [math.exp(-4 * i / steps) for i in range(length)]
    norms = [0.4 + 1.3 * d * noise.lognormvariate(0, 0.35) for d in decay]
    losses = [end + (start - end) * d + noise.gauss(0, 0.02) for d in decay]
    if diverged:
        losses = [loss - 2.0 * (i / steps) ** 3 for i, loss in enumerate(losses)]
    seeds = {"seed": (int(to), int(to)), "init": (int(to), 0), "order": (0, int(to))}
    init, order = seeds.get(moved, (0, 0))
    return Cell(
        name=name, arm=objective, objective=objective.lower(),
        options={"beta": 0.1} if objective == "DPO" else {},
        role={"": "arm", "order": "floor", "init": "floor"}.get(moved, "grid"),
        seed=int(to) if moved == "seed" else 0,
        wrong_share=to / 100 if moved == "wrong" else None,
        wrong_kept=None if objective == "GRPO" else _achieved(moved, to),
        rows=None if objective == "GRPO" else 3200 - round(8 * to) * (moved == "wrong"),
        tokens=None if objective == "GRPO" else 120_000 - round(9 * to) * (moved == "wrong"),
        learning_rate=to if moved == "lr" else RATES.get(objective, 1e-3),
        init_seed=init, order_seed=order,
        state="diverged" if diverged else "trained",
        unit="pairs" if objective == "DPO" else "tokens",
        steps=steps, losses=tuple(losses), gradient_norms=tuple(norms),
        clipped=sum(norm > 1 for norm in norms) / len(norms),
        nll_right=None if diverged else 0.31 + noise.gauss(0, 0.01),
        nll_wrong=None if diverged else 0.55 + noise.gauss(0, 0.03),
        nll_right_base=0.42, nll_wrong_base=0.61, ordered_pairs=None if diverged else 0.71,
    )  # fmt: skip


def _kl(cell: Cell) -> Cell:
    noise = random.Random(f"kl {cell.name}")
    if cell.state != "trained":
        return cell.model_copy(update={"kl": Reading(undefined="the run diverged")})
    value = (0.09 if cell.objective == "dpo" else 1.4) * noise.uniform(0.8, 1.2)
    return cell.model_copy(update={"kl": Reading(value=value), "kl_error": 0.06 * value})


EDGES = tuple(
    [-(10 ** (i / 8)) for i in range(33, -34, -2)] + [10 ** (i / 8) for i in range(-33, 34, 2)]
)  # fmt: skip


def _coefficients(cell: Cell, first: int, last: int) -> Coefficients:
    """Tokens as the objectives weigh them, roughly: DFT by p, DPO by the margin, ..."""
    noise = random.Random(f"coefficients {cell.name} {first}")
    late = 0.4 if first > 0 else 1.0

    def token(right: bool) -> float:
        p = noise.betavariate(4, 0.7)
        return {
            "sft": 1.0,
            "rft": float(right),
            "rift": 1.0 if right else -0.2 * p,
            "dft": p,
            "grpo": noise.choice((0.35, 0.6, 0.85)) if right else -noise.choice((0.15, 0.4, 0.65)),
            "dpo": (1 if right else -1) * 0.05 * late * noise.betavariate(5, 3),
        }[cell.objective]

    counts = {right: [0] * (len(EDGES) - 1) for right in (True, False)}
    for right in (True, False):
        for _ in range(400):
            value = token(right)
            place = max(i for i, edge in enumerate(EDGES[:-1]) if edge <= value)
            counts[right][place] += 1
    return Coefficients(
        first_step=first, last_step=last, edges=EDGES, right=tuple(counts[True]),
        wrong=tuple(counts[False]),
    )  # fmt: skip


def _measured(cell: Cell) -> Cell:
    windows = (_coefficients(cell, 0, 4), _coefficients(cell, 95, 99))
    return _kl(cell).model_copy(update={"coefficients": windows if cell.role == "arm" else ()})


T_TWO = 4.302653  # Student's t, 97.5 %, 2 degrees of freedom


def _cross_seed(comparison: Comparison) -> tuple[CrossSeed, ...]:
    known = {}
    for pair in comparison.pairs:
        value = pair.scopes["union"].readings["cosine"].value
        known[pair.a, pair.b] = known[pair.b, pair.a] = value
    seeds = {arm: (arm, *(f"{arm} seed {seed}" for seed in SEEDS)) for arm in GRID_ARMS}

    def estimate(a: str, b: str, kept: list[int]) -> float:
        cross = fmean(known[seeds[a][s], seeds[b][t]] for s, t in permutations(kept, 2))
        own = [
            fmean(known[seeds[arm][s], seeds[arm][t]] for s, t in combinations(kept, 2))
            for arm in (a, b)
        ]
        return cross / math.sqrt(own[0] * own[1])

    found = []
    every = list(range(len(SEEDS) + 1))
    for a, b in combinations(GRID_ARMS, 2):
        left = [estimate(a, b, [s for s in every if s != out]) for out in every]
        whole = estimate(a, b, every)
        half = T_TWO * math.sqrt(sum((one - fmean(left)) ** 2 for one in left) * 2 / 3)
        found.append(
            CrossSeed(
                a=a, b=b, seeds=len(every),
                cosines=tuple(known[seeds[a][s], seeds[b][t]] for s, t in permutations(every, 2)),
                repeats_a=tuple(known[x, y] for x, y in combinations(seeds[a], 2)),
                repeats_b=tuple(known[x, y] for x, y in combinations(seeds[b], 2)),
                corrected=Reading(value=whole), low=whole - half, high=whole + half,
            )
        )  # fmt: skip
    return tuple(found)


def _matched(cells: tuple[Cell, ...]) -> tuple[Matched, ...]:
    """DPO at the sizes of SFT; one of them could not be reached."""
    to = next(cell for cell in cells if cell.name == "SFT")
    by_norm = Matched(
        run="DPO", to="SFT", by="norm", factor=Reading(value=13.2), norm=Reading(value=2.9),
        kl=Reading(value=2.3), kl_error=0.21, nll_right=0.37, nll_wrong=0.7,
        accuracy=_accuracy("DPO at norm"),
        paired=_paired(_accuracy("DPO at norm"), _accuracy("SFT"), 2),
    )  # fmt: skip
    by_kl = Matched(
        run="DPO", to="SFT", by="kl", factor=Reading(value=9.7), norm=Reading(value=2.13),
        kl=to.kl, nll_right=0.35, nll_wrong=0.68, accuracy=_accuracy("DPO at KL"),
    )  # fmt: skip
    none = Reading(undefined="no factor up to 100 reaches it")
    failed = Matched(
        run="DFT", to="SFT", by="kl", factor=none, norm=none, kl=none, nll_right=None,
        nll_wrong=None, accuracy=None,
    )  # fmt: skip
    return by_norm, by_kl, failed


def _part(what: str, cosine: float) -> ClaimPart:
    return ClaimPart(
        what=what, estimate=Reading(value=cosine), low=cosine - 0.02, high=cosine + 0.02,
        interval="seeds (jackknife)", n=3, null=0.014, floor=0.93, holds=True,
    )  # fmt: skip


def study_of(comparison: Comparison, steps: int = 100) -> StudyResults:
    """A study whose cells are the runs of `comparison`."""
    names = [run.name for run in comparison.runs]
    accuracies = tuple(_accuracy(name) for name in ["base", *names])
    pairs = [(a, b) for i, a in enumerate(accuracies) for b in accuracies[i + 1 :]]
    cells = tuple(_cell(name, steps) for name in names)
    gridded = set(GRID) <= set(names)
    if gridded:
        cells = tuple(map(_measured, cells))
    return StudyResults(
        config={
            "name": "six objectives", "seed": 0, "evaluation": {"margin": MARGIN, "problems": N},
            "training": {"clip": 1.0, "steps": steps, "learning_rate": 1e-3},
            "grid": {"seeds": 1 + len(SEEDS) if gridded else 1},
            "divergence": {"prompts": 100, "max_new_tokens": CUT},
        },
        fingerprint="5e" * 32,
        rollouts=RolloutReport(
            prompts_sampled=1200, samples_per_prompt=8, prompts_kept=800, rows=3200,
            wrong_sampled=0.31, wrong_kept=WRONG_KEPT, mixed=0.66, duplicates=0.12, truncated=0.02,
            ungraded=0,
        ),
        cells=cells,
        accuracies=accuracies,
        paired=tuple(_paired(a, b, len(pairs)) for a, b in pairs),
        checks=(
            Check(name="wrong rows kept", required="at least 10 %", found="44 %", passed=True),
            Check(name="every arm trained", required="all trained", found="GRPO diverged",
                  passed=False),
            Check(name="base below ceiling", required="at most 95 %", found="82 %", passed=True),
        ),
        claims=(
            Claim(number=1, claim="SFT, RFT and RIFT are colinear", printed=".977 / .967 / .969",
                  found=".958 / .962 / .951", verdict="holds", parts=(
                      _part("cosine of SFT and RFT", 0.958), _part("cosine of SFT and RIFT", 0.962),
                      _part("cosine of RFT and RIFT", 0.951))),
            Claim(number=7, claim="DPO is behind a barrier", printed="3.82 to 8.64",
                  found="no path measured", verdict="not measured"),
            Claim(number=12, claim="DPO scores highest", printed="93.5 %", found="90.1 %",
                  verdict="does not hold"),
        ),
        cross_seed=_cross_seed(comparison) if gridded else (),
        matched=_matched(cells) if gridded else (),
    )  # fmt: skip
