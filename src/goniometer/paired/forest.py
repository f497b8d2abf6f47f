"""A forest plot's geometry: one row a pair, its Tango interval beside the margin."""

from dataclasses import dataclass
from typing import final

from goniometer.report import notation
from goniometer.results.paired import PairedLogs

WIDTH = 960
LEFT = 380  # for the names
RIGHT = 190  # for the numbers
ROW = 24
TOP = 26
_STEPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
_TICKS = 8
_COLOURS = {
    "different": "bad",
    "different but within the margin": "run-4",
    "equivalent within the margin": "good",
    "undecided": "muted",
}


@final
@dataclass(frozen=True)
class Row:
    """One pair; x and y in pixels."""

    label: str
    text: str
    verdict: str
    colour: str
    y: float
    low: float
    high: float
    at: float


@final
@dataclass(frozen=True)
class Forest:
    """What the template draws."""

    width: int
    height: int
    rows: tuple[Row, ...]
    ticks: tuple[tuple[float, str], ...]
    margin: tuple[float, float]
    zero: float
    top: int
    bottom: int


def forest(found: PairedLogs) -> Forest:
    """Lay out the pairs, the largest difference first, on an axis symmetric about 0."""
    pairs = sorted(found.pairs, key=lambda pair: (-abs(pair.difference), pair.a, pair.b))
    ends = [abs(end) for pair in pairs for end in (pair.low, pair.high)]
    reach = 1.08 * max(*ends, found.margin)

    def x(value: float) -> float:
        return round(LEFT + (value / reach + 1) / 2 * (WIDTH - LEFT - RIGHT), 1)

    rows = tuple(
        Row(
            label=f"{pair.a} less {pair.b}",
            text=f"{notation.points(pair.difference)} ({notation.points(pair.low)} to "
            f"{notation.points(pair.high)})",
            verdict=pair.verdict,
            colour=_COLOURS[pair.verdict],
            y=TOP + ROW * (i + 0.5),
            low=x(pair.low),
            high=x(pair.high),
            at=x(pair.difference),
        )
        for i, pair in enumerate(pairs)
    )
    bottom = TOP + ROW * len(rows)
    step = next((step for step in _STEPS if 2 * reach / step <= _TICKS), _STEPS[-1])
    most = int(reach / step)
    ticks = tuple((x(i * step), notation.points(i * step)) for i in range(-most, most + 1))
    margin = x(-found.margin), x(found.margin)
    return Forest(WIDTH, bottom + 34, rows, ticks, margin, x(0), TOP, bottom)
