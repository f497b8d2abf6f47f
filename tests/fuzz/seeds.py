"""Small folders to damage, one pair of runs a format: runs `a` and `b`, `base` where it is needed.

Written entry by entry, without PEFT, so that a seed is the same bytes with every version of it.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from safetensors.numpy import save_file

Arrays = dict[str, np.ndarray]
LAYERS = 2
QKV = {"q_proj": (12, 8), "v_proj": (6, 8)}
HIDDEN, VOCABULARY, EXPERTS = 8, 10, 3


@final
@dataclass(frozen=True)
class Seed:
    """One format: configuration, tensors by module, and whether the base is given."""

    config: Mapping[str, Any]
    tensors: Callable[[np.random.Generator], Arrays]
    base: bool = False


def _random(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


def _modules() -> dict[str, tuple[int, int]]:
    return {
        f"model.layers.{i}.self_attn.{name}": shape
        for i in range(LAYERS)
        for name, shape in QKV.items()
    }


def _prefixed(found: Arrays) -> Arrays:
    return {f"base_model.model.{name}": value for name, value in found.items()}


def _lora(r: int = 3, ranks: Mapping[str, int] | None = None, **extra: Any) -> Seed:
    magnitude, bias = extra.pop("magnitude", False), extra.pop("lora_bias", False)
    base = extra.pop("base", magnitude)

    def tensors(rng: np.random.Generator) -> Arrays:
        found = {}
        for name, (m, n) in _modules().items():
            rank = (ranks or {}).get(name.rpartition(".")[2], r)
            found[f"{name}.lora_A.weight"] = _random(rng, rank, n)
            found[f"{name}.lora_B.weight"] = _random(rng, m, rank)
            if magnitude:
                found[f"{name}.lora_magnitude_vector"] = 1 + abs(_random(rng, m))
            if bias:
                found[f"{name}.lora_B.bias"] = _random(rng, m)
        return _prefixed(found)

    fields = {"r": r, "lora_alpha": 6, "use_dora": magnitude, "lora_bias": bias}
    return Seed(_config("LORA", **fields | extra), tensors, base)


def _config(kind: str, **fields: Any) -> dict[str, Any]:
    named = {"peft_type": kind, "base_model_name_or_path": "owner/model", "bias": "none"}
    return named | {"target_modules": list(QKV), "task_type": "CAUSAL_LM"} | fields


def _plus(seed: Seed, more: Callable[[np.random.Generator], Arrays], **fields: Any) -> Seed:
    """A seed with more tensors, against the base."""
    return Seed(
        {**seed.config, **fields}, lambda rng: seed.tensors(rng) | _prefixed(more(rng)), base=True
    )


def _each(
    make: Callable[[np.random.Generator, int, int], Arrays], names: tuple[str, ...] = tuple(QKV)
) -> Callable[[np.random.Generator], Arrays]:
    """Tensors of each module, from its shape."""

    def tensors(rng: np.random.Generator) -> Arrays:
        return _prefixed(
            {
                f"{name}.{part}": value
                for name, (m, n) in _modules().items()
                if name.rpartition(".")[2] in names
                for part, value in make(rng, m, n).items()
            }
        )

    return tensors


def _loha(rng: np.random.Generator, m: int, n: int) -> Arrays:
    shapes = {"hada_w1_a": (m, 2), "hada_w1_b": (2, n), "hada_w2_a": (m, 2), "hada_w2_b": (2, n)}
    return {name: _random(rng, *shape) for name, shape in shapes.items()}


def _vera(rng: np.random.Generator) -> Arrays:
    found = {}
    for name, (m, _) in _modules().items():
        found[f"{name}.vera_lambda_b"], found[f"{name}.vera_lambda_d"] = (
            _random(rng, m), _random(rng, 4),
        )  # fmt: skip
    shared = {"vera_A": _random(rng, 4, 8), "vera_B": _random(rng, 12, 4)}
    return _prefixed(found) | {f"base_model.{name}": value for name, value in shared.items()}


def _adalora(rng: np.random.Generator, m: int, n: int) -> Arrays:
    shapes = {"lora_A": (3, n), "lora_B": (m, 3), "lora_E": (3, 1)}
    return {name: _random(rng, *shape) for name, shape in shapes.items()}


def _embeddings(rng: np.random.Generator) -> Arrays:
    return _prefixed(
        {
            "model.embed_tokens.lora_embedding_A": _random(rng, 3, VOCABULARY),
            "model.embed_tokens.lora_embedding_B": _random(rng, HIDDEN, 3),
        }
    )


def _experts(rng: np.random.Generator) -> Arrays:
    found = {}
    for i in range(LAYERS):
        name = f"model.layers.{i}.mlp.experts"
        found[f"{name}.lora_A.weight"] = _random(rng, 2 * EXPERTS, HIDDEN)
        found[f"{name}.lora_B.weight"] = _random(rng, 5, 2 * EXPERTS)
    return _prefixed(found)


def _fused(rng: np.random.Generator) -> Arrays:
    found = {}
    for i in range(LAYERS):
        name = f"transformer.h.{i}.attn.c_attn"
        found[f"{name}.lora_A.weight"] = _random(rng, 3, 8)
        found[f"{name}.lora_B.weight"] = _random(rng, 24, 3)
    return _prefixed(found)


def _whole(rng: np.random.Generator) -> Arrays:
    return {
        "lm_head.modules_to_save.weight": _random(rng, VOCABULARY, HIDDEN),
        "model.layers.0.self_attn.q_proj.bias": _random(rng, 12),
        "model.norm.modules_to_save.weight": _random(rng, HIDDEN),
    }


def _base(rng: np.random.Generator) -> Arrays:
    found = {f"{name}.weight": _random(rng, *shape) for name, shape in _modules().items()}
    for i in range(LAYERS):
        found[f"model.layers.{i}.self_attn.q_proj.bias"] = _random(rng, 12)
        found[f"model.layers.{i}.mlp.experts.up_proj"] = _random(rng, EXPERTS, 5, HIDDEN)
    found["model.embed_tokens.weight"] = _random(rng, VOCABULARY, HIDDEN)
    found["lm_head.weight"] = _random(rng, VOCABULARY, HIDDEN)
    found["model.norm.weight"] = _random(rng, HIDDEN)
    return found


_PATTERNS: dict[str, Any] = {
    "rank_pattern": {"v_proj": 2},
    "alpha_pattern": {r"layers\.1\..*q_proj": 11},
}
_TOKENS: dict[str, Any] = {"trainable_token_indices": {"embed_tokens": [1, 7]}}
CHECKPOINTS = ("checkpoint", "sharded checkpoint")
SEEDS: dict[str, Seed] = {
    "LoRA": _lora(),
    "rsLoRA, patterns": _lora(3, {"v_proj": 2}, use_rslora=True, **_PATTERNS),
    "LoRA bias": _lora(lora_bias=True),
    "LoRA against the base": _lora(base=True),
    "DoRA": _lora(magnitude=True),
    "AdaLoRA": Seed(_config("ADALORA", r=3, lora_alpha=6), _each(_adalora)),
    "VeRA": Seed(_config("VERA", r=4, projection_prng_key=0), _vera, base=True),
    "LoHa": Seed(_config("LOHA", r=2, alpha=5), _each(_loha)),
    "LoKr": Seed(
        _config("LOKR", r=8, alpha=5, decompose_factor=2),
        _each(
            lambda rng, m, n: {
                "lokr_w1": _random(rng, 2, 2),
                "lokr_w2": _random(rng, m // 2, n // 2),
            }
        ),
    ),
    "FourierFT": Seed(
        _config("FOURIERFT", n_frequency=9, scaling=150.0, random_loc_seed=777),
        _each(lambda rng, m, n: {"fourierft_spectrum": _random(rng, 9)}),
        base=True,
    ),
    "HRA": Seed(
        _config("HRA", r=2), _each(lambda rng, m, n: {"hra_u": _random(rng, n, 2)}), base=True
    ),
    "OFT": Seed(
        _config("OFT", r=0, oft_block_size=4),
        _each(lambda rng, m, n: {"oft_R.weight": 0.1 * _random(rng, n // 4, 6)}),
        base=True,
    ),
    "IA3": Seed(
        _config("IA3", feedforward_modules=[]),
        _each(lambda rng, m, n: {"ia3_l": _random(rng, m, 1)}),
        base=True,
    ),
    "experts": Seed(
        _config("LORA", r=2, lora_alpha=4, target_parameters=["experts.up_proj"]), _experts
    ),
    "embeddings": Seed(_config("LORA", r=3, lora_alpha=6), _embeddings),
    "replicated layers": _lora(layer_replication=[[0, 1], [0, 1]]),
    "fused": Seed(_config("LORA", r=3, lora_alpha=6, fan_in_fan_out=True), _fused),
    "saved modules": _plus(_lora(), _whole, bias="all"),
    "trained tokens": _plus(
        _lora(),
        lambda rng: {
            "model.embed_tokens.token_adapter.trainable_tokens_delta": _random(rng, 2, HIDDEN)
        },
        **_TOKENS,
    ),
    "PiSSA": _lora(init_lora_weights="pissa"),
    **dict.fromkeys(CHECKPOINTS, Seed({}, _base, base=True)),
}


def write_seed(name: str, folder: Path) -> None:
    """Write the two runs of a format, and the base where it is given."""
    seed = SEEDS[name]
    for number, run in enumerate("ab", start=1):
        _write_run(name, seed, folder / run, number)
        if name == "PiSSA":
            _write_run(name, seed, folder / run / "init", 10 + number)
    if seed.base:
        _write_model(folder / "base", 0, sharded=False)


def _write_run(name: str, seed: Seed, folder: Path, number: int) -> None:
    if name in CHECKPOINTS:
        _write_model(folder, number, sharded=name.startswith("sharded"))
        return
    folder.mkdir(parents=True)
    tensors = seed.tensors(np.random.default_rng(number))
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    (folder / "adapter_config.json").write_text(json.dumps(seed.config, indent=2))


def _write_model(folder: Path, number: int, *, sharded: bool) -> None:
    folder.mkdir(parents=True)
    config = {"model_type": "qwen3", "num_attention_heads": 2, "num_key_value_heads": 1}
    (folder / "config.json").write_text(json.dumps(config))
    tensors = _base(np.random.default_rng(number))
    if not sharded:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return
    places: dict[str, str] = {}
    for i in range(2):
        shard = f"model-{i + 1:05}-of-00002.safetensors"
        part = {key: value for j, (key, value) in enumerate(tensors.items()) if j % 2 == i}
        save_file(part, folder / shard, metadata={"format": "pt"})
        places |= dict.fromkeys(part, shard)
    index = {"metadata": {"total_size": 0}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
