"""Sample rollouts from a teacher until enough prompts have both right and wrong completions."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from goniometer.config import Rollouts
from goniometer.errors import GoniometerError
from goniometer.model import LanguageModel
from goniometer.results import RolloutReport
from goniometer.rollouts.data import Rollout, RolloutSet
from goniometer.tasks import AbstractTask, Problem, Split, Ungraded, grade_all
from goniometer.teachers import Completion, Kept, Teacher

BOUND = 6  # prompts sampled at most, as a multiple of the prompts wanted


def thin(pool: RolloutSet, split: Split, settings: Rollouts, seed: int) -> RolloutSet:
    """Keep `settings.rows_per_prompt` rows of each prompt of a pool."""
    return pool.thinned(settings.rows_per_prompt, f"{seed}/{split}")


def sample_pool(
    teacher: Teacher,
    task: AbstractTask,
    split: Split,
    *,
    settings: Rollouts,
    prompts: int,
    seed: int,
    kept: Kept,
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
        kept: the teacher's answers to an earlier process, and place of the new ones.
        advance: called with the number of rows completed.

    Returns:
        All that was drawn, and the pool, which alone has log-probs for certain, where the teacher
        knows them.

    Raises:
        GoniometerError: the teacher does not answer; too few problems are mixed, with the mixture
            found and what to change.
    """
    drawn, asked, found, limit = RolloutSet(()), 0, 0, BOUND * prompts
    while found < prompts:
        missing = math.ceil((prompts - found) * asked / found) if found else prompts
        upto = min(asked + missing, limit)
        problems = task.problems(split, upto, seed)[asked:]
        if not problems:
            raise _too_few(drawn, prompts)
        completions = teacher.complete(
            problems, settings, seed=f"{seed}/{split}", first=asked, kept=kept, advance=advance
        )
        drawn = RolloutSet((*drawn.rows, *_graded(task, problems, settings, completions)))
        asked += len(problems)
        found = _count(drawn.mixed())
    pool = drawn.mixed().first_prompts(prompts)
    found_again = [
        Completion(row.prompt_tokens, row.completion_tokens, row.text, row.truncated, row.logprobs)
        for row in pool.rows
    ]
    logprobs = teacher.logprobs(found_again, settings)
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


def _graded(
    task: AbstractTask,
    problems: Sequence[Problem],
    settings: Rollouts,
    completions: Sequence[Completion],
) -> list[Rollout]:
    """Grade the completions of problems, so many of each; what the teacher refused is ungraded."""
    asked = [problem for problem in problems for _ in range(settings.samples)]
    pairs = list(zip(asked, completions, strict=True))
    grades = iter(
        grade_all(
            task,
            ((problem, one.text, one.truncated) for problem, one in pairs if one.refused is None),
        )
    )
    rows = []
    for problem, completion in pairs:
        refused = completion.refused
        grade = next(grades) if refused is None else Ungraded(refused)
        row = Rollout(
            problem_id=problem.id,
            prompt_tokens=completion.prompt_tokens,
            completion_tokens=completion.tokens,
            text=completion.text,
            logprobs=completion.logprobs,
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
