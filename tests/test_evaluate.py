"""What a run can do: placed updates, greedy scores, held-out likelihood, ordered pairs."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from goniometer.behaviour.evaluate import HeldOut, Scores, evaluate, held_out, ordered_pairs
from goniometer.behaviour.placed import Placed
from goniometer.config import Evaluation
from goniometer.deltas import LowRank
from goniometer.errors import GoniometerError
from goniometer.model import generate, load
from goniometer.tasks import TASKS, AbstractTask, Correct, Problem, Wrong
from tests.rollouts_factory import make_rollouts
from tests.tiny_model import tiny_model

WORDS = 20  # as many as make_rollouts has token ids
Q_PROJ = "model.layers.1.self_attn.q_proj"
SETTINGS = Evaluation(max_new_tokens=8, batch_size=4)


class Even(AbstractTask):
    """Right where the completion has an even number of words."""

    name = "even"

    def problems(self, split, count, seed):
        return tuple(Problem(f"w{4 + i} w{19 - i}", "", "") for i in range(count))

    def grade(self, problem, completion, *, truncated):
        if problem.question.startswith("w7"):
            raise ValueError("crash")
        if truncated:
            return Wrong("truncated")
        return Correct() if completion.count("w") % 2 == 0 else Wrong("answer")


def delta():
    generator = torch.Generator().manual_seed(0)
    B, A = torch.randn(32, 3, generator=generator), torch.randn(3, 16, generator=generator)
    return {Q_PROJ: LowRank(B, A, 0.7)}


def merged():
    model = tiny_model(words=WORDS)
    with torch.no_grad():
        model.network.get_submodule(Q_PROJ).weight += delta()[Q_PROJ].dense()
    return model


def answers(placed, count=12, advance=lambda rows: None):
    return evaluate(placed, Even(), Even().problems("test", count, 0), SETTINGS, advance)


# Greedy scores


def test_a_placed_update_answers_and_scores_as_the_merged_model():
    placed, twin = Placed(tiny_model(words=WORDS), delta()), Placed(merged())
    base = Placed(placed.base)
    rollouts = make_rollouts(["+-", "++-"])
    assert answers(placed) == answers(twin) != answers(base)
    one, other, plain = (
        held_out(p, rollouts, batch_size=2, advance=lambda rows: None).logprobs
        for p in (placed, twin, base)
    )
    assert one == pytest.approx(other, rel=1e-6)
    assert one != pytest.approx(plain, rel=1e-3)


def test_scores_are_in_the_order_of_the_problems_and_graded_by_the_task():
    model, rows = tiny_model(seed=9, words=WORDS), []
    scores = answers(Placed(model), advance=rows.append)
    problems = Even().problems("test", 12, 0)
    greedy = [
        generate(
            model,
            [model.encode_prompt(problem.question)],
            max_new_tokens=8,
            temperature=0.0,
            seed=1,
            batch_size=1,
            advance=lambda rows: None,
        )[0]
        for problem in problems
    ]
    assert scores.completions == tuple(model.decode(g.tokens) for g in greedy)
    assert scores.truncated == tuple(g.truncated for g in greedy)
    assert scores.problem_ids == tuple(p.id for p in problems)
    assert sum(rows) == 12
    assert set(scores.truncated) == {True, False}
    for problem, grade, text, cut in zip(
        problems, scores.grades, scores.completions, scores.truncated, strict=True
    ):
        if problem.question.startswith("w7"):
            assert grade == "ungraded:ValueError: crash"
        elif cut:
            assert grade == "wrong:truncated"
        else:
            assert grade == ("wrong:answer" if text.count("w") % 2 else "correct")


def test_a_failed_grade_is_no_outcome():
    grades = ("correct", "wrong:answer", "ungraded:crash", "wrong:truncated")
    scores = Scores(tuple("abcd"), grades, ("",) * 4, (False, False, False, True))
    assert scores.outcomes() == (True, False, None, False)


def test_scores_go_to_a_file_and_back_in_equal_bytes(tmp_path):
    scores = answers(Placed(tiny_model(words=WORDS)))
    scores.save(tmp_path / "a.parquet")
    assert Scores.read(tmp_path / "a.parquet") == scores
    scores.save(tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_a_file_that_holds_no_scores_is_named(tmp_path):
    file = tmp_path / "scores.parquet"
    with pytest.raises(GoniometerError, match=r"scores.parquet: not a file of scores"):
        Scores.read(file)
    file.write_bytes(b"no Parquet")
    with pytest.raises(GoniometerError, match=r"scores.parquet: not a file of scores"):
        Scores.read(file)


# Held-out likelihood


def test_held_out_nll_is_by_token_and_apart_for_right_and_wrong():
    rollouts = make_rollouts(["+-?", "-+++"], seed=3)
    model, rows = tiny_model(words=WORDS), []
    result = held_out(Placed(model), rollouts, batch_size=3, advance=rows.append)
    assert sum(rows) == len(rollouts.rows) == len(result.logprobs)
    sums, lengths = {}, {}
    for index, row in enumerate(rollouts.rows):
        start = len(row.prompt_tokens)
        text = torch.tensor([[*row.prompt_tokens, *row.completion_tokens]])
        logits = model.network(input_ids=text).logits[0, start - 1 : -1].detach()
        nll = torch.nn.functional.cross_entropy(logits, text[0, start:], reduction="sum").item()
        assert result.logprobs[index] == pytest.approx(-nll, rel=1e-6)
        sums[type(row.grade)] = sums.get(type(row.grade), 0) + nll
        lengths[type(row.grade)] = lengths.get(type(row.grade), 0) + len(row.completion_tokens)
    assert result.nll_right == pytest.approx(sums[Correct] / lengths[Correct], rel=1e-6)
    assert result.nll_wrong == pytest.approx(sums[Wrong] / lengths[Wrong], rel=1e-6)


def test_one_sided_held_out_rollouts_are_refused():
    placed, rollouts = Placed(tiny_model(words=WORDS)), make_rollouts(["+++", "+?"])
    with pytest.raises(GoniometerError, match="one side; found 4 right, 0 wrong"):
        held_out(placed, rollouts, batch_size=4, advance=lambda rows: None)
    run = HeldOut(1.0, 1.0, (-1.0,) * 5)
    with pytest.raises(GoniometerError, match="no held-out prompt has both"):
        ordered_pairs(run, run, rollouts)


# Ordered pairs

GROUPS = ["+-+-", "+---", "+++-", "++", "-?+"]
ROLLOUTS = make_rollouts(GROUPS)
ROWS = len(ROLLOUTS.rows)
# Quarters, so that sums and differences are exact and ties are ties.
logprobs = st.lists(st.integers(-40, 0).map(lambda n: n / 4), min_size=ROWS, max_size=ROWS)


def scored(values):
    return HeldOut(1.0, 1.0, tuple(values))


def shifted(base, shift):
    """The base with `shift(row)` added to each row."""
    return scored(v + shift(row) for v, row in zip(base.logprobs, ROLLOUTS.rows, strict=True))


def brute_force(run, base):
    """Pair by pair, as the definition says."""
    shares, start = [], 0
    for group in GROUPS:
        margins = [
            (run[i] - base[i]) - (run[j] - base[j])
            for i in range(start, start + len(group))
            for j in range(start, start + len(group))
            if ROLLOUTS.rows[i].correct and ROLLOUTS.rows[j].wrong
        ]
        start += len(group)
        if margins:
            shares.append(sum((m > 0) + (m == 0) / 2 for m in margins) / len(margins))
    return sum(shares) / len(shares)


@given(run=logprobs, base=logprobs)
def test_ordered_pairs_is_the_definition(run, base):
    share = ordered_pairs(scored(run), scored(base), ROLLOUTS)
    assert share == pytest.approx(brute_force(run, base), abs=1e-12)


@given(base=logprobs, prompt_shift=st.integers(-8, 8))
def test_ordered_pairs_at_its_three_fixed_points(base, prompt_shift):
    base = scored(base)
    assert ordered_pairs(base, base, ROLLOUTS) == 0.5  # nothing moved: all ties
    assert ordered_pairs(shifted(base, lambda row: row.correct), base, ROLLOUTS) == 1
    assert ordered_pairs(shifted(base, lambda row: -row.correct), base, ROLLOUTS) == 0
    # What moves all rows of a prompt alike changes no preference.
    by_prompt = shifted(base, lambda row: prompt_shift * int(row.problem_id[1:]))
    assert ordered_pairs(by_prompt, base, ROLLOUTS) == 0.5


def test_prompts_weigh_alike_however_many_pairs_they_have():
    """One pair won at one prompt, four lost at another: 1/2, not 1/5."""
    rollouts = make_rollouts(["+-", "++--"])
    base = scored([-1.0] * 6)
    run = replace(base, logprobs=(0.0, -1.0, -2.0, -2.0, -1.0, -1.0))
    assert ordered_pairs(run, base, rollouts) == 0.5


def test_a_diverged_run_orders_nothing():
    run = scored([math.nan] * ROWS)
    assert math.isnan(ordered_pairs(run, scored([-1.0] * ROWS), ROLLOUTS))


def test_the_embedded_models_solve_some_and_not_all():
    task = TASKS["arithmetic"]()
    problems = task.problems("test", 60, 0)
    config = Evaluation(batch_size=60)
    for name in ("base", "teacher"):
        scores = evaluate(
            Placed(load(f"embedded:{name}")), task, problems, config, lambda rows: None
        )
        assert 0.2 < sum(map(bool, scores.outcomes())) / 60 < 0.9
        assert not any(scores.truncated)
