"""`compare --base MODEL --data ROLLOUTS`: on the real small base, against merged copies."""

import dataclasses
import json
import math
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import peft
import pytest
import torch
from torch.nn.functional import cross_entropy

import goniometer
from goniometer import progress, results, with_model
from goniometer.behaviour import survey_file
from goniometer.behaviour.points import Paths, point
from goniometer.behaviour.survey import Greedy, survey
from goniometer.behaviour.texts import ReferenceTexts, bare_answers
from goniometer.comparison.options import Options
from goniometer.config import Evaluation
from goniometer.deltas import read
from goniometer.model import LanguageModel, find, load
from goniometer.rollouts import Rollout, RolloutSet, sources
from goniometer.seeds import derive
from goniometer.tasks import TASKS, Correct, Wrong
from tests.conftest import Command
from tests.rollouts_factory import graded
from tests.small_study import refused, study_file

SCALES = {"a": 0.02, "b": 0.05}


@pytest.fixture(scope="module")
def base() -> LanguageModel:
    return load("embedded:base", device="cpu")


@pytest.fixture(scope="module")
def home(tmp_path_factory, base) -> Path:
    """Two adapters of the base with random factors, and rollouts: a right and a wrong row each."""
    root = tmp_path_factory.mktemp("with_model")
    for name, scale in SCALES.items():
        model = peft.get_peft_model(load("embedded:base").network, settings())
        generator = torch.Generator().manual_seed(len(name) + int(100 * scale))
        for key, parameter in model.named_parameters():
            if "lora_" in key:
                parameter.data = scale * torch.randn(parameter.shape, generator=generator)
        model.save_pretrained(root / name)
    rows = []
    for problem in TASKS["arithmetic"]().problems("validation", 6, 3):
        prompt, tokens = (
            base.encode_prompt(problem.question),
            base.encode_completion(problem.solution),
        )
        cut = tokens[:-3]
        rows += [
            Rollout(problem.id, prompt, cut, base.decode(cut), None, Wrong("answer"), True),
            Rollout(problem.id, prompt, tokens, problem.solution, None, Correct(), False),
        ]
    sources.save(RolloutSet(tuple(rows)), root / "rollouts.parquet")
    return root


def settings() -> peft.LoraConfig:
    return peft.LoraConfig(r=3, lora_alpha=6, target_modules=["q_proj", "v_proj"])


def merged_loss(home: Path, name: str) -> float:
    """NLL a token of the right rows, one text at a time, of a copy that PEFT has merged."""
    network = peft.PeftModel.from_pretrained(load("embedded:base").network, home / name)
    merged = network.merge_and_unload()
    total, tokens = 0.0, 0
    for row in sources.read(home / "rollouts.parquet").rows:
        if row.correct:
            total += nll(merged, row.prompt_tokens, row.completion_tokens)
            tokens += len(row.completion_tokens)
    return total / tokens


def nll(network, prompt, completion) -> float:
    """Of one completion, summed over its tokens."""
    ids = torch.tensor([*prompt, *completion])
    with torch.no_grad():
        logits = network(ids[None]).logits[0].double()
    start = len(prompt)
    return float(cross_entropy(logits[start - 1 : -1], ids[start:], reduction="sum"))


@pytest.fixture(scope="module")
def found(home) -> goniometer.Compared:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(with_model, "PROBLEMS", 3)
        patch.setattr(with_model, "LEAST", 8)
        return goniometer.compare(
            {name: home / name for name in SCALES},
            base="embedded:base",
            data=home / "rollouts.parquet",
            task="arithmetic",
            base_measures=False,
            draws=100,
        )


def test_all_of_it_is_measured_on_the_same_right_rows(home: Path, found):
    told = found.results.behaviour
    assert told.base == "embedded:base"
    assert told.data.startswith("one right rollout of each of 6 prompts of rollouts.parquet")
    paths = told.connectivity
    assert (paths.texts, paths.items) == ("held-out rollouts", 6)
    assert [(s.start, s.end) for s in paths.segments] == [("base", "a"), ("base", "b"), ("a", "b")]
    for segment in paths.segments[:2]:
        assert segment.loss[0] == paths.base_loss
        assert segment.loss[-1] == pytest.approx(merged_loss(home, segment.end), rel=1e-5)
    assert [kl.run for kl in told.divergence] == ["a", "b"]
    assert all(kl.kl.value > 0 and kl.prompts == 6 for kl in told.divergence)
    assert {(p.a, p.b) for p in told.similarity.pairs} == {("base", "a"), ("base", "b"), ("a", "b")}
    assert told.similarity.prompts == 6
    assert told.similarity.input_nulls.k == found.results.comparison.k
    assert len(told.similarity.input_nulls.modules) == len(read(home / "a"))


