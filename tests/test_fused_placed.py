"""Updates of q, k and v run in a network that has one module for them, of whichever layout."""

from pathlib import Path

import pytest
import torch

import goniometer
from goniometer.behaviour.covariance import input_nulls
from goniometer.deltas import BaseModel, Companions, Delta, Dense, LowRank, Provenance, read
from goniometer.deltas.joined import join
from goniometer.errors import GoniometerError
from goniometer.model import LanguageModel, is_low_rank, perturbed, require_fit, same_inputs
from goniometer.rollouts import Rollout, RolloutSet, sources
from goniometer.tasks import Correct
from tests.test_peft_fused import MODELS, save
from tests.tiny_model import tiny_tokenizer

TOKENS = torch.tensor([[3, 4, 5, 6, 7], [8, 9, 2, 30, 39]])
ROWS = {"q": (range(2), range(6, 8)), "k": (range(2, 4),), "v": (range(4, 6),)}


def logits(network):
    with torch.no_grad():
        return network.eval()(input_ids=TOKENS).logits


def run(network, delta, factors, *, in_flight=False):
    coefficients = torch.tensor(factors, dtype=torch.float64)[:, None]
    with perturbed(network, [delta], coefficients, in_flight=in_flight):
        return logits(network)


@pytest.mark.parametrize("options", [{}, {"use_dora": True}], ids=["lora", "dora"])
@pytest.mark.parametrize("kind", MODELS)
def test_parts_of_an_adapter_run_as_the_whole_that_peft_merged(
    tmp_path: Path, kind: str, options: dict
):
    base, merged, target = save(kind, tmp_path, **options)
    delta = read(tmp_path / "run", Companions(BaseModel(tmp_path / "base")))
    require_fit(base, "run", delta)
    assert is_low_rank(base, delta) is not bool(options)
    plain, expected = logits(base), logits(merged)
    assert float((plain - expected).abs().max()) > 1e-3
    for in_flight in (False, True):
        torch.testing.assert_close(run(base, delta, [1.0], in_flight=in_flight), expected)
    torch.testing.assert_close(run(base, delta, [0.0, 1.0]), torch.stack([plain[0], expected[1]]))
    assert torch.equal(logits(base), plain)
    part = next(name for name in delta if name.endswith(f"{target}.k"))
    wrong = Delta({part: Dense(torch.ones(5, 24))}, Provenance("a run", "made here"))
    with pytest.raises(GoniometerError, match=rf"^run: .*{target}\.k: .*\(5, 24\), expected \(\d+"):
        require_fit(base, "run", wrong)


@pytest.mark.parametrize("kind", MODELS)
def test_every_weight_and_bias_of_a_checkpoint_runs(tmp_path: Path, kind: str):
    base, merged, _ = save(kind, tmp_path)
    generator = torch.Generator().manual_seed(5)
    for parameter in merged.parameters():
        change = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
        parameter.data = parameter.data + change / 10
    merged.save_pretrained(tmp_path / "full")
    delta = read(tmp_path / "full", Companions(BaseModel(tmp_path / "base")))
    assert any(name.endswith(".q") for name in delta)
    require_fit(base, "full", delta)
    for in_flight in (False, True):
        found = run(base, delta, [1.0], in_flight=in_flight)
        torch.testing.assert_close(found, logits(merged))


def parts(inputs, scales=(1.0, 2.0, 0.5)):
    generator = torch.Generator().manual_seed(1)
    found = {}
    for (name, ranges), scale, seed in zip(ROWS.items(), scales, inputs, strict=True):
        A = torch.randn(2, 3, generator=torch.Generator().manual_seed(seed))
        B = torch.randn(sum(map(len, ranges)), 2, generator=generator)
        found[name] = LowRank(B, A, scale)
    return found


@pytest.mark.parametrize(("inputs", "rank"), [((1, 1, 1), 2), ((1, 2, 3), 6)])
def test_joined_parts_are_the_whole_and_low_rank_where_they_are(inputs, rank):
    lora = parts(inputs)
    expected = torch.zeros(8, 3, dtype=torch.float64)
    for name, ranges in ROWS.items():
        expected[[row for taken in ranges for row in taken]] = lora[name].dense()
    joined = join([(ROWS[name], lora[name]) for name in ROWS], (8, 3))
    assert isinstance(joined, LowRank)
    assert joined.rank == rank
    torch.testing.assert_close(joined.dense(), expected)
    dense = join([(ROWS[name], Dense(lora[name].dense())) for name in ROWS], (8, 3))
    for start in range(8):
        for stop in range(start, 8):
            torch.testing.assert_close(dense.rows(start, stop), expected[start:stop])
    torch.testing.assert_close(dense.scaled(-2.0).dense(), -2 * expected)


def test_what_no_part_has_is_zero():
    for k in (parts((1, 1, 1))["k"], Dense(torch.ones(2, 3))):
        found = join([(ROWS["k"], k)], (8, 3)).dense()
        torch.testing.assert_close(found[2:4], k.dense())
        assert float(found.abs().sum()) == float(found[2:4].abs().sum()) > 0


@pytest.fixture
def phi3(tmp_path: Path) -> tuple[Path, LanguageModel]:
    base, _, _ = save("phi3", tmp_path)
    model = LanguageModel(base.eval(), tiny_tokenizer(40), "tiny")
    model.save(tmp_path / "base")
    return tmp_path, model


def test_parts_have_nulls_of_what_their_module_is_given(phi3):
    home, model = phi3
    delta = read(home / "run", Companions(BaseModel(home / "base")))
    whole = "model.layers.0.self_attn.qkv_proj"
    assert same_inputs(model, list(delta)) == dict.fromkeys(delta, whole)
    texts = [((3, 4, 5 + i), (6, 7, 8, 9)) for i in range(6)]
    found = input_nulls(model, {"a": delta, "b": delta}, texts, k=1, draws=10)
    assert [null.module for null in found.modules] == [f"{whole}.{part}" for part in "kqv"]


def test_compare_with_a_model_takes_adapters_of_a_fused_projection(phi3):
    home, model = phi3
    rows = []
    for i in range(4):
        text = f"w{10 + i}w{20 + i}w30"
        prompt, tokens = model.encode_prompt(f"w{5 + i}w6w7"), model.encode_completion(text)
        rows.append(Rollout(f"p{i}", prompt, tokens, text, None, Correct(), False))
    sources.save(RolloutSet(tuple(rows)), home / "rollouts.parquet")
    found = goniometer.compare(
        {"a": home / "run", "b": home / "run"},
        base=home / "base", data=home / "rollouts.parquet",
        positions=3, base_measures=False, draws=4,
    )  # fmt: skip
    told = found.results.behaviour
    one, other, between = told.connectivity.segments
    assert one.loss == other.loss
    assert one.loss[-1] != pytest.approx(told.connectivity.base_loss, rel=1e-4)
    assert between.loss == pytest.approx([one.loss[-1]] * 3)
    assert len(told.similarity.input_nulls.modules) == 3
