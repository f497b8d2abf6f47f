"""What must come out of any study: a preference for labels that mean nothing is noise."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from goniometer.behaviour.evaluate import held_out, ordered_pairs
from goniometer.behaviour.placed import Placed
from goniometer.config import Adapter, Rollouts, Training
from goniometer.deltas import read
from goniometer.model import LanguageModel, load
from goniometer.objectives import build
from goniometer.rollouts import RolloutSet
from goniometer.tasks import TASKS
from goniometer.training.cell import CellInputs, train_cell
from goniometer.training.columns import precompute
from tests.sampling import sample


def shuffled(rollouts: RolloutSet) -> RolloutSet:
    """Permute the grades within each prompt: as many right and wrong rows, at random."""
    rows = list(rollouts.rows)
    for problem_id, indices in rollouts.groups():
        grades = [rows[i].grade for i in indices]
        random.Random(f"0/{problem_id}").shuffle(grades)
        for i, grade in zip(indices, grades, strict=True):
            rows[i] = replace(rows[i], grade=grade)
    return RolloutSet(tuple(rows))


def cosine(a, b) -> float:
    def inner(x, y):
        return sum(x[name].inner(y[name]) for name in x)

    return inner(a, b) / (inner(a, a) * inner(b, b)) ** 0.5


@pytest.fixture(scope="module")
def base() -> LanguageModel:
    return load("embedded:base", device="cpu")


@pytest.fixture(scope="module")
def drawn() -> list[RolloutSet]:
    """Rollouts to train on and held out, each prompt with right and wrong rows."""
    teacher = load("embedded:teacher", device="cpu")
    return [
        sample(
            teacher,
            TASKS["arithmetic"](),
            split,
            settings=Rollouts(samples=6),
            prompts=48,
            seed=0,
            advance=lambda rows: None,
        )[0]
        for split in ("train", "validation")
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dpo", "simpo"])
def test_a_label_shuffled_reward_makes_the_preference_arm_noise(tmp_path: Path, base, drawn, name):
    train, held = drawn
    objective = build(name, {}, "test")

    def likelihood(delta=None):
        return held_out(Placed(base, delta), held, batch_size=64, advance=lambda rows: None)

    def trained(rollouts: RolloutSet, name: str, order: int):
        inputs = CellInputs(
            base=base,
            rollouts=rollouts,
            columns=precompute(base, rollouts, objective.needs),
            objective=objective,
            adapter=Adapter(),
            training=Training(steps=8),
            learning_rate=1e-3,
            init_seed=1,
            order_seed=order,
        )
        train_cell(inputs, tmp_path / name, lambda step, loss: None)
        return read(tmp_path / name)

    real, again = trained(train, "real", 2), trained(train, "again", 3)
    noise = trained(shuffled(train), "noise", 2)
    before = likelihood()
    learnt, unlearnt = (ordered_pairs(likelihood(d), before, held) for d in (real, noise))
    assert learnt > 0.65
    # Without a reference, labels that mean nothing flatten what the base prefers: rows that it
    # finds likely are the right ones more often, and they fall.
    least = 0.38 if "reference" in objective.needs else 0.25
    assert least < unlearnt < 0.62
    # The same labels in another order are nearer than other labels in the same order.
    assert abs(cosine(real, noise)) < 0.4 < cosine(real, again)
