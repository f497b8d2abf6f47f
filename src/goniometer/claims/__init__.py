"""The claims of arXiv 2606.23740 as predicates on a study's results. No torch.

evidence.py     finds cells, their repeats at other seeds, pairs, floors and nulls
parts.py        one number of a claim with interval, null and floor; how parts become a verdict
directions.py   cosines of whole updates; sizes.py norms, ranks and learning rates; sides.py u1, v1
paths.py        losses along segments; activations.py CKA; scores.py accuracies

Cells are found by objective and options, at one learning rate; their names are the user's. A
claim holds where every part of it is shown, does not hold where one part is refuted, is not
measured where no part has an estimate, and is undecided otherwise, with the numbers or the reason
in `found`. No claim holds because a difference is not significant, no part is decided without its
seed floor, and where the grid has three seeds a claim speaks of them, not of the first. Modules
and layers of one run are no sample of runs: there is no interval over them. The rule of each
claim, with its tolerances, is the docstring of its function.

To add a claim: write such a function and add its line to CLAIMS.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from goniometer.claims import activations, directions, paths, scores, sides, sizes
from goniometer.claims.evidence import Evidence
from goniometer.claims.parts import Finding, NotMeasuredError
from goniometer.results import Claim, ClaimPart, Reading, Results


@final
@dataclass(frozen=True)
class Row:
    """One claim: its number in the reference, what it says, what was printed, how it is tried."""

    number: int
    claim: str
    printed: str
    rule: Callable[[Evidence], Finding]


CLAIMS: tuple[Row, ...] = (
    Row(1, "SFT, RFT and RIFT are colinear", "cosine .977 / .967 / .969", directions.colinear),
    Row(
        2, "SFT, RFT, RIFT, DFT and Offline GRPO score alike",
        "GSM8K 87.3 to 88.2 %, McNemar p >= .15", scores.alike,
    ),
    Row(
        3, "DFT diverges more than any reward-weighted method on the same data",
        "cosine .572 to SFT, .536 to RIFT; Offline GRPO .74", directions.dft_diverges,
    ),
    Row(
        4, "Offline GRPO adds an orthogonal component, more in late layers",
        "cosine .74; off-direction .67, middle about .55, last five layers .79 to .86",
        directions.grpo_adds_late,
    ),
    Row(
        5, "Offline GRPO stays in SFT's basin", "losses monotone along the segment",
        paths.in_the_basin,
    ),
    Row(
        6, "DPO is near-orthogonal, of higher rank, smaller",
        "cosine .057 to .065; effective rank 24.5 against about 16; norm 13x smaller, at lr / 10",
        sizes.dpo_apart,
    ),
    Row(
        7, "DPO is behind a barrier", "RIFT to DPO 3.82, 7.06, 8.64",
        paths.behind_a_barrier,
    ),
    Row(
        8, "late-layer CKA collapses for DPO",
        "about .93 falls to about .45 from layer 25; SFT to RIFT above .99",
        activations.collapses,
    ),
    Row(
        9, "input directions agree, output directions differ",
        "v1 .94 to 1.00 without DPO, .66 to .70 with; u1 .97 / .79 / .65 / .11",
        sides.inputs_agree,
    ),
    Row(
        10, "a seed rotates the update more than the loss does, on the input side only",
        "two seeds: cosine .07 to .36, u1 .99, v1 .07, no barrier", sides.seed_rotates,
    ),
    Row(
        11, "a learning rate rotates as well as scales", "10x: cosine about .55, norm about 3x",
        sizes.rate_rotates,
    ),
    Row(
        12, "DPO scores highest",
        "GSM8K 93.5 %; measured again 94.2 %, SFT 87.6 %, base 94.0 %", scores.dpo_highest,
    ),
)  # fmt: skip


def judge(results: Results) -> tuple[Claim, ...]:
    """Try every claim on the results of a study, in the order of the table."""
    evidence = Evidence(results)
    return tuple(_judge(row, evidence) for row in CLAIMS)


def _judge(row: Row, evidence: Evidence) -> Claim:
    try:
        finding = row.rule(evidence)
    except NotMeasuredError as reason:
        missing = ClaimPart(what=row.claim, estimate=Reading(undefined=str(reason)))
        finding = Finding((missing,), str(reason))
    return Claim(
        number=row.number,
        claim=row.claim,
        printed=row.printed,
        found=finding.found,
        verdict=finding.verdict,
        parts=finding.parts,
    )


__all__ = ["CLAIMS", "Row", "judge"]
