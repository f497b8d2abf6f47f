"""The base that was tuned: its weights by module name, read from safetensors one at a time."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, final

from goniometer.deltas.delta import Delta
from goniometer.deltas.tensors import StoredTensor, checkpoint_tensors, model_config
from goniometer.errors import GoniometerError

# Architectures whose projections are Conv1D, stored in by out features.
_CONV1D = ("gpt2", "openai-gpt", "imagegpt", "decision_transformer")
_CONV1D_MODULES = ("c_attn", "c_proj", "c_fc", "q_attn")


@final
@dataclass(frozen=True)
class BaseModel:
    """A base model's folder: headers and configuration; values are read when asked for."""

    folder: Path

    @cached_property
    def tensors(self) -> Mapping[str, StoredTensor]:
        """Every tensor by its key.

        Raises:
            GoniometerError: no safetensors, a shard outside the folder or truncated.
        """
        return checkpoint_tensors(self.folder)

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """config.json, {} where there is none."""
        return model_config(self.folder)

    def find(self, module: str) -> StoredTensor | None:
        """Return the weight of a module, out by in features, or the parameter of that name.

        None where the base has neither. Models are saved with or without the `model.` of their
        language-model head.
        """
        for name in (module, module.removeprefix("model."), f"model.{module}"):
            found = self.tensors.get(f"{name}.weight") or self.tensors.get(name)
            if found is not None:
                return found.turned() if self._is_conv1d(name, found) else found
        return None

    def weight(self, module: str, source: str) -> StoredTensor:
        """As `find`, for a module that a run adapts.

        Raises:
            GoniometerError: the base has no such module.
        """
        found = self.find(module)
        if found is None:
            raise GoniometerError(
                "the base has no such module", file=self.folder, key=module,
                found=f"it in {source}", fix="name the base that the run was trained on",
            )  # fmt: skip
        return found

    def _is_conv1d(self, name: str, tensor: StoredTensor) -> bool:
        return (
            self.config.get("model_type") in _CONV1D
            and name.rpartition(".")[2] in _CONV1D_MODULES
            and len(tensor.shape) == 2
        )


def check_base(delta: Delta, base: BaseModel) -> None:
    """Require that each changed module is in the base with its shape.

    Raises:
        GoniometerError: naming the first module that does not fit.
    """
    for module in delta:
        weight = base.weight(module, delta.provenance.source)
        expected = delta.outline(module).shape
        found = weight.shape if len(weight.shape) > 1 else (*weight.shape, 1)
        if found not in (expected, expected[::-1]):
            raise GoniometerError(
                "the base does not fit the run", file=base.folder, key=module,
                found=f"shape {found}", expected=f"{expected} as in {delta.provenance.source}",
            )  # fmt: skip
