"""A study whose teacher is a server: killed while it samples, gone on, and refused beforehand."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from goniometer.errors import GoniometerError
from goniometer.rollouts import sources
from goniometer.seeds import derive
from goniometer.study_file import read_study
from goniometer.tasks import TASKS
from tests.chat_server import chatting, said
from tests.conftest import Command
from tests.small_study import refused, study_file
from tests.test_cli import SRC

ARMS = [{"name": "SFT", "objective": "sft"}, {"name": "DPO", "objective": "dpo"}]


@pytest.fixture(scope="module")
def answers():
    task = TASKS["arithmetic"]()
    seed = derive(0, "rollouts")
    splits = (("train", 96), ("validation", 48))
    problems = [p for split, count in splits for p in task.problems(split, count, seed)]
    known = {problem.question: problem for problem in problems}

    def answer(body, number):
        problem = known[body["messages"][0]["content"]]
        wrong = re.sub(r"-?\d+$", str(int(problem.answer) + 1), problem.solution)
        return said(problem.solution if body["seed"] % 2 else wrong)

    return answer


def served(folder: Path, url: str, **sections: object) -> Path:
    teacher = {"url": url, "model": "big", "concurrency": 4}
    options: dict[str, object] = {
        "models": {"teacher": teacher},
        "rollouts": {"samples": 4},
        "floors": None,
        "arms": ARMS,
        "evaluation": {"problems": 10},
        "divergence": {"prompts": 4},
        "paths": None,
        "similarity": None,
    }
    return study_file(folder, **(options | sections))


def start(study: Path, out: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "goniometer", "study", str(study), "-o", str(out)]
    env = os.environ | {"PYTHONPATH": str(SRC), "HF_HUB_OFFLINE": "1"}
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.slow
def test_a_killed_study_asks_a_server_for_the_rest_alone(tmp_path: Path, answers):
    def slow(body, number):
        time.sleep(0.05)
        return answers(body, number)

    with chatting(slow) as chat:
        study = served(tmp_path, chat.url)
        process = start(study, tmp_path / "out")
        while len(chat.bodies) < 12 and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        time.sleep(0.2)
        asked = len(chat.bodies)
        assert 12 <= asked < 60
        (file,) = (tmp_path / "out" / "rollouts").glob("answers-*.jsonl")
        kept = file.read_bytes().count(b"\n")
        assert asked - 5 <= kept < asked + 1  # but for what was under way
        chat.answer = answers
        process = start(study, tmp_path / "out")
        printed, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors.decode()
        lines = len(file.read_text().splitlines())
        assert len(chat.bodies) - asked == lines - kept
        distinct = {(body["messages"][0]["content"], body["seed"]) for body in chat.bodies}
        assert len(distinct) == lines
    (pool,) = (tmp_path / "out" / "rollouts").glob("*/pool.parquet")
    rows = sources.read(pool).rows
    assert len({row.problem_id for row in rows}) == 16
    assert all(row.logprobs is None for row in rows)
    assert {row.correct for row in rows} == {True, False}
    told = (pool.parent / "report.json").read_text()
    assert '"ungraded": 0' in told
    assert b"report.html" in printed


def test_an_arm_that_takes_the_teacher_s_log_probs_is_refused_before_anything_is_asked(
    tmp_path: Path, command: Command, answers
):
    ratio = {"objective": "offline_grpo", "options": {"variant": "ratio_clipped"}}
    own = {"name": "own", "objective": "online_grpo"}  # it samples for itself
    arms = [*ARMS, {"name": "GRPO", **ratio}, own]
    with chatting(answers) as chat:
        study = served(tmp_path, chat.url, arms=arms)
        (line,) = refused(command, study)
    assert line.startswith(f"{chat.url}: models.teacher: GRPO: takes the log-probs of the policy")
    assert chat.bodies == []


def test_a_key_that_is_not_set_is_said_before_anything_is_asked(
    tmp_path: Path, command: Command, monkeypatch
):
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    teacher = {"url": "http://localhost:1/v1", "model": "m", "key_env": "NO_SUCH_KEY"}
    (line,) = refused(command, served(tmp_path, "", models={"teacher": teacher}))
    assert line.startswith("models.teacher.key_env: the environment variable is not set")


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        ({"url": "localhost:8000/v1", "model": "m"}, "models.teacher.url: String should match"),
        ({"url": "http://u:p@host/v1", "model": "m"}, "models.teacher.url: String should match"),
        ({"url": "http://h/v1"}, "models.teacher.model: missing key"),
        ({"url": "http://h/v1", "model": "m", "modle": 1}, "models.teacher.modle: unknown key"),
        ({"url": "http://h/v1", "model": "m", "attempts": 0}, "models.teacher.attempts: .*found 0"),
        (5, "models.teacher: Input should be a valid string; found 5"),
    ],
)
def test_a_server_that_cannot_be_is_named_by_its_key(tmp_path: Path, teacher, message):
    with pytest.raises(GoniometerError, match=message) as caught:
        read_study(served(tmp_path, "", models={"teacher": teacher}))
    assert len(caught.value.faults) == 1
