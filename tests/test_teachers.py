"""Teachers of this machine: the distribution they draw from, resume, and vLLM's side of a call."""

import sys
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace

import pytest
import torch
from scipy import stats

from goniometer.config import Models, Rollouts
from goniometer.errors import GoniometerError
from goniometer.model import completion_logprobs, generate, load
from goniometer.tasks import TASKS, Problem
from goniometer.teachers import (
    TEACHERS,
    TransformersTeacher,
    journal,
    kind_of,
    open_teacher,
    reference_of,
)
from goniometer.teachers.base import answered
from tests.tiny_model import END, VOCABULARY, tiny_model

PROBLEMS = [Problem(f"w{i} w5 w6" if i % 2 else f"w{i}", "", "") for i in range(4, 12)]
SETTINGS = Rollouts(samples=3, max_new_tokens=6, temperature=1.3, batch_size=5)


@pytest.fixture(scope="module")
def embedded():
    return load("embedded:teacher")


def complete(teacher, kept=None, settings=SETTINGS, advance=lambda rows: None, problems=PROBLEMS):
    return teacher.complete(
        problems, settings, seed="s/train", first=0, kept={} if kept is None else kept,
        advance=advance,
    )  # fmt: skip


# The distribution


def compare(tokens: torch.Tensor, logits: torch.Tensor) -> float:
    """Chi-square p of drawn tokens against the softmax; rare tokens are one cell."""
    expected = torch.softmax(logits.double(), dim=0) * len(tokens)
    counts = torch.bincount(tokens, minlength=len(expected)).double()
    common = expected >= 5
    pairs = [[*x[common].tolist(), x[~common].sum().item()] for x in (counts, expected)]
    if pairs[1][-1] < 1e-9:
        assert pairs[0][-1] == 0
        pairs = [pair[:-1] for pair in pairs]
    assert len(pairs[0]) > 2, "too sharp to test anything"
    return float(stats.chisquare(*pairs, sum_check=False).pvalue)


def test_each_position_follows_the_softmax_of_the_model_at_the_temperature(embedded):
    """Exact, by position, in a mixed batch: prompts of other lengths are padded beside these."""
    problems = TASKS["arithmetic"]().problems("train", 2, 0)
    temperature, draws = 2.5, 400
    prompts = [embedded.encode_prompt(problem.question) for problem in problems]
    assert len({len(prompt) for prompt in prompts}) == 2
    found = generate(
        embedded, prompts * draws, max_new_tokens=2, temperature=temperature, seed=3,
        batch_size=400, advance=lambda rows: None,
    )  # fmt: skip
    for number, prompt in enumerate(prompts):
        rows = [completion.tokens for completion in found[number::2]]
        first = torch.tensor([row[0] for row in rows])

        def logits(*more, prompt=prompt):
            with torch.no_grad():
                tokens = torch.tensor([[*prompt, *more]])
                return embedded.network(input_ids=tokens).logits[0, -1] / temperature

        assert compare(first, logits()) > 1e-3
        common = int(first.bincount().argmax())
        second = torch.tensor([row[1] for row in rows if row[0] == common and len(row) > 1])
        assert len(second) > 60
        assert compare(second, logits(common)) > 1e-3


def test_greedy_completions_do_not_hang_on_the_batch(embedded):
    problems = TASKS["arithmetic"]().problems("train", 12, 1)
    prompts = [embedded.encode_prompt(problem.question) for problem in problems]

    def greedy(batch_size):
        return generate(
            embedded, prompts, max_new_tokens=16, temperature=0, seed=0, batch_size=batch_size,
            advance=lambda rows: None,
        )  # fmt: skip

    assert greedy(12) == greedy(5) == greedy(1)


def test_prompts_that_are_read_once_for_all_their_samples_draw_the_same(monkeypatch):
    """In float64, against rows that are each read alone; one prompt is cut by a batch's end."""
    module = sys.modules["goniometer.model.generate"]
    model, read, plain = tiny_model(), [], module.past_of

    def counted(past, rows):
        read.append((len(past.layers[0].keys), len(rows)))
        return plain(past, rows)

    monkeypatch.setattr(module, "past_of", counted)
    shared = complete(TransformersTeacher(model))
    assert [rows for _, rows in read] == [5, 5, 5, 5, 4]
    assert {distinct for distinct, _ in read} <= {2, 3}
    monkeypatch.setattr(module, "shares_past", lambda network: False)
    assert complete(TransformersTeacher(model)) == shared
    assert len(read) == 5


