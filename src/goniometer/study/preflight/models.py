"""What a study asks of its models, checked without their weights."""

from typing import Any

import torch
from torch import nn

from goniometer.behaviour.texts import bare_answers
from goniometer.config import Models, Server, Study
from goniometer.errors import AbsentError, Faults, GoniometerError
from goniometer.model import LanguageModel
from goniometer.tasks import AbstractTask, Split
from goniometer.teachers import kind_of, require_server, require_vllm
from goniometer.training.adapter import check_targets
from goniometer.training.full import of_attention

ASKED = 2000  # problems of a split whose prompts are encoded


def check_weights(study: Study, network: nn.Module) -> None:
    """Require that what the arms let move is there: target modules, or an attention.

    Raises:
        GoniometerError: every target that matches nothing, with the names that exist; no attention
            in the network.
    """
    if any(arm.regime == "attention" for arm in study.arms):
        of_attention(network)
    if any(arm.regime == "lora" for arm in study.arms):
        check_targets(network, study.adapter)


def check_device(study: Study) -> None:
    """Require the device that the study names.

    Raises:
        AbsentError: a GPU that torch does not see.
    """
    if study.models.device == "cuda" and not torch.cuda.is_available():
        raise AbsentError("torch sees no GPU here", key="models.device", fix="take auto or cpu")


def check_teacher(models: Models) -> None:
    """Require what the teacher takes besides a model: packages, a server's key. It is not asked.

    Raises:
        AbsentError: what is not here.
    """
    if isinstance(models.teacher, Server):
        require_server(models.teacher)
    elif kind_of(models.teacher) == "vllm":
        require_vllm()


def check_problems(study: Study, task: AbstractTask) -> None:
    """Require that the task has the problems that the study asks of each split.

    Raises:
        GoniometerError: by split, with the number that there are.
    """
    sampled, warm = study.rollouts.file is None, study.models.warm_up
    wanted: list[tuple[Split, int, str]] = [
        ("test", 1, "evaluation.problems"),
        ("validation", 1, "divergence.prompts"),
    ]
    if sampled:
        wanted += [
            ("train", study.rollouts.prompts, "rollouts.prompts"),
            ("validation", study.rollouts.held_out_prompts, "rollouts.held_out_prompts"),
        ]
    if warm is not None:
        wanted.append(("pretrain", warm.prompts, "models.warm_up.prompts"))
    faults = Faults()
    for split, count, key in wanted:
        found = len(task.problems(split, min(count, ASKED), study.seed))
        if found < min(count, ASKED):
            message = f"{task.name} has fewer {split} problems than are asked for"
            faults.found.append(GoniometerError(message, key=key, found=found, expected=count))
    faults.raise_any()


def check_contexts(study: Study, task: AbstractTask, base: LanguageModel) -> None:
    """Require that prompts and the tokens written after them fit the model's context.

    Raises:
        GoniometerError: by split, with the longest of the prompts that were encoded.
    """
    context = context_of(base)
    if context is None:
        return
    faults = Faults()
    sampled = study.rollouts.file is None
    splits: list[tuple[Split, int, int, str]] = [
        ("train", study.rollouts.prompts, study.rollouts.max_new_tokens, "rollouts"),
        ("validation", study.rollouts.held_out_prompts, study.rollouts.max_new_tokens, "rollouts"),
        ("test", study.evaluation.problems, study.evaluation.max_new_tokens, "evaluation"),
    ]
    for split, count, new, section in splits if sampled else splits[-1:]:
        problems = task.problems(split, min(count, ASKED), study.seed)
        longest = max((len(base.encode_prompt(p.question)) for p in problems), default=0)
        with faults.collected():
            _require_fit(longest, new, context, split, section, base.name)
    faults.raise_any()


def check_bare_answers(study: Study, task: AbstractTask, base: LanguageModel) -> None:
    """Require that the base's tokenizer can write the bare answers of paths, where asked for.

    Raises:
        GoniometerError: the first text that it cannot write.
    """
    if study.paths is not None and study.paths.bare_answer:
        bare_answers(base, task.problems("validation", study.paths.problems, study.seed))


def context_of(model: LanguageModel) -> int | None:
    """Longest text that the model's config allows; None where it does not say."""
    network: Any = model.network
    return getattr(network.config.get_text_config(), "max_position_embeddings", None)


def _require_fit(longest: int, new: int, context: int, split: str, section: str, name: str) -> None:
    if longest >= context:
        raise GoniometerError(
            f"a {split} prompt is longer than the context of {name}",
            key="task",
            found=f"{longest} tokens",
            expected=f"below {context}",
        )
    if longest + new > context:
        raise GoniometerError(
            f"the longest {split} prompt and its completion do not fit the context of {name}",
            key=f"{section}.max_new_tokens",
            found=f"{longest} + {new} tokens",
            expected=f"at most {context}",
            fix=f"lower it to {context - longest}",
        )
