"""How sure one can be: paired scores, equivalence, multiplicity, the seed floor. No torch.

counts.py      two runs on the same problems as a 2x2 table; McNemar exact and mid-p
tango.py       score interval of the difference, equivalence test, smallest margin
compare.py     all pairs of a set of runs: Holm for both families, four verdicts
proportion.py  accuracy of one run with a Wilson interval
cross_seed.py  cosines of arms across seeds, corrected for attenuation
floor.py       what another seed alone does to a cosine, and the verdict on sameness

Verdicts on scores: Holm-adjusted exact McNemar decides difference, Holm-adjusted TOST decides
equivalence, both at LEVEL. Not significant is never read as equivalent.
"""

from goniometer.statistics.compare import LEVEL, compare_all, holm, paired
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
    "seed_floor",
    "smallest_margin",
    "tango_interval",
    "wilson_interval",
]
