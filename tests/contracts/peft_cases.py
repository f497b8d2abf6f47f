"""One table of PEFT adapters: what each format's reader has to agree with PEFT's own merge on.

To add a format: add its configuration to CASES. The battery in `test_peft_formats` does the rest.
"""

import copy
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import peft
import torch
from safetensors.torch import save_file
from torch import nn
from transformers.pytorch_utils import Conv1D


class Experts(nn.Module):
    """Stacks of experts' matrices, [experts, out, in], or [experts, in, out] where transposed."""

    def __init__(self, transposed: bool):
        super().__init__()
        shapes = {"gate_up_proj": (20, 12), "down_proj": (12, 10)}
        for name, (m, n) in shapes.items():
            self.register_parameter(
                name, nn.Parameter(torch.zeros(3, n, m) if transposed else torch.zeros(3, m, n))
            )
        if transposed:
            self.is_transposed = True


class Layer(nn.Module):
    def __init__(self, transposed: bool):
        super().__init__()
        self.q_proj, self.v_proj = nn.Linear(24, 40), nn.Linear(24, 16)
        self.k_proj = Conv1D(16, 24)
        self.conv = nn.Conv2d(4, 6, 3)
        self.short = nn.Conv1d(4, 6, 3)
        self.point = nn.Conv2d(4, 6, 1)
        self.norm = nn.LayerNorm(24)
        self.experts = Experts(transposed)


class Network(nn.Module):
    """A base with one of each kind of module that PEFT adapts, in float64."""

    def __init__(self, transposed: bool = False):
        super().__init__()
        self.config = SimpleNamespace(num_hidden_layers=2, tie_word_embeddings=False)
        self.config.to_dict = lambda: {"model_type": "custom"}
        self.config.get = lambda _, default=None: default
        self.embed_tokens = nn.Embedding(30, 24)
        self.layers = nn.ModuleList(Layer(transposed) for _ in range(2))
        self.lm_head = nn.Linear(24, 30, bias=False)
        generator = torch.Generator().manual_seed(0)
        for parameter in self.parameters():
            parameter.data = 0.3 * torch.randn(
                parameter.shape, generator=generator, dtype=torch.float64
            )

    def forward(self, x):
        return self.lm_head(self.embed_tokens(x))


@dataclass(frozen=True)
class Case:
    """A configuration, and what its reader needs."""

    config: Callable[[], peft.PeftConfig]
    needs_base: bool = False
    transposed: bool = False  # experts stored in by out
    exact: bool = True  # get_delta_weight is the update


LINEAR = ["q_proj", "v_proj"]


def lora(needs_base: bool = False, **options) -> Case:
    transposed = options.pop("transposed", False)
    settings = {"r": 4, "lora_alpha": 6, "target_modules": LINEAR} | options
    exact = not settings.get("use_dora")
    return Case(lambda: peft.LoraConfig(**settings), needs_base, transposed, exact)


def other(kind: str, needs_base: bool = True, exact: bool = False, **options) -> Case:
    settings = {"target_modules": LINEAR} | options
    return Case(lambda: getattr(peft, f"{kind}Config")(**settings), needs_base, exact=exact)


EXPERTS = {"target_parameters": ["experts.gate_up_proj"], "target_modules": []}
BOTH_EXPERTS = EXPERTS | {"target_parameters": ["experts.gate_up_proj", "experts.down_proj"]}
CONV = ["conv", "short", "point"]

