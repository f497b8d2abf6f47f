"""What comes before the loss: runs by length, mismatched completions, completions just sampled;
and what comes out beside it: histograms of gradient coefficients."""

import itertools
import math
import random

import pytest
import torch

from goniometer.errors import GoniometerError
from goniometer.model import token_logprobs
from goniometer.objectives import build
from goniometer.objectives.coefficients import gradient_coefficients
from goniometer.objectives.dft import DFT
from goniometer.objectives.dpo import DPO
from goniometer.objectives.kto import KTO
from goniometer.objectives.online_grpo import OnlineGRPO
from goniometer.objectives.rift import RIFT
from goniometer.objectives.sft import SFT
from goniometer.training import attach, precompute
from goniometer.training.batches import Batches
from goniometer.training.buckets import buckets
from goniometer.training.histogram import EDGES, Counts, first_and_last
from goniometer.training.loop import data_order
from goniometer.training.sampled import FreshBatches
from tests.parity_task import Parity, make_sampler
from tests.rollouts_factory import GROUPS, make_rollouts
from tests.training_runs import (
    ADAPTER,
    PAD,
    ROLLOUTS,
    SETTINGS,
    equal,
    make_model,
    make_network,
    run,
    train_on,
    weights_of,
)

# Runs by length


@pytest.mark.parametrize("run_cost", [0, 3, 20, 1000])
def test_runs_cost_no_more_than_any_split_of_the_sorted_rows(run_cost):
    rng = random.Random(run_cost)
    lengths = [rng.randint(1, 30) for _ in range(9)]

    def cost(runs):
        return sum(len(run) * max(run) + run_cost for run in runs)

    ordered, best = sorted(lengths), math.inf
    for count in range(9):
        for cuts in itertools.combinations(range(1, 9), count):
            ends = (0, *cuts, 9)
            best = min(best, cost([ordered[a:b] for a, b in itertools.pairwise(ends)]))
    found = buckets(lengths, run_cost)
    assert sorted(itertools.chain(*found)) == list(range(9))
    assert cost([[lengths[row] for row in run] for run in found]) == best


def test_runs_by_length_change_nothing_but_padding(monkeypatch):
    def trained(cost):
        monkeypatch.setattr("goniometer.training.batches.RUN_COST", {"cpu": cost})
        return run(DPO())

    (one, a), (many, b) = trained(10**6), trained(0)
    assert one.losses == pytest.approx(many.losses, rel=1e-10)
    assert one.gradient_norms == pytest.approx(many.gradient_norms, rel=1e-10)
    for name, weight in a.items():
        torch.testing.assert_close(weight, b[name], rtol=1e-9, atol=1e-12)


def test_a_row_of_two_pairs_is_run_once(monkeypatch):
    scored = []

    def counting(network, prompts, completions, pad_token):
        scored.extend(zip(prompts, completions, strict=True))
        return token_logprobs(network, prompts, completions, pad_token)

    monkeypatch.setattr("goniometer.training.batches.token_logprobs", counting)
    rollouts = make_rollouts(["+---"])
    network, objective = make_network(), DPO(pairs_per_prompt=3)
    columns = precompute(make_model(network), rollouts, {"reference"})
    found = Batches(rollouts, objective.select(rollouts), columns, PAD).score(network, [0])
    assert len(found.batch.logprobs) == 6
    assert len(scored) == len(set(scored)) == 4


# Mismatched completions


def test_mismatched_is_the_log_ratio_of_the_next_prompts_first_completion():
    network = make_network()
    model = make_model(network)
    columns = precompute(model, ROLLOUTS, KTO().needs)
    adapted = attach(network, ADAPTER, seed=1)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.fill_(0.05)
    batches = Batches(ROLLOUTS, KTO().select(ROLLOUTS), columns, PAD)
    prompts = [5, 15, 0]
    found = batches.mismatched(adapted, prompts)
    assert not found.requires_grad
    first = [ROLLOUTS.rows[rows[0]] for _, rows in ROLLOUTS.groups()]
    for prompt, value in zip(prompts, found.tolist(), strict=True):
        text = [first[prompt].prompt_tokens], [first[(prompt + 1) % 16].completion_tokens]
        tuned = token_logprobs(adapted, *text, PAD)[0].sum().item()
        with adapted.disable_adapter():
            base = token_logprobs(adapted, *text, PAD)[0].sum().item()
        assert value == pytest.approx(tuned - base, rel=1e-6)
        assert abs(value) > 1e-4
    # Only prompts that have examples: of prompt 6 all rows are ungraded.
    assert len(batches.mismatched(adapted, [6, 5])) == 1
    assert Batches(ROLLOUTS, SFT().select(ROLLOUTS), {}, PAD).mismatched(adapted, [5]) is None


