"""Sampling: until enough prompts are mixed, by the policy that is named, and its report."""

import pytest
import torch

from goniometer.config import Rollouts
from goniometer.errors import GoniometerError
from goniometer.model import LanguageModel, load
from goniometer.rollouts import RolloutSet
from goniometer.rollouts.sample import BOUND, report, require_same_tokens
from goniometer.tasks import TASKS, AbstractTask, Correct, Problem, Ungraded, Wrong
from tests.rollouts_factory import CUT, RIGHT, WRONG, graded
from tests.sampling import sample
from tests.tiny_model import END, tiny_model, tiny_network, tiny_tokenizer

SETTINGS = Rollouts(samples=4, rows_per_prompt=3, max_new_tokens=40, batch_size=16)
WORDS = 12


class Words(AbstractTask):
    """Two words to go on from; a completion is graded by what it is told to be."""

    name = "words"

    def __init__(self, right, size=64):
        self.right, self.size = right, size

    def problems(self, split, count, seed):
        count = min(count, self.size)
        return tuple(Problem(f"w{4 + i // 8} w{4 + i % 8}", "", "") for i in range(count))

    def grade(self, problem, completion, *, truncated):
        if truncated:
            return Wrong("truncated")
        return Correct() if self.right(problem, completion) else Wrong("answer")


def short(problem, completion):
    return completion.count("w") < 8


def never(problem, completion):
    return False


def always(problem, completion):
    return True


def crash(problem, completion):
    raise ValueError("no parser")


def draw(task, *, config=SETTINGS, prompts=5, seed=0, advance=lambda rows: None, teacher=None):
    return sample(
        teacher or tiny_model(words=WORDS),
        task,
        "train",
        settings=config,
        prompts=prompts,
        seed=seed,
        advance=advance,
    )


def test_what_is_kept_is_mixed_in_the_order_of_the_task_and_as_the_teacher_said_it():
    task, teacher, rows = Words(short), tiny_model(words=WORDS), []
    config = SETTINGS.model_copy(update={"max_new_tokens": 12})
    kept, told = draw(task, config=config, advance=rows.append, teacher=teacher)
    problems = {p.id: p for p in task.problems("train", 60, 0)}
    groups = [problem_id for problem_id, _ in kept.groups()]
    assert len(groups) == 5
    assert groups == sorted(groups, key=list(problems).index)
    for problem_id, indices in kept.groups():
        group = [kept.rows[i] for i in indices]
        assert len(group) == 3
        assert {row.correct for row in group} == {True, False}
        for row in group:
            assert row.prompt_tokens == teacher.encode_prompt(problems[problem_id].question)
            assert row.text == teacher.decode(row.completion_tokens)
            assert row.grade == task.grade(None, row.text, truncated=row.truncated)
            assert row.truncated == (END not in row.completion_tokens)
    assert any(row.truncated for row in kept.rows)
    assert sum(rows) == 4 * told.prompts_sampled
    assert told.prompts_sampled <= BOUND * 5


def test_skipped_prompts_are_those_that_are_not_mixed():
    """A prompt is kept exactly if it is mixed, up to the last one kept."""
    task = Words(lambda problem, text: short(problem, text) and "w5" not in problem.question)
    kept, told = draw(task, prompts=5)
    groups = {problem_id for problem_id, _ in kept.groups()}
    problems = task.problems("train", 60, 0)
    assert groups.isdisjoint(p.id for p in problems if "w5" in p.question)
    assert told.prompts_kept == 5 < told.prompts_sampled
    assert told.mixed < 1


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_log_probs_are_those_of_the_policy_that_sampled(temperature):
    teacher = tiny_model(words=WORDS)
    config = SETTINGS.model_copy(update={"temperature": temperature})
    kept, _ = draw(Words(short), config=config, teacher=teacher)
    for row in kept.rows[:4]:
        tokens = torch.tensor([[*row.prompt_tokens, *row.completion_tokens]])
        logits = teacher.network(input_ids=tokens).logits[0].detach() / temperature
        start = len(row.prompt_tokens)
        slow = [
            torch.log_softmax(logits[start + t - 1], dim=0)[token].item()
            for t, token in enumerate(row.completion_tokens)
        ]
        assert row.logprobs == pytest.approx(slow, abs=1e-5)


