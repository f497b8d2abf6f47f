"""Paths between runs: against merged copies, with a barrier and a flat way planted."""

from collections import Counter
from dataclasses import replace

import numpy as np
import peft
import pytest
import torch

from goniometer.behaviour import losses as losses_module
from goniometer.behaviour.connectivity import connectivity, connectivity_of
from goniometer.behaviour.interval import humps, interval, resampled, turns
from goniometer.behaviour.losses import losses_at
from goniometer.behaviour.points import Paths, along, point, points_of
from goniometer.behaviour.survey import Greedy, survey, work
from goniometer.behaviour.texts import ReferenceTexts, Texts, bare_answers
from goniometer.config import Evaluation
from goniometer.deltas import BaseModel, Companions, Dense, read
from goniometer.errors import GoniometerError
from goniometer.results import Connectivity
from goniometer.rollouts import RolloutSet
from tests.checkpoints import nudged
from tests.parity_task import Parity
from tests.paths import (
    delta_of,
    difference,
    lora,
    merged_nll,
    permuted_solutions,
    problems,
    texts,
)
from tests.tiny_model import tiny_model, tiny_network

POINTS = [point(at) for at in ({}, {"a": 1}, {"a": 0.3, "b": 0.7}, {"a": 1, "b": 1}, {"b": -0.5})]


@pytest.fixture(scope="module")
def planted():
    model, runs = permuted_solutions()
    found = connectivity(model, runs, texts(model), draws=400)
    return {(segment.start, segment.end): segment for segment in found.segments}


@pytest.fixture(scope="module")
def three():
    model = tiny_model()
    runs = {name: lora(model, seed) for seed, name in enumerate("abc")}
    return model, runs, survey(model, runs, texts(model), Paths(draws=300))


def dora(folder, network):
    network.save_pretrained(folder / "base")
    config = peft.LoraConfig(r=3, use_dora=True, target_modules=["q_proj", "down_proj"])
    adapted = peft.get_peft_model(tiny_network(), config)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_" in name:
                weight.copy_(torch.randn(weight.shape, generator=generator) / 4)
    adapted.save_pretrained(folder / "dora")
    return read(folder / "dora", Companions(base=BaseModel(folder / "base")))


@pytest.mark.parametrize("kind", ["lora", "dora", "full"])
@pytest.mark.parametrize("batch_tokens", [1, 50, 4096])
@pytest.mark.parametrize("apart", [False, True])
def test_losses_at_points_are_those_of_merged_copies(
    tmp_path, monkeypatch, kind, batch_tokens, apart
):
    monkeypatch.setattr(losses_module, "_merging_pays", lambda *_: apart)
    model = tiny_model()
    other = {
        "lora": lambda: lora(model, 1),
        "dora": lambda: dora(tmp_path, model.network),
        "full": lambda: difference(nudged(model.network, 1, 0.1), model.network),
    }[kind]()
    runs, given = {"a": lora(model, 0), "b": other}, texts(model).texts
    rows: list[int] = []
    found = losses_at(model, runs, POINTS, given, batch_tokens=batch_tokens, advance=rows.append)
    for where in POINTS:
        merged = merged_nll(model, runs, where, given)
        np.testing.assert_allclose(found.sums[where], merged, rtol=1e-5)
        expected = sum(merged) / sum(map(len, given.completions))
        assert found.at(where) == pytest.approx(expected, rel=1e-5)
    assert sum(rows) == len(POINTS) * len(given.items)


def test_low_rank_runs_share_batches_and_no_batch_is_over_its_size(monkeypatch):
    model = tiny_model()
    runs, given = {"a": lora(model, 0), "b": lora(model, 1)}, texts(model).texts
    batches = []

    def counted(network, prompts, completions, pad_token, **more):
        batches.append([len(p) + len(c) for p, c in zip(prompts, completions, strict=True)])
        return scored(network, prompts, completions, pad_token, **more)

    scored = losses_module.token_logprobs
    monkeypatch.setattr(losses_module, "token_logprobs", counted)
    monkeypatch.setattr(losses_module, "_merging_pays", lambda *_: False)
    losses_at(model, runs, along("a", "b", 11), given, batch_tokens=90)
    assert all(len(batch) * max(batch) <= 90 for batch in batches)
    assert len(batches) < 11 * len(given.items) / 4


