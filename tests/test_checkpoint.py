"""Full fine-tunes read back from what transformers saves, against subtraction in memory."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from goniometer.deltas import BaseModel, Companions, Delta, read
from goniometer.deltas.hub import companions
from goniometer.errors import GoniometerError
from tests.checkpoints import SHARD, TARGETS, network, nudged, tuned


def against(base: Path) -> Companions:
    return Companions(base=BaseModel(base))


def subtracted(run: torch.nn.Module, base: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The oracle: each weight's change in memory, out by in features, c_attn in three."""
    found = {}
    for key, value in base.state_dict().items():
        name = key.removesuffix(".weight")
        if name == "lm_head":
            continue  # tied
        change = (run.state_dict()[key] - value).reshape(*value.shape[:1], -1)
        if "gpt2" in type(base).__name__.lower() and name.split(".")[-1].startswith("c_"):
            change = change.T
        if "c_attn" in name:
            stem, bias = name.removesuffix(".bias"), ".bias" if name.endswith(".bias") else ""
            parts = zip("qkv", change.chunk(3), strict=True)
            found |= {f"{stem}.{part}{bias}": rows for part, rows in parts}
        else:
            found[name] = change
    return found


@pytest.mark.parametrize("sharded", [False, True])
@pytest.mark.parametrize("kind", ["qwen3", "gpt2"])
def test_what_is_read_is_tuned_minus_base(tmp_path: Path, kind: str, sharded: bool):
    base = network(kind)
    run = nudged(tuned(base, tmp_path / "a", targets=TARGETS[kind], seed=1,
                       conv1d=kind == "gpt2"), seed=2)  # fmt: skip
    sizes = {"max_shard_size": SHARD} if sharded else {}
    base.save_pretrained(tmp_path / "base")
    run.save_pretrained(tmp_path / "run", **sizes)
    assert (tmp_path / "run" / "model.safetensors.index.json").is_file() == sharded
    delta = read(tmp_path / "run", against(tmp_path / "base"))
    expected = subtracted(run, base)
    assert set(delta) == set(expected)
    for name, change in expected.items():
        assert delta.outline(name).shape == tuple(change.shape)
        assert torch.allclose(delta[name].dense(), change, rtol=0, atol=1e-12)
    assert delta.provenance.warnings == ()


def test_an_adapter_and_its_merged_checkpoint_are_one_update(tmp_path: Path):
    base = network("qwen3")
    run = tuned(base, tmp_path / "adapter", targets=TARGETS["qwen3"], seed=3)
    base.save_pretrained(tmp_path / "base")
    run.save_pretrained(tmp_path / "merged", max_shard_size=SHARD)
    low = read(tmp_path / "adapter", against(tmp_path / "base"))
    full = read(tmp_path / "merged", against(tmp_path / "base"))
    assert len(low) == 4
    assert set(low) < set(full)
    for name in low:
        # PEFT's random factors are stored in float32; the merge is in float64.
        cosine = (
            low[name].inner(full[name])
            / (low[name].inner(low[name]) * full[name].inner(full[name])) ** 0.5
        )
        assert cosine == pytest.approx(1, abs=1e-10)
        assert torch.allclose(low[name].dense(), full[name].dense(), atol=1e-10)
    for name in set(full) - set(low):
        assert full[name].inner(full[name]) == 0  # a true zero, not left out


def test_a_checkpoint_equal_to_its_base_is_a_zero_update(tmp_path: Path):
    base = network("qwen3")
    base.save_pretrained(tmp_path / "base")
    base.save_pretrained(tmp_path / "same", max_shard_size=SHARD)
    delta = read(tmp_path / "same", against(tmp_path / "base"))
    assert all(delta[name].inner(delta[name]) == 0 for name in delta)


def headless(source: Path, target: Path, prefix: str) -> None:
    """Save a model again as its inner model would be, without the prefix of its head."""
    target.mkdir()
    weights = load_file(source / "model.safetensors")
    save_file(
        {key.removeprefix(prefix): value for key, value in weights.items()},
        target / "model.safetensors",
    )
    (target / "config.json").write_text((source / "config.json").read_text())


