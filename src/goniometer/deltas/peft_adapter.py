"""Read a PEFT LoRA or rsLoRA folder as a Delta: anybody's, not only our own.

The update of a module is scale * B A with scale = alpha / r (LoRA, arXiv 2106.09685, section 4.1)
or alpha / sqrt(r) (rsLoRA, arXiv 2312.03732). Matrices are out features by in features whatever
`fan_in_fan_out` says: that flag only tells how the base stores its weight. What calls itself
LORA but is not plain B A on the stored base is refused by name.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, final

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open

from goniometer.deltas.companions import Companions
from goniometer.deltas.delta import Delta, Provenance
from goniometer.deltas.matrix import AbstractMatrix, LowRank
from goniometer.errors import GoniometerError

T = TypeVar("T")
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_KEY = re.compile(r"^(?P<module>.+)\.lora_(?P<side>[AB])(?:\.[^.]+)?\.weight$")
_WRAPPERS = re.compile(r"^(?:base_model\.model\.|module\.)+|_orig_mod\.|_fsdp_wrapped_module\.")
# Initialisations that leave the base as it is, so that B A is the whole update.
_PLAIN_INITS = (True, False, "gaussian", "eva", "orthogonal")
_NOT_PLAIN = {
    "use_dora": "DoRA: its magnitude needs the base weights",
    "lora_bias": "LoRA bias: the update is more than B A",
    "use_qalora": "QALoRA: A acts on pooled inputs",
    "use_bdlora": "block-diagonal LoRA",
    "target_parameters": "LoRA on parameters instead of modules",
    "layer_replication": "layer replication: several modules share one base weight",
    "alora_invocation_tokens": "activated LoRA: the update depends on the prompt",
    "arrow_config": "Arrow routing: the update depends on the input",
    "kasa_config": "KaSA: the base was changed at the start",
    "monteclora_config": "MonteCLoRA: the update is sampled",
}


class _LoraConfig(BaseModel):
    """The fields of adapter_config.json that decide what the update is."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    peft_type: str
    r: int
    lora_alpha: float
    use_rslora: bool = False
    rank_pattern: dict[str, int] | None = None
    alpha_pattern: dict[str, float] | None = None
    bias: str = "none"
    init_lora_weights: bool | str | None = True
    base_model_name_or_path: str | None = None
    modules_to_save: list[str] | None = None
    trainable_token_indices: Any = None


@final
@dataclass(frozen=True)
class _Folder:
    """An adapter folder with its checked configuration."""

    path: Path
    config: _LoraConfig

    @property
    def weights(self) -> Path:
        return self.path / WEIGHTS


def read_peft_adapter(path: Path, _companions: Companions) -> Delta:
    """Read one PEFT folder.

    Raises:
        GoniometerError: the folder or a file is absent, truncated or not what it says; a factor
            is missing, does not fit, or holds NaN or Inf; the adapter is not plain LoRA.
    """
    folder = _Folder(path, _read_config(path))
    factors: dict[str, dict[str, torch.Tensor]] = {}
    not_read: list[str] = []
    for key, tensor in _tensors(folder.weights):
        match = _KEY.match(key)
        if match:
            module = _WRAPPERS.sub("", match["module"])
            factors.setdefault(module, {})[match["side"]] = tensor
        else:
            _refuse_other_key(key, folder)
            not_read.append(_WRAPPERS.sub("", key))
    if not factors:
        raise GoniometerError(
            "no LoRA factors", file=folder.weights, expected="keys such as ....q_proj.lora_A.weight"
        )
    matrices: dict[str, AbstractMatrix] = {
        module: _matrix(module, sides, folder) for module, sides in factors.items()
    }
    config = folder.config
    provenance = Provenance(
        source=str(path),
        format="rsLoRA" if config.use_rslora else "LoRA",
        base=config.base_model_name_or_path,
        not_read=tuple(sorted(not_read)),
    )
    return Delta(matrices, provenance)


def _read_config(path: Path) -> _LoraConfig:
    if not path.is_dir():
        raise GoniometerError(
            "no such folder", file=path, expected=f"a PEFT folder with {CONFIG} and {WEIGHTS}"
        )
    file = path / CONFIG
    if not file.is_file():
        raise GoniometerError(f"no {CONFIG}", file=path, expected="a PEFT adapter folder")
    try:
        tree = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise GoniometerError(f"not valid JSON: {error}", file=file) from None
    if not isinstance(tree, dict):
        raise GoniometerError("not a configuration", file=file, found=type(tree).__name__)
    kind = tree.get("peft_type")
    if kind != "LORA":
        raise GoniometerError(
            "cannot be read yet", file=file, key="peft_type", found=repr(kind), expected="'LORA'"
        )
    try:
        config = _LoraConfig.model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        found = None if first["type"] == "missing" else repr(first["input"])
        raise GoniometerError(first["msg"], file=file, key=key, found=found) from None
    _refuse_not_plain(config, file)
    return config


