"""What geometry reads: runs, pairs, nulls, floors, and runs against their base."""

from typing import Literal

from pydantic import Field

from goniometer.results.values import Band, Frozen, MeasureInfo, Reading

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
    family: dict[NullKind, Band] = Field(default={})
    # Modules that only one of the two adapts: a true zero in the other.
    only_a: tuple[str, ...] = ()
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
    not_measured: dict[str, tuple[str, ...]] = Field(default={})  # reason: modules


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
