"""Tables of trajectories: the rank-1 shares, and every checkpoint."""

from collections.abc import Sequence

from goniometer.report import notation
from goniometer.report.tables.table import Cell, Column, Notes, Table, table, whole_number
from goniometer.results import Trajectory


def rank_one(found: Sequence[Trajectory]) -> Table:
    """Shares of the whole model along one direction, with their nulls."""
    notes = Notes()
    rows = []
    for one in found:
        share = one.rank_one["union"]
        four = (share.totals, share.totals_null, share.increments, share.increments_null)
        rows.append(
            [
                Cell(one.name),
                whole_number(len(one.steps)),
                *(notes.cell(reading, "share") for reading in four),
            ]
        )
    columns = [
        Column("run", numeric=False),
        Column("checkpoints"),
        Column("share", group="totals"),
        Column("independent", group="totals"),
        Column("share", group="increments"),
        Column("independent", group="increments"),
    ]
    caption = (
        "Rank-1 share: energy of the checkpoints (totals) and of what was added between them "
        "(increments) along the one direction that holds most of it, not centred. Independent: "
        "what orthogonal increments of the same norms give."
    )
    return table("rank-one", caption, columns, rows, notes)


def steps(found: Sequence[Trajectory]) -> Table:
    """Every checkpoint of every trajectory."""
    notes = Notes()
    rows = [
        [
            Cell(step.run),
            whole_number(step.step),
            Cell(notation.significant(step.norm)),
            Cell(notation.significant(step.norm_null)),
            notes.cell(step.cosine_to_final),
            notes.cell(step.cosine_to_final_null),
            notes.cell(step.angle_left, "degrees"),
            notes.cell(step.angle_right, "degrees"),
            Cell(notation.significant(step.increment)),
            notes.cell(step.cosine_of_increments),
        ]
        for one in found
        for step in one.steps
    ]
    heads = ("step", "norm", "independent", "cosine to final", "independent", "left angle", "right")
    columns = [Column("checkpoint", numeric=False), *(Column(head) for head in heads)]
    columns += [Column("increment"), Column("cosine to the one before")]
    caption = (
        "Each checkpoint: its norm, its cosine and median angles to the final one, the norm of "
        "what was added since the one before, and the cosine of that with what was added before it."
    )
    return table("steps", caption, columns, rows, notes)
