"""Read a PEFT folder as a Delta: anybody's, not only our own.

Headers and configuration are checked here; the values of a module are read, and checked to be
finite, each time it is asked for. What changes the weights in a way that is not known is refused
by name.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from goniometer.deltas.companions import Companions
from goniometer.deltas.delta import Delta, Provenance, Stored
from goniometer.deltas.matrix import AbstractMatrix
from goniometer.deltas.peft_config import LoraConfig, lora_config
from goniometer.deltas.peft_diagonal import adalora_entry, vera_entries
from goniometer.deltas.peft_experts import expert_entries, parameters_of
from goniometer.deltas.peft_folder import Entries, Folder, open_folder
from goniometer.deltas.peft_fused import split
from goniometer.deltas.peft_initial import initial_folder, minus_initial
from goniometer.deltas.peft_kinds import KINDS
from goniometer.deltas.peft_lora import collect, lora_entries
from goniometer.deltas.peft_merged import merged_entries
from goniometer.deltas.peft_whole import Whole, whole_entries
from goniometer.errors import GoniometerError

_NO_UPDATE = {
    **dict.fromkeys(
        ("PROMPT_TUNING", "MULTITASK_PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING", "CPT"),
        "it adds tokens to the prompt and changes no weight",
    ),
    "CARTRIDGE": "it adds to the cache and changes no weight",
    "ADAPTION_PROMPT": "it adds tokens inside the layers and changes no weight",
    "XLORA": "its update depends on the input",
    "POLY": "its update depends on the task",
}
_WHOLE = ("LN_TUNING", "TRAINABLE_TOKENS")
_QUANTISED = ("-bnb-4bit", "-4bit", "-8bit", "-int4", "-int8", "-gptq", "-awq", "_gptq", "_awq")
_NAMES = {"LORA": "LoRA", "ADALORA": "AdaLoRA", "VERA": "VeRA"}


def read_peft_adapter(path: Path, companions: Companions) -> Delta:
    """Read one PEFT folder.

    Raises:
        GoniometerError: the folder or a file is absent, truncated or not what it says; a tensor
            is missing or does not fit; the type is not known, or the base is needed and not
            there. A value that is not finite is found when its module is read.
    """
    folder = open_folder(path, companions)
    kind = folder.tree.get("peft_type")
    if kind in _NO_UPDATE:
        raise GoniometerError(
            f"no update of weights: {_NO_UPDATE[kind]}", file=folder.config, key="peft_type",
            found=repr(kind),
        )  # fmt: skip
    if kind not in _TYPES:
        raise GoniometerError(
            "cannot be read", file=folder.config, key="peft_type", found=repr(kind),
            expected=f"one of {', '.join(sorted(_TYPES))}",
        )  # fmt: skip
    read = _TYPES[kind](folder)
    if read.expected and not read.entries:
        raise GoniometerError(
            f"no {read.name} factors", file=folder.weights.file, expected=read.expected
        )
    whole = whole_entries(read.others, folder)
    return _delta(folder, read, whole)


@final
@dataclass(frozen=True)
class _Read:
    """What a type's reader found: entries, the tensors that are not its own, how it is called."""

    name: str
    entries: Entries
    others: Sequence[str]
    expected: str | None = None  # the tensors without which there is nothing
    warnings: tuple[str, ...] = ()


def _delta(folder: Folder, read: _Read, whole: Whole) -> Delta:
    twice = sorted(read.entries.keys() & whole.entries.keys())
    if twice:
        raise GoniometerError(
            "two updates of one parameter", file=folder.weights.file, key=twice[0]
        )
    entries, fused = split(read.entries | whole.entries, folder)
    if not entries:
        raise GoniometerError(
            "nothing that can be read", file=folder.weights.file,
            found=", ".join(whole.not_read[:3]) or "no tensors",
        )  # fmt: skip
    warnings = (*read.warnings, *whole.warnings, *_warnings(folder, fused))
    provenance = Provenance(
        source=str(folder.path),
        format=read.name,
        base=folder.base_name,
        not_read=tuple(sorted(whole.not_read)),
        warnings=warnings,
        copies=folder.layers,
    )

    def load(module: str) -> AbstractMatrix:
        return entries[module].load()

    return Delta(Stored({m: entry.outline for m, entry in entries.items()}, load), provenance)