@pytest.mark.parametrize(("kind", "prefix"), [("qwen3", "model."), ("gpt2", "transformer.")])
def test_a_prefix_more_or_less_changes_nothing(tmp_path: Path, kind: str, prefix: str):
    base = network(kind)
    base.save_pretrained(tmp_path / "base")
    nudged(base, 1).save_pretrained(tmp_path / "run")
    headless(tmp_path / "base", tmp_path / "bare_base", prefix)
    headless(tmp_path / "run", tmp_path / "bare_run", prefix)
    expected = read(tmp_path / "run", against(tmp_path / "base"))
    for run in ("run", "bare_run"):
        for origin in ("base", "bare_base"):
            delta = read(tmp_path / run, against(tmp_path / origin))
            assert set(delta) == set(expected)
            assert delta.fingerprint == expected.fingerprint


def folder(path: Path, weights: dict[str, torch.Tensor], **config: object) -> Path:
    path.mkdir()
    save_file(weights, path / "model.safetensors")
    (path / "config.json").write_text(json.dumps(config))
    return path


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


EMBED, HEAD = "model.embed_tokens.weight", "lm_head.weight"
NORM = {"model.norm.weight": torch.ones(4)}


def two(tmp_path: Path, run: dict, base: dict, **config: object) -> Delta:
    folder(tmp_path / "base", base | NORM, **config)
    folder(tmp_path / "run", run | NORM, **config)
    return read(tmp_path / "run", against(tmp_path / "base"))


@pytest.mark.parametrize("stored", ["run", "base", "both"])
def test_a_tied_head_is_one_module_with_its_embedding(tmp_path: Path, stored: str):
    a, b = draw(6, 4), draw(6, 4, seed=1)
    run = {EMBED: a} | ({HEAD: a.clone()} if stored != "base" else {})
    base = {EMBED: b} | ({HEAD: b.clone()} if stored != "run" else {})
    delta = two(tmp_path, run, base)
    assert set(delta) == {"model.embed_tokens", "model.norm"}
    assert delta.provenance.warnings == ()


def test_a_head_untied_in_training_is_compared_with_the_embedding_it_was(tmp_path: Path):
    a, h, b = draw(6, 4), draw(6, 4, seed=1), draw(6, 4, seed=2)
    delta = two(tmp_path, {EMBED: a, HEAD: h}, {EMBED: b})
    assert torch.equal(delta["lm_head"].dense(), h.double() - b.double())
    assert "lm_head is tied in the base" in delta.provenance.warnings[0]


def test_a_head_that_was_not_saved_is_not_taken_for_a_tied_one(tmp_path: Path):
    base = {EMBED: draw(6, 4), HEAD: draw(6, 4, seed=1)}
    delta = two(tmp_path, {EMBED: draw(6, 4)}, base, tie_word_embeddings=False)
    assert "lm_head" not in delta
    assert delta.provenance.warnings == ("1 weights only in the base, not read: lm_head",)


def test_of_a_resized_embedding_the_common_rows_are_compared(tmp_path: Path):
    a, b = draw(9, 4), draw(6, 4, seed=1)
    delta = two(tmp_path, {EMBED: a}, {EMBED: b})
    assert torch.equal(delta["model.embed_tokens"].dense(), a[:6].double() - b.double())
    assert delta.provenance.not_read == ("model.embed_tokens, rows 6 to 8",)
    assert "the first 6 are compared" in delta.provenance.warnings[0]


def test_what_one_side_lacks_is_told(tmp_path: Path):
    delta = two(tmp_path, {EMBED: draw(6, 4), "score.weight": draw(2, 4)}, {EMBED: draw(6, 4)})
    assert "score" not in delta
    assert delta.provenance.not_read == ("score",)
    assert delta.provenance.warnings == ("1 weights only in the run, not read: score",)


def test_experts_kernels_and_numbers_are_matrices(tmp_path: Path):
    stack, kernel, number = "model.layers.0.mlp.experts.down_proj", "conv.weight", "logit_scale"
    shapes = {stack: (3, 4, 5), kernel: (4, 2, 3, 3), number: ()}
    run = {key: draw(*shape) for key, shape in shapes.items()}
    base = {key: draw(*shape, seed=1) for key, shape in shapes.items()}
    delta = two(tmp_path, run, base)
    for expert in range(3):
        found = delta[f"model.layers.0.mlp.experts.{expert}.down_proj"].dense()
        assert torch.equal(found, run[stack][expert].double() - base[stack][expert].double())
    assert torch.equal(
        delta["conv"].dense(), (run[kernel].double() - base[kernel].double()).flatten(1)
    )
    assert delta["logit_scale"].dense().shape == (1, 1)


