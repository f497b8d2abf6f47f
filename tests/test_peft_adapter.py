"""Reading PEFT folders: what PEFT merges is what we read, and the rest is refused by name."""

import json
from pathlib import Path

import pytest
import torch

from goniometer.deltas import read
from goniometer.errors import GoniometerError
from tests.adapters import Tower, edit_config, edit_tensors, read_values, save_adapter

VARIANTS = {
    "lora": {},
    "rslora": {"use_rslora": True},
    "gaussian": {"init_lora_weights": "gaussian"},
    "rank_pattern": {"rank_pattern": {"layers.0.q_proj": 2, "v_proj": 7}},
    "alpha_pattern": {"alpha_pattern": {"layers.1.q_proj": 11, "v_proj": 3}},
    "patterns": {
        "use_rslora": True,
        "rank_pattern": {r"layers\.\d+\.q_proj": 3},
        "alpha_pattern": {r".*\.1\..*": 5},
    },
    "fan_in_fan_out": {"conv1d": True},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_delta_is_what_peft_merges(tmp_path: Path, variant: str):
    options = VARIANTS[variant]
    merged = save_adapter(tmp_path, **options)
    base = Tower(options.get("conv1d", False))
    delta = read(tmp_path)
    assert set(delta) == {f"layers.{i}.{p}_proj" for i in (0, 1) for p in "qv"}
    for module in delta:
        expected = merged.get_submodule(module).weight - base.get_submodule(module).weight
        # Conv1D stores in by out features; a delta is out by in whatever the base stores.
        expected = expected.T if options.get("conv1d") else expected
        error = (delta[module].dense() - expected).norm() / expected.norm()
        assert float(error) < 1e-12, module


@pytest.mark.parametrize("prefix", ["base_model.model.", "module.base_model.model.", ""])
def test_prefixes_of_wrappers_are_dropped(tmp_path: Path, prefix: str):
    save_adapter(tmp_path)
    before = read(tmp_path).fingerprint
    edit_tensors(
        tmp_path,
        lambda t: {prefix + k.removeprefix("base_model.model."): v for k, v in t.items()},
    )
    assert read(tmp_path).fingerprint == before


def test_the_fingerprint_is_of_the_content(tmp_path: Path):
    save_adapter(tmp_path / "a", seed=1)
    save_adapter(tmp_path / "b", seed=1)
    save_adapter(tmp_path / "c", seed=2)
    edit_config(tmp_path / "b", lora_dropout=0.5)
    a, b, c = (read(tmp_path / name).fingerprint for name in "abc")
    assert a == b != c
    edit_config(tmp_path / "b", lora_alpha=7)
    assert read(tmp_path / "b").fingerprint != a


def test_modules_to_save_are_listed_as_not_read(tmp_path: Path):
    save_adapter(tmp_path, target_modules=["q_proj"], modules_to_save=["v_proj"])
    delta = read(tmp_path)
    assert set(delta) == {"layers.0.q_proj", "layers.1.q_proj"}
    assert "layers.0.v_proj.weight" in delta.provenance.not_read


REFUSED = {
    "use_qalora": (True, "QALoRA"),
    "use_bdlora": ({"nblocks": 2}, "block-diagonal"),
    "alora_invocation_tokens": ([1, 2], "activated LoRA"),
    "arrow_config": ({"top_k": 2}, "Arrow"),
    "kasa_config": ({"beta": 0.1}, "KaSA"),
    "monteclora_config": ({"num_samples": 2}, "MonteCLoRA"),
    "init_lora_weights": ("pissa_niter_4", "pissa_niter_4 initialisation"),
    "layer_replication": ([[2, 0]], "not ranges of layers"),
    "peft_type": ("PREFIX_TUNING", "changes no weight"),
    "lora_alpha": ("six", "valid number"),
    "r": (None, "valid integer"),
}


@pytest.mark.parametrize("key", REFUSED)
def test_what_is_not_plain_is_refused_by_name(tmp_path: Path, key: str):
    save_adapter(tmp_path)
    value, named = REFUSED[key]
    edit_config(tmp_path, **{key: value})
    with pytest.raises(GoniometerError, match=named) as error:
        read(tmp_path)
    assert key in str(error.value)
    assert "adapter_config.json" in str(error.value)


@pytest.mark.parametrize("init", ["olora", "loftq", "corda", "lora_ga", "pissa"])
def test_initialisations_that_change_the_base_are_refused(tmp_path: Path, init: str):
    save_adapter(tmp_path)
    edit_config(tmp_path, init_lora_weights=init)
    with pytest.raises(GoniometerError, match=init):
        read(tmp_path)


def _drop_b(tensors):
    return {k: v for k, v in tensors.items() if "layers.1.q_proj.lora_B" not in k}


def _transpose_a(tensors):
    return {k: v.T if "layers.0.v_proj.lora_A" in k else v for k, v in tensors.items()}


def _nan(tensors):
    first = min(k for k in tensors if "lora_A" in k)
    return tensors | {first: tensors[first].fill_diagonal_(torch.nan)}


def _embedding(tensors):
    return tensors | {"base_model.model.embed.lora_embedding_A": torch.zeros(4, 9)}


def _unknown(tensors):
    return tensors | {"base_model.model.layers.0.q_proj.lora_C.weight": torch.zeros(4, 9)}


def _two_adapters(tensors):
    more = {
        k.replace("weight", "other.weight"): v.clone() for k, v in tensors.items() if "lora_A" in k
    }
    return tensors | more


BROKEN = {
    "missing lora_B": (_drop_b, "layers.1.q_proj: lora_B is missing"),
    "factors that do not fit": (_transpose_a, "layers.0.v_proj: the factors do not fit"),
    "NaN": (_nan, "layers.0.q_proj.lora_A.weight: NaN"),
    "embedding": (_embedding, "embed: lora_embedding_B is missing"),
    "unknown": (_unknown, "lora_C.weight: an unknown LoRA tensor"),
    "two adapters": (_two_adapters, "two adapters in one file"),
    "nothing": (lambda _: {"x": torch.zeros(1)}, "no LoRA factors"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_broken_factors_are_named(tmp_path: Path, fault: str):
    save_adapter(tmp_path)
    edit, message = BROKEN[fault]
    edit_tensors(tmp_path, edit)
    with pytest.raises(GoniometerError, match=message):
        read_values(read(tmp_path))


def test_a_truncated_file_is_named(tmp_path: Path):
    save_adapter(tmp_path)
    file = tmp_path / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(GoniometerError, match=r"adapter_model.safetensors: not a whole"):
        read(tmp_path)


def test_a_pickle_is_refused_with_how_to_convert(tmp_path: Path):
    save_adapter(tmp_path)
    (tmp_path / "adapter_model.safetensors").rename(tmp_path / "adapter_model.bin")
    with pytest.raises(GoniometerError, match=r"adapter_model.bin: a pickle.*safe_serialization"):
        read(tmp_path)


def test_what_is_no_adapter_is_refused(tmp_path: Path):
    with pytest.raises(GoniometerError, match="no such folder"):
        read(tmp_path / "absent")
    with pytest.raises(GoniometerError, match="not an update"):
        read(tmp_path)
    (tmp_path / "adapter_config.json").write_text("{")
    with pytest.raises(GoniometerError, match="not valid JSON"):
        read(tmp_path)
    (tmp_path / "adapter_config.json").write_text(json.dumps([1]))
    with pytest.raises(GoniometerError, match="not a JSON object"):
        read(tmp_path)


def test_a_rank_that_the_configuration_contradicts_is_an_error(tmp_path: Path):
    save_adapter(tmp_path)
    edit_config(tmp_path, rank_pattern={"v_proj": 5})
    with pytest.raises(GoniometerError, match=r"expected rank 5"):
        read(tmp_path)


def test_origin_is_subtracted_also_where_only_one_has_a_module(tmp_path: Path):
    save_adapter(tmp_path / "run", seed=1)
    save_adapter(tmp_path / "start", seed=2, target_modules=["q_proj"])
    run, start = read(tmp_path / "run"), read(tmp_path / "start")
    added = run.minus(start)
    expected = run["layers.0.q_proj"].dense() - start["layers.0.q_proj"].dense()
    assert torch.allclose(added["layers.0.q_proj"].dense(), expected, atol=1e-14)
    assert torch.equal(added["layers.0.v_proj"].dense(), run["layers.0.v_proj"].dense())
    # Both runs' factors stand in it, but it is the work of one run of rank 4.
    assert added["layers.0.q_proj"].B.shape[1] == 8
    assert added["layers.0.q_proj"].rank == 4
    back = start.minus(run)
    assert torch.equal(back["layers.0.v_proj"].dense(), -run["layers.0.v_proj"].dense())
