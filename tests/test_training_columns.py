"""What training asks for: columns, rows to select, a precision that can be had."""

import pytest
import torch
from accelerate.state import AcceleratorState

from goniometer.errors import GoniometerError
from goniometer.model import token_logprobs
from goniometer.objectives.dpo import DPO
from goniometer.objectives.rft import RFT
from goniometer.objectives.sft import SFT
from goniometer.training import precompute
from goniometer.training.columns import read_columns, write_columns
from tests.rollouts_factory import make_rollouts
from tests.tiny_model import PAD
from tests.training_runs import ROLLOUTS, make_model, make_network, run, train_on


def test_an_objective_that_selects_nothing_is_refused():
    with pytest.raises(GoniometerError, match="rft selects none of the 24 rollouts"):
        run(RFT(), make_rollouts(["---"] * 8))


def test_a_missing_column_is_refused():
    with pytest.raises(GoniometerError, match="dpo needs the reference log-probs"):
        train_on(make_network(), DPO())


def test_reference_is_the_bases_own_log_probs_and_behaviour_the_rollouts():
    network = make_network()
    model = make_model(network)
    columns = precompute(model, ROLLOUTS, {"reference", "behaviour"}, batch_size=5)
    assert columns["behaviour"] == [row.logprobs for row in ROLLOUTS.rows]
    for row, values in zip(ROLLOUTS.rows, columns["reference"], strict=True):
        alone, _ = token_logprobs(network, [row.prompt_tokens], [row.completion_tokens], PAD)
        assert values == pytest.approx(alone[0].tolist(), rel=1e-12)
    assert precompute(model, ROLLOUTS, set()) == {}


def test_columns_come_back_from_files_to_the_bit(tmp_path):
    done = []
    needs = {"reference", "behaviour"}
    model = make_model(make_network())
    columns = precompute(model, ROLLOUTS, needs, batch_size=50, advance=done.append)
    assert sum(done) == len(ROLLOUTS.rows)
    write_columns(columns, tmp_path)
    read = read_columns(tmp_path, needs)
    assert read.keys() == needs
    for need in needs:
        assert [tuple(row) for row in read[need]] == columns[need]


def test_bf16_trains_near_float32(monkeypatch):
    exact, _ = run(DPO(), dtype=torch.float32)
    with monkeypatch.context() as patch:
        patch.setattr(AcceleratorState, "_shared_state", {})  # a process of its own, to Accelerate
        rough, _ = run(DPO(), dtype=torch.float32, precision="bf16")
    assert rough.state == "trained"
    assert rough.losses != exact.losses
    assert rough.losses == pytest.approx(exact.losses, rel=0.05)


def test_a_precision_that_cannot_be_had_is_refused():
    run(SFT(), steps=1)
    with pytest.raises(GoniometerError, match=r"training.precision: Accelerate: .*restart"):
        run(SFT(), steps=1, precision="bf16")
    with pytest.raises(GoniometerError, match="fp16 needs loss scaling"):
        run(SFT(), steps=1, precision="fp16")
