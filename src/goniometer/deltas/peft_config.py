"""adapter_config.json: which fields decide what the update is, and which are refused by name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from goniometer.deltas.files import json_object
from goniometer.deltas.tensors import LARGEST
from goniometer.errors import GoniometerError

# What is larger is no scale; the sums of its squares would leave float64.
Scale = Annotated[float, Field(ge=-LARGEST, le=LARGEST, allow_inf_nan=False)]
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
# Initialisations that leave the base as it is, so that B A is the whole update.
PLAIN_INITS = (True, False, None, "gaussian", "eva", "orthogonal", "mica")
_NOT_PLAIN = {
    "use_qalora": "QALoRA: A acts on pooled inputs",
    "use_bdlora": "block-diagonal LoRA",
    "alora_invocation_tokens": "activated LoRA: the update depends on the prompt",
    "arrow_config": "Arrow routing: the update depends on the input",
    "kasa_config": "KaSA: the base was changed at the start",
    "monteclora_config": "MonteCLoRA: the update is sampled",
}


class LoraConfig(BaseModel):
    """The fields of a LoRA or AdaLoRA folder that decide what the update is."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    peft_type: str
    r: int
    lora_alpha: Scale
    use_rslora: bool = False
    use_dora: bool = False
    lora_bias: bool = False
    fan_in_fan_out: bool = False
    rank_pattern: dict[str, Any] | None = None
    alpha_pattern: dict[str, Scale] | None = None
    init_lora_weights: bool | str | None = True
    target_parameters: list[str] | None = None


def read_tree(path: Path) -> dict[str, Any]:
    """Read adapter_config.json of a folder.

    Raises:
        GoniometerError: no folder, no file, no JSON object, fields of all types that are wrong.
    """
    if not path.is_dir():
        raise GoniometerError(
            "no such folder", file=path, expected=f"a PEFT folder with {CONFIG} and {WEIGHTS}"
        )
    file = path / CONFIG
    if not file.is_file():
        raise GoniometerError(f"no {CONFIG}", file=path, expected="a PEFT adapter folder")
    tree = json_object(file)
    for key, kind in (("base_model_name_or_path", str), ("bias", str), ("peft_type", str)):
        if not isinstance(tree.get(key, ""), kind | None):
            raise GoniometerError("not a name", file=file, key=key, found=repr(tree[key]))
    return tree


def lora_config(tree: Mapping[str, Any], file: Path) -> LoraConfig:
    """Check the fields of LoRA.

    Raises:
        GoniometerError: naming the first field that is wrong, or a variant that no B A describes.
    """
    try:
        config = LoraConfig.model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        found = None if first["type"] == "missing" else repr(first["input"])
        raise GoniometerError(first["msg"], file=file, key=key, found=found) from None
    for key, name in _NOT_PLAIN.items():
        if (config.model_extra or {}).get(key):
            raise GoniometerError(f"{name} is not plain B A and cannot be read", file=file, key=key)
    if config.use_dora and config.lora_bias:
        raise GoniometerError("DoRA with LoRA bias cannot be merged", file=file, key="lora_bias")
    return config
