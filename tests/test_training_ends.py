"""What must be told, not hidden: empty steps, a loss that is no number."""

import math

import pytest

from goniometer.objectives.rft import RFT
from goniometer.objectives.sft import SFT
from goniometer.training import attach
from tests.rollouts_factory import make_rollouts
from tests.training_runs import ADAPTER, Exploding, equal, make_network, run, train_on, weights_of


def test_a_step_without_examples_is_a_step_all_the_same():
    rollouts = make_rollouts(["+", *["--"] * 7])
    record, _ = run(RFT(), rollouts, steps=8, prompts_per_step=2)
    assert (record.state, record.steps) == ("trained", 8)
    assert record.metrics["units"].count(0.0) == 6
    empty = [step for step, units in enumerate(record.metrics["units"]) if not units]
    assert all(record.losses[step] == record.gradient_norms[step] == 0 for step in empty)


@pytest.mark.parametrize("at", [0, 1, 3])
def test_a_non_finite_loss_stops_with_the_last_good_weights(at):
    adapted = attach(make_network(), ADAPTER, seed=1)
    seen = [weights_of(adapted)]

    def remember(step, loss):
        seen.append(weights_of(adapted))

    record = train_on(adapted, Exploding(at), on_step=remember)
    assert record.state == "non-finite"
    assert record.steps == max(at - 1, 0)  # the update that led to the bad loss is taken back
    assert equal(weights_of(adapted), seen[record.steps])
    assert len(record.losses) == len(record.gradient_norms) == at
    assert all(map(math.isfinite, (*record.losses, *record.gradient_norms)))


def test_each_step_is_reported_with_its_loss():
    told = []
    adapted = attach(make_network(), ADAPTER, seed=1)
    record = train_on(adapted, SFT(), on_step=lambda step, loss: told.append((step, loss)))
    assert told == list(enumerate(record.losses))
