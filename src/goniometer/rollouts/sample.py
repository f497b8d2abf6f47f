"""Sample rollouts from a teacher until enough prompts have both right and wrong completions."""

import math
from collections.abc import Callable
from dataclasses import replace

from goniometer.config import Rollouts
from goniometer.errors import GoniometerError
from goniometer.model import LanguageModel, completion_logprobs, generate
from goniometer.results import RolloutReport
from goniometer.rollouts.data import Rollout, RolloutSet
from goniometer.seeds import derive
from goniometer.tasks import AbstractTask, Problem, Split, Ungraded, grade_or_ungraded

BOUND = 6  # prompts sampled at most, as a multiple of the prompts wanted


def thin(pool: RolloutSet, split: Split, settings: Rollouts, seed: int) -> RolloutSet:
    """Keep `settings.rows_per_prompt` rows of each prompt of a pool."""
    return pool.thinned(settings.rows_per_prompt, f"{seed}/{split}")


def sample_pool(
    teacher: LanguageModel,
    task: AbstractTask,
    split: Split,
    *,
    settings: Rollouts,
    prompts: int,
    seed: int,
    advance: Callable[[int], None],
) -> tuple[RolloutSet, RolloutSet]:
    """Sample `settings.samples` completions of each problem, in rounds, until enough are mixed.

    The pool is all graded rows of the first `prompts` mixed problems in the order of the task;
    their log-probs are those of the policy that sampled, temperature included.

    Args:
        teacher: what completes the problems.
        task: asks and grades.
        split: the task's split to take problems from.
        settings: how to sample.
        prompts: mixed problems wanted.
        seed: of the problems and the completions.
        advance: called with the number of rows completed.

    Returns:
        All that was drawn, without log-probs, and the pool.

    Raises:
        GoniometerError: too few problems are mixed, with the mixture found and what to change.
    """
    drawn, asked, found, limit = RolloutSet(()), 0, 0, BOUND * prompts
    while found < prompts:
        missing = math.ceil((prompts - found) * asked / found) if found else prompts
        upto = min(asked + missing, limit)
        problems = task.problems(split, upto, seed)[asked:]
        if not problems:
            raise _too_few(drawn, prompts)
        rows = _complete(teacher, task, problems, settings, derive(seed, split, asked), advance)
        drawn = RolloutSet((*drawn.rows, *rows))
        asked += len(problems)
        found = _count(drawn.mixed())
    pool = drawn.mixed().first_prompts(prompts)
    logprobs = completion_logprobs(
        teacher,
        [row.prompt_tokens for row in pool.rows],
        [row.completion_tokens for row in pool.rows],
        batch_size=settings.batch_size,
        advance=lambda rows: None,
        temperature=settings.temperature,
    )
    scored = (replace(row, logprobs=lp) for row, lp in zip(pool.rows, logprobs, strict=True))
    return drawn, RolloutSet(tuple(scored))


def report(drawn: RolloutSet, kept: RolloutSet) -> RolloutReport:
    """Describe all rows that were drawn, equally many a prompt, and those that were kept.

    Shares are of drawn rows, but for `mixed`, which is of prompts, and `wrong_kept`, which is of
    kept rows, after thinning. Ungraded rows are in neither part of `wrong_sampled`. Duplicates
    are rows whose completion repeats an earlier one of the same prompt.
    """
    graded = [row for row in drawn.rows if row.correct or row.wrong]
    distinct = {(row.problem_id, row.completion_tokens) for row in drawn.rows}
    prompts = _count(drawn)
    return RolloutReport(
        prompts_sampled=prompts,
        samples_per_prompt=len(drawn.rows) // prompts,
        prompts_kept=_count(kept),
        rows=len(kept.rows),
        wrong_sampled=sum(row.wrong for row in graded) / max(1, len(graded)),
        wrong_kept=sum(row.wrong for row in kept.rows) / len(kept.rows),
        mixed=_count(drawn.mixed()) / prompts,
        duplicates=1 - len(distinct) / len(drawn.rows),
        truncated=sum(row.truncated for row in drawn.rows) / len(drawn.rows),
        ungraded=len(drawn.rows) - len(graded),
    )


def require_same_tokens(base: LanguageModel, teacher: LanguageModel) -> None:
    """Require that a token id means the same to both: the base trains on the teacher's tokens.

    Raises:
        GoniometerError: naming the first token whose id differs, or the end tokens.
    """
    ours, theirs = base.tokenizer.get_vocab(), teacher.tokenizer.get_vocab()
    differing = sorted(token for token in ours | theirs if ours.get(token) != theirs.get(token))
    if differing or base.end_token != teacher.end_token:
        token = differing[0] if differing else "the end token"
        raise GoniometerError(
            f"base and teacher have different tokenizers: {len(differing)} tokens differ",
            key="models.teacher",
            found=f"{token!r} is {theirs.get(token, teacher.end_token)} in {teacher.name}",
            expected=f"{ours.get(token, base.end_token)} as in {base.name}",
            fix="take a teacher of the base's family",
        )


def _complete(
    teacher: LanguageModel,
    task: AbstractTask,
    problems: tuple[Problem, ...],
    settings: Rollouts,
    seed: int,
    advance: Callable[[int], None],
) -> list[Rollout]:
    asked = [
        (problem, tokens)
        for problem in problems
        for tokens in [teacher.encode_prompt(problem.question)] * settings.samples
    ]
    completions = generate(
        teacher,
        [tokens for _, tokens in asked],
        max_new_tokens=settings.max_new_tokens,
        temperature=settings.temperature,
        seed=seed,
        batch_size=settings.batch_size,
        advance=advance,
    )
    rows = []
    for (problem, tokens), completion in zip(asked, completions, strict=True):
        text = teacher.decode(completion.tokens)
        grade = grade_or_ungraded(task, problem, text, truncated=completion.truncated)
        row = Rollout(
            problem_id=problem.id,
            prompt_tokens=tokens,
            completion_tokens=completion.tokens,
            text=text,
            logprobs=(),  # scored later, if the row is kept
            grade=grade,
            truncated=completion.truncated,
        )
        rows.append(row)
    return rows


def _count(rollouts: RolloutSet) -> int:
    return sum(1 for _ in rollouts.groups())


def _too_few(drawn: RolloutSet, wanted: int) -> GoniometerError:
    """Say what the mixture was and what would change it."""
    right = {row.problem_id for row in drawn.rows if row.correct}
    wrong = {row.problem_id for row in drawn.rows if row.wrong}
    ungraded = [row.grade for row in drawn.rows if isinstance(row.grade, Ungraded)]
    truncated = sum(row.truncated for row in drawn.rows)
    if 2 * len(ungraded) > len(drawn.rows):
        reason = ungraded[0].reason
        fix = f"{len(ungraded)} of {len(drawn.rows)} rows are ungraded: mend the grader ({reason})"
    elif 2 * truncated > len(drawn.rows):
        fix = f"{truncated} of {len(drawn.rows)} rows are truncated: raise rollouts.max_new_tokens"
    elif not right:
        fix = "nothing is right: take a stronger teacher or an easier task"
    elif not wrong:
        fix = "nothing is wrong: raise rollouts.temperature or take a harder task"
    else:
        fix = "ask for fewer prompts or raise rollouts.samples"
    return GoniometerError(
        "too few prompts have both right and wrong completions",
        key="rollouts",
        found=f"{len(right & wrong)} mixed, {len(right - wrong)} all right and "
        f"{len(wrong - right)} all wrong of {_count(drawn)} prompts",
        expected=f"{wanted} mixed",
        fix=fix,
    )
