"""The callback in real trainers of transformers and TRL."""

import json
import logging
from pathlib import Path

import peft
import pytest
import torch
from datasets import Dataset
from transformers import Trainer, TrainerCallback, TrainingArguments
from trl import SFTConfig, SFTTrainer

import goniometer
from goniometer.callback import GeometryCallback
from goniometer.deltas import Delta, Dense, LowRank, Provenance, read
from goniometer.errors import GoniometerError
from tests.tiny_model import tiny_network, tiny_tokenizer

KEYS = ("update_norm", "effective_rank", "cosine_to_reference")
ORIGIN = Provenance("reference", "LoRA")
LORA = {"r": 4, "lora_alpha": 6, "target_modules": ["q_proj", "v_proj"]}


class Tracker(TrainerCallback):
    """Keeps what a tracker would have sent."""

    def __init__(self):
        self.sent = []

    def on_log(self, args, state, control, logs=None, **_):
        self.sent.append(dict(logs))


class Later(Tracker):
    pass


ROWS = [{"input_ids": [4 + i, 5, 6, 7 + i], "labels": [4 + i, 5, 6, 7 + i]} for i in range(8)]


def arguments(folder: Path, kind=TrainingArguments, **options):
    settings = {
        "output_dir": str(folder), "report_to": "none", "use_cpu": True, "max_steps": 4,
        "logging_steps": 1, "per_device_train_batch_size": 2, "learning_rate": 1e-2,
        "disable_tqdm": True, "save_strategy": "no", "seed": 0, "lr_scheduler_type": "constant",
    }  # fmt: skip
    return kind(**settings | options)


def network(**options):
    return peft.get_peft_model(tiny_network(dtype=torch.float32), peft.LoraConfig(**LORA | options))


def train(folder, callback, model, *others, attach=False, **options):
    """Train with a tracker before and one after the callback, as transformers orders them."""
    callbacks = [*others, *([] if attach else [callback]), Later()]
    trainer = Trainer(
        model, arguments(folder, **options), train_dataset=ROWS, eval_dataset=ROWS,
        callbacks=callbacks,
    )  # fmt: skip
    if attach:
        assert callback.attach(trainer) is callback
    trainer.train()
    return trainer, callbacks[-1]


@pytest.fixture
def reference(tmp_path):
    """The update of another run of the same trainer."""
    trainer, _ = train(tmp_path / "first", GeometryCallback(), network(), seed=7)
    trainer.model.save_pretrained(tmp_path / "reference")
    return tmp_path / "reference"


def test_the_trainer_logs_the_numbers_in_history_and_later_callbacks(tmp_path, reference):
    model, tracker = network(), Tracker()
    trainer, later = train(
        tmp_path, GeometryCallback(reference), model, tracker, eval_strategy="steps", eval_steps=2
    )
    history = trainer.state.log_history
    logged = [entry for entry in history if "loss" in entry]
    assert len(logged) == 4
    assert all(set(KEYS) <= set(entry) for entry in logged)
    assert [e for e in later.sent if "loss" in e] == [
        {k: v for k, v in entry.items() if k != "step"} for entry in logged
    ]
    # Nothing of it in an evaluation, or in the summary.
    assert not any(set(KEYS) & set(entry) for entry in history if "loss" not in entry)
    # One that comes before has sent its logs already.
    assert not any(set(KEYS) & set(sent) for sent in tracker.sent)

    model.save_pretrained(tmp_path / "end")
    pair = goniometer.compare([f"a={reference}", f"b={tmp_path / 'end'}"], draws=20)
    cosine = pair.pairs[0].scopes["union"].readings["cosine"].value
    sizes = pair.runs[1].scopes["all"]
    assert logged[-1]["cosine_to_reference"] == pytest.approx(cosine, rel=1e-6)
    assert logged[-1]["update_norm"] == pytest.approx(sizes["norm"].value, rel=1e-6)
    assert logged[-1]["effective_rank"] == pytest.approx(sizes["effective_rank"].value, rel=1e-5)
    assert json.loads(json.dumps(logged)) == logged


def test_attached_it_comes_before_trackers(tmp_path, reference):
    tracker = Tracker()
    callback = GeometryCallback(str(reference), every=2)
    train(tmp_path, callback, network(), tracker, attach=True)
    assert [set(KEYS) <= set(e) for e in tracker.sent] == [True, False, True, False, False]


def test_the_sft_trainer_of_trl_logs_them_too(tmp_path, reference):
    tracker = Tracker()
    trainer = SFTTrainer(
        tiny_network(dtype=torch.float32),
        args=arguments(tmp_path, SFTConfig, max_length=16, bf16=False, dataset_num_proc=None),
        train_dataset=Dataset.from_list([{"text": "w4 w5 w6 w7 w8"}] * 8),
        processing_class=tiny_tokenizer(),
        peft_config=peft.LoraConfig(**LORA, task_type="CAUSAL_LM"),
        callbacks=[tracker],
    )
    GeometryCallback(reference).attach(trainer)
    trainer.train()
    logged = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert len(logged) == 4
    assert all(set(KEYS) <= set(entry) for entry in [*logged, *tracker.sent[:4]])
    assert logged[0]["update_norm"] < logged[-1]["update_norm"]


def test_reasons_and_what_is_left_out_are_said_once(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "goniometer.callback"):
        trainer, _ = train(tmp_path, GeometryCallback(), network(use_dora=True), learning_rate=0.0)
    logged = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert [entry["update_norm"] for entry in logged] == [0.0] * 4
    assert not any({"effective_rank", "cosine_to_reference"} & set(entry) for entry in logged)
    first, second = (record.message for record in caplog.records)
    assert "DoRA: its magnitudes are not measured: 4 trained tensors" in first
    assert second == "effective_rank is not measured: zero delta"


def test_a_reference_that_does_not_fit_stops_training_at_its_beginning(tmp_path, reference):
    whole = read(reference)
    name = next(iter(whole))
    small = LowRank(torch.ones(3, 1), torch.ones(1, 3), 1.0)
    for matrix, words in (
        (small, r"found shape \(32, 16\), expected \(3, 3\)"),
        (Dense(torch.ones(*whole[name].shape)), "dense update as a reference"),
    ):
        other = Delta({name: matrix}, ORIGIN)
        with pytest.raises(GoniometerError, match=words):
            train(tmp_path / "run", GeometryCallback(other), network())
    with pytest.raises(GoniometerError, match="no such folder"):
        train(tmp_path / "run", GeometryCallback(tmp_path / "absent"), network())
    with pytest.raises(GoniometerError, match="not a number of steps"):
        GeometryCallback(every=0)


def test_other_processes_than_the_first_log_nothing(tmp_path):
    class NotFirst(TrainerCallback):
        def on_train_begin(self, args, state, control, **_):
            state.is_world_process_zero = False

    trainer, _ = train(tmp_path, GeometryCallback(), network(), NotFirst())
    assert not any(set(KEYS) & set(entry) for entry in trainer.state.log_history)
