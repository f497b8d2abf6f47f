"""Every format of PEFT against PEFT: merge on a float64 base, subtract, compare entry by entry."""

from pathlib import Path

import pytest
import torch

from goniometer.deltas import BaseModel, Companions, check_base, read
from goniometer.deltas.peft_adapter import read_peft_adapter
from goniometer.errors import GoniometerError
from tests.adapters import edit_tensors
from tests.contracts.peft_cases import CASES, Case, loaded, merged_updates, save_case


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.fixture
def folder(case: Case, tmp_path: Path) -> Path:
    save_case(case, tmp_path / "run")
    return tmp_path / "run"


def _read(case: Case, folder: Path):
    base = BaseModel(folder / "base") if case.needs_base else None
    # The reader itself: `read` would name the modules as the base does, which has another prefix.
    return read_peft_adapter(folder, Companions(base))


def test_the_update_is_what_peft_merges(case: Case, folder: Path):
    delta, expected = _read(case, folder), merged_updates(case, folder)
    assert set(delta) == set(expected)
    for module in delta:
        difference = delta[module].dense() - expected[module]
        assert float(difference.norm() / expected[module].norm()) < 1e-10, module


def test_the_update_is_get_delta_weight_where_that_is_exact(case: Case, folder: Path):
    if not case.exact:
        pytest.skip("get_delta_weight is not the update")
    delta = _read(case, folder)
    checked = 0
    for name, layer in loaded(case, folder).get_base_model().named_modules():
        module = name.replace(".base_layer", "")
        if not hasattr(layer, "get_delta_weight") or module not in delta:
            continue
        expected = layer.get_delta_weight("default").detach()
        if getattr(layer, "fan_in_fan_out", False):
            expected = expected.T
        difference = delta[module].dense() - expected.flatten(1)
        assert float(difference.norm() / expected.norm()) < 1e-10, module
        checked += 1
    assert checked or "experts" in str(set(delta))


def test_outlines_are_true_and_rows_are_rows(case: Case, folder: Path):
    delta = _read(case, folder)
    for module in delta:
        matrix, outline = delta[module], delta.outline(module)
        whole = matrix.dense()
        assert matrix.shape == outline.shape == tuple(whole.shape)
        assert whole.dtype == torch.float64
        assert matrix.svd().S.numel() <= outline.rank
        assert torch.allclose(matrix.rows(1, 3), whole[1:3], rtol=0, atol=1e-14)
        assert torch.allclose(matrix.scaled(-2.0).dense(), -2.0 * whole, rtol=0, atol=1e-14)


def test_the_fingerprint_is_of_the_content(case: Case, folder: Path, tmp_path: Path):
    first = _read(case, folder).fingerprint
    assert _read(case, folder).fingerprint == first
    save_case(case, tmp_path / "again")
    assert _read(case, tmp_path / "again").fingerprint == first
    save_case(case, tmp_path / "other", seed=2)
    assert _read(case, tmp_path / "other").fingerprint != first


def test_the_base_is_asked_for_where_it_is_needed(case: Case, folder: Path):
    if case.needs_base:
        with pytest.raises(GoniometerError, match=r"base weights are needed.*--base"):
            read(folder)
    else:
        assert read(folder).fingerprint == _read(case, folder).fingerprint


def test_what_is_read_fits_the_base(case: Case, folder: Path):
    check_base(_read(case, folder), BaseModel(folder / "base"))


def test_nothing_is_read_before_it_is_asked_for(case: Case, folder: Path):
    def spoiled(tensors):
        floats = {k: v for k, v in tensors.items() if v.is_floating_point()}
        return tensors | {k: torch.full_like(v, torch.nan) for k, v in floats.items()}

    edit_tensors(folder, spoiled)
    delta = _read(case, folder)
    for module in delta:
        with pytest.raises(GoniometerError, match="NaN or Inf"):
            delta[module].dense()