def test_a_stack_of_countless_empty_experts_is_nothing(tmp_path: Path):
    stack = {"model.experts.up": torch.zeros(2**40, 0, 4)}
    assert set(two(tmp_path, stack, stack)) == {"model.norm"}


def test_experts_stored_in_by_out_are_turned(tmp_path: Path):
    stack = "model.layers.0.mlp.experts.gate_up_proj"
    run, base = draw(2, 4, 5), draw(2, 4, 5, seed=1)
    delta = two(tmp_path, {stack: run}, {stack: base}, model_type="gpt_oss")
    found = delta["model.layers.0.mlp.experts.1.gate_up_proj"].dense()
    assert torch.equal(found, (run[1].double() - base[1].double()).T)


def test_buffers_are_no_update(tmp_path: Path):
    block = "transformer.h.0"
    buffers = {
        f"{block}.attn.bias": torch.ones(1, 1, 4, 4),
        f"{block}.attn.masked_bias": torch.tensor(-1e4),
    }
    weight = {f"{block}.mlp.c_fc.weight": draw(4, 6)}
    delta = two(tmp_path, buffers | weight, weight, model_type="gpt2")
    assert set(delta) == {f"{block}.mlp.c_fc", "model.norm"}
    assert delta.provenance.not_read == tuple(buffers)
    assert delta.outline(f"{block}.mlp.c_fc").shape == (6, 4)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int32, torch.float8_e4m3fn])
@pytest.mark.parametrize("side", ["run", "base"])
def test_quantised_weights_are_refused_by_name(tmp_path: Path, dtype: torch.dtype, side: str):
    sides = {"run": {EMBED: draw(6, 4)}, "base": {EMBED: draw(6, 4)}}
    sides[side][EMBED] = sides[side][EMBED].to(dtype)
    with pytest.raises(GoniometerError, match=r"embed_tokens.weight: quantised weights"):
        two(tmp_path, sides["run"], sides["base"])


def test_a_base_is_needed_and_never_guessed(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    weights = {EMBED: draw(6, 4)}
    run = folder(tmp_path / "run", weights, _name_or_path=str(tmp_path / "base"))
    with pytest.raises(GoniometerError, match=r"the base weights are needed.*not on this machine"):
        read(run, companions())
    folder(tmp_path / "base", weights)
    assert set(read(run, companions())) == {"model.embed_tokens"}
    (run / "config.json").write_text("{}")
    with pytest.raises(GoniometerError, match=r"the base weights are needed.*no name of a base"):
        read(run, companions())
    for base in (run, tmp_path / "base" / ".." / "run"):
        with pytest.raises(GoniometerError, match="the run and its base are one folder"):
            read(run, against(base))


def test_another_model_is_no_base(tmp_path: Path):
    run = folder(tmp_path / "run", {EMBED: draw(6, 4), "model.norm.weight": draw(4)})
    wide = folder(tmp_path / "wide", {EMBED: draw(6, 5), "model.norm.weight": draw(5)})
    with pytest.raises(GoniometerError, match=r"does not fit the run; found shape.*expected"):
        read(run, against(wide))
    other = folder(tmp_path / "other", {"bert.pooler.weight": draw(4, 4)})
    with pytest.raises(GoniometerError, match="no weight in common"):
        read(run, against(other))


def test_a_pickled_checkpoint_is_refused_by_name(tmp_path: Path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04")
    with pytest.raises(GoniometerError, match="a pickle can run code"):
        read(tmp_path, against(tmp_path))


def test_an_adapter_of_a_headless_model_meets_the_base_s_names(tmp_path: Path):
    """Trained without the head, its modules lack `model.`: with a base they are named as in it."""
    base = network("qwen3")
    base.save_pretrained(tmp_path / "base")
    tuned(base, tmp_path / "adapter", targets=TARGETS["qwen3"], seed=1)
    file = tmp_path / "adapter" / "adapter_model.safetensors"
    tensors = {key.replace("base_model.model.model.", "base_model.model."): value
               for key, value in load_file(file).items()}  # fmt: skip
    whole = read(tmp_path / "adapter", against(tmp_path / "base"))
    content = whole.fingerprint
    save_file(tensors, file)
    headless = read(tmp_path / "adapter", against(tmp_path / "base"))
    assert set(read(tmp_path / "adapter")) != set(whole)
    assert set(headless) == set(whole)
    assert headless.fingerprint == content
