"""What the model says of the updates, in words: paths, activations, and what was not measured."""

from collections.abc import Sequence

from goniometer.report import notation
from goniometer.report.facts.index import Index
from goniometer.report.facts.measured import lowest
from goniometer.report.facts.plane import Plane
from goniometer.results import BASE, Behaviour, Composed, PairSimilarity, Segment

PARTS = ("paths", "activations", "divergence", "agreement", "sums")


def sentences(index: Index) -> list[str]:
    """Sentences on paths, activations and sums of arms; of no study's runs KL comes first."""
    found = index.results.behaviour
    if found is None:
        return []
    kl = [] if index.results.study else _divergence(found)  # a study's stands with its sizes
    return [*kl, *_paths(index, found), *_activations(index, found), *_sums(index, found)]


def _of_arms(index: Index, a: str, b: str) -> bool:
    return {a, b} <= set(index.arms)


def _divergence(found: Behaviour) -> list[str]:
    """The smallest and the largest KL from the base, and whose is undefined."""
    known = sorted(
        (one.kl.value, one.run, one.prompts) for one in found.divergence if one.kl.value is not None
    )
    if not known:
        return []
    ends = known if len(known) == 1 else [known[0], known[-1]]
    values = " to ".join(f"{notation.significant(kl)} ({run})" for kl, run, _ in ends)
    n = min(prompts for *_, prompts in known)
    absent = [one.run for one in found.divergence if one.kl.value is None]
    beside = f"; undefined for {notation.listed(absent)}" if absent else ""
    return [f"KL from the base: {values} nats a completion, n = {n} completions{beside}."]


def _paths(index: Index, found: Behaviour) -> list[str]:
    segments = found.connectivity.segments if found.connectivity else ()
    mine = [s for s in segments if _of_arms(index, s.start, s.end)]
    defined = [s for s in mine if s.midpoint.value is not None]
    if not defined:
        return []
    above = [s for s in defined if s.midpoint_low is not None and s.midpoint_low > 0]
    most = max(defined, key=_contrast)
    ends = (
        f" (95 %: {notation.nats(most.midpoint_low)} to {notation.nats(most.midpoint_high)})"
        if most.midpoint_low is not None and most.midpoint_high is not None
        else ""
    )
    highest = f"midpoint contrast {notation.nats(_contrast(most))} nats a token{ends}"
    if len(defined) == 1:
        return [f"On the straight path from {most.start} to {most.end}: {highest}."]
    verb = "is" if len(above) == 1 else "are"
    between = "" if index.results.study else " between runs"  # more are drawn from the base
    return [
        f"Straight paths: {len(above) or 'none'} of {len(defined)}{between} {verb} shown to have a "
        f"barrier at the midpoint; highest, {most.start} to {most.end}: {highest}."
    ]


def _contrast(segment: Segment) -> float:
    return segment.midpoint.value or 0.0


def _activations(index: Index, found: Behaviour) -> list[str]:
    similarity = found.similarity
    if similarity is None:
        return []
    known = [
        (value, pair)
        for pair in similarity.pairs
        if _of_arms(index, pair.a, pair.b) and (value := lowest(pair)) is not None
    ]
    if not known:
        return []
    value, pair = min(known, key=lambda one: one[0])
    text = f"Activations: lowest CKA {notation.fixed(value, 3)}, of {pair.a} and {pair.b}"
    beside = [
        f"{word} {notation.fixed(value, 3)}"
        for word, value in (
            ("two seeds of one objective", _ceiling(similarity.pairs, similarity.ceiling)),
            ("a run and the base at least", _to_base(similarity.pairs)),
        )
        if value is not None
    ]
    return [f"{text}{' (' + '; '.join(beside) + ')' if beside else ''}."]


def _ceiling(pairs: Sequence[PairSimilarity], names: tuple[str, str] | None) -> float | None:
    return next((lowest(pair) for pair in pairs if (pair.a, pair.b) == names), None)


def _to_base(pairs: Sequence[PairSimilarity]) -> float | None:
    found = [lowest(pair) for pair in pairs if pair.a == BASE]
    return min((value for value in found if value is not None), default=None)


def _sums(index: Index, found: Behaviour) -> list[str]:
    """How many sums cost more than two updates that do not meet would."""
    mine = [
        one
        for one in found.composed
        if one.weights == (1.0, 1.0)
        and _of_arms(index, one.a, one.b)
        and one.interference.value is not None
    ]
    if not mine:
        return []
    worse = sum(one.interference_low is not None and one.interference_low > 0 for one in mine)
    most = max(mine, key=_interference)
    return [
        f"Sums: {worse or 'none'} of {len(mine)} are shown to lose more than both updates' own "
        f"effects add up to; most, {most.a} and {most.b}, by "
        f"{notation.nats(_interference(most))} nats a token."
    ]


def _interference(one: Composed) -> float:
    return one.interference.value or 0.0


def missing(index: Index) -> str:
    """Which parts were not measured; empty where all were."""
    found = index.results.behaviour
    measured = {
        "paths": bool(found and found.connectivity),
        "activations": bool(found and found.similarity),
        "divergence": bool(found and found.divergence),
        "agreement": bool(found and found.agreement),
        "sums": bool(found and found.composed),
    }
    absent = [part for part in PARTS if not measured[part]]
    if not absent:
        return ""
    return f"Not measured, as it needs the model and texts: {notation.listed(absent)}."


def lowest_cka(index: Index) -> str:
    """The smallest CKA of all; a dash where there is none."""
    found = index.results.behaviour
    pairs = found.similarity.pairs if found and found.similarity else ()
    values = [value for pair in pairs if (value := lowest(pair)) is not None]
    return notation.fixed(min(values), 3) if values else notation.NONE


def of_map(plane: Plane) -> str:
    """What the map shows and what it loses."""
    out = (
        f" Left out, without a cosine to all others: {notation.listed(plane.left_out)}."
        if plane.left_out
        else ""
    )
    return (
        "Each update scaled to norm 1, projected onto the plane that holds most of the squared "
        f"distances between them: {notation.percent(plane.share, 0)} of it; of "
        f"{len(plane.names)} unrelated updates a plane holds "
        f"{notation.percent(plane.by_chance, 0)}. What is lost: two dots may lie together and the "
        "updates be far apart, never the other way round; the matrix has every cosine. Sizes are "
        f"not shown.{out}"
    )