def test_texts_of_one_problem_are_one_item():
    model = tiny_model()
    one = texts(model, 4).texts
    joined = replace(one, items=("p", "q", "p", "q"))
    apart, together = (losses_at(model, {}, [()], given) for given in (one, joined))
    np.testing.assert_allclose(together.sums[()], apart.sums[()].reshape(2, 2).sum(0))
    assert together.items == ("p", "q")
    assert together.at(()) == pytest.approx(apart.at(()))
    assert list(together.tokens) == [len(one.completions[i]) + len(one.completions[i + 2])
                                     for i in range(2)]  # fmt: skip


def test_a_planted_barrier_is_found(planted):
    segment = planted["trained", "permuted"]
    assert segment.loss[0] == pytest.approx(segment.loss[-1], abs=1e-9)
    assert segment.midpoint_low > 0.1
    assert segment.barrier.value >= segment.midpoint.value
    assert 0.2 < segment.barrier_at < 0.8
    assert segment.monotone is False
    # A hump between equal ends is the barrier, and surely no lower in 95 % of the draws.
    assert segment.hump == pytest.approx(segment.barrier.value, abs=1e-9)
    assert segment.hump_high > segment.hump


def test_a_hump_is_above_the_least_before_and_the_least_after():
    paths = np.array([[0.0, 2, 1, 3, 1], [3, 2, 1, 2, 3], [1, 2, 3, 4, 5], [2, 5, 0, 1, 0]])
    slow = [
        max(v - max(min(path[: i + 1]), min(path[i:])) for i, v in enumerate(path))
        for path in paths.tolist()
    ]
    assert humps(paths).tolist() == slow == [2.0, 0.0, 0.0, 3.0]


def test_a_planted_flat_way_is_flat(planted):
    segment = planted["trained", "larger keys"]
    assert max(segment.loss) - min(segment.loss) < 1e-3
    assert segment.barrier.value < 1e-3
    assert abs(segment.midpoint.value) < 1e-3
    assert segment.low[5] < segment.loss[5] < segment.high[5]


def test_segments_run_from_the_base_and_between_all_runs_on_shared_points(three):
    model, runs, found = three
    read = connectivity_of(found)
    ends = [(segment.start, segment.end) for segment in read.segments]
    assert ends == [*(("base", run) for run in "abc"), ("a", "b"), ("a", "c"), ("b", "c")]
    by_start = Counter(s.loss[0] for s in read.segments)
    assert by_start[read.base_loss] == 3
    for segment in read.segments:
        assert segment.positions == pytest.approx([k / 10 for k in range(11)])
        at = {s.end: s.loss[-1] for s in read.segments if s.start == "base"}
        assert segment.loss[-1] == at[segment.end]
        x, loss = np.array(segment.positions), np.array(segment.loss)
        above = loss - (1 - x) * loss[0] - x * loss[-1]
        assert segment.barrier.value == pytest.approx(max(0, above.max()), abs=1e-12)
        assert segment.midpoint.value == pytest.approx(above[5])
        assert segment.midpoint_low < segment.midpoint.value < segment.midpoint_high
    assert len(found.losses.sums) == 6 * 9 + 4 + 3 == len(points_of("abc", Paths()))
    assert work("abc", found.texts) == len(found.losses.sums) * 6
    assert Connectivity.model_validate_json(read.model_dump_json()) == read
    assert connectivity(model, runs, found.texts, draws=300) == read


def test_the_bootstrap_is_a_plain_loop_over_the_same_items():
    rng = np.random.default_rng(1)
    sums, tokens = rng.exponential(size=(3, 7)), rng.integers(1, 9, 7)
    drawn = resampled(sums, tokens, 50, seed=3)
    generator = np.random.default_rng(3)
    for draw in drawn:
        counts = generator.multinomial(7, np.full(7, 1 / 7))
        items = [i for i in range(7) for _ in range(counts[i])]
        for at, value in enumerate(draw):
            expected = sum(sums[at, i] for i in items) / sum(tokens[i] for i in items)
            assert value == pytest.approx(expected, rel=1e-12)
    sums[1, 2] = np.inf
    assert np.isnan(resampled(sums, tokens, 5, 3)[:, 1]).all()
    assert (resampled(sums, tokens, 5, 3)[:, 2] == drawn[:5, 2]).all()
    assert interval(drawn[:, 0], 1) == interval(np.array([np.nan]), 7) == (None, None)


