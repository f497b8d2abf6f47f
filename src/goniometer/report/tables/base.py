"""Tables of what each run did to the base's weights, and of what chance would do."""

from collections.abc import Mapping

from goniometer.report import notation
from goniometer.report.tables.table import ABSENT, Cell, Column, Notes, Table, table, whole_number
from goniometer.results import AgainstBase, Band, BaseNullKind, Reading, RunAgainstBase

# Columns: measure, the head over it and its own.
_COLUMNS = {
    "relative_norm": ("", "relative norm"),
    "spectral_shift": ("", "spectral shift"),
    "rotation_left_largest": ("left rotation", "largest"),
    "rotation_left_median": ("left rotation", "median"),
    "rotation_right_largest": ("right rotation", "largest"),
    "rotation_right_median": ("right rotation", "median"),
    "intruders": ("", "intruders"),
    "principal_overlap": ("", "principal overlap"),
    "unchanged_fp32": ("unchanged", "fp32"),
    "unchanged_bf16": ("unchanged", "bf16"),
    "equal_fp32": ("equal bits", "fp32"),
    "equal_bf16": ("equal bits", "bf16"),
    "storage_noise": ("", "storage noise"),
}
# Written to some digits, as their size differs by orders of magnitude from run to run.
_SMALL = ("relative_norm", "spectral_shift", "storage_noise")
KINDS: tuple[BaseNullKind, ...] = ("random directions", "independent", "shuffled")


def whole(found: AgainstBase) -> Table:
    """Every run over all its modules."""
    notes = Notes()
    rows = []
    for run in found.runs:
        head = Cell(run.name, note=_unmeasured(run, notes))
        rows.append([head, whole_number(run.modules), *_cells(found, run.scopes["all"], notes)])
    caption = (
        f"Each run against {found.base}, over the modules that it has. Rotations are of the "
        f"top-{found.k} singular subspaces of the weights themselves."
    )
    columns = [Column("run", numeric=False), Column("modules"), *_heads(found)]
    return table("base", caption, columns, rows, notes)


def nulls(found: AgainstBase) -> Table:
    """Where chance falls for the same runs."""
    measures = [
        (name, heads)
        for name, heads in _shown(found)
        if any(name in run.nulls.get("all", {}) for run in found.runs)
    ]
    rows = []
    for run in found.runs:
        of_run = run.nulls.get("all", {})
        for kind in KINDS:
            bands = [of_run.get(name, {}).get(kind) for name, _ in measures]
            if any(bands):
                draws = max(band.draws for band in bands if band)
                cells = [
                    ABSENT if band is None else _span(found, name, band)
                    for band, (name, _) in zip(bands, measures, strict=True)
                ]
                rows.append([Cell(run.name), Cell(kind), whole_number(draws), *cells])
    caption = (
        "Where 95 % of each null falls; of fewer than 40 draws, all of them. Random directions: an "
        "update of the same singular values with random singular vectors. Independent: masks drawn "
        "without regard to each other. "
        "Shuffled: the same update with its rows and columns in random order, so that rounding "
        "alone hides what it hides of it."
    )
    heads = [Column("run", numeric=False), Column("null", numeric=False), Column("draws")]
    columns = [*heads, *(Column(head, group=group) for _, (group, head) in measures)]
    return table("base-nulls", caption, columns, rows)


def by_projection(found: AgainstBase) -> Table:
    """Every run, projection by projection."""
    notes = Notes()
    rows = [
        [Cell(f"{run.name}, {scope.partition('.')[2]}"), *_cells(found, readings, notes)]
        for run in found.runs
        for scope, readings in run.scopes.items()
        if scope.startswith("projection.")
    ]
    caption = f"The same by projection, for each run against {found.base}."
    columns = [Column("run, projection", numeric=False), *_heads(found)]
    return table("base-projections", caption, columns, rows, notes)


def _heads(found: AgainstBase) -> list[Column]:
    return [Column(head, group=group) for _, (group, head) in _shown(found)]


def _shown(found: AgainstBase) -> list[tuple[str, tuple[str, str]]]:
    return [item for item in _COLUMNS.items() if item[0] in found.measures]


def _cells(found: AgainstBase, readings: Mapping[str, Reading], notes: Notes) -> list[Cell]:
    return [_cell(found, name, readings.get(name), notes) for name, _ in _shown(found)]


def _cell(found: AgainstBase, name: str, reading: Reading | None, notes: Notes) -> Cell:
    if reading is not None and reading.value is not None:
        return Cell(_written(found, name, reading.value))
    return notes.cell(reading)


def _written(found: AgainstBase, name: str, value: float) -> str:
    if name == "intruders":
        return notation.fixed(value, 0)
    if name in _SMALL:
        return notation.significant(value)
    unit = found.measures[name].unit
    # Rotations are often far below a tenth of a degree.
    small = unit == "degrees" and 0 < value < 1
    return f"{notation.significant(value, 2)}\u00b0" if small else notation.in_unit(value, unit)


def _span(found: AgainstBase, name: str, band: Band) -> Cell:
    ends = [_written(found, name, end) for end in (band.low, band.high)]
    return Cell(notation.between(*ends))


def _unmeasured(run: RunAgainstBase, notes: Notes) -> str:
    reasons = [
        f"{notation.count(len(modules), 'module')} left out: {reason}"
        for reason, modules in run.not_measured.items()
    ]
    return notes.mark("; ".join(reasons)) if reasons else ""