# Resume


def test_a_killed_sampling_goes_on_where_it_was(tmp_path):
    file, model = tmp_path / "answers.jsonl", tiny_model()
    whole = complete(TransformersTeacher(model))
    calls = []

    def killed(rows):
        calls.append(rows)
        if len(calls) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), journal(file) as kept:
        complete(TransformersTeacher(model), kept, advance=killed)
    assert len(file.read_text().splitlines()) == 3

    batches = []
    model.network.generate, plain = None, model.network.generate

    def counted(**options):
        batches.append(len(options["input_ids"]))
        return plain(**options)

    model.network.generate = counted
    rows = []
    with journal(file) as kept:
        assert complete(TransformersTeacher(model), kept, advance=rows.append) == whole
    assert batches == [5, 4]  # of 5, 5, 5, 5, 4
    assert rows == [5, 5, 5, 5, 4]
    with journal(file) as kept:  # what hangs on other settings is drawn anew
        complete(TransformersTeacher(model), kept, SETTINGS.model_copy(update={"temperature": 1.0}))
        complete(TransformersTeacher(tiny_model(seed=1)), kept)
    assert len(file.read_text().splitlines()) == 3 + 2 + 5 + 5


def test_only_what_is_missing_is_asked_for_once_and_what_came_before_a_failure_is_kept():
    kept, asked, counted = {"b": 0}, [], []

    def ask(missing, keep):
        for key in missing:
            asked.append(key)
            if key == "d":
                raise GoniometerError("out of money")
            keep({key: len(asked)})

    assert answered(list("abca"), kept, ask, counted.append) == [1, 0, 2, 1]
    assert (asked, counted) == (["a", "c"], [2, 1, 1])  # the second a comes with the first
    with pytest.raises(GoniometerError, match="out of money"):
        answered(list("edf"), kept, ask)
    assert kept == {"b": 0, "a": 1, "c": 2, "e": 3}
    assert answered(list("ace"), kept, pytest.fail) == [1, 2, 3]


def test_log_probs_are_those_of_the_policy_that_sampled():
    teacher = TransformersTeacher(tiny_model())
    found = complete(teacher)
    wanted = completion_logprobs(
        teacher.language, [c.prompt_tokens for c in found], [c.tokens for c in found],
        batch_size=24, advance=lambda rows: None, temperature=1.3,
    )  # fmt: skip
    for ours, theirs in zip(teacher.logprobs(found, SETTINGS), wanted, strict=True):
        assert ours == pytest.approx(theirs)


# Which teacher


def test_each_row_of_the_table_is_named_by_a_study():
    server = {"url": "http://localhost:1/v1", "model": "m"}
    named = {"transformers": "base", "vllm": "vllm:embedded:teacher", "server": server}
    assert named.keys() == TEACHERS.keys()
    base = tiny_model()
    for kind, teacher in named.items():
        models = Models(teacher=teacher)
        assert kind_of(models.teacher) == kind
        opened = open_teacher(models, base, pytest.fail)
        assert type(opened).__module__ == f"goniometer.teachers.{kind}"
        assert (opened.language is None) == (kind == "server")
    assert reference_of("vllm:some/folder") == "some/folder"
    assert reference_of("some/folder") == "some/folder"


# vLLM, of which only the side of the call is here: its API as of 0.10.2


@dataclass
class FakeParams:
    n: int
    temperature: float
    top_p: float
    top_k: int
    max_tokens: int
    seed: int
    stop_token_ids: list[int]
    logprobs: int
    detokenize: bool


