"""The yardstick of the answer in words: floors, what an init does, and what the words mean."""

from goniometer.report import notation
from goniometer.report.facts.index import Index, cosine
from goniometer.report.words.headline import sameness


def floors(index: Index) -> list[str]:
    """The floors in a line, and the null for all pairs."""
    found = index.comparison.floors
    if not found:
        return [
            "No floor was measured: without repeats, similar relative to the nulls is all that "
            "can be said."
        ]
    parts = []
    for floor in found:
        bound = "" if floor.low is None else f", bound {notation.fixed(floor.low, 3)}"
        span = notation.span(min(floor.cosines), max(floor.cosines)) if floor.cosines else "none"
        pairs = notation.count(len(floor.cosines), "pair")
        what = "other order" if floor.kind == "same init, other order" else "other init"
        parts.append(f"{floor.arm}, {what}, {span} ({pairs}{bound})")
    return [f"Cosines of repeats of one recipe: {'; '.join(parts)}."]


def inits(index: Index) -> list[str]:
    """In how many pairs another init does more than another objective."""
    found = index.comparison.floors
    inits = [f for f in found if f.kind == "other init, same order" and f.cosines]
    defined = [value for pair in index.arm_pairs if (value := cosine(pair)) is not None]
    if not inits or not defined:
        return []
    nearer = sum(value > max(inits[0].cosines) for value in defined)
    return [
        f"Another init turns the update further than another objective does in {nearer} of "
        f"{notation.count(len(defined), 'pair')}."
    ]


def terms(index: Index) -> tuple[str, ...]:
    """What the answer's words mean, where they were used."""
    found = index.comparison.floors
    if not found or index.results.trajectories:
        return ()
    said = [
        "The yardstick is arms against their own repeats. A pair is judged by the strictest floor "
        "of its kind, and where one of the two has repeats, by its cosine to these. A floor's "
        "bound is what one more such pair would not fall below.",
        "The same update means: a cosine as high as some repeat's, and above the nulls.",
    ]
    if any(sameness(pair) == "untold" for pair in index.arm_pairs):
        said.append(
            "Not told apart from a repeat means: not below the floor's lower bound, which few "
            "repeats leave wide, but below every repeat that was seen, or of two runs that share "
            "the seed in which the repeats differ, and are alike for that too. It is neither the "
            "same update nor another."
        )
    return tuple(said)
