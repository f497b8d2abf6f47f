"""Whether a file of rollouts trains on what the study measures on.

The test is refused: its answers would be trained on. What else is measured on and trained on is
said, by count, in the warnings of the study and of its results.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from goniometer.config import Study
from goniometer.errors import GoniometerError
from goniometer.model import LanguageModel
from goniometer.rollouts import Rollout, RolloutSet
from goniometer.seeds import derive
from goniometer.study.plan import Plan
from goniometer.tasks import AbstractTask, Problem

# Words and signs of a question that is looked for within longer prompts: with fewer, GPT-3's
# authors found overlaps by chance (arXiv 2005.14165, appendix C).
LEAST = 8
_WORD = re.compile(r"\w+|[^\w\s]")


def asked_in(
    prompts: Iterable[Rollout], problems: Sequence[Problem], base: LanguageModel
) -> Iterator[tuple[Rollout, Problem]]:
    """Yield each pair of a prompt and a problem that it asks, in whatever case and spacing.

    A question of at least LEAST words is also found within a longer prompt: behind other
    instructions, or among examples. Where the base's tokenizer cannot write a question, it is found
    by its id or by equal tokens alone.

    Args:
        prompts: one row of each.
        problems: whose questions are looked for.
        base: encodes questions as prompts, and decodes prompts.
    """
    by_id = {problem.id: problem for problem in problems}
    by_tokens: dict[tuple[int, ...], Problem] = {}
    by_words: dict[tuple[str, ...], Problem] = {}
    by_start: dict[tuple[str, ...], list[tuple[tuple[str, ...], Problem]]] = {}
    for problem in problems:
        encoded = base.encode_prompt(problem.question)
        by_tokens |= {encoded: problem, base.encode_prompt(problem.question.strip()): problem}
        words = _words(problem.question)
        if words and words == _words(base.decode(base.encode_completion(problem.question))):
            by_words[_words(base.decode(encoded))] = problem
            if len(words) >= LEAST:
                by_start.setdefault(words[:LEAST], []).append((words, problem))
    for row in prompts:
        text = _words(base.decode(row.prompt_tokens))
        whole = by_id.get(row.problem_id) or by_tokens.get(row.prompt_tokens) or by_words.get(text)
        found = {} if whole is None else {whole.id: whole}
        for place, window in enumerate(zip(*(text[n:] for n in range(LEAST)), strict=False)):
            for words, problem in by_start.get(window, ()):
                if text[place : place + len(words)] == words:
                    found[problem.id] = problem
        yield from ((row, problem) for problem in found.values())


def check_apart_from_test(
    plan: Plan, rollouts: RolloutSet, base: LanguageModel, where: str
) -> None:
    """Require that no prompt asks a test problem of the study: its answer would be trained on.

    Raises:
        GoniometerError: such prompts, by number, with the first.
    """
    study = plan.study
    asked = plan.task.problems("test", study.evaluation.problems, derive(study.seed, "test"))
    prompts = prompts_of(rollouts)
    found = {row.problem_id: problem for row, problem in asked_in(prompts, asked, base)}
    for name, problem in found.items():
        raise GoniometerError(
            f"{len(found)} of {len(prompts)} prompts are test problems of {plan.task.name}, or "
            "hold one, on which the study evaluates",
            file=where,
            key="problem_id",
            found=f"{name!r}: {problem.question[:80]!r}",
            fix="leave them out of the file",
        )


def trained_and_measured(
    plan: Plan, trained: RolloutSet, held_out: RolloutSet, base: LanguageModel, where: str
) -> tuple[str, ...]:
    """Say what the study measures on besides the test that is trained on, a line each.

    Args:
        plan: the study's.
        trained: rows of the training prompts.
        held_out: rows whose likelihood is measured.
        base: as in `asked_in`.
        where: what to call the rollouts.
    """
    prompts = prompts_of(trained)
    lines = []
    for what, asked in _measured(plan.study, plan.task):
        count = len({problem.id for _, problem in asked_in(prompts, asked, base)})
        if count:
            told = f"{count} of {len(asked)} validation problems that {where} trains on"
            lines.append(f"{what} {told}")
    known = {_words(base.decode(row.prompt_tokens)) for row in prompts} - {()}
    apart = prompts_of(held_out)
    count = sum(_words(base.decode(row.prompt_tokens)) in known for row in apart)
    if count:
        lines.append(
            f"held-out likelihood is measured on {count} of {len(apart)} prompts that {where} "
            "trains on in another case or spacing"
        )
    return tuple(lines)


def prompts_of(rollouts: RolloutSet) -> list[Rollout]:
    """Return one row of each prompt."""
    return [rollouts.rows[indices[0]] for _, indices in rollouts.groups()]


def _measured(study: Study, task: AbstractTask) -> Iterator[tuple[str, tuple[Problem, ...]]]:
    """Yield what is measured on which validation problems; the seeds are those of the stages."""
    seed = derive(study.seed, "divergence")
    yield (
        "KL from the base is measured on",
        task.problems("validation", study.divergence.prompts, seed),
    )
    if study.paths is not None and study.paths.accuracy is not None:
        seed = derive(study.seed, "accuracy along paths")
        yield (
            "accuracy along paths is measured on",
            task.problems("validation", study.paths.accuracy, seed),
        )
    count = fixed_count(study)
    if count:
        seed = derive(study.seed, "fixed texts")
        yield "paths and similarity leave out", task.problems("validation", count, seed)


def fixed_count(study: Study) -> int:
    """Return of how many problems paths and similarity take the solutions; 0 without either."""
    return max(
        study.paths.problems if study.paths else 0,
        study.similarity.prompts if study.similarity else 0,
    )


def _words(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(text.casefold()))
