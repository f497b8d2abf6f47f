"""Runs against their base, from files: every number against a float64 twin of merged weights."""

import math
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file
from scipy.linalg import subspace_angles

import goniometer
from goniometer.deltas import BaseModel, Delta, Dense, Difference, LowRank, Provenance
from goniometer.deltas.rounding import storage_noise
from goniometer.deltas.tensors import stored_tensors
from goniometer.geometry import base_module
from goniometer.geometry.against_base import read_against_base
from goniometer.geometry.masks import UNCHANGED
from goniometer.results import read_results
from tests.adapters import Tower, save_adapter

SHAPES = {"model.layers.0.q_proj": (48, 36), "model.layers.1.v_proj": (30, 50)}
VECTOR = "model.layers.1.v_proj.bias"
K = 10


def normal(seed: int, *shape: int, scale: float = 1.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(*shape, generator=generator)


@pytest.fixture
def base(tmp_path: Path) -> BaseModel:
    weights = {f"{m}.weight": normal(i, *s) for i, (m, s) in enumerate(SHAPES.items())}
    weights[VECTOR] = normal(9, 30)
    (tmp_path / "base").mkdir()
    save_file(weights, tmp_path / "base" / "model.safetensors")
    return BaseModel(tmp_path / "base")


def delta(matrices) -> Delta:
    return Delta(matrices, Provenance("here", "planted"))


def low_rank(seed: int, scale: float = 0.01) -> Delta:
    return delta(
        {
            m: LowRank(normal(seed + i, s[0], 4), normal(seed + 50 + i, 4, s[1]), scale)
            for i, (m, s) in enumerate(SHAPES.items())
        }
    )


def checkpoint(folder: Path, base: BaseModel, scale: float = 1e-3) -> Delta:
    """Every tensor of the base moved and stored as bfloat16."""
    weights = load_file(base.folder / "model.safetensors")
    moved = {k: (w + normal(7, *w.shape, scale=scale)).bfloat16() for k, w in weights.items()}
    folder.mkdir()
    save_file(moved, folder / "model.safetensors")
    stored = stored_tensors(folder / "model.safetensors")
    names = {m: f"{m}.weight" for m in SHAPES} | {VECTOR: VECTOR}
    return delta({m: Difference(stored[key], base.tensors[key]) for m, key in names.items()})


def measure(runs, base: BaseModel, **options):
    return read_against_base(runs, base, name="base", **options)


def value(found, measure: str, scope: str = "all", run: int = 0) -> float:
    return found.runs[run].scopes[scope][measure].value


def twin(W0: np.ndarray, dW: np.ndarray) -> dict[str, float]:
    """The spectral measures of one module, by whole SVDs."""
    (u0, s0, v0), (u1, s1, v1) = (np.linalg.svd(W, full_matrices=False) for W in (W0, W0 + dW))
    left = np.degrees(subspace_angles(u0[:, :K], u1[:, :K]))
    right = np.degrees(subspace_angles(v0[:K].T, v1[:K].T))
    return {
        "relative_norm": np.linalg.norm(dW) / np.linalg.norm(W0),
        "spectral_shift": np.linalg.norm(s1 - s0) / np.linalg.norm(s0),
        "rotation_left_largest": left.max(),
        "rotation_left_median": np.median(left),
        "rotation_right_largest": right.max(),
        "rotation_right_median": np.median(right),
        "intruders": (np.abs(u0.T @ u1[:, :K]).max(0) < 0.5).sum(),
    }


@pytest.mark.parametrize("scale", [0.003, 0.1, 1.0])
def test_a_layer_of_one_module_reads_as_its_twin(base: BaseModel, scale: float):
    run = low_rank(20, scale)
    found, _ = measure({"a": run}, base)
    for i, module in enumerate(SHAPES):
        W0 = base.find(module).rows().numpy()
        for name, expected in twin(W0, run[module].dense().numpy()).items():
            assert value(found, name, f"layer.{i}") == pytest.approx(expected, rel=1e-6), name


def test_scopes_join_modules_as_the_table_says(base: BaseModel):
    run = low_rank(20, 1.0)
    found, modules = measure({"a": run}, base)
    shifts = [value(found, "spectral_shift", f"layer.{i}") for i in (0, 1)]
    assert value(found, "spectral_shift") == pytest.approx(np.mean(shifts))
    counts = [value(found, "intruders", f"layer.{i}") for i in (0, 1)]
    assert value(found, "intruders") == sum(counts) > 0
    W0 = [base.find(m).rows() for m in SHAPES]
    norms = [math.sqrt(sum(float(x.square().sum()) for x in xs))
             for xs in ([run[m].dense() for m in SHAPES], W0)]  # fmt: skip
    assert value(found, "relative_norm") == pytest.approx(norms[0] / norms[1])
    shares = [(at.entries.unchanged_fp32, at.entries.entries) for at in modules]
    whole = [sum(column) for column in zip(*shares, strict=True)]
    assert value(found, "unchanged_fp32") == whole[0] / whole[1]
    assert whole[1] == sum(m * n for m, n in SHAPES.values())


def test_shares_and_noise_of_a_checkpoint_are_those_of_its_file(base: BaseModel, tmp_path: Path):
    run = checkpoint(tmp_path / "tuned", base)
    found, _ = measure({"full": run}, base)
    before, after = (load_file(x / "model.safetensors") for x in (base.folder, tmp_path / "tuned"))
    w0, w1 = (torch.cat([x[key].flatten().double() for key in before]) for x in (before, after))
    bound = UNCHANGED * torch.maximum(w0.abs(), w1.abs())
    assert value(found, "unchanged_fp32") == float(((w1 - w0).abs() <= bound).double().mean())
    equal = w0.float().bfloat16() == w1.bfloat16()
    assert value(found, "equal_bf16") == value(found, "unchanged_bf16")
    assert value(found, "equal_bf16") == pytest.approx(float(equal.double().mean()), abs=1e-12)
    noise = math.hypot(*(storage_noise(x) for x in after.values()))
    assert value(found, "storage_noise") == pytest.approx(noise / float((w1 - w0).norm()))
    adapters, _ = measure({"a": low_rank(20)}, base)
    assert "stored weights" in adapters.runs[0].scopes["all"]["storage_noise"].undefined


def test_a_vector_is_counted_and_has_no_subspaces(base: BaseModel, tmp_path: Path):
    run = checkpoint(tmp_path / "tuned", base)
    found, _ = measure({"full": run}, base)
    assert found.runs[0].modules == 3
    readings = found.runs[0].scopes["projection.bias"]
    assert readings["relative_norm"].value > 0
    assert readings["unchanged_bf16"].value is not None
    for name in base_module.WHOLE:
        assert "vector" in readings[name].undefined
    # It takes no part in what the other modules read.
    both = [found.runs[0].scopes[f"projection.{p}"]["spectral_shift"].value
            for p in ("q_proj", "v_proj")]  # fmt: skip
    assert value(found, "spectral_shift") == pytest.approx(np.mean(both))


def test_what_is_too_large_is_counted_by_blocks_and_says_so(base: BaseModel, monkeypatch):
    run = low_rank(20)
    whole, _ = measure({"a": run}, base)
    monkeypatch.setattr(base_module, "SIDE", 33)
    monkeypatch.setattr("goniometer.deltas.matrix.BLOCK", 5 * 36)
    parts, _ = measure({"a": run}, base)
    assert "too large" in parts.runs[0].scopes["layer.0"]["spectral_shift"].undefined
    assert value(parts, "spectral_shift", "layer.1") is not None
    for name in ("unchanged_fp32", "equal_bf16"):
        assert value(parts, name) == value(whole, name)
    assert value(parts, "relative_norm") == pytest.approx(value(whole, "relative_norm"))


def test_no_update_moves_nothing_and_has_no_null(base: BaseModel):
    zero = delta({m: Dense(torch.zeros(s)) for m, s in SHAPES.items()})
    found, _ = measure({"zero": zero}, base)
    for name in ("relative_norm", "spectral_shift", "intruders"):
        assert value(found, name) == pytest.approx(0, abs=1e-12)
    assert value(found, "rotation_left_largest") == pytest.approx(0, abs=1e-4)
    assert value(found, "equal_fp32") == value(found, "unchanged_bf16") == 1
    overlap = found.runs[0].scopes["all"]["principal_overlap"]
    assert overlap.undefined == "no weight changes in bfloat16"
    assert found.runs[0].nulls == {}


def test_what_the_base_has_not_is_named(base: BaseModel):
    odd = {"model.layers.0.q_proj": Dense(normal(0, 48, 37)), "elsewhere": Dense(normal(1, 8, 8))}
    found, modules = measure({"a": delta(odd), "b": low_rank(20)}, base)
    reasons = found.runs[0].not_measured
    assert reasons["the base has no such module"] == ("elsewhere",)
    assert [m for r, m in reasons.items() if "shape" in r] == [("model.layers.0.q_proj",)]
    assert found.runs[0].scopes["all"]["relative_norm"].undefined == "no module of this scope"
    assert {at.run for at in modules} == {"b"}


def test_a_turned_weight_and_a_shorter_update_find_their_entries(base: BaseModel):
    W0 = base.find("model.layers.0.q_proj").rows()
    turned = delta({"model.layers.0.q_proj": Dense(0.5 * W0.T)})
    found, _ = measure({"a": turned}, base)
    assert value(found, "relative_norm") == pytest.approx(0.5)
    assert value(found, "spectral_shift") == pytest.approx(0.5)
    fewer = delta({"model.layers.0.q_proj": Dense(0.5 * W0[:40])})
    assert value(measure({"a": fewer}, base)[0], "relative_norm") == pytest.approx(0.5)


def test_unrelated_updates_lie_in_their_nulls(base: BaseModel):
    found, _ = measure({"a": low_rank(20, 0.05), "b": low_rank(400, 0.05)}, base)
    for run in found.runs:
        for name in ("rotation_left_median", "rotation_right_median", "intruders"):
            band = run.nulls["all"][name]["random directions"]
            assert band.low * 0.8 <= run.scopes["all"][name].value <= band.high * 1.2 + 1
        bands = run.nulls["all"]["principal_overlap"]
        assert bands["independent"].draws == base_module.MASK_DRAWS
        assert bands["independent"].median == pytest.approx(0.5, abs=0.01)


def test_equal_inputs_give_equal_values_and_the_fingerprint_is_of_the_base(base: BaseModel):
    first, second = (measure({"a": low_rank(20)}, base, seed=3)[0] for _ in range(2))
    assert first == second
    assert measure({"b": low_rank(400)}, base)[0].fingerprint == first.fingerprint
    weights = load_file(base.folder / "model.safetensors")
    weights["model.layers.0.q_proj.weight"][0, 0] += 1
    save_file(weights, base.folder / "model.safetensors")
    assert measure({"a": low_rank(20)}, base)[0].fingerprint != first.fingerprint


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    (tmp_path / "base").mkdir()
    weights = {k: v.float().contiguous() for k, v in Tower().state_dict().items()}
    save_file(weights, tmp_path / "base" / "model.safetensors")
    for seed, name in enumerate("ab"):
        save_adapter(tmp_path / name, seed=seed + 1)
    return tmp_path


def test_compare_writes_what_it_measured(folders: Path):
    runs = [folders / "a", folders / "b"]
    found = goniometer.compare(runs, base=folders / "base", draws=100)
    based = found.results.comparison.against_base
    assert based.base == "base"
    assert [run.name for run in based.runs] == ["a", "b"]
    found.save(folders / "out")
    assert read_results(folders / "out" / "results.json") == found.results
    rows = pq.read_table(folders / "out" / "base_modules.parquet").to_pylist()
    assert len(rows) == 8
    shifts = [row["spectral_shift"] for row in rows if row["run"] == "a"]
    assert np.mean(shifts) == pytest.approx(based.runs[0].scopes["all"]["spectral_shift"].value)


def test_compare_leaves_it_out_where_told_to_or_where_it_has_no_meaning(folders: Path):
    runs, base = [folders / "a", folders / "b"], folders / "base"
    told = goniometer.compare(runs, base=base, draws=100, base_measures=False)
    assert told.results.comparison.against_base is None
    started = goniometer.compare(runs, base=base, draws=100, origin=folders / "b")
    assert started.results.comparison.against_base is None
    assert any("--origin" in line for line in started.results.comparison.warnings)
