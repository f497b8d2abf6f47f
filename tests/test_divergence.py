"""Forward KL from the base against a slow twin; updates rescaled to another's norm or KL."""

import math

import pytest
import torch

from goniometer.behaviour import divergence
from goniometer.behaviour.divergence import Divergences, base_texts, forward_kl, forward_kls
from goniometer.behaviour.matched import TOLERANCE, factor_by_kl, factor_by_norm, norm
from goniometer.behaviour.placed import Placed
from goniometer.config import Divergence
from goniometer.deltas import LowRank
from goniometer.results import Reading
from goniometer.tasks import Problem
from tests.checkpoints import nudged
from tests.paths import delta_of, difference, lora, moved_within_blocks
from tests.tiny_model import END, tiny_model

WORDS = 12
PROBLEMS = tuple(Problem(f"w{4 + i} w{11 - i}" + " w5" * i, "", "") for i in range(6))
SETTINGS = Divergence(prompts=6, max_new_tokens=9)


def texts_of(model, seed=0):
    return base_texts(
        model, PROBLEMS, SETTINGS, seed=seed, batch_size=4, advance=lambda count: None
    )


def update(size=1.0):
    generator = torch.Generator().manual_seed(1)
    B = torch.randn(32, 2, generator=generator, dtype=torch.float64)
    A = torch.randn(2, 16, generator=generator, dtype=torch.float64)
    return {
        f"model.layers.{layer}.self_attn.q_proj": LowRank(B + layer, A, size / 10)
        for layer in (0, 1)
    }


def slow_kl(model, delta, text):
    """One text at a time, all in float64, with the update merged into a second model."""
    merged = tiny_model(words=WORDS)
    with torch.no_grad():
        for name, matrix in delta.items():
            merged.network.get_submodule(name).weight += matrix.dense()
    prompt, completion = text
    tokens = torch.tensor([[*prompt, *completion]])
    with torch.no_grad():
        logs = [m.network(input_ids=tokens).logits[0].log_softmax(1) for m in (model, merged)]
    total = 0.0
    for t in range(len(completion)):
        p, q = (log[len(prompt) + t - 1] for log in logs)
        total += sum(math.exp(p[v]) * float(p[v] - q[v]) for v in range(len(p)))
    return total


@pytest.mark.parametrize("chunk", [1, 12 * 20, 2**22])
def test_forward_kl_is_that_of_the_slow_twin(chunk):
    model, counted = tiny_model(words=WORDS), []
    texts = texts_of(model)
    assert len({len(completion) for _, completion in texts}) > 1
    found = forward_kl(Placed(model, update()), texts, advance=counted.append, chunk=chunk)
    slow = [slow_kl(model, update(), text) for text in texts]
    assert found.values == pytest.approx(slow, rel=1e-9)
    assert min(slow) > 1e-6
    assert sum(counted) == len(texts)
    assert found.mean.value == pytest.approx(sum(slow) / 6)
    deviation = torch.tensor(slow, dtype=torch.float64).std().item()
    assert found.error == pytest.approx(deviation / 6**0.5)


def test_runs_measured_together_have_the_bits_of_each_alone_and_one_reading_of_the_base(
    monkeypatch,
):
    model = tiny_model(words=WORDS, dtype=torch.float32)
    monkeypatch.setattr(divergence, "CHUNK", 12 * 20)
    texts, counted, forwards = texts_of(model), [], []
    runs = {name: lora(model, seed) for seed, name in enumerate("abc")}
    alone = {
        run: forward_kl(Placed(model, delta), texts, chunk=divergence.CHUNK)
        for run, delta in runs.items()
    }
    model.network.register_forward_hook(lambda *_: forwards.append(1))
    found = forward_kls(model, runs, texts, advance=counted.append)
    assert found == alone
    assert [*found] == ["a", "b", "c"]
    assert len({kl.values for kl in found.values()}) == 3
    assert sum(counted) == 3 * len(texts)
    assert len(forwards) * 3 == 4 * len(counted)
    assert len(counted) > 3


def test_whole_updates_have_fewer_batches_and_move_one_weight_at_a_time(monkeypatch):
    model = tiny_model(words=WORDS)
    whole = difference(nudged(model.network, 1, 0.1), model.network)
    mixed = delta_of({**lora(model, 0), "model.norm": whole["model.norm"]})
    runs, texts = {"low rank": lora(model, 0), "whole": whole, "mixed": mixed}, texts_of(model)
    alone = {run: forward_kl(Placed(model, delta), texts).values for run, delta in runs.items()}
    monkeypatch.setattr(divergence, "CHUNK", 12 * 20)
    monkeypatch.setattr(divergence, "WEIGHTS_A_LOGIT", 1)
    counted, moved = [], moved_within_blocks(model)
    found = forward_kls(model, runs, texts, advance=counted.append)
    assert [*found] == [*runs]
    for run, kl in found.items():
        assert kl.values == pytest.approx(alone[run], rel=1e-9), run
    assert set(moved) == {0}
    assert counted.count(len(texts)) == 2
    assert sum(counted) == 3 * len(texts)


