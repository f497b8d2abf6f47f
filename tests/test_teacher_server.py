"""A teacher behind a URL: a server that fails in every way, what it says, and where it was left."""

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from goniometer.config import Rollouts, Server
from goniometer.errors import GoniometerError
from goniometer.rollouts.sample import sample_pool
from goniometer.tasks import AbstractTask, Correct, Problem, Ungraded, Wrong
from goniometer.teachers import ServerTeacher, journal
from tests.chat_server import chatting, said
from tests.tiny_model import END, tiny_model

SETTINGS = Rollouts(samples=3, max_new_tokens=4, temperature=0.7)
PROBLEMS = [Problem(f"w{i} w5", "", "") for i in range(4, 8)]
BASE = tiny_model()


def teacher_of(chat, **options) -> ServerTeacher:
    server = Server(url=chat.url, model="big", **{"timeout": 5.0, **options})
    return ServerTeacher(server, BASE, first_wait=0.01)


def complete(teacher, problems=PROBLEMS, settings=SETTINGS, kept=None, seed="s/train", rows=None):
    return teacher.complete(
        problems,
        settings,
        seed=seed,
        first=0,
        kept={} if kept is None else kept,
        advance=lambda n: rows.append(n) if rows is not None else None,
    )


def by_seed(body, number):
    """Words that hang on the question and the seed, as a real model's do."""
    return said(f"{body['messages'][0]['content'].split()[0]} w{4 + body['seed'] % 70}")


# What it says


def test_completions_are_the_server_s_in_order_and_each_has_a_seed_of_its_own():
    rows = []
    with chatting(by_seed) as chat:
        found = complete(teacher_of(chat), rows=rows)
        again = complete(teacher_of(chat, concurrency=1))
        other = complete(teacher_of(chat), seed="s/validation")
        later = complete(teacher_of(chat), problems=PROBLEMS[2:])
    assert found == again != other
    assert later == found[6:]  # whatever else was asked
    assert sum(rows) == 12
    assert [c.text.split()[0] for c in found] == ["w4"] * 3 + ["w5"] * 3 + ["w6"] * 3 + ["w7"] * 3
    first = chat.bodies[:12]
    assert len({body["seed"] for body in first}) == 12
    assert all(0 <= body["seed"] < 2**31 for body in first)
    body = first[0] | {"seed": 0, "messages": []}
    assert body == {
        "model": "big", "temperature": 0.7, "top_p": 1.0, "max_tokens": 4, "seed": 0, "messages": []
    }  # fmt: skip
    assert set(chat.paths) == {"/v1/chat/completions"}


@pytest.mark.parametrize(
    ("reply", "tokens", "text", "truncated"),
    [
        (said("w5 w6"), (5, 6, END), "w5 w6", False),
        (said("w5 w6", "length"), (5, 6), "w5 w6", True),
        (said(None), (END,), "", False),
        (said("w5 w6 w7 w8"), (5, 6, 7, 8), "w5w6w7w8", True),  # no room for the end
        (said("w5 w6 w7 w8 w9", "length"), (5, 6, 7, 8), "w5w6w7w8", True),
    ],
)
def test_a_text_is_read_by_the_base_s_tokenizer(reply, tokens, text, truncated):
    with chatting(lambda body, number: reply) as chat:
        teacher = teacher_of(chat)
        found = complete(teacher, PROBLEMS[:1])
    assert {(c.tokens, c.text, c.truncated) for c in found} == {(tokens, text, truncated)}
    assert found[0].prompt_tokens == BASE.encode_prompt("w4 w5")
    assert teacher.logprobs(found, SETTINGS) == [None] * 3


class Words(AbstractTask):
    name = "words"

    def problems(self, split, count, seed):
        return tuple(Problem(f"w{4 + i}", "", "") for i in range(min(count, 6)))

    def grade(self, problem, completion, *, truncated):
        return Wrong("truncated") if truncated else self.of(completion)

    def of(self, completion):
        return Correct() if "w9" in completion else Wrong("answer")