def test_a_lone_prompt_has_no_mismatch():
    with pytest.raises(GoniometerError, match="a mismatched completion is another prompt's"):
        precompute(make_model(make_network()), make_rollouts(["+-"]), {"mismatched"})


# Completions just sampled


def fresh(objective=None, rollouts=ROLLOUTS, seed=2):
    model = make_model(make_network())
    source = FreshBatches(
        objective or OnlineGRPO(group_size=3), rollouts, make_sampler(model, rollouts), PAD, seed
    )
    return source, model.network


def test_a_group_is_sampled_graded_and_scored_for_each_prompt_of_the_step():
    source, network = fresh()
    batches, places = source.at(network, 0, [3, 0])
    rows = batches.rollouts.rows
    assert list(places) == [0, 1]
    assert [row.problem_id for row in rows] == ["p3"] * 3 + ["p0"] * 3
    prompt_of = {row.problem_id: row.prompt_tokens for row in ROLLOUTS.rows}
    for row in rows:
        assert row.prompt_tokens == prompt_of[row.problem_id]
        assert row.grade == Parity().grade(None, row.text, truncated=row.truncated)
        alone, _ = token_logprobs(network, [row.prompt_tokens], [row.completion_tokens], PAD)
        assert row.logprobs == pytest.approx(alone[0].tolist(), rel=1e-6)
    assert batches.columns["behaviour"] == [row.logprobs for row in rows]
    assert {row.correct for row in rows} == {True, False}


def test_draws_follow_order_seed_step_and_network():
    def texts(seed=2, step=0, bent=False):
        source, network = fresh(seed=seed)
        if bent:
            with torch.no_grad():
                network.model.norm.weight.mul_(3)
        return [r.completion_tokens for r in source.at(network, step, [3, 0])[0].rollouts.rows]

    assert texts() == texts()
    others = [texts(seed=3), texts(step=1), texts(bent=True)]
    assert all(other != texts() for other in others)


def test_at_sampling_the_ratio_is_one_and_the_reference_is_the_base():
    record, _ = run(OnlineGRPO(kl=0.5), steps=3, prompts_per_step=8)
    plain, _ = run(OnlineGRPO(), steps=3, prompts_per_step=8)
    # The first step is at the base: no penalty, and the loss is minus the sum of the advantages.
    assert record.losses[0] == pytest.approx(plain.losses[0], abs=1e-12)
    assert record.losses[2] != plain.losses[2]


def test_a_step_raises_what_was_rewarded_and_lowers_what_was_not():
    objective = OnlineGRPO(group_size=8)
    source, network = fresh(objective)
    (prompts,) = data_order(16, SETTINGS.model_copy(update={"steps": 1}), seed=2)
    batches, places = source.at(network, 0, prompts)  # as the loop's, by the same seeds
    before = batches.score(network, places).log()
    adapted = attach(network, ADAPTER, seed=1)
    settings = SETTINGS.model_copy(update={"steps": 1, "warm_up": 0.0})
    record = train_on(adapted, objective, settings=settings, sampler=source.sampler)
    assert record.metrics["nll_right"][0] == pytest.approx(before["nll_right"], rel=1e-6)
    after = batches.score(adapted, places).log()
    assert after["nll_right"] < before["nll_right"]
    assert after["nll_wrong"] > before["nll_wrong"]


def test_a_network_that_can_no_longer_be_sampled_from_stops_with_its_last_good_weights():
    source, network = fresh()
    adapted = attach(network, ADAPTER, seed=1)
    before = {n: w.clone() for n, w in adapted.named_parameters()}
    record = train_on(
        adapted, source.objective, sampler=source.sampler, learning_rate=1e300
    )  # finite weights, NaN logits
    assert (record.state, record.steps, len(record.losses)) == ("non-finite", 0, 1)
    assert all(torch.equal(before[n], w) for n, w in adapted.named_parameters())


def test_nan_amid_a_draw_stops_with_its_last_good_weights():
    source, network = fresh()
    adapted = attach(network, ADAPTER, seed=1)
    seen, forwards = [weights_of(adapted)], []

    def nan_from_the_third_of_a_step(module, inputs, output):
        forwards.append(len(seen))
        return output * math.nan if forwards.count(3) > 2 else output

    network.model.norm.register_forward_hook(nan_from_the_third_of_a_step)
    record = train_on(
        adapted, source.objective, sampler=source.sampler,
        on_step=lambda step, loss: seen.append(weights_of(adapted)),
    )  # fmt: skip
    assert (record.state, record.steps, len(record.losses)) == ("non-finite", 1, 2)
    assert equal(weights_of(adapted), seen[1])
    assert forwards.count(3) == 3  # the prompts, a first token, and no draw of a second


