"""What `compare` prints of updates alone: runs, pairs with their nulls, and what was remarked."""

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from goniometer.console.terminal import number, titled
from goniometer.results import Band, Comparison, NullKind

# Measures in the terminal's table of pairs, with their headings and digits.
SHOWN = {
    "cosine": ("cosine", 6),
    "off_subspace_joint": ("b off a", 3),
    "off_subspace_joint_reverse": ("a off b", 3),
    "angle_left_smallest": ("top angle left", 1),
    "angle_right_smallest": ("right", 1),
    "u1": ("u1", 3),
    "v1": ("v1", 3),
}
# A terminal narrower than this has no room for all the columns of a pair.
ROOMY = 140
# More tables of nulls than this are left to the report.
MOST_NULLS = 2


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print runs, then pairs over the union of modules with their nulls."""
    runs = titled("runs", ["run", "format"], ["modules", "rank", "norm", "effective rank"])
    runs.add_column("fingerprint")
    for run in comparison.runs:
        sizes = run.scopes["all"]
        low, high = run.ranks
        rank = str(low) if low == high else f"{low}-{high}"
        norm, effective = number(sizes["norm"], 4), number(sizes["effective_rank"], 2)
        runs.add_row(
            run.name, run.format, str(run.modules), rank, norm, effective, run.fingerprint[:12]
        )
    console.print(runs)
    title = f"pairs over all modules; top-k subspaces with k = {comparison.k}; angles in degrees"
    roomy = console.width >= ROOMY
    shown = SHOWN if roomy else {"cosine": SHOWN["cosine"]}
    pairs = titled(title, ["a", "b"], [heading for heading, _ in shown.values()])
    pairs.add_column("verdict", no_wrap=True)
    for pair in comparison.pairs:
        readings = pair.scopes["union"].readings
        numbers = [number(readings[name], digits) for name, (_, digits) in shown.items()]
        pairs.add_row(pair.a, pair.b, *numbers, pair.verdict)
    console.print(pairs)
    if not roomy:
        console.print("a wider terminal shows angles and subspaces; so do pairs.csv and the report")
    for group, table in list(comparison.nulls.items())[:MOST_NULLS]:
        console.print(_nulls(group, table["union"]))
    if len(comparison.nulls) > MOST_NULLS:
        more = len(comparison.nulls) - MOST_NULLS
        console.print(f"nulls of {more} more mixtures of ranks and formats are in the report")
    _print_remarks(comparison, console)


def _nulls(group: str, bands: Mapping[str, Mapping[NullKind, Band]]) -> Table:
    kinds = list(bands["cosine"])
    draws = bands["cosine"][kinds[0]].draws
    title = f"nulls, {group}: where 95 % of {draws} simulated pairs of unrelated updates fall"
    table = titled(title, ["measure"], [kind.replace("_", " ") for kind in kinds])
    for name, (heading, digits) in SHOWN.items():
        ends = [bands[name][kind] for kind in kinds]
        table.add_row(heading, *(f"{e.low:z.{digits}f} to {e.high:z.{digits}f}" for e in ends))
    return table


def _print_remarks(comparison: Comparison, console: Console) -> None:
    for warning in (*comparison.warnings, *(w for run in comparison.runs for w in run.warnings)):
        console.print(f"warning: {warning}", style="yellow", soft_wrap=True, highlight=False)
    for run in comparison.runs:
        if run.not_read:
            shown = ", ".join(run.not_read[:3]) + (", ..." if len(run.not_read) > 3 else "")
            line = f"not read in {run.name}: {len(run.not_read)} tensors ({shown})"
            console.print(line, soft_wrap=True, highlight=False)
    for pair in comparison.pairs:
        if pair.only_a or pair.only_b:
            common = pair.scopes["intersection"]
            line = (
                f"{pair.a}, {pair.b}: {len(pair.only_a)} modules only in {pair.a}, "
                f"{len(pair.only_b)} only in {pair.b}: true zeros in the other; "
                f"over the {common.modules} they share, {common.energy_share:.1%} of the energy, "
                f"cosine {number(common.readings['cosine'], 6)}"
            )
            console.print(line, soft_wrap=True, highlight=False)
