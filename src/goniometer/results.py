"""The result values: what geometry, statistics and claims produce and the report reads. No torch.

Everything here is frozen, validated, and goes to `results.json` and back without loss.
Not measured is a state with a reason, never 0; no value here holds a time or a path of a machine,
so that equal inputs give equal bytes.
"""

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from goniometer.errors import GoniometerError

SCHEMA_VERSION = 1


class Frozen(BaseModel):
    """A value: immutable, no unknown field, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Reading(Frozen):
    """A measured number, or the reason why there is none."""

    value: float | None = None
    undefined: str | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> "Reading":
        if (self.value is None) == (self.undefined is None):
            raise ValueError("a reading has a value or a reason, and not both")
        return self


class Band(Frozen):
    """Where a measure falls under a null: 2.5 %, 50 % and 97.5 % points of `draws` simulations."""

    low: float
    median: float
    high: float
    draws: int


NullKind = Literal["independent", "shared_A0"]
# Nulls of one group: scope -> measure -> kind -> band.
NullTable = dict[str, dict[str, dict[NullKind, Band]]]


class Scope(Frozen):
    """Readings of one pair over a set of modules.

    Scopes are `union`, `intersection`, `layer.N` and `projection.NAME`. `energy_share` is the
    smaller of the two runs' shares of squared norm that lies in these modules.
    """

    modules: int
    energy_share: float
    readings: dict[str, Reading]


class PairReadings(Frozen):
    """Two runs compared.

    Directional measures say what of `b` lies outside `a`; `_reverse` swaps them.
    """

    a: str
    b: str
    state: Literal["comparable", "identical", "zero delta", "no common module"]
    null_group: str | None
    only_a: tuple[
        str, ...
    ] = ()  # modules that only one of the two adapts: a true zero in the other
    only_b: tuple[str, ...] = ()
    scopes: dict[str, Scope]
    verdict: str  # sameness in words; decided against the seed floor where there is one


class RunReadings(Frozen):
    """One run alone: where it comes from, what was read, and its own sizes by scope."""

    name: str
    source: str
    fingerprint: str
    format: str
    base: str | None
    ranks: tuple[int, int]  # smallest and largest
    modules: int
    state: Literal["ok", "zero delta"]
    not_read: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    scopes: dict[str, dict[str, Reading]]


class MeasureInfo(Frozen):
    """What a reader of a chart must know about a measure."""

    title: str
    unit: Literal["", "degrees", "share"]
    range: tuple[float | None, float | None]
    meaning: str


class Floor(Frozen):
    """Cosines between runs of one objective that differ in one seed only."""

    kind: Literal["same init, other order", "other init, same order"]
    runs: tuple[str, ...]
    cosines: tuple[float, ...]
    low: float | None  # lower prediction bound for one more such pair; None with fewer than 3 runs
    rule: str

    @property
    def arm(self) -> str:
        """The run that the others repeat."""
        return self.runs[0]

    @property
    def bound(self) -> float:
        """What a cosine must not fall below: the prediction bound, else the lowest cosine seen."""
        return min(self.cosines) if self.low is None else self.low


class Comparison(Frozen):
    """All of geometry over a set of runs."""

    k: int  # size of the top-k subspaces, one for the whole comparison
    origin: str | None
    seed: int
    layers: tuple[int, ...]
    projections: tuple[str, ...]
    measures: dict[str, MeasureInfo]
    runs: tuple[RunReadings, ...]
    pairs: tuple[PairReadings, ...]
    nulls: dict[str, NullTable]
    floors: tuple[Floor, ...] = ()
    warnings: tuple[str, ...] = ()


class Accuracy(Frozen):
    """Greedy accuracy of one run on the test problems, with a Wilson 95 % interval."""

    run: str
    n: int
    correct: int
    truncated: int
    ungraded: int
    accuracy: float
    low: float
    high: float
    changed: float | None  # share of completions that differ from the base's; None for the base


class Paired(Frozen):
    """Two runs on the same problems: the 2x2 counts and what they allow one to say."""

    a: str
    b: str
    n: int
    both: int
    only_a: int
    only_b: int
    neither: int
    dropped: int  # problems that one of the two has ungraded
    difference: float  # accuracy of a minus accuracy of b
    low: float  # Tango 95 % interval of the difference
    high: float
    p_exact: float
    p_mid: float
    p_holm: float  # Holm over all pairs, of the exact p
    margin: float
    p_equivalence: float  # TOST by the Tango score statistic
    p_equivalence_holm: float
    smallest_margin: float  # at which these counts would show equivalence (unadjusted 5 %)
    verdict: Literal[
        "different", "different but within the margin", "equivalent within the margin", "undecided"
    ]


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


class Cell(Frozen):
    """One training run of a study."""

    name: str
    objective: str
    options: dict[str, Any]
    role: Literal["arm", "floor"]
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


class Check(Frozen):
    """One condition that makes the study worth reading."""

    name: str
    required: str
    found: str
    passed: bool


class Claim(Frozen):
    """One claim of the reference paper, tried on these results."""

    number: int
    claim: str
    printed: str
    found: str
    verdict: Literal["holds", "does not hold", "not measured"]


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


class Results(Frozen):
    """The whole document, `results.json`."""

    schema_version: Literal[1] = 1
    title: str
    versions: dict[str, str]
    comparison: Comparison
    study: StudyResults | None = None


def to_json(results: Results) -> str:
    """Serialise with sorted keys, so that equal results are equal bytes."""
    return json.dumps(results.model_dump(mode="json"), sort_keys=True, indent=1) + "\n"


def read_results(path: Path) -> Results:
    """Read a `results.json`; raise GoniometerError where it is absent or not of this schema."""
    if not path.is_file():
        raise GoniometerError("no such file", file=path, fix="name the folder that a run wrote")
    try:
        return Results.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        raise GoniometerError(
            first["msg"],
            file=path,
            key=".".join(map(str, first["loc"])),
            expected=f"results of schema version {SCHEMA_VERSION}",
        ) from None
