"""The geometry of a live model, against its dense updates in float64."""

from functools import partial

import numpy as np
import peft
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from goniometer.deltas import Delta, LowRank, Provenance, read
from goniometer.errors import GoniometerError
from goniometer.live.adapter import live_lora
from goniometer.live.geometry import LiveGeometry
from tests.adapters import Tower, save_adapter

KEYS = ("update_norm", "effective_rank", "cosine_to_reference")
ORIGIN = Provenance("reference", "LoRA")
LORA = {"r": 4, "lora_alpha": 6, "target_modules": ["q_proj", "v_proj"]}


def adapted(seed=0, network=None, **options):
    """A PEFT model whose factors are all random."""
    model = peft.get_peft_model(network or Tower(), peft.LoraConfig(**LORA | options))
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            values = torch.randn(parameter.shape, generator=generator)
            parameter.data = values.to(parameter.dtype)
    return model


@torch.no_grad()
def dense_updates(model):
    """The update of each module by PEFT's own get_delta_weight, in float64."""
    return {
        name.removeprefix("base_model.model."): module.get_delta_weight("default").double()
        for name, module in model.named_modules()
        if isinstance(module, peft.tuners.lora.Linear)
    }


def dense_effective_rank(update):
    p = np.linalg.svd(update.detach().numpy(), compute_uv=False)
    p = p[p > 1e-12 * p[0]] / p.sum()
    return float(np.exp(-(p * np.log(p)).sum()))


def values(model, reference=None):
    readings = LiveGeometry(live_lora(model), reference).read()
    return {name: reading.value for name, reading in readings.items()}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"use_rslora": True},
        {"rank_pattern": {"v_proj": 2}, "alpha_pattern": {"q_proj": 20}},
        {"r": 24, "target_modules": ["v_proj"]},
    ],
    ids=["LoRA", "rsLoRA", "patterns", "rank above a side"],
)
def test_numbers_are_those_of_the_dense_updates(tmp_path, options):
    save_adapter(tmp_path, seed=3, r=3, lora_alpha=5)
    reference = {name: matrix.dense() for name, matrix in read(tmp_path).items()}
    model = adapted(**options)
    updates = dense_updates(model)

    found = values(model, read(tmp_path))

    norm = sum(u.square().sum() for u in updates.values()).sqrt()
    other = sum(u.square().sum() for u in reference.values()).sqrt()
    inner = sum((u * reference[name]).sum() for name, u in updates.items())
    ranks = [dense_effective_rank(u) for u in updates.values()]
    assert found["update_norm"] == pytest.approx(float(norm), rel=1e-6)
    assert found["effective_rank"] == pytest.approx(np.median(ranks), rel=1e-5)
    assert found["cosine_to_reference"] == pytest.approx(float(inner / norm / other), abs=1e-6)


def test_one_update_under_other_factors_reads_the_same(tmp_path):
    save_adapter(tmp_path, seed=3)
    model, generator = adapted(), torch.Generator().manual_seed(5)
    before = values(model, read(tmp_path))
    for module in model.modules():
        if isinstance(module, peft.tuners.lora.Linear):
            R = torch.randn(4, 4, generator=generator, dtype=torch.float64)
            A, B = module.lora_A["default"].weight, module.lora_B["default"].weight
            A.data, B.data = (torch.linalg.inv(R) @ A.double()), (B.double() @ R)
    assert values(model, read(tmp_path)) == pytest.approx(before, rel=1e-5)


def test_columns_of_unequal_size_cost_no_digits():
    model = adapted()
    sizes = torch.tensor([1e-9, 1e-3, 1.0, 1e9], dtype=torch.float64)
    before = values(model)
    for module in model.modules():
        if isinstance(module, peft.tuners.lora.Linear):
            A, B = module.lora_A["default"].weight, module.lora_B["default"].weight
            A.data, B.data = A.double() / sizes[:, None], B.double() * sizes
    assert values(model) == pytest.approx(before, rel=1e-6)


def test_an_update_against_itself_has_cosine_one_and_what_one_lacks_is_a_zero(tmp_path):
    model = adapted()
    model.save_pretrained(tmp_path)
    whole = read(tmp_path)
    assert values(model, whole)["cosine_to_reference"] == pytest.approx(1, abs=1e-12)
    half = Delta({name: whole[name] for name in list(whole)[:2]}, whole.provenance)
    share = sum(whole[n].inner(whole[n]) for n in half) / sum(m.inner(m) for m in whole.values())
    geometry = LiveGeometry(live_lora(model), half)
    assert geometry.read()["cosine_to_reference"].value == pytest.approx(share**0.5, abs=1e-12)
    assert "2 of the model's 4 modules are among the reference's 2" in geometry.notes()[0]


