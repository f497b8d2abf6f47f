"""What a study asks of its models, checked without their weights."""

from collections.abc import Collection

import torch
from torch import nn

from goniometer.behaviour.texts import bare_answers
from goniometer.config import Models, Server, Study
from goniometer.errors import AbsentError, Faults, GoniometerError
from goniometer.model import LanguageModel
from goniometer.seeds import derive
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


def check_subspaces(study: Study, network: nn.Module | None) -> None:
    """Require that no update that the arms will make is of a rank below `geometry.k`.

    Args:
        study: its settings.
        network: the base's; None where it is not here, and the adapter's rank alone is known.

    Raises:
        GoniometerError: as the comparison itself would, after all training.
    """
    k, regimes = study.geometry.k, {arm.regime for arm in study.arms}
    ranks = [study.adapter.rank] if "lora" in regimes else []
    if network is not None:
        moving = _matrices(network, study, regimes)
        # A vector has no subspaces, so it does not limit their size.
        ranks += [min(shape) for shape in moving if min(shape) > 1]
    if k is not None and ranks and k > min(ranks):
        raise GoniometerError(
            "larger than the smallest rank",
            key="geometry.k",
            found=k,
            expected=f"at most {min(ranks)}",
            fix="lower it, or raise adapter.rank" if study.adapter.rank in ranks else "lower it",
        )


def _matrices(network: nn.Module, study: Study, regimes: Collection[str]) -> list[torch.Size]:
    """Shapes of the matrices that some arm lets move."""
    named = {name: weight for name, weight in network.named_parameters() if weight.ndim == 2}
    moving = set(named) if "full" in regimes else set()
    if "attention" in regimes:
        moving |= of_attention(network)
    if "lora" in regimes:
        moving |= {
            f"{name}.weight"
            for name, module in network.named_modules()
            if isinstance(module, nn.Linear)
            and name.rpartition(".")[2] in study.adapter.target_modules
        }
    return [weight.shape for name, weight in named.items() if name in moving]


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


def check_bare_answers(study: Study, task: AbstractTask, base: LanguageModel) -> None:
    """Require that the base's tokenizer can write the bare answers of paths, where asked for.

    Raises:
        GoniometerError: the first text that it cannot write.
    """
    if study.paths is not None and study.paths.bare_answer:
        seed = derive(study.seed, "fixed texts")
        bare_answers(base, task.problems("validation", study.paths.problems, seed))