def test_in_flight_an_update_of_low_rank_has_the_bits_of_its_hooks():
    model = tiny_model(words=WORDS, dtype=torch.float32)
    placed, tokens = Placed(model, lora(model, 0)), torch.tensor([[3, 4, 5, 6, 7, 8, 9]])
    found = []
    for in_flight in (False, True):
        with placed.running(in_flight=in_flight):
            found.append(model.network(input_ids=tokens).logits)
    assert torch.equal(*found)
    assert not torch.equal(found[0], model.network(input_ids=tokens).logits)


def test_the_base_does_not_diverge_from_itself():
    model = tiny_model(words=WORDS)
    assert forward_kl(Placed(model), texts_of(model)).values == (0.0,) * 6
    assert forward_kl(Placed(model, update(), 0.0), texts_of(model)).values == (0.0,) * 6


def test_the_base_writes_its_texts_once_and_by_its_seed():
    model = tiny_model(words=WORDS)
    texts = texts_of(model)
    assert texts == texts_of(model) != texts_of(model, seed=1)
    assert [prompt for prompt, _ in texts] == [model.encode_prompt(p.question) for p in PROBLEMS]
    assert all(len(c) == 9 or c[-1] == END for _, c in texts)


def test_a_run_without_finite_log_probs_has_no_kl(tmp_path):
    found = Divergences((1.0, math.nan))
    assert found.mean.undefined == "the run gives no finite KL"
    assert found.error is None
    Divergences((0.1, 0.2)).save(tmp_path / "kl.json")
    assert Divergences.read(tmp_path / "kl.json").values == (0.1, 0.2)


# Matched sizes


def test_a_factor_makes_norms_equal():
    small, large = update(), update(3.0)
    stacked = torch.cat([m.dense().flatten() for m in large.values()])
    assert norm(large) == pytest.approx(stacked.norm().item())
    assert factor_by_norm(norm(small), norm(large)).value == pytest.approx(3.0)
    assert factor_by_norm(0.0, 1.0).undefined == "a zero delta stays one"
    assert factor_by_norm(1.0, 0.0).undefined == "the update to be matched is zero"


def test_a_factor_is_found_that_has_the_kl_of_another_run():
    model = tiny_model(words=WORDS)
    texts = texts_of(model)

    def kl_at(factor):
        return forward_kl(Placed(model, update(), factor), texts).mean.value

    target = forward_kl(Placed(model, update(2.5)), texts).mean
    factor = factor_by_kl(kl_at, target)
    assert kl_at(factor.value) == pytest.approx(target.value, rel=TOLERANCE)
    assert factor.value == pytest.approx(2.5, rel=0.05)


@pytest.mark.parametrize("target", [1e-4, 0.3, 1.0, 2000.0])
def test_bisection_ends_on_the_target(target):
    found = factor_by_kl(lambda x: x**2 / (1 + x / 50), Reading(value=target)).value
    assert found**2 / (1 + found / 50) == pytest.approx(target, rel=TOLERANCE)


def test_what_cannot_be_matched_says_why():
    def jump(factor):
        return 0.1 if factor < 1.5 else 9.0

    def bounded(factor):
        return 1 - math.exp(-factor)

    said = [
        factor_by_kl(jump, Reading(value=1.0)),
        factor_by_kl(bounded, Reading(value=2.0)),
        factor_by_kl(lambda _: 0.0, Reading(value=1.0)),
        factor_by_kl(lambda _: math.nan, Reading(value=1.0)),
        factor_by_kl(bounded, Reading(undefined="not measured")),
    ]
    assert [reading.undefined for reading in said] == [
        "KL jumps past 1 at a factor of 1.5",
        "no factor from 0.015625 to 64 gives a KL of 2",
        "the update has no KL of its own, or none that is finite",
        "the update has no KL of its own, or none that is finite",
        "not measured",
    ]
    # Beyond some factor the network overflows: the factor lies before it.
    found = factor_by_kl(lambda x: x**2 if x < 2.2 else math.nan, Reading(value=4.0))
    assert found.value == pytest.approx(2.0, rel=0.01)