def test_a_prompt_whose_problem_is_not_known_is_refused():
    model = make_model(make_network())
    sampler = make_sampler(model, make_rollouts(GROUPS))  # half of the prompts
    with pytest.raises(GoniometerError, match=r"8 prompts have no problem to grade .*'p8'"):
        FreshBatches(OnlineGRPO(), ROLLOUTS, sampler, PAD, 0)


# Histograms


@pytest.mark.parametrize("objective", [DFT(), RIFT(), DPO()], ids=lambda o: o.name)
def test_histograms_count_the_coefficients_of_the_steps_rows(objective):
    network = make_network()
    columns = precompute(make_model(network), ROLLOUTS, objective.needs)
    record, _ = run(objective, steps=1, prompts_per_step=16)
    adapted = attach(network, ADAPTER, seed=1)
    batches = Batches(ROLLOUTS, objective.select(ROLLOUTS), columns, PAD)
    scored = batches.score(adapted, range(16))
    coefficients = gradient_coefficients(objective, scored.batch)
    expected = Counts.of(coefficients, scored.batch.mask, scored.right)
    for found in record.coefficients:
        assert found.right == tuple(expected.right.tolist())
        assert found.wrong == tuple(expected.wrong.tolist())
        assert sum(found.right) == record.metrics["tokens_right"][0]


def test_histograms_are_of_the_first_and_the_last_tenth_of_the_steps_made():
    record, _ = run(SFT(), steps=40, stop_after=20)
    first, last = record.coefficients
    assert [(h.first_step, h.last_step) for h in (first, last)] == [(0, 1), (18, 19)]
    tokens = record.metrics["tokens_wrong"]
    assert sum(first.wrong) == sum(tokens[:2])
    assert sum(last.wrong) == sum(tokens[-2:])


def test_coefficients_of_sft_are_one_and_of_dpo_plus_and_minus():
    (first, _), tokens = run(SFT())[0].coefficients, run(SFT())[0].metrics
    (one,) = [i for i, count in enumerate(first.right) if count]
    assert first.edges[one] < 1 < first.edges[one + 1]
    assert first.right[one] == tokens["tokens_right"][0]
    assert first.wrong[one] == sum(first.wrong) == tokens["tokens_wrong"][0]
    first, _ = run(DPO(beta=0.5))[0].coefficients
    (right,) = [i for i, count in enumerate(first.right) if count]
    (wrong,) = [i for i, count in enumerate(first.wrong) if count]
    assert first.edges[right] < 0.25 < first.edges[right + 1]
    assert first.edges[wrong] < -0.25 < first.edges[wrong + 1]


def test_a_bin_holds_its_lower_edge_and_the_outermost_bins_all_beyond():
    values = [-1e9, *EDGES, 0.0, 1e9]
    mask = torch.tensor([[True] * len(values) + [False]])
    counted = Counts.of(torch.tensor([[*values, 7.0]], dtype=torch.float64), mask,
                        torch.tensor([True]))  # fmt: skip
    (found,) = first_and_last([counted], planned=9)[:1]
    bins = [max(i for i, edge in enumerate(found.edges[:-1]) if edge <= value) for value in values]
    assert all(found.edges[i] <= v < found.edges[i + 1] for i, v in zip(bins, values, strict=True))
    assert found.right == tuple(bins.count(i) for i in range(len(EDGES) - 1))
    assert not any(found.wrong)
    assert all(a < b for a, b in itertools.pairwise(found.edges))
    assert tuple(-edge for edge in reversed(EDGES)) == EDGES


def test_a_run_that_stopped_has_the_histograms_of_the_steps_it_made():
    counts = [Counts.none()] * 7
    spans = [(h.first_step, h.last_step) for h in first_and_last(counts, planned=30)]
    assert spans == [(0, 2), (4, 6)]
    assert first_and_last([], planned=30) == ()
    assert [h.last_step for h in first_and_last(counts[:1], planned=3)] == [0, 0]


def test_micro_batches_do_not_change_a_histogram():
    one, eight = (run(build("dft", {}, "t"), micro_batches=m)[0].coefficients for m in (1, 8))
    assert one == eight