def test_what_the_teacher_refused_is_ungraded_and_its_rows_have_no_log_probs():
    def answer(body, number):
        if body["messages"][0]["content"] == "w4":
            return said(None, "content_filter")
        return said("w9" if body["seed"] % 2 else "w8")

    settings = Rollouts(samples=8, rows_per_prompt=2, max_new_tokens=4)
    with chatting(answer) as chat:
        drawn, pool = sample_pool(
            teacher_of(chat), Words(), "train", settings=settings, prompts=3, seed=0, kept={},
            advance=lambda n: None,
        )  # fmt: skip
    refused = [row for row in drawn.rows if isinstance(row.grade, Ungraded)]
    assert len(refused) == 8
    assert refused[0].grade.reason == "the teacher ended with content_filter"
    assert len({row.problem_id for row in pool.rows}) == 3
    assert all(row.logprobs is None for row in pool.rows)


def test_the_key_comes_from_the_environment_and_keys_of_the_body_can_be_changed(monkeypatch):
    monkeypatch.setenv("A_KEY", "secret")
    with chatting(by_seed) as chat:
        body = {"max_tokens": None, "max_completion_tokens": 9, "top_k": -1}
        teacher = teacher_of(chat, key_env="A_KEY", extra_body=body)
        complete(teacher, PROBLEMS[:1])
        complete(teacher_of(chat), PROBLEMS[:1])
    assert chat.keys == ["Bearer secret"] * 3 + [None] * 3
    assert chat.bodies[0].keys() - chat.bodies[3].keys() == {"max_completion_tokens", "top_k"}
    assert "max_tokens" not in chat.bodies[0]
    assert "secret" not in repr(teacher)
    monkeypatch.delenv("A_KEY")
    with pytest.raises(GoniometerError, match=r"key_env: .*not set; found A_KEY"):
        complete(teacher)


def test_who_answers_and_who_reads_is_in_the_fingerprint():
    def of(base=BASE, **options):
        return ServerTeacher(Server(**{"url": "http://a/v1", "model": "m"} | options), base)

    other = [of(url="http://b/v1"), of(model="n"), of(extra_body={"k": 1}), of(tiny_model(words=9))]
    assert len({teacher.fingerprint for teacher in (of(), *other)}) == 5
    assert of(concurrency=1, timeout=9, attempts=2).fingerprint == of().fingerprint


# Failures


def then_right(*failures):
    return lambda body, number: failures[number - 1] if number <= len(failures) else said("w5")


def test_it_is_asked_again_after_429_500_garbage_and_silence():
    garbage = [
        b"<html>",
        b"{",
        b"[]",
        b"null",
        b'{"choices": []}',
        b'{"choices": [{"message": 5}]}',
    ]
    failures = [
        (429, {"Retry-After": "0.2"}, b"slow down"),
        (500, {}, b"oops"),
        (503, {"Retry-After": "soon"}, b""),
        *((200, {}, text) for text in garbage),
        said("w5", None),
    ]
    with chatting(then_right(*failures)) as chat:
        teacher = teacher_of(chat, attempts=len(failures) + 1, concurrency=1)
        object.__setattr__(teacher, "first_wait", 0.0001)
        found = complete(teacher, PROBLEMS[:1], Rollouts(samples=2, max_new_tokens=4))
    assert [c.text for c in found] == ["w5", "w5"]
    assert len(chat.bodies) == len(failures) + 2
    assert len({body["seed"] for body in chat.bodies}) == 2  # the same question again
    assert chat.times[1] - chat.times[0] >= 0.2  # as it asked for


def test_a_date_to_retry_after_is_understood_and_nonsense_is_not():
    from goniometer.teachers import endpoint

    at = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert 25 < endpoint._retry_after(at) <= 30
    assert [endpoint._retry_after(text) for text in ("nan", "inf", "soon", None)] == [None] * 4


