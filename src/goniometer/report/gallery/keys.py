"""The keys of figures that have more than one kind of mark: the same on the page and in files."""

from dataclasses import dataclass
from typing import Literal, final

from goniometer.report.facts import grid
from goniometer.report.facts.index import Index
from goniometer.report.theme import var


@final
@dataclass(frozen=True)
class Mark:
    """An entry of a chart's key: a colour of the theme, a shape and what it stands for."""

    token: str
    shape: Literal["bar", "dot", "ring", "diamond"]
    text: str

    @property
    def colour(self) -> str:
        """The colour as style sheets name it."""
        return var(self.token)


KEYS: dict[str, tuple[Mark, ...]] = {
    "seeds": (
        Mark("opposite", "diamond", "corrected for seeds; line: jackknife 95 % over seeds"),
        Mark("ink", "dot", "the two arms within one seed"),
        Mark("ink", "ring", "the two arms across seeds"),
        Mark("accent", "bar", "seeds of one arm: what a seed alone leaves"),
    ),
    "coefficients": (
        Mark("accent", "bar", "right rows, upwards"),
        Mark("opposite", "bar", "wrong rows, downwards"),
    ),
    "paths": (
        Mark("accent", "dot", "the path, shaded: 95 % over items, point by point"),
        Mark("muted", "bar", "dashed: the chord; dotted: the base"),
        Mark("opposite", "bar", "the barrier"),
    ),
    "activations": (
        Mark("ink", "dot", "the pair; dotted band: 95 %, jackknife over prompts"),
        Mark("ink", "ring", "each of the two and the base"),
        Mark("accent", "bar", "ceiling: two seeds of one objective"),
        Mark("null", "bar", "null: random features of the same n and d"),
    ),
    "agreement": (
        Mark("ink", "dot", "both right or both wrong"),
        Mark("ink", "ring", "kappa: beyond what the accuracies give"),
    ),
    "composed": (
        Mark("ink", "dot", "measured, with 95 % over items"),
        Mark("opposite", "bar", "what two updates that do not meet would give"),
    ),
}


def keys(index: Index) -> dict[str, tuple[Mark, ...]]:
    """The key of each figure; a sweep has a line an arm."""
    return KEYS | {
        grid.slug(of): tuple(Mark(index.token(arm), "bar", arm) for arm in grid.families(index, of))
        for of in grid.SWEPT
    }
