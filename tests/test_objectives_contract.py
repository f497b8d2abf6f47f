"""What every objective of the table must do, whatever it wants: a newcomer passes this first."""

import dataclasses
from pathlib import Path
from typing import get_args

import pytest
import torch

import goniometer.objectives
from goniometer.objectives import OBJECTIVES, AbstractObjective, Examples, Need, Unit, build
from tests.rollouts_factory import GROUPS, gradient, make_batch, make_rollouts

ROLLOUTS = make_rollouts(GROUPS)
SHARED = {"__init__", "base", "coefficients", "policy_gradient"}  # files that hold no objective
PROMPT_OF = [int(row.problem_id[1:]) for row in ROLLOUTS.rows]


# Every objective as it is by default, and the variants that differ in more than a number.
VARIANTS = {
    "rift-length": ("rift", {"level": "length_normalised"}),
    "rift-sequence": ("rift", {"level": "sequence"}),
    "dpo-length": ("dpo", {"length_normalised": True}),
    "ipo-length": ("ipo", {"length_normalised": True}),
    "grpo-probability": (  # no token is let go and nothing but the advantage pulls
        "offline_grpo",
        {"variant": "probability_weighted", "clip": 0.9999, "kl": 0.0},
    ),
    "grpo-ratio": ("offline_grpo", {"variant": "ratio_clipped"}),
}


@pytest.fixture(params=[*OBJECTIVES, *VARIANTS])
def objective(request) -> AbstractObjective:
    name, options = VARIANTS.get(request.param, (request.param, {}))
    return build(name, options, "test")


def pick(examples: Examples, positions: list[int]) -> Examples:
    return Examples(
        examples.row[positions], examples.coefficient[positions], examples.pair[positions]
    )


def by_prompt(examples: Examples, prompts: set[int]) -> Examples:
    return pick(
        examples, [i for i, r in enumerate(examples.row.tolist()) if PROMPT_OF[r] in prompts]
    )


def test_every_file_of_the_folder_is_in_the_table():
    folder = Path(goniometer.objectives.__file__).parent
    files = {path.stem for path in folder.glob("*.py")} - SHARED
    assert {kind.__module__.rpartition(".")[2] for kind in OBJECTIVES.values()} == files
    assert files == set(OBJECTIVES)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_declares_itself(name):
    kind = OBJECTIVES[name]
    assert kind.name == name
    assert kind().unit in get_args(Unit)
    assert kind().needs <= set(get_args(Need))
    assert kind.__final__
    assert build(name, {}, "test") == kind()
    if dataclasses.fields(kind):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(kind(), dataclasses.fields(kind)[0].name, None)


def test_ungraded_rows_never_carry_loss(objective):
    rows = [ROLLOUTS.rows[i] for i in objective.select(ROLLOUTS).row.tolist()]
    assert rows
    assert all(row.correct or row.wrong for row in rows)


def test_examples_stand_in_prompt_order(objective):
    prompts = [PROMPT_OF[i] for i in objective.select(ROLLOUTS).row.tolist()]
    assert prompts == sorted(prompts)


def test_pairs_are_one_chosen_and_one_rejected_row_of_one_prompt(objective):
    examples = objective.select(ROLLOUTS)
    if objective.unit != "pairs":
        assert (examples.pair == -1).all()
        assert len(examples.row.unique()) == len(examples.row)
        return
    for pair in examples.pair.unique():
        members = examples.pair == pair
        assert sorted(examples.coefficient[members].tolist()) == [-1.0, 1.0]
        assert len({PROMPT_OF[i] for i in examples.row[members].tolist()}) == 1


def test_selection_of_a_prompt_depends_on_no_other_prompt(objective):
    whole = objective.select(ROLLOUTS)
    for number in range(len(GROUPS)):
        rows = [i for i, prompt in enumerate(PROMPT_OF) if prompt == number]
        alone = objective.select(type(ROLLOUTS)(tuple(ROLLOUTS.rows[i] for i in rows)))
        expected = by_prompt(whole, {number})
        assert [rows[i] for i in alone.row.tolist()] == expected.row.tolist()
        assert torch.equal(alone.coefficient, expected.coefficient)


def test_selects_nothing_from_nothing(objective):
    examples = objective.select(make_rollouts(["??"]))
    assert len(examples.row) == len(examples.coefficient) == len(examples.pair) == 0


def test_counts_its_declared_unit(objective):
    batch = make_batch(objective, ROLLOUTS)
    expected = {
        "tokens": int(batch.mask.sum()),
        "sequences": len(batch.mask),
        "pairs": len(batch.pair.unique()),
    }
    assert objective.loss(batch).units == expected[objective.unit]


