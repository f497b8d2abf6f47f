"""Tables of the reference paper's claims: the verdicts, and the parts that each follows from."""

from collections.abc import Sequence

from goniometer.report import notation
from goniometer.report.tables.table import Cell, Column, Notes, Table, table
from goniometer.results import Claim, ClaimPart

VERDICTS = {"holds": "", "does not hold": "strong", "undecided": "open", "not measured": "absent"}
STATES = {True: "shown", False: "refuted", None: "open"}
_KINDS = {True: "", False: "strong", None: "open"}
RULE = (
    "A claim holds where every part is shown, does not hold where one is refuted, is not measured "
    "where no part has an estimate, and is undecided otherwise."
)
FLOOR = "what another seed alone gives, of a corrected cosine 1 as it is divided by that"
HEADS = ("estimate", "95 %", "null", "seed floor")


def claims(found: Sequence[Claim]) -> Table:
    """The reference paper's claims, tried on these results."""
    rows = [
        [
            Cell(str(claim.number)),
            Cell(claim.claim, kind="words"),
            Cell(claim.verdict, kind=VERDICTS[claim.verdict]),
            Cell(claim.printed, kind="words"),
            Cell(claim.found, kind="words"),
        ]
        for claim in found
    ]
    heads = ("no.", "claim", "verdict", "printed there", "found here")
    columns = [Column(head, numeric=False) for head in heads]
    caption = f"Claims of arXiv 2606.23740, tried on this study. {RULE}"
    return table("claims", caption, columns, rows)


def parts(claim: Claim) -> Table:
    """What one claim's verdict follows from, a row a part."""
    notes = Notes()
    rows = [
        [
            Cell(part.what, kind="words"),
            Cell(STATES[part.holds], kind=_KINDS[part.holds]),
            notes.cell(part.estimate),
            *(
                Cell(text, note=note, kind="absent" if text == notation.NONE else "")
                for text, note in zip(texts(part)[1:], _marks(part, notes), strict=True)
            ),
        ]
        for part in claim.parts
    ]
    columns = [
        Column("part", numeric=False), Column("state", numeric=False), *map(Column, HEADS),
    ]  # fmt: skip
    caption = (
        f"Parts of claim {claim.number}, {claim.claim}. Null: what independence or no difference "
        f"gives; seed floor: {FLOOR}."
    )
    return table(f"claim-{claim.number}", caption, columns, rows, notes)


def texts(part: ClaimPart) -> tuple[str, str, str, str]:
    """A part's numbers as they are written, in the order of HEADS; a dash where there is none."""
    ends, null, floor = notation.NONE, notation.NONE, notation.NONE
    if part.low is not None and part.high is not None:
        ends = notation.span(part.low, part.high)
    if part.null is not None:
        null = notation.in_unit(part.null, "")
    if part.floor is not None:
        floor = notation.in_unit(part.floor, "")
    return notation.reading(part.estimate), ends, null, floor


def over(part: ClaimPart) -> str:
    """What a part's interval is over, and of how many; or why there is none."""
    return part.interval if part.low is None or part.n is None else f"{part.interval}, n {part.n}"


def _marks(part: ClaimPart, notes: Notes) -> tuple[str, str, str]:
    """Marks of notes for the interval, the null and the floor."""
    return ("" if part.estimate.value is None else notes.mark(over(part)), "", "")
