"""A callback for transformers' Trainer, and TRL's: the geometry of the update as it trains.

    GeometryCallback(reference="adapters/sft").attach(trainer)

adds update_norm, effective_rank and cosine_to_reference to each training log.
"""

import logging
from pathlib import Path
from typing import Any, final

from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from goniometer.deltas import Delta, read
from goniometer.deltas.hub import argument_of, locate
from goniometer.errors import GoniometerError
from goniometer.live.adapter import live_lora
from goniometer.live.geometry import LiveGeometry

_LOG = logging.getLogger(__name__)


@final
class GeometryCallback(TrainerCallback):
    """Logs the norm of a LoRA's update, its effective rank, and its cosine to a reference.

    Given as `callbacks=[GeometryCallback()]`, its values are in the trainer's log_history and on
    the console, but trackers (wandb, TensorBoard) log before it is called. `attach(trainer)` puts
    it before them. A number that has no value (a zero delta, a reference that shares no module) is
    absent from the log, and the reason is said once. Only the world's first process measures.
    """

    def __init__(
        self, reference: str | Path | Delta | None = None, every: int | None = None
    ) -> None:
        """Take what to measure against; it is read when training begins.

        Args:
            reference: an adapter's folder or Hub id, or an update that was read.
            every: measure no sooner than so many optimiser steps after the last time; None for
                each logging step.

        Raises:
            GoniometerError: `every` is not positive.
        """
        if every is not None and every < 1:
            raise GoniometerError(
                "not a number of steps", key="every", found=every, expected=">= 1"
            )
        self.reference = reference
        self.every = every or 1
        self._geometry: LiveGeometry | None = None
        self._last: int | None = None
        self._said: set[str] = set()

    def attach(self, trainer: Trainer) -> "GeometryCallback":
        """Put this callback before all others of a trainer, trackers included."""
        callbacks = trainer.callback_handler.callbacks
        callbacks[:] = [self, *(other for other in callbacks if other is not self)]
        return self

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **objects: Any,
    ) -> None:
        """Find the trained factors, and read the reference.

        Raises:
            GoniometerError: the model is no LoRA, is sharded, or does not fit the reference.
        """
        reference = self.reference
        if reference is not None and not isinstance(reference, Delta):
            reference = read(locate(argument_of(reference)).path)
        live = live_lora(objects["model"], whole=reference or ())
        geometry = LiveGeometry(live, reference)
        if state.is_world_process_zero:
            self._geometry, self._last = geometry, None
            for note in geometry.notes():
                self._say(note)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **objects: Any,
    ) -> None:
        """Add the numbers to a training log, and to its copy in log_history."""
        if self._geometry is None or logs is None or not self._is_due(logs, state.global_step):
            return
        self._last = state.global_step
        found: dict[str, float] = {}
        for name, reading in self._geometry.read().items():
            if reading.value is not None:
                found[name] = reading.value
            else:
                self._say(f"{name} is not measured: {reading.undefined}")
        logs.update(found)
        # The trainer has copied its logs into the history before it calls anyone.
        if state.log_history and state.log_history[-1].get("step") == state.global_step:
            state.log_history[-1].update(found)

    def on_train_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **objects: Any,
    ) -> None:
        """Let go of the model and the reference's factors."""
        self._geometry = None

    def _is_due(self, logs: dict[str, Any], step: int) -> bool:
        # Logs of an evaluation and of the end of training hold the time that they took.
        training = "loss" in logs or not any(key.endswith("_runtime") for key in logs)
        return training and (self._last is None or step >= self._last + self.every)

    def _say(self, message: str) -> None:
        if message not in self._said:
            self._said.add(message)
            _LOG.warning(message)