def _refuse_not_plain(config: _LoraConfig, file: Path) -> None:
    extra = config.model_extra or {}
    for key, name in _NOT_PLAIN.items():
        if extra.get(key):
            raise GoniometerError(
                f"{name} is not plain B A and cannot be read yet", file=file, key=key
            )
    if config.bias != "none":
        raise GoniometerError(
            "trainable bias cannot be read yet", file=file, key="bias", found=repr(config.bias),
            expected="'none'",
        )  # fmt: skip
    init = config.init_lora_weights
    if init is not None and init not in _PLAIN_INITS:
        raise GoniometerError(
            f"the {init} initialisation changed the base: B A is not the update",
            file=file,
            key="init_lora_weights",
            found=repr(init),
            expected=f"one of {', '.join(map(repr, _PLAIN_INITS))}",
            fix="save it with PEFT's path_initial_model_for_weight_conversion",
        )


def _tensors(file: Path) -> Iterator[tuple[str, torch.Tensor]]:
    if not file.is_file():
        pickles = sorted(file.parent.glob("*.bin"))
        if pickles:
            raise GoniometerError(
                "a pickle can run code and is not opened",
                file=pickles[0],
                expected=WEIGHTS,
                fix="load it where you trust it, and save_pretrained(..., safe_serialization=True)",
            )
        raise GoniometerError(f"no {WEIGHTS}", file=file.parent)
    try:
        with safe_open(file, framework="pt") as opened:
            for key in opened.keys():  # noqa: SIM118  (safe_open is no mapping)
                yield key, opened.get_tensor(key)
    except (SafetensorError, OSError) as error:
        raise GoniometerError(
            f"not a whole safetensors file: {error}", file=file, fix="copy or download it again"
        ) from None


def _refuse_other_key(key: str, folder: _Folder) -> None:
    """Refuse what belongs to the update but is no plain factor; the rest is listed as not read."""
    for part, name in (
        ("lora_magnitude_vector", "DoRA's magnitude"),
        ("lora_embedding_", "LoRA on an embedding"),
        ("lora_", "an unknown LoRA tensor"),
    ):
        if part in key:
            raise GoniometerError(f"{name} cannot be read yet", file=folder.weights, key=key)


def _matrix(module: str, sides: dict[str, torch.Tensor], folder: _Folder) -> LowRank:
    for side in "AB":
        if side not in sides:
            raise GoniometerError(f"lora_{side} is missing", file=folder.weights, key=module)
    A, B = sides["A"], sides["B"]
    if A.ndim != 2 or B.ndim != 2:
        raise GoniometerError(
            "only linear modules can be read yet",
            file=folder.weights,
            key=module,
            found=f"lora_A {tuple(A.shape)}, lora_B {tuple(B.shape)}",
            expected="two matrices",
        )
    r = _by_pattern(folder.config.rank_pattern, module, folder, "rank_pattern", folder.config.r)
    if A.shape[0] != B.shape[1] or A.shape[0] != r or r < 1 or 0 in (*A.shape, *B.shape):
        raise GoniometerError(
            "the factors do not fit",
            file=folder.weights,
            key=module,
            found=f"lora_A {tuple(A.shape)}, lora_B {tuple(B.shape)}",
            expected=f"rank {r} of {CONFIG} in both",
        )
    for side, tensor in sides.items():
        if not tensor.is_floating_point() or not bool(torch.isfinite(tensor).all()):
            raise GoniometerError(
                "NaN, Inf or not a floating-point number", file=folder.weights,
                key=f"{module}.lora_{side}", found=str(tensor.dtype), expected="finite values",
            )  # fmt: skip
    alpha = _by_pattern(
        folder.config.alpha_pattern, module, folder, "alpha_pattern", folder.config.lora_alpha
    )
    return LowRank(B, A, alpha / (math.sqrt(r) if folder.config.use_rslora else r))


def _by_pattern(
    pattern: Mapping[str, T] | None, module: str, folder: _Folder, key: str, default: T
) -> T:
    """Look a module up as PEFT's `get_pattern_key` does: the first pattern to match a suffix."""
    for expression, value in (pattern or {}).items():
        try:
            if re.match(rf"(.*\.)?({expression})$", module):
                return value
        except re.error as error:
            raise GoniometerError(
                f"not a regular expression: {error}",
                file=folder.path / CONFIG,
                key=f"{key}.{expression}",
            ) from None
    return default