def test_loss_units_and_metrics_are_sums_over_prompts(objective):
    examples = objective.select(ROLLOUTS)
    whole = objective.loss(make_batch(objective, ROLLOUTS))
    parts = [
        objective.loss(make_batch(objective, ROLLOUTS, examples=by_prompt(examples, prompts)))
        for prompts in ({0, 2, 4}, {1, 3, 5, 6, 7})
    ]
    torch.testing.assert_close(whole.total, parts[0].total + parts[1].total, rtol=1e-12, atol=0)
    assert whole.units == parts[0].units + parts[1].units
    for name, value in whole.metrics.items():
        assert value == pytest.approx(sum(part.metrics[name] for part in parts), rel=1e-12)


def test_metrics_do_not_hide_the_sums_of_the_loop(objective):
    reserved = {"loss", "units", "nll_right", "nll_wrong", "tokens_right", "tokens_wrong"}
    assert not reserved & objective.loss(make_batch(objective, ROLLOUTS)).metrics.keys()


@pytest.mark.parametrize("filler", [0.0, -3.0, 0.7])
def test_padding_changes_nothing(objective, filler):
    narrow = make_batch(objective, ROLLOUTS, width=8)
    wide = make_batch(objective, ROLLOUTS, width=13, filler=filler)
    a, b = objective.loss(narrow), objective.loss(wide)
    torch.testing.assert_close(a.total, b.total, rtol=1e-13, atol=0)
    assert a.units == b.units
    assert a.metrics == pytest.approx(b.metrics, rel=1e-13)
    padded = gradient(objective, wide)
    torch.testing.assert_close(padded[:, :8], gradient(objective, narrow), rtol=1e-13, atol=0)
    assert not padded[~wide.mask].any()


def test_order_of_the_rows_changes_nothing(objective):
    examples = objective.select(ROLLOUTS)
    order = torch.randperm(len(examples.row), generator=torch.Generator().manual_seed(3)).tolist()
    one = make_batch(objective, ROLLOUTS)
    other = make_batch(objective, ROLLOUTS, examples=pick(examples, order))
    a, b = objective.loss(one), objective.loss(other)
    torch.testing.assert_close(a.total, b.total, rtol=1e-13, atol=0)
    assert a.metrics == pytest.approx(b.metrics, rel=1e-13)
    torch.testing.assert_close(
        gradient(objective, one)[order], gradient(objective, other), rtol=1e-13, atol=0
    )


def test_the_gradient_is_that_of_finite_differences(objective):
    if objective.name == "dft":
        pytest.skip("its stop-gradient makes it the gradient of no function")
    batch = make_batch(objective, ROLLOUTS)
    generator = torch.Generator().manual_seed(1)
    way = torch.randn(batch.mask.shape, generator=generator, dtype=torch.float64) * batch.mask

    def at(step: float) -> float:
        moved = dataclasses.replace(batch, logprobs=batch.logprobs.detach() + step * way)
        return float(objective.loss(moved).total)

    found = (at(1e-5) - at(-1e-5)) / 2e-5
    expected = float((gradient(objective, batch) * way).sum())
    assert found == pytest.approx(expected, rel=1e-6)


def test_every_token_of_a_weighted_row_carries_gradient(objective):
    batch = make_batch(objective, ROLLOUTS)
    carries = gradient(objective, batch) != 0
    assert torch.equal(carries, batch.mask & (batch.coefficient != 0)[:, None])


def test_right_rows_are_raised_where_wrong_ones_stand_beside_them(objective):
    rollouts = make_rollouts(["+-", "+-+-", "+---"])
    batch = make_batch(objective, rollouts)
    slope = gradient(objective, batch)
    right = torch.tensor(
        [rollouts.rows[i].correct for i in objective.select(rollouts).row.tolist()]
    )
    assert (slope[right] <= 0).all()
    assert (slope[right][batch.mask[right]] < 0).all()


def test_a_batch_may_be_float32(objective):
    batch = make_batch(objective, ROLLOUTS)
    narrow = {
        field.name: value.float()
        for field in dataclasses.fields(batch)
        if (value := getattr(batch, field.name)) is not None and value.is_floating_point()
    }
    loss = objective.loss(dataclasses.replace(batch, **narrow))
    assert loss.total.dtype == torch.float32
    torch.testing.assert_close(loss.total.double(), objective.loss(batch).total, rtol=1e-5, atol=0)
