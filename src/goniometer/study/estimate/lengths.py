"""How long a study's texts are, in tokens: by its rows, its task, or the longest it allows."""

from dataclasses import dataclass
from statistics import fmean
from typing import final

from goniometer.config import Study
from goniometer.model import LanguageModel
from goniometer.rollouts import RolloutSet
from goniometer.tasks import AbstractTask

ASKED = 200  # problems whose solutions are measured


@final
@dataclass(frozen=True)
class Lengths:
    """Tokens of a prompt and of a completion, the longest of both together, and whose they are."""

    prompt: float
    completion: float
    longest: int
    source: str


def lengths_of_rows(rollouts: RolloutSet, name: str) -> Lengths:
    """Measure rows that are here."""
    prompts = [len(row.prompt_tokens) for row in rollouts.rows]
    completions = [len(row.completion_tokens) for row in rollouts.rows]
    longest = max(map(sum, zip(prompts, completions, strict=True)))
    return Lengths(fmean(prompts), fmean(completions), longest, f"the rows of {name}")


def lengths_of_task(model: LanguageModel, task: AbstractTask, study: Study) -> Lengths:
    """Measure training problems and their written-out solutions, as the base's tokenizer does."""
    problems = task.problems("train", ASKED, study.seed)
    prompts = [len(model.encode_prompt(problem.question)) for problem in problems]
    completions = [
        min(len(model.encode_completion(problem.solution)), study.rollouts.max_new_tokens)
        for problem in problems
    ]
    longest = max(prompts) + study.rollouts.max_new_tokens
    source = f"{len(problems)} problems of {task.name} and their written-out solutions"
    return Lengths(fmean(prompts), fmean(completions), longest, source)


def longest_allowed(study: Study) -> Lengths:
    """Take the longest completion for each, where neither rows nor tokenizer are here."""
    longest = study.rollouts.max_new_tokens
    source = "rollouts.max_new_tokens, prompts left out: neither rows nor tokenizer are here"
    return Lengths(0.0, float(longest), longest, source)