def test_a_module_that_has_not_moved_is_not_in_the_median():
    model = adapted()
    ranks = sorted(dense_effective_rank(u) for u in dense_updates(model).values())
    moved = {name: dense_effective_rank(u) for name, u in dense_updates(model).items()}
    still = next(name for name, rank in moved.items() if rank == ranks[0])
    model.get_submodule(f"base_model.model.{still}").lora_B["default"].weight.data.zero_()
    assert values(model)["effective_rank"] == pytest.approx(np.median(ranks[1:]), rel=1e-5)


def test_what_was_not_measured_has_a_reason_and_no_number(tmp_path):
    save_adapter(tmp_path, seed=3)
    untrained = peft.get_peft_model(Tower(), peft.LoraConfig(**LORA))
    readings = LiveGeometry(live_lora(untrained), read(tmp_path)).read()
    assert readings["update_norm"].value == 0
    assert {readings[name].undefined for name in KEYS[1:]} == {"zero delta"}

    stranger = Delta({"elsewhere": LowRank(torch.ones(2, 1), torch.ones(1, 2), 1.0)}, ORIGIN)
    found = LiveGeometry(live_lora(adapted()), stranger).read()["cosine_to_reference"]
    assert "shares no module" in found.undefined

    model = adapted()
    next(p for p in model.parameters() if p.requires_grad).data[0, 0] = torch.nan
    readings = LiveGeometry(live_lora(model)).read()
    assert {r.undefined for r in readings.values()} == {"the factors hold NaN or Inf"}
    assert "cosine_to_reference" not in readings


def two_adapters():
    model = adapted()
    model.add_adapter("other", peft.LoraConfig(**LORA))
    for name, parameter in model.named_parameters():
        parameter.requires_grad = "lora_" in name
    return model


def zero3():
    model = adapted()
    for number, parameter in enumerate(model.parameters()):
        parameter.ds_id = number  # as DeepSpeed does where it partitions
    return model


def vera():
    return peft.get_peft_model(Tower(), peft.VeraConfig(r=2, target_modules=["q_proj"]))


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Tower, "full fine-tune"),
        (vera, "VERA"),
        (partial(adapted, network=Tower().float(), init_lora_weights="pissa"), "pissa init"),
        (two_adapters, "default and other"),
        (zero3, "ZeRO-3"),
    ],
    ids=["full", "VeRA", "PiSSA", "two adapters", "ZeRO-3"],
)
def test_what_cannot_be_read_is_refused_by_name(model, words):
    with pytest.raises(GoniometerError, match=words):
        live_lora(model())


def test_sharded_parameters_are_refused_by_name(tmp_path):
    import torch.distributed as dist
    from torch.distributed.fsdp import fully_shard

    store = dist.FileStore(str(tmp_path / "store"), 1)
    dist.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        model = adapted().float()
        fully_shard(model, mesh=dist.init_device_mesh("cpu", (1,)))
        with pytest.raises(GoniometerError, match="FSDP"):
            live_lora(model)
        wrapped = torch.nn.parallel.DistributedDataParallel(adapted())
        assert values(wrapped) == values(adapted())
    finally:
        dist.destroy_process_group()


def test_only_the_trained_adapter_is_read():
    model = adapted(seed=1)
    before = values(model)
    model.add_adapter("other", peft.LoraConfig(**LORA))
    assert values(model) == before


def test_fused_projections_are_split_as_in_a_folder(tmp_path):
    sizes = {"n_embd": 16, "n_layer": 2, "n_head": 2, "vocab_size": 8, "n_positions": 8}
    base = GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=0, eos_token_id=0))
    model = adapted(network=base, target_modules=["c_attn"], fan_in_fan_out=True)
    model.save_pretrained(tmp_path)
    saved, live = read(tmp_path), live_lora(model)
    assert [name.rpartition(".")[2] for name in live] == ["k", "q", "v"] * 2
    assert tuple(saved) == tuple(live)
    assert values(model, saved)["cosine_to_reference"] == pytest.approx(1, abs=1e-12)

    name = next(iter(saved))
    whole = name.rpartition(".")[0]
    assert whole in live_lora(model, whole={whole})
    # Values are those of the moment of asking.
    model.get_submodule(f"base_model.model.{whole}").lora_B["default"].weight.data *= 2
    assert torch.equal(live[name].dense(), 2 * saved[name].dense())
