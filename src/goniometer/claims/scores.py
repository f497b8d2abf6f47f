"""Claims about accuracies. Not significant is never read as alike."""

from goniometer.claims.evidence import (
    WITHOUT_DPO,
    Evidence,
    Finding,
    NotMeasuredError,
    each_pair,
    settle,
)


def alike(evidence: Evidence) -> Finding:
    """2: all pairs of the five methods without DPO are shown to be within the margin.

    A pair that differs and is not shown to be within it refutes; an undecided one leaves it open.
    """
    cells = [evidence.arm(name) for name in WITHOUT_DPO]
    rows = [evidence.paired(a, b)[0] for a, b in each_pair(cells)]
    parts = [{"different": False, "undecided": None}.get(row.verdict, True) for row in rows]
    scores = ", ".join(f"{cell.name} {_percent(evidence, cell.name)}" for cell in cells)
    found = (
        f"{scores}; {parts.count(True)} of {len(rows)} pairs within "
        f"{rows[0].margin:.1%}, {parts.count(False)} different; the widest pair would "
        f"need {max(row.smallest_margin for row in rows):.1%}; smallest exact p "
        f"{min(row.p_exact for row in rows):.2g}, by Holm {min(row.p_holm for row in rows):.2g}"
    )
    return Finding(settle(*parts), found)


def dpo_highest(evidence: Evidence) -> Finding:
    """12: DPO at SFT's learning rate is significantly above each of the five others.

    One that is significantly above DPO, or equivalent to it, refutes; one undecided leaves it
    open. The base and DPO at other rates are printed beside it.
    """
    dpo = evidence.arm("dpo")
    others = [evidence.arm(name) for name in WITHOUT_DPO]
    parts: list[bool | None] = []
    for other in others:
        row, difference = evidence.paired(dpo.name, other.name)
        if row.verdict == "undecided":
            parts.append(None)
        else:
            parts.append(row.verdict.startswith("different") and difference > 0)
    base = evidence.study.accuracies[0].run
    names = [dpo.name, *(c.name for c in evidence.arms("dpo") if c is not dpo)]
    names += [cell.name for cell in others]
    scores = ", ".join(f"{name} {_percent(evidence, name)}" for name in [*names, base])
    above, below = parts.count(True), parts.count(False)
    found = f"{scores}; above {above} of {len(others)}, not above {below}, the rest undecided"
    return Finding(settle(*parts), found)


def _percent(evidence: Evidence, run: str) -> str:
    for row in evidence.study.accuracies:
        if row.run == run:
            return f"{row.accuracy:.1%}"
    raise NotMeasuredError(f"{run} has no accuracy")
