"""What a base model's folder says of its modules, from the safetensors headers alone."""

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open

from goniometer.deltas.delta import Delta
from goniometer.errors import GoniometerError

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"


def base_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Return the shape of each weight, read from headers; no tensor is loaded.

    Raises:
        GoniometerError: no such folder, no safetensors, a shard outside the folder or truncated.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for file in _shards(folder):
        try:
            with safe_open(file, framework="pt") as opened:
                for key in opened.keys():  # noqa: SIM118  (safe_open is no mapping)
                    shapes[key] = tuple(opened.get_slice(key).get_shape())
        except (SafetensorError, OSError) as error:
            raise GoniometerError(f"not a whole safetensors file: {error}", file=file) from None
    return shapes


def check_base(delta: Delta, folder: Path) -> None:
    """Require that each adapted module is in the base with its shape.

    A base that stores in by out features (Conv1D) fits too.

    Raises:
        GoniometerError: naming the first module that does not fit.
    """
    shapes = base_shapes(folder)
    for module in delta:
        key = next((key for key in _spellings(module) if key in shapes), None)
        if key is None:
            raise GoniometerError(
                "the base has no such module", file=folder, key=module,
                fix="name the base that the adapter was trained on",
            )  # fmt: skip
        found, expected = shapes[key], delta[module].shape
        if found not in (expected, expected[::-1]):
            raise GoniometerError(
                "the base does not fit the adapter", file=folder, key=module,
                found=f"shape {found}", expected=f"{expected} as in {delta.provenance.source}",
            )  # fmt: skip


def _shards(folder: Path) -> list[Path]:
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    index = folder / INDEX
    if not index.is_file():
        raise GoniometerError("no base model", file=folder, expected=f"{SINGLE} or {INDEX}")
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise GoniometerError("not a safetensors index", file=index, key="weight_map") from None
    for name in names:
        if Path(name).name != name:
            raise GoniometerError("a shard outside the folder", file=index, found=repr(name))
    return [folder / name for name in names]


def _spellings(module: str) -> tuple[str, ...]:
    """Base models are saved with or without the `model.` of their language-model head."""
    return (
        f"{module}.weight",
        f"{module.removeprefix('model.')}.weight",
        f"model.{module}.weight",
    )