def test_equal_seeds_give_equal_rollouts_and_others_do_not():
    torch.manual_seed(1)
    first = draw(Words(short))
    torch.manual_seed(2)
    assert draw(Words(short)) == first
    assert draw(Words(short), seed=1)[0] != first[0]


@pytest.mark.parametrize(
    ("task", "new", "message"),
    [
        (Words(never), 40, "0 mixed, 0 all right and 30 all wrong of 30 prompts, expected 5 mixed"),
        (Words(never), 40, "Nothing is right: take a stronger teacher or an easier task"),
        (Words(always), 400, "Nothing is wrong: raise rollouts.temperature or take a harder"),
        (Words(never), 1, r"\d+ of 120 rows are truncated: raise rollouts.max_new_tokens"),
        (Words(crash), 40, r"rows are ungraded: mend the grader \(ValueError: no parser\)"),
        (
            Words(short, size=4),
            40,
            "of 4 prompts, expected 5 mixed. Ask for fewer prompts",
        ),
    ],
)
def test_too_few_mixed_prompts_say_what_to_change(task, new, message):
    with pytest.raises(GoniometerError, match=message):
        draw(task, config=SETTINGS.model_copy(update={"max_new_tokens": new}))


def test_the_report_counts_by_hand():
    drawn = {
        "a": [((7, 1), RIGHT), ((7, 1), RIGHT), ((8, 1), WRONG), ((8,), CUT)],
        "b": [((7, 1), RIGHT), ((9, 1), RIGHT), ((4, 1), RIGHT), ((6, 1), Ungraded("crash"))],
        "c": [((5, 1), WRONG), ((5, 1), WRONG), ((5, 1), WRONG), ((6, 1), RIGHT)],
    }
    drawn = RolloutSet(tuple(graded(name, *rest) for name, rows in drawn.items() for rest in rows))
    kept = RolloutSet((drawn.rows[0], drawn.rows[2], drawn.rows[8], drawn.rows[9], drawn.rows[11]))
    told = report(drawn, kept)
    assert told.model_dump() == pytest.approx(
        {
            "prompts_sampled": 3,
            "samples_per_prompt": 4,
            "prompts_kept": 2,
            "rows": 5,
            "wrong_sampled": 5 / 11,
            "wrong_kept": 3 / 5,
            "mixed": 2 / 3,
            "duplicates": 3 / 12,
            "truncated": 1 / 12,
            "ungraded": 1,
        }
    )


def test_base_and_teacher_must_share_their_tokens():
    base = tiny_model()
    require_same_tokens(base, tiny_model(seed=1))
    fewer = LanguageModel(tiny_network(), tiny_tokenizer(79), "fewer")
    with pytest.raises(GoniometerError, match=r"1 tokens differ; found 'w79' is \S+ in fewer"):
        require_same_tokens(base, fewer)
    tokenizer = tiny_tokenizer()
    tokenizer.add_special_tokens({"eos_token": "w9"})
    with pytest.raises(GoniometerError, match="'the end token' is 9 in other, expected 1"):
        require_same_tokens(base, LanguageModel(tiny_network(), tokenizer, "other"))


def test_the_embedded_teacher_gives_mixed_prompts():
    teacher = load("embedded:teacher")
    require_same_tokens(load("embedded:base"), teacher)
    _, told = draw(TASKS["arithmetic"](), config=Rollouts(), prompts=12, teacher=teacher)
    assert told.prompts_kept == 12
    assert 0.1 < told.wrong_sampled < 0.9
    assert told.truncated < 0.1
