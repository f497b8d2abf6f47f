"""How sure one can be: paired scores, equivalence, multiplicity, the seed floor. No torch.

counts.py      two runs on the same problems as a 2x2 table; McNemar exact and mid-p
tango.py       score interval of the difference, equivalence test, smallest margin
bootstrap.py   intervals by resampling problems (exactly), clusters and seeds
clusters.py    the same where problems come in clusters: samples of one problem, templates
outcomes.py    runs joined on the problem id, as one array
multiplicity.py  Holm over all pairs, and the margin that it leaves to each
compare.py     all pairs of a set of runs: both families adjusted, four verdicts
by_seed.py     scores seed by seed, hierarchical bootstrap from five seeds up
proportion.py  accuracy of one run with a Wilson interval
cross_seed.py  cosines of arms across seeds, corrected for attenuation
floor.py       what another seed alone does to a cosine, and the verdict on sameness

Verdicts on scores: Holm-adjusted exact McNemar decides difference, Holm-adjusted TOST decides
equivalence, both at LEVEL, both of clusters where these are given. Not significant is
never read as equivalent.
"""

from goniometer.statistics.by_seed import seed_differences, seed_scores
from goniometer.statistics.compare import LEVEL, compare_all, paired
from goniometer.statistics.counts import Counts, mcnemar_exact, mcnemar_mid_p
from goniometer.statistics.floor import (
    ANOTHER_SEED,
    REPEAT,
    SAMENESS,
    STEPS,
    UNTOLD,
    family_wise,
    floor_low,
    sameness,
    seed_floor,
)
from goniometer.statistics.multiplicity import holm, smallest_margins_holm
from goniometer.statistics.proportion import accuracy, wilson_interval
from goniometer.statistics.tango import equivalence_p, smallest_margin, tango_interval

__all__ = [
    "ANOTHER_SEED",
    "LEVEL",
    "REPEAT",
    "SAMENESS",
    "STEPS",
    "UNTOLD",
    "Counts",
    "accuracy",
    "compare_all",
    "equivalence_p",
    "family_wise",
    "floor_low",
    "holm",
    "mcnemar_exact",
    "mcnemar_mid_p",
    "paired",
    "sameness",
    "seed_differences",
    "seed_floor",
    "seed_scores",
    "smallest_margin",
    "smallest_margins_holm",
    "tango_interval",
    "wilson_interval",
]