CASES: dict[str, Case] = {
    "LoRA": lora(),
    "rsLoRA": lora(use_rslora=True),
    "patterns": lora(
        use_rslora=True,
        rank_pattern={"layers.0.q_proj": 2, "v_proj": 7},
        alpha_pattern={r"layers\.1\.q_proj": 11},
    ),
    "Conv1D": lora(target_modules=["k_proj"], fan_in_fan_out=True),
    "convolutions": lora(target_modules=CONV),
    "embedding": lora(target_modules=["embed_tokens", "q_proj"]),
    "LoRA bias": lora(lora_bias=True),
    "bias all": lora(needs_base=True, bias="all"),
    "bias lora_only": lora(needs_base=True, bias="lora_only"),
    "trained tokens": lora(needs_base=True, trainable_token_indices=[3, 11]),
    "experts": lora(**EXPERTS),
    "experts in by out": lora(transposed=True, **EXPERTS),
    "experts of rank 1": lora(**EXPERTS | {"r": 1, "lora_alpha": 1}),
    "two stacks of experts": lora(needs_base=True, **BOTH_EXPERTS),
    "two stacks in by out": lora(needs_base=True, transposed=True, **BOTH_EXPERTS),
    "one parameter": lora(target_parameters=["q_proj.weight"], target_modules=[]),
    "DoRA": lora(needs_base=True, use_dora=True),
    "DoRA, rsLoRA": lora(needs_base=True, use_dora=True, use_rslora=True),
    "DoRA Conv1D": lora(
        needs_base=True, use_dora=True, target_modules=["k_proj"], fan_in_fan_out=True
    ),
    "DoRA convolutions": lora(needs_base=True, use_dora=True, target_modules=CONV),
    "DoRA embedding": lora(needs_base=True, use_dora=True, target_modules=["embed_tokens"]),
    "AdaLoRA": other("AdaLora", False, True, init_r=4, target_r=2, total_step=9, tinit=1, tfinal=1),
    "VeRA": other("Vera", exact=True, r=4),
    "VeRA, not saved": other("Vera", exact=True, r=4, save_projection=False),
    "LoHa": other("LoHa", False, True, r=3, alpha=5),
    "LoHa rank_pattern": other("LoHa", False, True, r=3, alpha=5, rank_pattern={"v_proj": 2}),
    "LoKr": other("LoKr", False, True, r=3, alpha=5, decompose_factor=4),
    "LoKr both": other("LoKr", False, True, r=3, alpha=5, decompose_both=True),
    "LoKr full": other("LoKr", False, True, r=300, alpha=5),
    "OFT": other("OFT", oft_block_size=4),
    "OFT shared": other("OFT", oft_block_size=4, block_share=True),
    "OFT by rank": other("OFT", r=6, oft_block_size=0),
    "OFT exact": other("OFT", oft_block_size=4, use_cayley_neumann=False),
    "BOFT": other("BOFT", boft_block_size=4),
    "HRA": other("HRA", r=4),
    "HRA orthogonalised": other("HRA", r=4, apply_GS=True),
    "IA3": other("IA3", feedforward_modules=["v_proj"]),
    "IA3 Conv1D": other(
        "IA3", target_modules=["k_proj"], feedforward_modules=[], fan_in_fan_out=True
    ),
    "FourierFT": other("FourierFT", exact=True, n_frequency=30),
    "WaveFT": other("WaveFT", exact=True, n_frequency=30),
    "RandLoRA": other("RandLora", exact=True, r=4),
    "RandLoRA, not saved": other("RandLora", exact=True, r=4, save_projection=False),
    "SHiRA": other("Shira", exact=True, r=2),
    "MiSS": other("Miss", r=4),
    "MiSS bat": other("Miss", r=8, init_weights="bat"),
    "RoAd": other("Road", group_size=4),
    "VBLoRA": other("VBLoRA", exact=True, r=2, num_vectors=8, vector_length=4, topk=2),
    "C3A": other("C3A", exact=True, block_size=4),
    "DeLoRA": other("Delora", r=3),
    "GraLoRA": other("Gralora", exact=True, r=4, gralora_k=2),
    "HiRA": other("Hira", r=3),
    "LN tuning": other("LNTuning", target_modules=["norm"]),
    "tokens": other("TrainableTokens", target_modules=["embed_tokens"], token_indices=[1, 29]),
}


def save_case(case: Case, folder: Path, seed: int = 1) -> None:
    """Write the adapter of a case with random values, and its base beside it in `base`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        base = Network(case.transposed)
        config = case.config()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = peft.get_peft_model(copy.deepcopy(base), config)
        generator = torch.Generator().manual_seed(seed)
        for name, parameter in model.named_parameters():
            if parameter.requires_grad and "ranknum" not in name:
                noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
                parameter.data = parameter.data + 0.3 * noise.to(parameter.dtype)
        model.save_pretrained(folder)
    save_base(base, folder / "base")


def save_base(base: nn.Module, folder: Path) -> None:
    """Write a base as a model's folder, its Conv1D turned: no architecture tells of it here."""
    folder.mkdir(parents=True, exist_ok=True)
    turned = {
        name: (value.T if ".k_proj.weight" in name else value).contiguous()
        for name, value in base.state_dict().items()
    }
    save_file(turned, folder / "model.safetensors")


def loaded(case: Case, folder: Path) -> peft.PeftModel:
    """The adapter as PEFT loads it onto the base in float64."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return peft.PeftModel.from_pretrained(Network(case.transposed), folder)


def merged_updates(case: Case, folder: Path) -> dict[str, torch.Tensor]:
    """What PEFT's merge changes of every parameter, by module, out by in features."""
    base = Network(case.transposed).state_dict()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        merged = loaded(case, folder).merge_and_unload().state_dict()
    found: dict[str, torch.Tensor] = {}
    for name, before in base.items():
        change = merged[name] - before
        if not bool(change.any()):
            continue
        module = name.removesuffix(".weight")
        if ".k_proj" in name and change.ndim == 2:
            change = change.T
        if ".experts." in name:
            parent, _, leaf = module.rpartition(".")
            for expert, one in enumerate(change):
                found[f"{parent}.{expert}.{leaf}"] = one.T if case.transposed else one
        else:
            found[module] = change[:, None] if change.ndim == 1 else change.flatten(1)
    return found
