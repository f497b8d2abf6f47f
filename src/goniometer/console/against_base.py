"""What `compare --base` prints of updates: what each run did to the base, its nulls below it."""

from rich.console import Console

from goniometer.console.terminal import number, print_undefined, titled
from goniometer.results import AgainstBase

# Measures against the base in the terminal.
AGAINST_BASE = {
    "relative_norm": ("relative norm", 5),
    "spectral_shift": ("spectral shift", 6),
    "principal_overlap": ("principal overlap", 3),
    "unchanged_fp32": ("unchanged fp32", 3),
    "unchanged_bf16": ("bf16", 3),
    "rotation_left_largest": ("rotation left", 2),
    "rotation_right_largest": ("right", 2),
    "intruders": ("intruders", 0),
    "storage_noise": ("storage noise", 3),
}


def print_against_base(found: AgainstBase | None, console: Console) -> None:
    """Print what each run did to the base, over all modules, with its nulls below it."""
    if found is None:
        return
    title = f"against the base {found.base} ({found.fingerprint[:12]}), over all modules"
    table = titled(title, ["run"], [heading for heading, _ in AGAINST_BASE.values()])
    for run in found.runs:
        readings = run.scopes["all"]
        numbers = [number(readings[name], digits) for name, (_, digits) in AGAINST_BASE.items()]
        table.add_row(run.name, *numbers)
        bands = run.nulls.get("all", {})
        for kind in dict.fromkeys(kind for by_kind in bands.values() for kind in by_kind):
            cells = [
                f"{bands[name][kind].low:z.{digits}f} to {bands[name][kind].high:z.{digits}f}"
                if kind in bands.get(name, {})
                else ""
                for name, (_, digits) in AGAINST_BASE.items()
            ]
            table.add_row(f"  null: {kind}", *cells, style="dim")
    console.print(table)
    shown = [
        (f"{heading} of {run.name}", run.scopes["all"][name])
        for name, (heading, _) in AGAINST_BASE.items()
        for run in found.runs
    ]
    print_undefined(shown, console)
    for run in found.runs:
        for reason, modules in run.not_measured.items():
            line = (
                f"not measured in {run.name}: {len(modules)} modules ({modules[0]}, ...): {reason}"
            )
            console.print(line, soft_wrap=True, highlight=False)
