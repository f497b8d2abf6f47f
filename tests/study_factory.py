"""What a synthetic study adds to a synthetic comparison: cells, scores, checks, claims."""

import math
import random

from goniometer.results import (
    Accuracy,
    Cell,
    Check,
    Claim,
    Comparison,
    Paired,
    RolloutReport,
    StudyResults,
)

N = 1319
SCORES = {"base": 0.82, "SFT": 0.873, "RFT": 0.881, "RIFT": 0.879, "DFT": 0.877, "GRPO": 0.882}
MARGIN = 0.02


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


def _cell(name: str, steps: int) -> Cell:
    noise = random.Random(f"cell {name}")
    objective, *repeat = name.split()
    start, end = (0.693, 0.44) if objective == "DPO" else (0.52, 0.31)
    diverged = objective == "GRPO"
    length = steps * 3 // 4 if diverged else steps
    decay = [math.exp(-4 * i / steps) for i in range(length)]
    norms = [0.4 + 1.3 * d * noise.lognormvariate(0, 0.35) for d in decay]
    losses = [end + (start - end) * d + noise.gauss(0, 0.02) for d in decay]
    if diverged:
        losses = [loss - 2.0 * (i / steps) ** 3 for i, loss in enumerate(losses)]
    return Cell(
        name=name, arm=objective, objective=objective.lower(),
        options={"beta": 0.1} if objective == "DPO" else {},
        role="floor" if repeat else "arm", learning_rate=1e-3, init_seed=0, order_seed=0,
        state="diverged" if diverged else "trained",
        unit="pairs" if objective == "DPO" else "tokens",
        steps=steps, losses=tuple(losses), gradient_norms=tuple(norms),
        clipped=sum(norm > 1 for norm in norms) / len(norms),
        nll_right=None if diverged else 0.31 + noise.gauss(0, 0.01),
        nll_wrong=None if diverged else 0.55 + noise.gauss(0, 0.03),
        nll_right_base=0.42, nll_wrong_base=0.61, ordered_pairs=None if diverged else 0.71,
    )  # fmt: skip


def study_of(comparison: Comparison, steps: int = 100) -> StudyResults:
    """A study whose cells are the runs of `comparison`."""
    names = [run.name for run in comparison.runs]
    accuracies = tuple(_accuracy(name) for name in ["base", *names])
    pairs = [(a, b) for i, a in enumerate(accuracies) for b in accuracies[i + 1 :]]
    return StudyResults(
        config={
            "name": "six objectives", "seed": 0, "evaluation": {"margin": MARGIN, "problems": N},
            "training": {"clip": 1.0, "steps": steps, "learning_rate": 1e-3},
        },
        fingerprint="5e" * 32,
        rollouts=RolloutReport(
            prompts_sampled=1200, samples_per_prompt=8, prompts_kept=800, rows=3200,
            wrong_sampled=0.31, wrong_kept=0.44, mixed=0.66, duplicates=0.12, truncated=0.02,
            ungraded=0,
        ),
        cells=tuple(_cell(name, steps) for name in names),
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
                  found=".958 / .962 / .951", verdict="holds"),
            Claim(number=7, claim="DPO is behind a barrier", printed="3.82 to 8.64",
                  found="no path measured", verdict="not measured"),
            Claim(number=12, claim="DPO scores highest", printed="93.5 %", found="90.1 %",
                  verdict="does not hold"),
        ),
    )  # fmt: skip
