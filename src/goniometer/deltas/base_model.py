"""The base that was tuned: its weights by module name, read from safetensors one at a time."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, final

from goniometer.deltas.delta import Delta
from goniometer.deltas.fused import parts, text_config, whole_of
from goniometer.deltas.tensors import StoredTensor, checkpoint_tensors, model_config
from goniometer.errors import GoniometerError

# Architectures whose projections are Conv1D, stored in by out features.
_CONV1D = ("gpt2", "openai-gpt", "imagegpt", "decision_transformer")
_CONV1D_MODULES = ("c_attn", "c_proj", "c_fc", "q_attn")
# Architectures whose stacks of experts are stored [experts, in, out].
_STACKED_IN_BY_OUT = ("gpt_oss", "llama4", "llama4_text")
EMBEDDINGS = ("embed_tokens", "wte", "embed_in", "word_embeddings")
HEADS = ("lm_head", "embed_out")
# What models are saved with or without, by the head that they were saved under.
_WRAPPERS = ("model", "transformer", "gpt_neox", "language_model")
# Where a model without its head is saved, the wrapper that its first part has under a head.
_WRAPPER_OF = {
    **dict.fromkeys(("layers", "embed_tokens", "norm"), "model"),
    **dict.fromkeys(("h", "wte", "wpe", "ln_f", "word_embeddings", "blocks"), "transformer"),
}
# Masks, frequencies and counters that some models save beside their weights.
_BUFFER = re.compile(r"(^|\.)(masked_bias|inv_freq|position_ids|num_batches_tracked)$")


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

    @cached_property
    def modules(self) -> Mapping[str, StoredTensor]:
        """Every weight by its module's name, as `named_weights`; fused ones are not split."""
        return named_weights(self.tensors, self.config)

    @cached_property
    def embedding(self) -> str | None:
        """Name of the input embedding, None where there is none or more than one."""
        found = [name for name in self.modules if name.rpartition(".")[2] in EMBEDDINGS]
        return found[0] if len(found) == 1 else None

    @cached_property
    def _by_core(self) -> Mapping[str, str | None]:
        found: dict[str, str | None] = {}
        for name in self.modules:
            found[_core(name)] = None if _core(name) in found else name
        return found

    def spelling(self, module: str) -> str | None:
        """Return the name that this base has for a module, None where it has none.

        Models are saved with or without the `model.` (`transformer.`, ...) of their head.
        """
        return module if module in self.modules else self._by_core.get(_core(module))

    def find(self, module: str) -> StoredTensor | None:
        """Return the weight of a module, out by in features, or the parameter of that name.

        A part of a fused module, `...c_attn.q`, is its rows; a head that is not stored is tied to
        the embedding. None where the base has no such module.
        """
        name = self.spelling(module)
        if name is not None:
            return self.modules[name]
        fused = whole_of(module)
        whole = None if fused is None else self.find(fused)
        if fused is not None and whole is not None and whole.shape:
            m, n = (*whole.shape, 1)[:2]
            rows = (parts(fused, (m, n), self.config) or {}).get(module)
            return None if rows is None else whole.part(rows)
        if module.rpartition(".")[2] in HEADS and ties_head(self.config) and self.embedding:
            return self.modules[self.embedding]
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


def named_weights(
    tensors: Mapping[str, StoredTensor], config: Mapping[str, Any]
) -> dict[str, StoredTensor]:
    """Weights by module name, each a matrix of out by in features, or a vector.

    Conv1D is turned; each expert of a stack [experts, a, b] named `...experts.NAME` is a module
    `...experts.NUMBER.NAME`; a convolution's kernel [out, in, ...] is out by everything else; a
    lone number is a vector of one. Buffers are left out. A model that was saved without its head
    has the names that it has under one.
    """
    found = {
        name: weight
        for key, tensor in tensors.items()
        if not is_buffer(tensor)
        for name, weight in _weights(key, tensor, config)
    }
    if any(name.partition(".")[0] in _WRAPPERS for name in found):
        return {_wrapped_anew(name): weight for name, weight in found.items()}
    wrapper = "gpt_neox" if config.get("model_type") == "gpt_neox" else None
    return {_wrap(name, wrapper): weight for name, weight in found.items()}


def is_buffer(tensor: StoredTensor) -> bool:
    """Whether a stored tensor is no weight: a causal mask, frequencies, a counter."""
    mask = tensor.key.endswith(".bias") and len(tensor.shape) == 4
    return mask or tensor.dtype in ("BOOL", "I64") or _BUFFER.search(tensor.key) is not None


def ties_head(config: Mapping[str, Any]) -> bool:
    """Whether a head that is not stored is the embedding: unless the configuration says no."""
    return {**config, **text_config(config)}.get("tie_word_embeddings") is not False


def _weights(
    key: str, tensor: StoredTensor, config: Mapping[str, Any]
) -> Iterator[tuple[str, StoredTensor]]:
    name = key.removesuffix(".weight")
    parent, _, leaf = name.rpartition(".")
    kind = config.get("model_type")
    if len(tensor.shape) == 3 and parent.endswith("experts") and 0 not in tensor.shape:
        for number, expert in enumerate(tensor.unstacked()):
            turned = kind in _STACKED_IN_BY_OUT
            yield f"{parent}.{number}.{leaf}", expert.turned() if turned else expert
    elif len(tensor.shape) not in (1, 2):
        yield name, tensor.flat()
    elif len(tensor.shape) == 2 and kind in _CONV1D and leaf in _CONV1D_MODULES:
        yield name, tensor.turned()
    else:
        yield name, tensor


def _core(name: str) -> str:
    """Return a module's name without what it is wrapped in."""
    first, _, rest = name.partition(".")
    return _core(rest) if first in _WRAPPERS and rest else name


def _wrapped_anew(name: str) -> str:
    """Name a module of a model of text and images as newer versions of transformers do."""
    old, new = "language_model.model.", "model.language_model."
    return new + name.removeprefix(old) if name.startswith(old) else name


def _wrap(name: str, wrapper: str | None) -> str:
    first = name.partition(".")[0]
    if wrapper is None or first in HEADS:
        wrapper = _WRAPPER_OF.get(first)
    return f"{wrapper}.{name}" if wrapper else name


def check_base(delta: Delta, base: BaseModel) -> None:
    """Require that each changed module is in the base with its shape.

    Raises:
        GoniometerError: naming the first module that does not fit.
    """
    for module in delta:
        weight = base.weight(delta.in_base(module), delta.provenance.source)
        expected = delta.outline(module).shape
        found = weight.shape if len(weight.shape) > 1 else (*weight.shape, 1)
        if found not in (expected, expected[::-1]):
            raise GoniometerError(
                "the base does not fit the run", file=base.folder, key=module,
                found=f"shape {found}", expected=f"{expected} as in {delta.provenance.source}",
            )  # fmt: skip
