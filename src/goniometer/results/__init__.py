"""The result values: what geometry, statistics and claims produce and the report reads. No torch.

Everything here is frozen, validated, and goes to `results.json` and back without loss.
Not measured is a state with a reason, never 0; no value here holds a time or a path of a machine,
so that equal inputs give equal bytes.
"""

from goniometer.results.behaviour import Agreement, Behaviour, Composed, Divergence
from goniometer.results.connectivity import Connectivity, Segment
from goniometer.results.document import (
    SCHEMA_VERSION,
    Results,
    json_schema,
    read_results,
    results_folder,
    to_json,
)
from goniometer.results.geometry import (
    AgainstBase,
    BaseNullKind,
    Comparison,
    Floor,
    NullKind,
    NullTable,
    PairReadings,
    PairState,
    RunAgainstBase,
    RunReadings,
    Scope,
)
from goniometer.results.scores import Accuracy, Interval, Paired, SeedDifference, SeedScores
from goniometer.results.similarity import (
    InputMoment,
    InputNull,
    InputNulls,
    LayerSimilarity,
    PairSimilarity,
    Positions,
    Similarity,
)
from goniometer.results.study import (
    Cell,
    Check,
    Claim,
    ClaimPart,
    Coefficients,
    CrossSeed,
    Matched,
    RolloutReport,
    StudyResults,
)
from goniometer.results.trajectory import RankOne, Step, Trajectory
from goniometer.results.values import BASE, Band, Frozen, MeasureInfo, Reading

__all__ = [
    "BASE",
    "SCHEMA_VERSION",
    "Accuracy",
    "AgainstBase",
    "Agreement",
    "Band",
    "BaseNullKind",
    "Behaviour",
    "Cell",
    "Check",
    "Claim",
    "ClaimPart",
    "Coefficients",
    "Comparison",
    "Composed",
    "Connectivity",
    "CrossSeed",
    "Divergence",
    "Floor",
    "Frozen",
    "InputMoment",
    "InputNull",
    "InputNulls",
    "Interval",
    "LayerSimilarity",
    "Matched",
    "MeasureInfo",
    "NullKind",
    "NullTable",
    "PairReadings",
    "PairSimilarity",
    "PairState",
    "Paired",
    "Positions",
    "RankOne",
    "Reading",
    "Results",
    "RolloutReport",
    "RunAgainstBase",
    "RunReadings",
    "Scope",
    "SeedDifference",
    "SeedScores",
    "Segment",
    "Similarity",
    "Step",
    "StudyResults",
    "Trajectory",
    "json_schema",
    "read_results",
    "results_folder",
    "to_json",
]
