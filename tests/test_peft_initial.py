"""Starts that are not zero: the update is against the base as it was before the start."""

import copy
import shutil
import warnings
from pathlib import Path

import peft
import pytest
import torch

from goniometer.deltas import Companions, LowRank, read
from goniometer.errors import GoniometerError
from tests.adapters import Tower, edit_config, edit_tensors, save_adapter

INITS = ["pissa", "pissa_niter_4", "olora"]


def save(folder: Path, init: str, **options):
    """A run from such a start, the start as PEFT saves it, and what training made of the base."""
    with warnings.catch_warnings(), torch.random.fork_rng():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        settings = {"r": 4, "lora_alpha": 6, "target_modules": ["q_proj", "v_proj"]} | options
        base = Tower().float()
        config = peft.LoraConfig(init_lora_weights=init, **settings)
        model = peft.get_peft_model(copy.deepcopy(base), config)
        model.peft_config["default"].init_lora_weights = True
        model.save_pretrained(folder / "start")
        model.peft_config["default"].init_lora_weights = init
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.data = parameter.data + 0.3 * torch.randn_like(parameter)
        model.save_pretrained(folder / "run")
        return base, model.merge_and_unload()


@pytest.mark.parametrize("options", [{}, {"use_rslora": True, "rank_pattern": {"v_proj": 3}}])
@pytest.mark.parametrize("init", INITS)
def test_the_update_is_against_the_original_base(tmp_path: Path, init: str, options: dict):
    base, merged = save(tmp_path, init, **options)
    delta = read(tmp_path / "run", Companions(initial=tmp_path / "start"))
    assert init in delta.provenance.warnings[0]
    for module in delta:
        expected = merged.get_submodule(module).weight - base.get_submodule(module).weight
        matrix = delta[module]
        # PEFT makes these starts in float32, and subtracts them from the base in float32.
        assert float((matrix.dense() - expected).norm() / expected.norm()) < 1e-5
        assert isinstance(matrix, LowRank)
        assert delta.outline(module).rank == matrix.rank <= 4


def test_a_start_that_lies_in_the_run_is_found(tmp_path: Path):
    save(tmp_path, "pissa")
    shutil.copytree(tmp_path / "start", tmp_path / "run" / "pissa_init")
    given = read(tmp_path / "run", Companions(initial=tmp_path / "start"))
    found = read(tmp_path / "run")
    assert found.fingerprint == given.fingerprint
    assert "pissa_init" in found.provenance.warnings[0]
    shutil.copytree(tmp_path / "start", tmp_path / "run" / "initial")
    with pytest.raises(GoniometerError, match="2 initial adapters"):
        read(tmp_path / "run")


def test_without_its_start_it_is_refused(tmp_path: Path):
    save(tmp_path, "pissa")
    with pytest.raises(GoniometerError, match=r"pissa initialisation changed.*--initial"):
        read(tmp_path / "run")


def test_peft_s_own_conversion_is_plain_lora(tmp_path: Path):
    """PEFT can save the difference itself, as LoRA of twice the rank."""
    save(tmp_path, "pissa")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # The run's base is the residual: a fresh PiSSA start of the same base.
        config = peft.LoraConfig(
            r=4, lora_alpha=6, target_modules=["q_proj", "v_proj"], init_lora_weights="pissa"
        )
        model = peft.get_peft_model(Tower().float(), config)
        weights = tmp_path / "run" / "adapter_model.safetensors"
        from safetensors.torch import load_file

        peft.set_peft_model_state_dict(model, load_file(weights))
        model.save_pretrained(
            tmp_path / "converted", path_initial_model_for_weight_conversion=tmp_path / "start"
        )
    mine = read(tmp_path / "run", Companions(initial=tmp_path / "start"))
    theirs = read(tmp_path / "converted")
    for module in mine:
        expected = theirs[module].dense()
        assert float((mine[module].dense() - expected).norm() / expected.norm()) < 1e-10


def test_a_start_of_another_run_is_named(tmp_path: Path):
    save(tmp_path, "pissa")
    companions = Companions(initial=tmp_path / "start")
    edit_tensors(tmp_path / "start", lambda t: {k: v for k, v in t.items() if "layers.1" not in k})
    with pytest.raises(GoniometerError, match=r"layers.1.q_proj: the initial adapter has other"):
        read(tmp_path / "run", companions)


def test_dora_on_a_changed_base_is_refused(tmp_path: Path):
    save_adapter(tmp_path, use_dora=True)
    edit_config(tmp_path, init_lora_weights="pissa")
    with pytest.raises(GoniometerError, match="DoRA on a base that the pissa"):
        read(tmp_path, Companions(initial=tmp_path))
