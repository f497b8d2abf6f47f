"""What a study has beyond the geometry of its cells."""

from typing import Any, Literal

from goniometer.results.scores import Accuracy, Paired, SeedDifference, SeedScores
from goniometer.results.values import Frozen, Reading


class RolloutReport(Frozen):
    """What was sampled and what was kept."""

    prompts_sampled: int
    samples_per_prompt: int
    prompts_kept: int  # with both right and wrong completions
    rows: int  # rows that the arms train on
    wrong_sampled: float  # shares
    wrong_kept: float
    mixed: float
    duplicates: float
    truncated: float
    ungraded: int


class Coefficients(Frozen):
    """Histogram of a run's per-token gradient coefficients, -d(summed loss) / d(log p_t).

    The frame of arXiv 2402.03300, section 5.2: 1 for SFT, 0 for a token that is not trained,
    below 0 for one whose probability is lowered. Bin i holds edges[i] <= c < edges[i + 1]; the
    outermost edges are the largest magnitudes that were seen or the ends of the common grid.
    """

    first_step: int
    last_step: int  # inclusive
    edges: tuple[float, ...]
    right: tuple[int, ...]  # completion tokens of right rows, by bin
    wrong: tuple[int, ...]


class Cell(Frozen):
    """One training run of a study.

    `arm` is the arm that it repeats (its own name for an arm itself). Of the role `grid` are the
    runs that differ from their arm in one factor: seed, learning rate or share of wrong rows.
    """

    name: str
    arm: str
    objective: str
    options: dict[str, Any]
    role: Literal["arm", "floor", "grid"]
    regime: Literal["lora", "attention", "full"] = "lora"
    seed: int = 0  # number of the replicate, 0 for the common one
    wrong_share: float | None = None  # asked for; None where the rows are as sampled
    wrong_kept: float | None = None  # of the rows that it was given
    rows: int | None = None  # that carry loss; None where it samples its own
    tokens: int | None = None  # of their completions
    learning_rate: float
    init_seed: int
    order_seed: int
    state: Literal["trained", "diverged", "non-finite"]
    unit: str
    steps: int
    losses: tuple[float, ...]  # by step, per unit
    gradient_norms: tuple[float, ...]  # before clipping
    clipped: float  # share of steps
    nll_right: float | None  # held-out rollouts, nats a token
    nll_wrong: float | None
    nll_right_base: float
    nll_wrong_base: float
    ordered_pairs: float | None  # share of held-out pairs with a positive implicit reward margin
    coefficients: tuple[Coefficients, ...] = ()  # of the first and the last steps
    kl: Reading = Reading(undefined="not measured")  # forward KL(base || run), nats a completion
    kl_error: float | None = None  # its standard error over prompts


class CrossSeed(Frozen):
    """Two arms across seeds: what their cosine would be without the noise of init and order.

    Corrected for attenuation: mean cos(X_s, Y_t) / sqrt(mean cos(X_s, X_t) mean cos(Y_s, Y_t)),
    over seeds s != t (Spearman 1904). 1 means one update but for the seed.
    """

    a: str
    b: str
    seeds: int
    cosines: tuple[float, ...]  # cos(X_s, Y_t), s != t
    repeats_a: tuple[float, ...]  # cos(X_s, X_t), s < t
    repeats_b: tuple[float, ...]
    corrected: Reading
    low: float | None  # jackknife 95 % interval over seeds; None with fewer than 3
    high: float | None


class Matched(Frozen):
    """A run's update rescaled, untrained, to the size of another's, and what it then does."""

    run: str
    to: str
    by: Literal["norm", "kl"]
    factor: Reading  # what the update was multiplied with
    norm: Reading
    kl: Reading  # nats a completion, on the texts by which a factor was found
    kl_error: float | None = None  # its standard error over prompts
    nll_right: float | None
    nll_wrong: float | None
    accuracy: Accuracy | None
    paired: Paired | None = None  # it and what it is matched to, on the same problems


class Check(Frozen):
    """One condition that makes the study worth reading."""

    name: str
    required: str
    found: str
    passed: bool


class ClaimPart(Frozen):
    """One number that a claim rests on, with what it is held against.

    `holds` is True where the part is shown, False where it is refuted, and None where it is open,
    as every part without an estimate is.
    """

    what: str  # "cosine of SFT and RFT"
    estimate: Reading
    low: float | None = None  # 95 % interval; None where there is none, as `interval` says
    high: float | None = None
    interval: str = "none"  # what it is over, such as seeds or problems; "none: " and why
    n: int | None = None  # of what the interval is over
    # What independence gives at most (97.5 %); of a difference 0, of a ratio 1.
    null: float | None = None
    # What another seed alone gives: at least, of an agreement; at most, of a difference or a ratio.
    floor: float | None = None
    holds: bool | None = None


class Claim(Frozen):
    """One claim of the reference paper, tried on these results.

    It holds where every part is shown, does not hold where one is refuted, is not measured where no
    part has an estimate, and is undecided otherwise.
    """

    number: int
    claim: str
    printed: str
    found: str
    verdict: Literal["holds", "does not hold", "undecided", "not measured"]
    parts: tuple[ClaimPart, ...] = ()


class StudyResults(Frozen):
    """What a study has beyond the geometry of its cells."""

    config: dict[str, Any]  # the resolved study
    fingerprint: str
    rollouts: RolloutReport
    cells: tuple[Cell, ...]
    accuracies: tuple[Accuracy, ...]  # the base first
    paired: tuple[Paired, ...]
    checks: tuple[Check, ...]
    claims: tuple[Claim, ...] = ()
    cross_seed: tuple[CrossSeed, ...] = ()  # pairs of arms, where the grid has seeds
    matched: tuple[Matched, ...] = ()
    seed_scores: tuple[SeedScores, ...] = ()  # of each arm, where the grid has seeds
    seed_differences: tuple[SeedDifference, ...] = ()  # of each pair of arms