def test_what_weights_predict_of_sums_is_of_this_comparison(found):
    cosine = found.pair("a", "b").scopes["union"].readings["cosine"]
    assert [one.weights for one in found.results.behaviour.composed] == [(1, 1), (0.5, 0.5)]
    assert all(one.cosine == cosine for one in found.results.behaviour.composed)


def test_a_task_gives_accuracy_along_paths_and_agreement(found):
    told = found.results.behaviour
    (agreed,) = told.agreement
    assert (agreed.a, agreed.b, agreed.n) == ("a", "b", 3)
    for one in told.connectivity.segments:
        asked = [i for i, share in enumerate(one.accuracy) if share is not None]
        assert asked == [0, len(one.loss) // 2, len(one.loss) - 1]
    assert all(one.accuracy.value is not None for one in told.composed)


def test_a_survey_in_a_file_is_the_survey(home: Path, base, tmp_path: Path):
    texts = ReferenceTexts.of_rollouts(sources.read(home / "rollouts.parquet"))
    wanted = Paths(positions=3, draws=100)
    task = TASKS["arithmetic"]()
    greedy = Greedy(task, task.problems("validation", 2, 0), Evaluation(max_new_tokens=8))
    one = survey(base, {"a": read(home / "a")}, texts, wanted, greedy=greedy)
    one.losses.sums[point({"a": 1.0})][0] = math.nan
    one = dataclasses.replace(one)  # drawn again
    survey_file.save(one, tmp_path / "survey.json")
    other = survey_file.read(tmp_path / "survey.json", texts, wanted)
    assert other.scores == one.scores
    assert len(other.scores) == 3
    assert other.losses.sums.keys() == one.losses.sums.keys()
    for where, of in one.losses.sums.items():
        assert of.tobytes() == other.losses.sums[where].tobytes()
        assert one.drawn[where].tobytes() == other.drawn[where].tobytes()


def change(home: Path, tmp_path: Path, edit) -> Path:
    """Write the rollouts as JSON lines, each changed."""
    import pyarrow.parquet as pq

    rows = map(edit, pq.read_table(home / "rollouts.parquet").to_pylist())
    path = tmp_path / "changed.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows if row))
    return path


FAULTS = {
    "another vocabulary": (
        lambda row: row | {"completion_tokens": [999_999] * len(row["completion_tokens"])},
        "a token id that the base does not have; found 999999, expected below",
    ),
    "another tokenizer": (
        lambda row: row | {"completion_tokens": [max(3, t - 1) for t in row["completion_tokens"]]},
        "tokens that say something else to embedded:base: its tokenizer is another",
    ),
    "nothing": (lambda row: None, "no rollouts in the file"),
    "none right": (
        lambda row: row | {"grade": "ungraded:nobody"},
        "no rollout is right, and losses are taken of right ones; found 12 rows: 0 wrong, 12 ung",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_data_that_cannot_serve_is_one_line(home, tmp_path, command: Command, fault: str):
    edit, message = FAULTS[fault]
    given = ("--base", "embedded:base", "--data", change(home, tmp_path, edit))
    out = tmp_path / "out"
    code, printed, lines = command("compare", home / "a", home / "b", *given, "-o", out)
    assert (code, printed, len([line for line in lines if "goniometer: " in line])) == (2, "", 1)
    assert message in lines[-1]
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--data", "DATA"), "--data: texts, and no model"),
        (("--task", "arithmetic"), "--task: a task, and no texts"),
        (
            ("--base", "embedded:base", "--data", "DATA", "--origin", "a"),
            "not measured with --orig",
        ),
        (("--base", "embedded:bass", "--data", "DATA"), "no such embedded model"),
        (("--base", "embedded:base", "--data", "none.parquet"), "no such file of rollouts"),
        (("--base", "embedded:base", "--data", "DATA", "--task", "gsm9k"), "unknown task 'gsm9k'"),
        (("--base", "embedded:base", "--data", "DATA", "--option", "x=1"), "options, and no task"),
        (("--positions", "3"), "--positions: points of paths, and no texts"),
        (("--dtype", "bfloat16"), "--dtype: a precision of the base, and no texts"),
        (("--device", "cpu"), "--device: a device for the base, and no texts"),
        (("--bare-answer",), "--bare-answer: bare answers, and no task"),
        (("--accuracy", "everywhere"), "--accuracy: accuracy everywhere, and no task"),
    ],
)
def test_options_that_do_not_go_together_are_one_line(home, tmp_path, command, options, message):
    given = [home / "rollouts.parquet" if one == "DATA" else one for one in options]
    given = [home / "a" if one == "a" else one for one in given]
    code, _, lines = command("compare", home / "a", home / "b", *given, "-o", tmp_path / "out")
    assert code == 2
    assert message in lines[-1]


@pytest.mark.parametrize("positions", [4, 1, -3])
def test_positions_are_refused_as_a_study_refuses_them(home, tmp_path, command, positions: int):
    (line,) = refused(command, study_file(tmp_path, paths={"positions": positions}))
    words = line.partition("paths.positions: ")[2]
    given = ("--base", "embedded:base", "--data", home / "rollouts.parquet")
    out = tmp_path / "report"
    code, _, lines = command(
        "compare", home / "a", home / "b", *given, "--positions", positions, "-o", out
    )
    assert (code, lines) == (2, [f"goniometer: --positions: {words}"])
    with pytest.raises(goniometer.GoniometerError, match="--positions") as raised:
        goniometer.compare([home / "a", home / "b"], positions=positions)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("name", "value"), [("dtype", "float64"), ("device", "tpu"), ("accuracy", "ends")]
)
def test_choices_are_refused_in_python_too(name: str, value: str):
    given = Options(data="rollouts.parquet", task="arithmetic", **{name: value})
    with pytest.raises(goniometer.GoniometerError, match=f"--{name}: .*found '{value}'"):
        given.require_sense()