class FakeEngine:
    """Draws from the tiny model a token at a time; a request's draws hang on its seed alone."""

    made: list["FakeEngine"] = []  # noqa: RUF012

    def __init__(
        self, model, *, dtype, seed, gpu_memory_utilization, generation_config, logprobs_mode
    ):
        assert (generation_config, logprobs_mode, dtype) == (
            "vllm",
            "processed_logprobs",
            "float32",
        )
        self.network, self.prompts = tiny_model().network, []
        FakeEngine.made.append(self)

    def generate(self, prompts, params, use_tqdm):
        assert not use_tqdm
        self.prompts += [prompt["prompt_token_ids"] for prompt in prompts]
        return [
            SimpleNamespace(outputs=[self.draw(prompt["prompt_token_ids"], own)])
            for prompt, own in zip(prompts, params, strict=True)
        ]

    def draw(self, prompt, params):
        assert (params.n, params.top_p, params.top_k, params.logprobs) == (1, 1.0, -1, 0)
        generator = torch.Generator().manual_seed(params.seed)
        tokens, logprobs = [], []
        while len(tokens) < params.max_tokens and not set(tokens) & set(params.stop_token_ids):
            with torch.no_grad():
                logits = self.network(input_ids=torch.tensor([[*prompt, *tokens]])).logits[0, -1]
            values = torch.log_softmax(logits / params.temperature, dim=0)
            tokens.append(int(torch.multinomial(values.exp(), 1, generator=generator)))
            logprobs.append({tokens[-1]: SimpleNamespace(logprob=float(values[tokens[-1]]))})
        finish = "stop" if tokens[-1] == END else "length"
        return SimpleNamespace(token_ids=tokens, logprobs=logprobs, finish_reason=finish)


@pytest.fixture
def vllm(tmp_path, monkeypatch):
    module = ModuleType("vllm")
    module.LLM, module.SamplingParams = FakeEngine, FakeParams
    module.__spec__ = SimpleNamespace()
    monkeypatch.setitem(sys.modules, "vllm", module)
    monkeypatch.setattr(FakeEngine, "made", [])
    tiny_model(dtype=torch.float32).save(tmp_path / "model")
    models = Models(teacher=f"vllm:{tmp_path / 'model'}")
    return lambda: open_teacher(models, tiny_model(), pytest.fail)


def test_vllm_is_asked_for_tokens_with_a_seed_each_and_says_their_log_probs(vllm):
    settings = SETTINGS.model_copy(update={"max_new_tokens": 30, "batch_size": 16})
    teacher = vllm()
    assert not FakeEngine.made  # nothing starts before it is needed
    found = complete(teacher, settings=settings)
    assert len(FakeEngine.made) == 1
    assert FakeEngine.made[0].prompts == [list(c.prompt_tokens) for c in found]
    assert found[0].prompt_tokens == tiny_model().encode_prompt(PROBLEMS[0].question)
    assert {c.truncated for c in found} == {True, False}
    assert all(c.truncated == (c.tokens[-1] != END) for c in found)
    assert len({c.tokens for c in found[:3]}) == 3
    ours = TransformersTeacher(tiny_model()).logprobs(found, settings)
    for said, scored in zip(teacher.logprobs(found, settings), ours, strict=True):
        assert said == pytest.approx(scored, abs=1e-5)
    assert max(max(c.tokens) for c in found) < VOCABULARY


def test_vllm_s_answers_are_kept(vllm, tmp_path):
    file = tmp_path / "answers.jsonl"
    rows = []

    def killed(count):
        rows.append(count)
        if len(rows) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), journal(file) as kept:
        complete(vllm(), kept, advance=killed)
    with journal(file) as kept:
        found = complete(vllm(), kept)
    assert [len(engine.prompts) for engine in FakeEngine.made] == [5, 24 - 5]
    assert found == complete(vllm())


def test_without_vllm_the_extra_is_named(tmp_path):
    if "vllm" in sys.modules:
        pytest.skip("vLLM is here")
    tiny_model(dtype=torch.float32).save(tmp_path)
    teacher = open_teacher(Models(teacher=f"vllm:{tmp_path}"), tiny_model(), load)
    with pytest.raises(GoniometerError, match=r"vLLM is not installed.*goniometer\[vllm\]"):
        complete(teacher)