def test_the_bootstrap_s_error_is_that_of_a_ratio():
    rng = np.random.default_rng(2)
    tokens = rng.integers(5, 50, 300)
    sums = (tokens * rng.exponential(size=300))[None]
    drawn = resampled(sums, tokens, 4000, seed=4)[:, 0]
    # The delta method's (Cochran 1977, section 6.4).
    residual = sums[0] - tokens * sums.sum() / tokens.sum()
    assert drawn.std() == pytest.approx(np.sqrt((residual**2).sum()) / tokens.sum(), rel=0.05)


def test_a_turn_is_told_from_noise():
    noise = np.random.default_rng(0).normal(scale=0.1, size=(2000, 11))
    line, hill = np.linspace(0, 5, 11), 5 - np.abs(np.linspace(-5, 5, 11))
    assert turns(hill, hill + noise)
    assert not turns(line, line + noise)
    wavering = line * 0 + np.resize([0.0, 0.1], 11)  # within what the draws vary by
    assert not turns(wavering, wavering + noise)


def test_a_loss_that_is_not_finite_is_said_so(three):
    _, _, found = three
    middle = point({"a": 0.5, "b": 0.5})
    sums = {at: v * (np.inf if at == middle else 1) for at, v in found.losses.sums.items()}
    broken = replace(found, losses=replace(found.losses, sums=sums))
    segment = next(s for s in connectivity_of(broken).segments if (s.start, s.end) == ("a", "b"))
    assert segment.loss[5] is segment.low[5] is segment.midpoint_low is segment.monotone is None
    assert segment.barrier.undefined == "the loss is not finite at x = 0.5"
    assert segment.midpoint.undefined


def test_bare_answers_and_greedy_accuracy_on_demand():
    model, runs = tiny_model(), {"a": lora(tiny_model(), 0)}
    asked = Parity().problems("test", 4, 0)
    bare = replace(texts(model).texts, completions=tuple((5,) for _ in range(6)))
    greedy = Greedy(Parity(), asked, Evaluation(max_new_tokens=2))
    done: list[int] = []
    given, settings = texts(model), Paths(positions=3, draws=50)
    found = survey(model, runs, given, settings, bare=bare, greedy=greedy, advance=done.append)
    (segment,) = connectivity_of(found).segments
    merged = [sum(merged_nll(model, runs, at, bare)) / 6 for at in along("base", "a", 3)]
    np.testing.assert_allclose(segment.bare_answer, merged, rtol=1e-5)
    assert all(0 <= share <= 1 for share in segment.accuracy)
    assert len(segment.accuracy) == 3
    assert sum(done) == work("a", given, settings, bare=bare, greedy=greedy)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda m: ReferenceTexts.of_problems(m, []), "no problem has a reference solution; f"),
        (lambda m: ReferenceTexts.of_rollouts(RolloutSet(())), "no rollout is right; found 0 of 0"),
        (lambda m: Texts((), (), ()), "there are no texts"),
        (lambda m: Texts(("p",), ((1,),), ((),)), "p: a completion has no tokens"),
        (lambda m: bare_answers(m, problems(1)), r"cannot write a bare answer; found .*boxed.5"),
        (lambda m: Paths(positions=10), "no midpoint .* found 10"),
        (lambda m: survey(m, {}, texts(m)), "there are no runs"),
        (lambda m: survey(m, {"base": lora(m, 0)}, texts(m)), "base: a run has the name"),
        (
            lambda m: survey(m, {"a": lora(m, 0), "b": delta_of(
                {"model.layers.1.mlp.up_proj": Dense(torch.ones(2, 3))})}, texts(m)),
            r"b: model.layers.1.mlp.up_proj: .*shape \(2, 3\), expected \(24, 16\)",
        ),
        (
            lambda m: losses_at(m, {}, [()], Texts(("p",), ((1,),), ((80,),))),
            "a token id that the base does not have; found 80, expected below 80",
        ),
        (
            lambda m: losses_at(m, {}, [()], Texts(("p",), ((1,),), ((3,) * 64,))),
            "p: a text is too long for the base; found 65 tokens, expected at most 64",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_measured_is_refused(make, message):
    with pytest.raises(GoniometerError, match=message):
        make(tiny_model())
