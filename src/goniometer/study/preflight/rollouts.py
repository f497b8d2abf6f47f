"""Whether rollouts have what the arms train on: asked of the objectives themselves."""

from pathlib import Path

from goniometer.config import Server
from goniometer.errors import Faults, GoniometerError
from goniometer.model import LanguageModel
from goniometer.objectives import AbstractObjective
from goniometer.rollouts import Rollout, RolloutSet
from goniometer.rollouts.given import divide, read_given
from goniometer.rollouts.same_tokenizer import require_same_tokenizer
from goniometer.seeds import derive
from goniometer.study.plan import Plan
from goniometer.study.preflight.leakage import check_apart_from_test, trained_and_measured
from goniometer.tasks import Correct, Wrong


def check_file(plan: Plan, base: LanguageModel) -> tuple[RolloutSet, tuple[str, ...]]:
    """Read the study's file of rollouts and require that every arm can train on it.

    Returns:
        Its rows, and a line for each measure on problems that they train on.

    Raises:
        GoniometerError: all faults at once: no such file or rows that cannot be used, tokens that
            the base does not have or that say something else to it, too few mixed prompts, texts
            longer than the context, arms with nothing to train on, prompts of the test.
    """
    settings, faults = plan.study.rollouts, Faults()
    file, notes = Path(settings.file or ""), tuple[str, ...]()
    drawn = read_given(settings, base)
    with faults.collected():
        require_same_tokenizer(drawn, base, str(file))
    with faults.collected():
        pool, _, held_out, _ = divide(drawn, settings, plan.study.seed, len(base.tokenizer))
        notes = trained_and_measured(plan, pool, held_out, base, file.name)
    with faults.collected():
        check_rollouts(plan, drawn, str(file))
    with faults.collected():
        _check_lengths(drawn, base, str(file))
    with faults.collected():
        _check_gradable(plan, drawn, str(file))
    with faults.collected():
        check_apart_from_test(plan, drawn, base, str(file))
    faults.raise_any()
    return drawn, notes


def check_rollouts(plan: Plan, rollouts: RolloutSet, where: str) -> None:
    """Require that every cell that trains on these rollouts as they are has something to learn.

    Args:
        plan: the cells.
        rollouts: what they train on.
        where: what to call the rollouts in an error.

    Raises:
        GoniometerError: one fault an objective, which names its arms and what is missing.
    """
    faults = Faults()
    arms: dict[tuple[str, str], list[str]] = {}
    for cell in plan.cells:
        if not cell.objective.on_policy and cell.wrong_share is None:
            names = arms.setdefault((cell.objective_name, repr(cell.objective)), [])
            if cell.arm not in names:
                names.append(cell.arm)
    objectives = {repr(cell.objective): cell.objective for cell in plan.cells}
    given = plan.study.rollouts.behaviour == "given"
    for (name, text), names in arms.items():
        reason = nothing_to_learn(objectives[text], rollouts)
        if reason is not None:
            message = f"{', '.join(names)}: {name} has nothing to train on: {reason}"
            faults.found.append(GoniometerError(message, file=where))
        if given and "behaviour" in objectives[text].needs:
            with faults.collected():
                rollouts.require_logprobs(f"{where}: {', '.join(names)}")
    faults.raise_any()


def check_without_logprobs(plan: Plan, server: Server) -> None:
    """Require that no arm needs the log-probs of a teacher that is a server: it gives texts.

    Raises:
        GoniometerError: the arms that do.
    """
    if plan.study.rollouts.behaviour == "base":
        return
    trained = [cell for cell in plan.cells if not cell.objective.on_policy]
    arms = {cell.arm: None for cell in trained if "behaviour" in cell.objective.needs}
    if arms:
        raise GoniometerError(
            f"{', '.join(arms)}: takes the log-probs of the policy that sampled, and a server "
            "gives texts alone",
            file=server.url,
            key="models.teacher",
            fix="drop the arm, or let rollouts.behaviour: base take the base's",
        )


def nothing_to_learn(objective: AbstractObjective, rollouts: RolloutSet) -> str | None:
    """Say why an objective has nothing to train on in these rollouts; None where it has.

    An objective that tells a right row of a prompt from a wrong one, and gives all rows here one
    weight, compares rows within prompts and finds nothing to compare.
    """
    examples = objective.select(rollouts)
    mixed = bool(rollouts.mixed().rows)
    if not len(examples.row):
        if not any(row.correct for row in rollouts.rows):
            return "no row is correct"
        return f"it takes none of {len(rollouts.rows)} rows" if mixed else _UNMIXED
    if mixed or len(set(examples.coefficient.tolist())) > 1:
        return None
    graded = any(row.correct for row in rollouts.rows) and any(row.wrong for row in rollouts.rows)
    told_apart = len(set(objective.select(_PAIR).coefficient.tolist())) > 1
    return _UNMIXED if told_apart and graded else None


_UNMIXED = "no prompt has both right and wrong rows"
_PAIR = RolloutSet(
    (
        Rollout("probe", (0,), (0,), "", (0.0,), Correct(), False),
        Rollout("probe", (0,), (1,), "", (0.0,), Wrong("answer"), False),
    )
)


def _check_gradable(plan: Plan, rollouts: RolloutSet, where: str) -> None:
    """Require that new completions of the prompts can be graded, where an arm samples them."""
    if not any(cell.objective.on_policy for cell in plan.cells):
        return
    asked = {row.problem_id for row in rollouts.rows}
    seed = derive(plan.study.seed, "rollouts")
    known = {problem.id for problem in plan.task.problems("train", len(asked), seed)}
    strange = sorted(asked - known)
    if strange:
        raise GoniometerError(
            f"{len(strange)} prompts are no training problems of {plan.task.name}: an arm that "
            "samples for itself cannot be graded",
            file=where,
            key="problem_id",
            found=repr(strange[0]),
            fix="drop that arm, or let the rollouts be sampled",
        )


def _check_lengths(rollouts: RolloutSet, base: LanguageModel, where: str) -> None:
    context = base.context
    longest = max(len(row.prompt_tokens) + len(row.completion_tokens) for row in rollouts.rows)
    if context is not None and longest > context:
        raise GoniometerError(
            f"a row is longer than the context of {base.name}",
            file=where,
            found=f"{longest} tokens",
            expected=f"at most {context}",
        )
