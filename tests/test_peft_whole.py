"""What lies in an adapter's folder beside its factors: saved modules, tokens, biases, replicas."""

import json
import warnings
from pathlib import Path

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file

from goniometer import deltas
from goniometer.deltas import BaseModel, Companions, check_base
from goniometer.deltas.peft_adapter import read_peft_adapter
from goniometer.errors import GoniometerError
from tests.adapters import edit_config, edit_tensors
from tests.contracts.peft_cases import Case, Network, loaded, lora, save_case


def read(path: Path, companions: Companions | None = None):
    """The reader itself: `deltas.read` would name the modules as the base does."""
    return read_peft_adapter(path, companions or Companions())


def save(folder: Path, **options) -> Companions:
    save_case(lora(**options), folder)
    return Companions(BaseModel(folder / "base"))


def edit_base(folder: Path, edit) -> None:
    file = folder / "base" / "model.safetensors"
    save_file({k: v.contiguous() for k, v in edit(load_file(file)).items()}, file)


def test_saved_modules_are_dense_against_the_base_and_listed_without_one(tmp_path: Path):
    companions = save(tmp_path, modules_to_save=["norm", "lm_head"])
    saved = load_file(tmp_path / "adapter_model.safetensors")
    base = Network().state_dict()
    delta = read(tmp_path, companions)
    for module in ("lm_head.weight", "layers.0.norm.weight", "layers.1.norm.bias"):
        expected = (saved[f"base_model.model.{module}"] - base[module]).reshape(base[module].shape)
        found = delta[module.removesuffix(".weight")].dense()
        assert torch.equal(found.flatten(), expected.flatten())
    assert not delta.provenance.not_read
    without = read(tmp_path)
    assert set(delta) - set(without) == {"lm_head"} | {
        f"layers.{i}.norm{end}" for i in (0, 1) for end in ("", ".bias")
    }
    assert "lm_head.weight" in without.provenance.not_read


def test_a_head_that_the_base_does_not_have_is_listed(tmp_path: Path):
    companions = save(tmp_path)
    edit_tensors(tmp_path, lambda t: t | {"base_model.model.score.weight": torch.ones(3, 24)})
    assert read(tmp_path, companions).provenance.not_read == ("score.weight",)


def test_of_resized_embeddings_the_common_rows_are_read(tmp_path: Path):
    companions = save(tmp_path)
    rows = torch.randn(33, 24, dtype=torch.float64)
    edit_tensors(tmp_path, lambda t: t | {"base_model.model.embed_tokens.weight": rows})
    delta = read(tmp_path, companions)
    expected = rows[:30] - Network().embed_tokens.weight
    assert torch.equal(delta["embed_tokens"].dense(), expected)
    assert delta.provenance.not_read == ("embed_tokens.weight[30:33]",)
    edit_tensors(tmp_path, lambda t: t | {"base_model.model.embed_tokens.weight": rows[:, :7]})
    with pytest.raises(GoniometerError, match="embed_tokens: the base does not fit the run"):
        read(tmp_path, companions)


def test_tokens_that_the_base_does_not_have_are_listed(tmp_path: Path):
    companions = save(tmp_path, trainable_token_indices=[3, 11])
    edit_config(tmp_path, trainable_token_indices={"embed_tokens": [3, 30]})
    delta = read(tmp_path, companions)
    assert delta.provenance.not_read == ("embed_tokens.token_adapter.trainable_tokens_delta[30]",)
    assert delta.outline("embed_tokens").rank == 1
    assert delta["embed_tokens"].dense().any(dim=1).nonzero().flatten().tolist() == [3]
    for wrong in ([3], [3, 3], [3, -1], "3", {"wte": [3, 11]}):
        edit_config(tmp_path, trainable_token_indices=wrong)
        with pytest.raises(GoniometerError, match="tokens"):
            read(tmp_path, companions)


