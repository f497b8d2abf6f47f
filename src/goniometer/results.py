"""The result values: what geometry, statistics and claims produce and the report reads. No torch.

Everything here is frozen, validated, and goes to `results.json` and back without loss.
Not measured is a state with a reason, never 0; no value here holds a time or a path of a machine,
so that equal inputs give equal bytes.
"""

import json
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from goniometer.errors import GoniometerError

# Any change of a field is a new version: readers refuse fields that they do not know.
SCHEMA_VERSION: Final = 3


class Frozen(BaseModel):
    """A value: immutable, no unknown field, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Reading(Frozen):
    """A measured number, or the reason why there is none."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"properties": {"value": {"type": "number"}, "undefined": {"type": "null"}}},
                {"properties": {"value": {"type": "null"}, "undefined": {"type": "string"}}},
            ]
        }
    )

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


PairState = Literal["comparable", "identical", "zero delta", "no common module"]


class PairReadings(Frozen):
    """Two runs compared.

    Directional measures say what of `b` lies outside `a`; `_reverse` swaps them.
    """

    a: str
    b: str
    state: PairState
    null_group: str | None
    # Whole-model cosine under each null, at this pair's own energies and for all pairs together:
    # what the verdict is judged by. The bands of `nulls` are those of one pair.
    family: dict[NullKind, Band] = {}
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


BaseNullKind = Literal["independent", "shuffled", "random directions"]


class RunAgainstBase(Frozen):
    """What one run did to the base's weights; scopes are `all`, `layer.N` and `projection.NAME`.

    Nulls: `independent`, masks drawn without regard to each other; `shuffled`, the same update with
    its rows and columns in random order; `random directions`, an update of the same singular
    values with random singular vectors, added to the same base.
    """

    name: str
    modules: int  # of the run that the base has
    scopes: dict[str, dict[str, Reading]]
    nulls: dict[str, dict[str, dict[BaseNullKind, Band]]]  # by scope and measure
    not_measured: dict[str, tuple[str, ...]] = {}  # reason: modules


class AgainstBase(Frozen):
    """Every run against the base that was given."""

    base: str  # its name
    fingerprint: str  # of the base's weights at the runs' modules
    k: int  # size of the top-k subspaces, and how many vectors may be intruders
    measures: dict[str, MeasureInfo]
    runs: tuple[RunAgainstBase, ...]


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
    against_base: AgainstBase | None = None  # where the base was given

    def sizes(self, run: str) -> dict[str, dict[str, Reading]]:
        """Readings of one run by scope: its own, and those against the base where there are any."""
        own = next(one.scopes for one in self.runs if one.name == run)
        based = self.against_base.runs if self.against_base else ()
        more = next((one.scopes for one in based if one.name == run), {})
        return {scope: own.get(scope, {}) | more.get(scope, {}) for scope in {**own, **more}}


class Step(Frozen):
    """One checkpoint of a run, as a sum of increments from the base (or the origin) on.

    A null is what increments of the same norms that have nothing to do with each other give, in
    the limit of many dimensions, where they are orthogonal.
    """

    run: str  # its name in the comparison
    step: int
    norm: float
    norm_null: float
    cosine_to_final: Reading
    cosine_to_final_null: Reading
    angle_left: Reading  # degrees; angle_left_median of the pair with the final checkpoint
    angle_right: Reading
    increment: float  # norm of what was added since the checkpoint before
    cosine_of_increments: Reading  # with the increment before it; the null is 0


class RankOne(Frozen):
    """Share of a trajectory that lies along one direction, of all weights of a scope as one vector.

    Top eigenvalue over trace of a Gram matrix, not centred: of the totals (each checkpoint less
    the base) and of the increments between checkpoints. Nulls as those of `Step`.
    """

    totals: Reading
    totals_null: Reading
    increments: Reading
    increments_null: Reading


class Trajectory(Frozen):
    """The checkpoints of one run, in order."""

    name: str
    steps: tuple[Step, ...]
    rank_one: dict[str, RankOne]  # by scope; `union` is the whole model


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
    cross_seed: tuple[CrossSeed, ...] = ()  # pairs of arms, where the grid has seeds
    matched: tuple[Matched, ...] = ()


class Results(Frozen):
    """The whole document, `results.json`."""

    schema_version: Literal[3] = SCHEMA_VERSION
    title: str
    versions: dict[str, str]
    comparison: Comparison
    trajectories: tuple[Trajectory, ...] = ()
    study: StudyResults | None = None


def to_json(results: Results) -> str:
    """Serialise in the order of the fields, so that equal results are equal bytes."""
    return results.model_dump_json(indent=1) + "\n"


def read_results(path: Path) -> Results:
    """Read a `results.json`; raise GoniometerError where it is absent or not of this schema."""
    if not path.is_file():
        raise GoniometerError("no such file", file=path, fix="name the folder that a run wrote")
    text = path.read_bytes()
    _require_version(path, text)
    try:
        return Results.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        raise GoniometerError(
            first["msg"],
            file=path,
            key=".".join(map(str, first["loc"])),
            expected=f"results of schema version {SCHEMA_VERSION}",
        ) from None


def _require_version(path: Path, text: bytes) -> None:
    try:
        found = json.loads(text)
    except ValueError:
        return  # said by the validation
    version = found.get("schema_version") if isinstance(found, dict) else None
    if version != SCHEMA_VERSION:
        raise GoniometerError(
            "written by another version of goniometer",
            file=path,
            key="schema_version",
            found=version,
            expected=SCHEMA_VERSION,
            fix="write it again with this one, or read it with that one",
        )


def json_schema() -> str:
    """Return the JSON Schema of `results.json` (draft 2020-12), with sorted keys."""
    schema = Results.model_json_schema(mode="serialization")
    schema["required"] = ["schema_version", *schema["required"]]
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:goniometer:results:{SCHEMA_VERSION}",
    }
    return json.dumps(head | schema, sort_keys=True, indent=1) + "\n"
