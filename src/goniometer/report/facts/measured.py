"""What was measured of runs and pairs: sizes, divergences, coefficients, similarity."""

from goniometer.report.facts.index import Index
from goniometer.results import Cell, PairSimilarity

SIZES = ("norm", "effective_rank", "participation_ratio", "stable_rank")


def with_kl(index: Index) -> tuple[Cell, ...]:
    """Arms and repeats whose divergence from the base was measured."""
    cells = [index.cell_of[name] for name in index.shown if name in index.cell_of]
    return tuple(cell for cell in cells if cell.kl.value is not None)


def with_coefficients(index: Index) -> tuple[Cell, ...]:
    """The arms whose coefficients were kept."""
    arms = set(index.arms)
    return tuple(cell for cell in index.cells if cell.name in arms and cell.coefficients)


def lowest(pair: PairSimilarity) -> float | None:
    """The smallest CKA over the layers; None where none is defined."""
    return min((one.cka.value for one in pair.layers if one.cka.value is not None), default=None)