def _warnings(folder: Folder, fused: Sequence[str]) -> list[str]:
    found = []
    if fused:
        found.append(
            f"{len(fused)} fused modules such as {fused[0]} are read as one: how q, k and v lie in"
            " them is not known without the base's config.json"
        )
    name = (folder.base_name or "").lower()
    if any(mark in name for mark in _QUANTISED):
        found.append(f"trained on quantised weights ({folder.base_name}): the update is of those")
    if folder.layers:
        found.append(
            f"layers replicated: {len(folder.layers)} layers of"
            f" {len(set(folder.layers))} in the base, named as in the replicated network"
        )
    return found


def _read_lora(folder: Folder) -> _Read:
    config = lora_config(folder.tree, folder.config)
    initial = initial_folder(folder, folder.companions, config)
    entries, others = _lora(folder, config)
    warnings: list[str] = []
    if initial is not None:
        start = open_folder(initial, folder.companions)
        start_entries, _ = _lora(start, lora_config(start.tree, start.config))
        entries = minus_initial(entries, start_entries, folder, initial)
        init = str(config.init_lora_weights)
        warnings.append(f"{init}: the update since the initial adapter {initial}")
        if init == "loftq":
            warnings.append("loftq: the base and the initial adapter are not the original base")
    name = "rsLoRA" if config.use_rslora else "LoRA"
    if config.use_dora:
        name = f"{name}, DoRA" if config.use_rslora else "DoRA"
    return _Read(name, entries, others, "keys such as ....q_proj.lora_A.weight", tuple(warnings))


def _lora(folder: Folder, config: LoraConfig) -> tuple[Entries, list[str]]:
    """Entries of linear modules, embeddings, convolutions and targeted parameters."""
    entries: Entries = {}
    found, others = collect(folder.weights.tensors, folder)
    for factors in found:
        parameters = parameters_of(factors.module, config.target_parameters or ())
        if parameters:
            added = expert_entries(factors, folder, config, parameters)
        else:
            added = lora_entries(factors, folder, config)
        twice = sorted(entries.keys() & added.keys())
        if twice:
            raise GoniometerError("two updates of one module", file=folder.path, key=twice[0])
        entries |= added
    return entries, others


def _read_adalora(folder: Folder) -> _Read:
    config = lora_config(folder.tree, folder.config)
    found, others = collect(folder.weights.tensors, folder)
    entries = {factors.module: adalora_entry(factors, folder, config) for factors in found}
    return _Read("AdaLoRA", entries, others, "keys such as ....q_proj.lora_E")


def _read_vera(folder: Folder) -> _Read:
    entries, others = vera_entries(list(folder.weights.tensors), folder)
    return _Read("VeRA", entries, others, "keys such as ....q_proj.vera_lambda_b")


def _read_merged(folder: Folder) -> _Read:
    entries, others = merged_entries(list(folder.weights.tensors), folder)
    kind = folder.tree["peft_type"]
    return _Read(kind, entries, others, f"keys such as ....q_proj.{KINDS[kind].prefix}...")


def _read_whole(folder: Folder) -> _Read:
    folder.require_base(f"{folder.tree['peft_type']} saves tensors whole")
    return _Read(folder.tree["peft_type"], {}, list(folder.weights.tensors))


_TYPES: dict[str, Callable[[Folder], _Read]] = {
    "LORA": _read_lora,
    "ADALORA": _read_adalora,
    "VERA": _read_vera,
    **dict.fromkeys(KINDS, _read_merged),
    **dict.fromkeys(_WHOLE, _read_whole),
}