def changed_base(folder: Path, edit=lambda model: None, **config) -> str:
    """The base in a folder of its own, with another configuration."""
    model = load("embedded:base")
    model.network.config.update(config)
    edit(model)
    model.save(folder / "changed")
    return str(folder / "changed")


def data_of(folder: Path, *lengths: tuple[int, int]) -> str:
    """Right rollouts, with so many tokens of prompt and of completion."""
    rows = [
        replace(graded(f"p{i}", (5,) * completion, Correct()), prompt_tokens=(6 + i,) * prompt)
        for i, (prompt, completion) in enumerate(lengths)
    ]
    sources.save(RolloutSet(tuple(rows)), folder / "data.parquet")
    return str(folder / "data.parquet")


def test_every_text_that_is_read_must_fit_the_context(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(with_model, "FOR_LOSSES", 1)  # the second is read for activations alone
    narrow = changed_base(tmp_path, max_position_embeddings=48)
    data = data_of(tmp_path, (5, 20), (20, 29))
    with pytest.raises(goniometer.GoniometerError, match=r"p1: a text is too long .* 49 tokens, "):
        with_model.with_model(narrow, data, {}, Options())


def test_what_is_written_ends_where_the_context_does(tmp_path: Path):
    narrow = changed_base(tmp_path, max_position_embeddings=48)
    data = data_of(tmp_path, (5, 40), (30, 10))
    placed = with_model.with_model(narrow, data, {}, Options())
    assert placed.data.kl.max_new_tokens == 48 - 30
    assert "KL of 18 tokens at most" in placed.data.about
    placed = with_model.with_model("embedded:base", data, {}, Options(task="arithmetic"))
    prompts = [placed.base.encode_prompt(p.question) for p in placed.data.greedy.problems]
    longest = max(map(len, prompts))
    assert (placed.data.kl.max_new_tokens, placed.data.greedy.settings.max_new_tokens) == (40, 64)
    narrow = changed_base(tmp_path, max_position_embeddings=longest + 7)
    data = data_of(tmp_path, (5, 6))
    placed = with_model.with_model(narrow, data, {}, Options(task="arithmetic"))
    assert placed.data.greedy.settings.max_new_tokens == 7
    narrow = changed_base(tmp_path, max_position_embeddings=longest)
    with pytest.raises(goniometer.GoniometerError, match=f"no room for an answer; found {longest}"):
        with_model.with_model(narrow, data, {}, Options(task="arithmetic"))


def test_too_few_tokens_are_said_before_any_work(tmp_path: Path):
    with pytest.raises(goniometer.GoniometerError, match=r"too few tokens .* found 2, expected 4"):
        with_model.with_model("embedded:base", data_of(tmp_path, (5, 2)), {}, Options())


def test_a_run_with_a_tokenizer_of_its_own(home, tmp_path: Path, command: Command):
    run = shutil.copytree(home / "a", tmp_path / "a")
    tree = json.loads((find("embedded:base").path / "tokenizer.json").read_text())
    words = tree["model"]["vocab"]
    words[" +"], words[" -"] = words[" -"], words[" +"]
    (run / "tokenizer.json").write_text(json.dumps(tree))
    given = ("--base", "embedded:base", "--data", home / "rollouts.parquet")
    code, _, lines = command("compare", run, home / "b", *given, "-o", tmp_path / "out")
    assert code == 2
    assert (
        "a was trained with another tokenizer than embedded:base has: ' +'; found id 6" in lines[-1]
    )


def test_bfloat16_is_the_same_within_its_rounding(home: Path, found):
    some = {"base": "embedded:base", "data": home / "rollouts.parquet", "positions": 3}
    runs = {name: home / name for name in SCALES}
    rounded = goniometer.compare(
        runs, **some, dtype="bfloat16", device="cpu", base_measures=False, draws=2
    ).results.behaviour
    exact = found.results.behaviour
    assert rounded.data.endswith("; the base in bfloat16")
    for one, other in zip(rounded.divergence, exact.divergence, strict=True):
        assert one.kl.value == pytest.approx(other.kl.value, rel=0.3)
    ends = zip(rounded.connectivity.segments, exact.connectivity.segments, strict=True)
    for one, other in ends:
        assert one.loss != other.loss[::5]
        assert one.loss == pytest.approx(other.loss[::5], rel=0.05)


def able_to_write_answers(model: LanguageModel) -> None:
    model.tokenizer.add_tokens(["\\", "boxed", "{", "}"])
    model.network.resize_token_embeddings(len(model.tokenizer))


def test_bare_answers_and_accuracy_everywhere(home: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(with_model, "PROBLEMS", 2)
    monkeypatch.setattr(with_model, "LEAST", 4)
    reference = changed_base(tmp_path, able_to_write_answers)
    told = goniometer.compare(
        {name: home / name for name in SCALES},
        base=reference,
        data=data_of(tmp_path, (5, 6), (4, 6)),  # short ones, so that answers are
        task="arithmetic",
        bare_answer=True,
        accuracy="everywhere",
        positions=5,
        base_measures=False,
        draws=2,
    ).results.behaviour.connectivity
    for one in told.segments:
        assert None not in one.accuracy
        assert len(one.accuracy) == len(one.bare_answer) == 5
    base = load(reference)
    problems = TASKS["arithmetic"]().problems("test", 2, derive(0, "problems of compare"))
    texts = bare_answers(base, problems)
    network = peft.PeftModel.from_pretrained(base.network, home / "a").merge_and_unload()
    total = sum(nll(network, *text) for text in zip(texts.prompts, texts.completions, strict=True))
    expected = total / sum(map(len, texts.completions))
    assert told.segments[0].bare_answer[-1] == pytest.approx(expected, rel=1e-5)


@pytest.fixture(scope="module")
def few(home, tmp_path_factory) -> tuple[str, goniometer.results.Results]:
    """What the command says into a file, and finds, at three points."""
    out = tmp_path_factory.mktemp("few")
    given = ["--base", "embedded:base", "--data", "rollouts.parquet", "--positions", "3"]
    done = subprocess.run(
        [sys.executable, "-m", "goniometer", "compare", "a", "b", *given, "-o", out],
        cwd=home, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stderr, results.read_results(out / "results.json")


def test_fewer_positions_are_some_of_the_same_path(few, found):
    whole = found.results.behaviour.connectivity.segments
    for one, other in zip(few[1].behaviour.connectivity.segments, whole, strict=True):
        assert one.positions == (0, 0.5, 1)
        assert one.loss == pytest.approx(other.loss[::5], rel=1e-6)
        assert one.midpoint.value == pytest.approx(other.midpoint.value, abs=1e-6)


def test_a_file_gets_the_forecast_and_a_line_a_stage(few):
    lines = few[0].splitlines()
    # base, a, b, three midpoints and the sum, for 6 right rows
    start = lines.index("losses along paths: 7 points on 3 paths x 6 texts")
    assert re.fullmatch(r"losses along paths [0-9.]+ s", lines[start + 1])
    for stage in ("read runs", "compare modules", "similarity of activations", "KL", "write rep"):
        assert any(re.match(rf"{stage}.* [0-9.]+ s$", line) for line in lines)


def test_a_long_task_without_a_terminal_forecasts_once(monkeypatch, capsys):
    clock = iter([100.0, 110.0, 140.0, 160.0, 180.0])
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    with progress.bars() as bars, bars.task("reading", 8) as advance:
        for _ in range(3):
            advance(1)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "reading: 2 of 8 in 40 s, about 120 s left", "reading 80.0 s",
    ]  # fmt: skip


def test_a_base_that_does_not_fit_names_the_first_mismatch(home, tmp_path, command: Command):
    base = load("embedded:base")
    base.network.config.update({"num_hidden_layers": 1, "layer_types": ["full_attention"]})
    base.network.model.layers = base.network.model.layers[:1]
    base.save(tmp_path / "base")
    given = ("--base", tmp_path / "base", "--data", home / "rollouts.parquet")
    code, _, lines = command("compare", home / "a", home / "b", *given, "-o", tmp_path / "out")
    assert code == 2
    assert "model.layers.1.self_attn.q_proj" in lines[-1]


def test_bare_answers_that_the_tokenizer_cannot_write_are_said_before_any_work(
    tmp_path: Path, command: Command
):
    (line,) = refused(command, study_file(tmp_path, paths={"bare_answer": True}))
    assert line.startswith("embedded:base: the tokenizer cannot write a bare answer; found \\boxed")
