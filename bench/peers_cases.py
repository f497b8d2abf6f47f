"""The pairs of adapters that bench/peers.py asks about, and the right answer to each."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import Linear
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.utils.logging import disable_progress_bar

disable_progress_bar()
RANK, ALPHA = 16, 32
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj"]
# How much of b's factors is a's: projections differ, so that weighing them wrongly shows.
SHARED = {"q_proj": 0.95, "k_proj": 0.8, "v_proj": 0.2, "o_proj": 0.5}
Factors = dict[str, tuple[Tensor, Tensor]]  # B, A by module


def write_cases(folder: Path, layers: int) -> dict[str, float]:
    """Write the base, and a folder a case with adapters/{a,b} and merged/{a,b}.

    Return the right answer to each case: the cosine of merged less base, in float64.
    """
    torch.set_num_threads(1)  # nothing here is timed; threads that spin are slow beside others
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=256, hidden_size=576, intermediate_size=64, num_hidden_layers=layers,
        num_attention_heads=9, num_key_value_heads=3, tie_word_embeddings=True,
    )  # fmt: skip
    base = LlamaForCausalLM(config)
    base.save_pretrained(folder / "base")
    truth = {}
    for name, runs in _cases(_shapes(base)).items():
        for run, (options, factors) in zip("ab", runs, strict=True):
            path = folder / name / "adapters" / run
            _save(folder / "base", path, options, factors, seed=ord(run))
            merged = _merged(folder / "base", path).float()
            merged.save_pretrained(folder / name / "merged" / run)
        adapters = [str(folder / name / "adapters" / run) for run in "ab"]
        truth[name] = dense_cosine(folder / "base", adapters)
    return truth


def dense_cosine(base: str | Path, adapters: Sequence[str]) -> float:
    """The cosine of two updates: weights merged by PEFT less the base, all in float64."""
    before = _load(base, torch.float64).state_dict()
    updates = []
    for adapter in adapters:
        after = _merged(base, adapter).state_dict()
        updates.append(torch.cat([(after[key] - before[key]).flatten() for key in before]))
    a, b = updates
    return float(a @ b / (a.norm() * b.norm()))


def _shapes(base: LlamaForCausalLM) -> dict[str, tuple[int, int]]:
    return {
        name: (module.out_features, module.in_features)
        for name, module in base.named_modules()
        if isinstance(module, torch.nn.Linear) and name.rpartition(".")[2] in TARGETS
    }


def _cases(
    shapes: Mapping[str, tuple[int, int]],
) -> dict[str, list[tuple[dict[str, Any], Factors]]]:
    """Options of LoraConfig and factors for the two runs of each case."""
    generator = torch.Generator().manual_seed(1)

    def drawn() -> Factors:
        return {
            name: (
                torch.randn(m, RANK, generator=generator) * 0.02,
                torch.randn(RANK, n, generator=generator) / n**0.5,
            )
            for name, (m, n) in shapes.items()
        }

    a, own = drawn(), drawn()
    near = {name: _near(name, a[name], own[name]) for name in a}
    plain: dict[str, Any] = {"r": RANK, "lora_alpha": ALPHA}
    wide = {"r": 2 * RANK, "lora_alpha": 2 * ALPHA}
    pattern = plain | {"use_rslora": True, "rank_pattern": {"k_proj": 4, "v_proj": 4}}
    cut = [{n: _cut(n, factors) for n, factors in run.items()} for run in (a, near)]
    turned = {n: _turned(factors, generator) for n, factors in a.items()}
    padded = {n: _padded(factors) for n, factors in a.items()}
    dora = plain | {"use_dora": True}
    return {
        "plain": [(plain, a), (plain, near)],
        "rotated": [(plain, a), (plain, turned)],
        "padded rank": [(plain, a), (wide, padded)],
        "rsLoRA": [(pattern, cut[0]), (pattern, cut[1])],
        "DoRA": [(dora, a), (dora, near)],
    }


def _near(name: str, one: tuple[Tensor, Tensor], own: tuple[Tensor, Tensor]) -> Any:
    c = SHARED[name.rpartition(".")[2]]
    return tuple(c * x + (1 - c**2) ** 0.5 * y for x, y in zip(one, own, strict=True))


def _turned(factors: tuple[Tensor, Tensor], generator: torch.Generator) -> tuple[Tensor, Tensor]:
    R = torch.randn(RANK, RANK, generator=generator, dtype=torch.float64)
    B, A = (factor.double() for factor in factors)
    return (B @ R).float(), torch.linalg.solve(R, A).float()


def _padded(factors: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    B, A = factors
    return torch.cat([B, torch.zeros_like(B)], 1), torch.cat([A, torch.zeros_like(A)], 0)


def _cut(name: str, factors: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    B, A = factors
    return (B[:, :4], A[:4]) if name.endswith(("k_proj", "v_proj")) else (B, A)


def _load(base: str | Path, dtype: torch.dtype) -> LlamaForCausalLM:
    return LlamaForCausalLM.from_pretrained(base, dtype=dtype)


def _save(base: Path, path: Path, options: dict[str, Any], factors: Factors, seed: int) -> None:
    """Write an adapter by PEFT; a DoRA's magnitudes are trained by some per cent."""
    network = _load(base, torch.float32)
    model = get_peft_model(network, LoraConfig(target_modules=TARGETS, **options))
    generator = torch.Generator().manual_seed(seed)
    for name, module in model.get_base_model().named_modules():
        if isinstance(module, Linear):
            B, A = factors[name]
            module.lora_B["default"].weight.data = B.clone()
            module.lora_A["default"].weight.data = A.clone()
            for parameter in module.lora_magnitude_vector.parameters():
                drift = torch.randn(parameter.shape, generator=generator)
                parameter.data *= 1 + 0.05 * drift
    model.save_pretrained(str(path))


def _merged(base: str | Path, adapter: str | Path) -> Any:
    return PeftModel.from_pretrained(_load(base, torch.float64), str(adapter)).merge_and_unload()