def test_an_answer_that_takes_too_long_is_asked_for_again():
    def slow_once(body, number):
        time.sleep(0.5 if number == 1 else 0)
        return said("w5")

    with chatting(slow_once) as chat:
        found = complete(
            teacher_of(chat, timeout=0.2, concurrency=1), PROBLEMS[:1], Rollouts(samples=2)
        )
    assert len(found) == 2
    assert len(chat.bodies) == 3


@pytest.mark.parametrize(
    ("reply", "requests", "message"),
    [
        ((401, {}, b"bad key"), 1, "refuses the request; found HTTP 401: bad key"),
        ((404, {}, b"no model\nbig"), 1, "refuses the request; found HTTP 404: no model big"),
        ((500, {}, b"oops"), 3, "no answer in 3 attempts; found HTTP 500: oops"),
        ((200, {}, b"\xff\x00x" * 999), 3, "no answer in 3 attempts; found no chat completion"),
        ((302, {"Location": "http://elsewhere"}, b""), 1, "refuses the request; found HTTP 302"),
    ],
)
def test_a_server_that_never_answers_ends_in_one_line_that_names_it(reply, requests, message):
    with chatting(lambda body, number: reply) as chat:
        teacher = teacher_of(chat, attempts=3, concurrency=1)
        with pytest.raises(GoniometerError, match=message) as caught:
            complete(teacher)
    assert str(caught.value).startswith(f"{chat.url}/chat/completions: the teacher")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
    assert len(chat.bodies) == requests


def test_nobody_there_is_one_line():
    with chatting(by_seed) as chat:
        pass
    with pytest.raises(GoniometerError, match="no answer in 2 attempts; found ConnectError"):
        complete(teacher_of(chat, attempts=2))


def test_a_failure_ends_the_waiting_of_all_others():
    def answer(body, number):
        return (401, {}, b"no") if number == 4 else (429, {"Retry-After": "30"}, b"")

    with chatting(answer) as chat:
        start = time.monotonic()
        with pytest.raises(GoniometerError, match="HTTP 401"):
            complete(teacher_of(chat, concurrency=4))
    assert time.monotonic() - start < 10


def test_no_more_requests_at_once_than_the_study_allows():
    def slow(body, number):
        time.sleep(0.03)
        return said("w5")

    with chatting(slow) as chat:
        complete(teacher_of(chat, concurrency=3), settings=Rollouts(samples=6))
    assert chat.most == 3


# Resume


def test_what_came_is_kept_and_nothing_is_asked_twice(tmp_path):
    file = tmp_path / "answers.jsonl"
    with chatting(by_seed) as chat:
        whole = complete(teacher_of(chat))

    def fails_late(body, number):
        return by_seed(body, number) if number <= 7 else (401, {}, b"out of money")

    with chatting(fails_late) as chat:
        teacher = teacher_of(chat, concurrency=1)
        with pytest.raises(GoniometerError, match="out of money"), journal(file) as kept:
            complete(teacher, kept=kept)
        assert len(file.read_text().splitlines()) == 7
        with file.open("a") as opened:
            opened.write('{"key": "half a li')  # killed while it wrote
        asked = len(chat.bodies)
        chat.answer = by_seed
        with journal(file) as kept:
            assert complete(teacher, kept=kept) == whole
        assert len(chat.bodies) - asked == 5
        with journal(file) as kept:
            assert complete(teacher, kept=kept) == whole
            complete(teacher, kept=kept, settings=SETTINGS.model_copy(update={"samples": 4}))
    assert len(chat.bodies) - asked == 5 + 4  # one more sample of each problem


def test_a_journal_with_a_strange_line_names_it(tmp_path):
    file = tmp_path / "answers.jsonl"
    file.write_text('{"key": "a", "answer": 1}\n{"answer": 2}\n')
    with (
        pytest.raises(GoniometerError, match=r"answers.jsonl: line 2: not an answer"),
        journal(file),
    ):
        pass