def test_replicated_layers_are_named_as_in_the_replicated_network(tmp_path: Path):
    ranges = [[0, 2], [0, 1], [1, 2]]
    companions = save(tmp_path, layer_replication=ranges)
    delta = read(tmp_path, companions)
    assert {name for name in delta if name.endswith("q_proj")} == {
        f"layers.{i}.q_proj" for i in range(4)
    }
    assert "4 layers of 2 in the base" in delta.provenance.warnings[0]
    check_base(delta, BaseModel(tmp_path / "base"))
    assert delta.in_base("layers.3.q_proj") == "layers.1.q_proj"
    assert delta.in_base("layers.2.q_proj") == "layers.0.q_proj"
    for name, layer in loaded(lora(), tmp_path).get_base_model().named_modules():
        if name in delta:
            expected = layer.get_delta_weight("default")
            assert float((delta[name].dense() - expected).norm() / expected.norm()) < 1e-10


def test_dora_on_a_replica_is_against_the_layer_that_it_copies(tmp_path: Path):
    companions = save(tmp_path, layer_replication=[[0, 1], [0, 2]], use_dora=True)
    delta = read(tmp_path, companions)
    tensors = load_file(tmp_path / "adapter_model.safetensors")
    start = "base_model.model.layers.1.v_proj.lora_"
    W = Network().layers[0].v_proj.weight.detach()
    V = W + 1.5 * (tensors[f"{start}B.weight"] @ tensors[f"{start}A.weight"])
    expected = tensors[f"{start}magnitude_vector"][:, None] * V / V.norm(dim=1, keepdim=True) - W
    found = delta["layers.1.v_proj"].dense()
    assert float((found - expected).norm() / expected.norm()) < 1e-10


QUANTISED = {
    "configuration": lambda tensors: {k: v for k, v in tensors.items() if "q_proj" not in k},
    "types": lambda tensors: {
        k: v.to(torch.uint8) if "q_proj.weight" in k else v for k, v in tensors.items()
    },
}


@pytest.mark.parametrize("how", QUANTISED)
def test_a_quantised_base_is_refused_where_its_weights_are_needed(tmp_path: Path, how: str):
    companions = save(tmp_path, use_dora=True)
    edit_base(tmp_path, QUANTISED[how])
    config = {"quantization_config": {"quant_method": "bitsandbytes"}}
    (tmp_path / "base" / "config.json").write_text(json.dumps(config))
    with pytest.raises(GoniometerError, match=r"q_proj: the base is quantised.*--base"):
        read(tmp_path, companions)


def test_a_base_of_another_shape_is_named(tmp_path: Path):
    companions = save(tmp_path, use_dora=True)
    edit_base(tmp_path, lambda t: t | {"layers.0.v_proj.weight": torch.zeros(16, 23)})
    with pytest.raises(GoniometerError, match=r"layers.0.v_proj: the base does not fit the run"):
        read(tmp_path, companions)


def test_a_quantised_base_s_name_is_a_warning(tmp_path: Path):
    save(tmp_path)
    edit_config(tmp_path, base_model_name_or_path="unsloth/llama-3.2-1b-bnb-4bit")
    assert "quantised weights (unsloth" in read(tmp_path).provenance.warnings[0]


def test_experts_that_nothing_tells_apart_are_refused(tmp_path: Path):
    options = {"target_parameters": ["experts.a_proj", "experts.b_proj"]}
    save_case(lora(target_parameters=["experts.down_proj"], target_modules=[]), tmp_path)
    edit_config(tmp_path, **options)
    edit_base(
        tmp_path, lambda t: t | {f"layers.{i}.experts.{p}_proj": torch.zeros(3, 12, 10)
                                 for i in (0, 1) for p in "ab"},
    )  # fmt: skip
    with pytest.raises(GoniometerError, match="nothing tells of which parameter"):
        read(tmp_path, Companions(BaseModel(tmp_path / "base")))


def test_tensors_of_no_type_that_weights_have_are_named(tmp_path: Path):
    companions = save(tmp_path)
    edit_tensors(tmp_path, lambda t: {k: v.to(torch.float8_e4m3fn) for k, v in t.items()})
    delta = read(tmp_path, companions)
    with pytest.raises(GoniometerError, match="F8_E4M3"):
        delta["layers.0.q_proj"].dense()


def test_a_folder_of_adapters_names_them(tmp_path: Path):
    for name in ("coder", "writer"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            save_case(Case(lambda: peft.LoraConfig(target_modules=["q_proj"])), tmp_path / name)
    with pytest.raises(GoniometerError, match="updates in its folders coder, writer"):
        deltas.read(tmp_path)
