"""`goniometer claims` in the terminal: each claim's verdict, and under it what it follows from."""

import json
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from goniometer.atomic import write_file
from goniometer.claims import judge
from goniometer.console.terminal import stdout
from goniometer.errors import GoniometerError
from goniometer.report.tables.claims import FLOOR, HEADS, RULE, STATES, over, texts
from goniometer.results import Claim, Results, read_results, results_folder

STYLES = {
    "holds": "bold green", "does not hold": "bold red", "undecided": "bold yellow",
    "not measured": "dim",
}  # fmt: skip
_PART_STYLES = {True: "green", False: "red", None: "dim"}


def tried(folder: Path, *, json_file: Path | None, number: int | None) -> None:
    """Judge the results of a study anew, print the claims, and write them where asked for.

    Raises:
        GoniometerError: no results there, of another version, or of no study; no such file.
    """
    home = results_folder(folder)
    results = read_results(home / "results.json")
    if results.study is None:
        raise GoniometerError(
            "no study: a comparison alone does not know its objectives, so that no claim can be "
            "tried on it",
            file=home / "results.json",
            fix="name the folder that study wrote",
        )
    found = [claim for claim in judge(results) if number in (None, claim.number)]
    if json_file is not None:
        write_file(json_file, claims_json(results, found))
    print_claims(found, stdout())


def claims_json(results: Results, found: Sequence[Claim]) -> str:
    """The claims as JSON, each as in results.json, with the study that they are of."""
    tree = {
        "title": results.title,
        "study": results.study.fingerprint if results.study else None,
        "claims": [claim.model_dump(mode="json") for claim in found],
    }
    return json.dumps(tree, indent=1) + "\n"


def print_claims(found: Sequence[Claim], console: Console) -> None:
    """Print one table: a claim in bold, its parts under it; what intervals are over below."""
    notes: list[str] = []
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("claim", min_width=24)
    for head in HEADS:
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for claim in found:
        title = Text(f"{claim.number} {claim.claim}", style="bold")
        verdict = Text(claim.verdict, style=STYLES[claim.verdict])
        table.add_row(title, "", "", "", "", verdict)
        table.add_row(Text(f"  printed: {claim.printed}", style="dim"))
        for part in claim.parts:
            estimate, ends, null, floor = texts(part)
            reason = part.estimate.undefined or over(part)
            mark = _mark(reason, notes)
            state = Text(STATES[part.holds], style=_PART_STYLES[part.holds])
            table.add_row(Text(f"  {part.what} [{mark}]"), estimate, ends, null, floor, state)
        table.add_section()
    console.print(table)
    console.print(
        f"null: what independence or no difference gives; seed floor: {FLOOR}",
        soft_wrap=True, highlight=False,
    )  # fmt: skip
    console.print(RULE, soft_wrap=True, highlight=False)
    for i, note in enumerate(notes, 1):
        console.print(Text(f"[{i}] {note}"), soft_wrap=True)


def _mark(note: str, notes: list[str]) -> int:
    if note not in notes:
        notes.append(note)
    return notes.index(note) + 1
