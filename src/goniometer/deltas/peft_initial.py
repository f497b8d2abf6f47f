"""Adapters whose start is not zero: PiSSA, OLoRA, CorDA, LoftQ, LoRA-GA.

They subtract s B0 A0 from the base before training, so that the update of the original base is
s (B A - B0 A0) (PiSSA, arXiv 2404.02948, section 3; PEFT's `subtract_mutated_init`). B0 A0 is read
from the adapter as saved at the start.
"""

from pathlib import Path

from goniometer.deltas.companions import Companions
from goniometer.deltas.files import stays_inside
from goniometer.deltas.matrix import AbstractMatrix, LowRank
from goniometer.deltas.peft_config import CONFIG, PLAIN_INITS, LoraConfig
from goniometer.deltas.peft_folder import Entries, Entry, Folder
from goniometer.errors import GoniometerError


def initial_folder(folder: Folder, companions: Companions, config: LoraConfig) -> Path | None:
    """The adapter as saved at the start: the one given, or the one that lies in the run's folder.

    None where the initialisation took nothing out of the base.

    Raises:
        GoniometerError: there is none, several, or the adapter has DoRA besides.
    """
    if config.init_lora_weights in PLAIN_INITS:
        return None
    init = str(config.init_lora_weights)
    if config.use_dora:
        raise GoniometerError(
            f"DoRA on a base that the {init} initialisation changed cannot be read",
            file=folder.config, key="use_dora",
        )  # fmt: skip
    if companions.initial is not None:
        return companions.initial
    inside = sorted(
        file.parent
        for file in folder.path.glob(f"*/{CONFIG}")
        if file.parent.name.endswith("_init") or file.parent.name in ("init", "initial")
    )
    if len(inside) == 1 and stays_inside(inside[0]):
        return inside[0]
    raise GoniometerError(
        f"the {init} initialisation changed the base: B A is not the update", file=folder.config,
        key="init_lora_weights",
        found=f"{init!r}, and {len(inside)} initial adapters in the folder",
        expected=f"one of {', '.join(map(repr, PLAIN_INITS))}, or the adapter as at the start",
        fix="give the adapter as saved at the start with --initial",
    )  # fmt: skip


def minus_initial(run: Entries, start: Entries, folder: Folder, initial: Path) -> Entries:
    """Entries of what training added to the start.

    Raises:
        GoniometerError: the two adapt other modules or other shapes.
    """
    if run.keys() != start.keys():
        other = min(run.keys() ^ start.keys())
        raise GoniometerError(
            "the initial adapter has other modules", file=initial, key=other,
            expected=f"those of {folder.path}",
        )  # fmt: skip
    for module, entry in run.items():
        if entry.outline.shape != start[module].outline.shape:
            raise GoniometerError(
                "the initial adapter has other shapes", file=initial, key=module,
                found=start[module].outline.shape, expected=entry.outline.shape,
            )  # fmt: skip
    return {module: _added(entry, start[module]) for module, entry in run.items()}


def _added(run: Entry, start: Entry) -> Entry:
    def load() -> AbstractMatrix:
        mine = run.load()
        added = mine - start.load()
        if isinstance(mine, LowRank) and isinstance(added, LowRank):
            # The factors of both stand in it, but one run of this rank made the difference.
            return LowRank(added.B, added.A, added.scale, trained_rank=mine.rank)
        return added

    return Entry(run.outline, load)
