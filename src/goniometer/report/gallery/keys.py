"""The keys of figures that have more than one kind of mark: the same on the page and in files."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, final

from goniometer.report.facts import grid
from goniometer.report.facts.index import Index
from goniometer.report.gallery.menu import Menu
from goniometer.report.theme import var


@final
@dataclass(frozen=True)
class Mark:
    """An entry of a chart's key: a colour of the theme, a shape and what it stands for."""

    token: str
    shape: Literal["bar", "dot", "ring", "diamond", "band", "dashed"]
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
        Mark("muted", "bar", "that and the interference that the cosine predicts"),
    ),
}
LONGEST = 72  # letters of the names of a pair
INPUTS = (
    Mark("opposite", "band", "null: inputs' covariance, 95 %, right-hand measures"),
    Mark("opposite", "dashed", "null: inputs' second moment"),
)


def keys(index: Index, menus: Mapping[str, Menu]) -> dict[str, tuple[Mark, ...]]:
    """The key of each figure; a sweep has a line an arm."""
    return (
        KEYS
        | _of_weights(index, menus)
        | {
            grid.slug(of): tuple(
                Mark(index.token(arm), "bar", arm) for arm in grid.families(index, of)
            )
            for of in grid.SWEPT
        }
    )


def _of_weights(index: Index, menus: Mapping[str, Menu]) -> dict[str, tuple[Mark, ...]]:
    """Keys of what weights say: the pair or run, as a file has no menu, and what is behind it."""
    floors, nulls = _floors(index), _nulls(index)
    similarity = index.results.behaviour and index.results.behaviour.similarity
    inputs = INPUTS if similarity and similarity.input_nulls else ()
    pair = Mark("ink", "dot", _chosen(menus.get("pair"), "the pair"))
    both = Mark("ink", "dot", f"{pair.text}; hollow: the reverse direction")
    other = _chosen(menus.get("reference"), "the run itself")
    arms = "arms" if index.repeats else "runs"
    of_floors = (Mark("accent", "dot", "a pair of a floor; tick: its lower bound"),)
    return {
        "ruler": (Mark("ink", "dot", f"a pair of {arms}"), *(of_floors if floors else ()), *nulls),
        "reference": (Mark("ink", "dot", f"cosine to {other}, by layer"), *floors, *nulls),
        "angles": (pair, *nulls),
        "layers": (both, *floors, *nulls, *inputs),
        "projections": (both, *floors, *nulls, *inputs),
    }


def _chosen(menu: Menu | None, otherwise: str) -> str:
    text = menu.choices[menu.first] if menu else otherwise
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}\u2026"


def _floors(index: Index) -> tuple[Mark, ...]:
    return tuple(
        Mark(
            "accent",
            "band" if floor.kind == "same init, other order" else "dashed",
            f"floor: {floor.arm}, {floor.kind}",
        )
        for floor in index.comparison.floors
    )


def _nulls(index: Index) -> tuple[Mark, ...]:
    if not index.comparison.nulls:
        return ()
    shared = Mark("shared", "bar", "null: shared A0, 95 %")
    return shared, Mark("null", "bar", "null: independent, 95 %")
