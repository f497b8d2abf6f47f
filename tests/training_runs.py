"""Short runs of the one loop on a tiny network, for the tests of training."""

import math
from dataclasses import dataclass, field
from typing import ClassVar, final

import torch

from goniometer.config import Adapter, Training
from goniometer.model import LanguageModel
from goniometer.objectives import AbstractObjective, LossSum, Unit
from goniometer.objectives.sft import SFT
from goniometer.training import attach, precompute, train
from tests.parity_task import make_sampler
from tests.rollouts_factory import GROUPS, make_rollouts
from tests.tiny_model import PAD, tiny_network, tiny_tokenizer

ADAPTER = Adapter(rank=2, alpha=4, target_modules=("q_proj", "v_proj", "o_proj"))
SETTINGS = Training(steps=6, prompts_per_step=8, weight_decay=0.01, clip=0.5)
ROLLOUTS = make_rollouts([*GROUPS, *GROUPS])  # 16 prompts: two steps are an epoch


def make_network(dtype=torch.float64):
    return tiny_network(5, dtype)


def make_model(network):
    return LanguageModel(network, tiny_tokenizer(), "tiny")


def run(objective, rollouts=ROLLOUTS, *, dtype=torch.float64, pad=PAD, **changes):
    """Train once from the same start; return the record and the adapter's weights by name."""
    settings = SETTINGS.model_copy(update=changes)
    network = make_network(dtype)
    model = make_model(network)
    columns = precompute(model, rollouts, objective.needs, precision=settings.precision)
    adapted = attach(network, ADAPTER, seed=1)
    record = train_on(
        adapted,
        objective,
        rollouts,
        settings=settings,
        columns=columns,
        pad_token=pad,
        sampler=make_sampler(model, rollouts, as_base=adapted.disable_adapter),
    )
    return record, weights_of(adapted)


def train_on(adapted, objective, rollouts=ROLLOUTS, **changes):
    defaults = {
        "settings": SETTINGS,
        "learning_rate": 1e-2,
        "order_seed": 2,
        "columns": {},
        "pad_token": PAD,
        "on_step": lambda step, loss: None,
    }
    return train(adapted, objective, rollouts, **(defaults | changes))


def weights_of(adapted):
    return {n: p.detach().clone() for n, p in adapted.named_parameters() if p.requires_grad}


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def distance(a, b):
    """Norm of the difference over the norm."""
    flat_a, flat_b = (torch.cat([w.flatten() for w in x.values()]) for x in (a, b))
    return ((flat_a - flat_b).norm() / flat_a.norm()).item()


@final
@dataclass(frozen=True)
class Exploding(AbstractObjective):
    """SFT until the given call of its loss, which is infinite."""

    name: ClassVar[str] = "exploding"
    unit: ClassVar[Unit] = "tokens"
    at: int
    calls: list[int] = field(default_factory=list)

    def select(self, rollouts):
        return SFT().select(rollouts)

    def loss(self, batch):
        self.calls.append(0)
        loss = SFT().loss(batch)
        factor = math.inf if len(self.calls) > self.at else 1.0
        return LossSum(loss.total * factor, loss.units, {})
