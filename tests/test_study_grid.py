"""A study with a grid, small but real: shares of wrong rows, seeds, regimes, sizes, a NaN cell."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from goniometer.behaviour.losses import losses_at
from goniometer.behaviour.placed import Placed
from goniometer.behaviour.points import Paths, points_of
from goniometer.behaviour.together import behaviour_of
from goniometer.config import Study
from goniometer.deltas import read
from goniometer.model import load
from goniometer.pipeline import run_study
from goniometer.progress import Silent
from goniometer.report.facts.index import Index
from goniometer.report.words.headline import headline
from goniometer.results import Behaviour, Results, read_results
from goniometer.rollouts.sources import read as read_rollouts
from goniometer.seeds import derive
from goniometer.store import Store
from goniometer.study.plan import make_plan
from goniometer.study.scoring import evaluate_all
from goniometer.study.stages import Run, get_rollouts
from goniometer.study.together import fixed_texts, measure_together
from goniometer.study.trained import read_updates, train_all
from goniometer.study.workers import losses_apart
from goniometer.tasks import TASKS

ARMS = [
    {"name": "SFT", "objective": "sft"},
    {"name": "RFT", "objective": "rft"},
    {"name": "DPO", "objective": "dpo"},
    {"name": "full", "objective": "sft", "regime": "full", "learning_rate": 1e-4},
    {"name": "broken", "objective": "tests.faulty_objective:Faulty"},
]
SETTINGS = {
    "name": "grid",
    "rollouts": {"prompts": 8, "held_out_prompts": 4, "samples": 6},
    "training": {"steps": 2, "prompts_per_step": 4},
    "evaluation": {"problems": 12},
    "divergence": {"prompts": 4},
    "geometry": {"draws": 100},
    "paths": {"problems": 3, "positions": 3, "draws": 100},
    "similarity": {"prompts": 6, "tokens": 60, "inputs": False},
}
STUDY = SETTINGS | {
    "arms": ARMS,
    "floors": {"arms": ["SFT"], "orders": 2, "inits": 1},
    "grid": {"seeds": 2, "wrong_shares": [0.0], "wrong_share_arms": ["SFT", "RFT"]},
    "match": {"to": "SFT", "arms": ["DPO", "broken"]},
}


@dataclass(frozen=True)
class Told:
    """Keeps the titles of tasks, and shows nothing."""

    titles: list[str]

    def task(self, title: str, total: int | None) -> AbstractContextManager[Callable[[int], None]]:
        self.titles.append(title)
        return Silent().task(title, total)

    def say(self, line: str) -> None:
        pass


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "grid"
    run_study(Study.model_validate(STUDY), out, bars=Silent())
    return out


@pytest.fixture(scope="module")
def results(whole: Path) -> Results:
    return read_results(whole / "report" / "results.json")


def folder_of(out: Path, name: str, stage: str = "cells") -> Path:
    (folder,) = [f for f in (out / stage).iterdir() if f.name.rsplit("-", 1)[0] == name]
    return folder


def pair_of(results: Results, a: str, b: str):
    return next(p for p in results.comparison.pairs if {p.a, p.b} == {a, b})


@pytest.mark.slow
def test_without_wrong_rows_sft_and_rft_are_one_run(whole: Path, results: Results):
    """The free sanity test: what tells the two apart is wrong rows, and nothing else."""
    weights = [
        (folder_of(whole, name) / "adapter_model.safetensors").read_bytes()
        for name in ("sft-wrong-0", "rft-wrong-0", "sft", "rft")
    ]
    assert weights[0] == weights[1]
    assert weights[2] != weights[3]
    found = pair_of(results, "SFT wrong 0%", "RFT wrong 0%")
    assert found.state == "identical"
    assert found.scopes["union"].readings["cosine"].value == pytest.approx(1.0, abs=1e-12)
    assert pair_of(results, "SFT", "RFT").scopes["union"].readings["cosine"].value < 0.99
    cells = {cell.name: cell for cell in results.study.cells}
    assert cells["SFT wrong 0%"].wrong_kept == 0
    assert 0.3 < cells["SFT"].wrong_kept < 0.7
    # What is the same update is evaluated once.
    one, other = (folder_of(whole, f"{arm}-wrong-0", "evaluation") for arm in ("sft", "rft"))
    assert (one / "scores.parquet").samefile(other / "scores.parquet")


@pytest.mark.slow
def test_cells_say_what_they_are_and_seeds_are_told_together(results: Results):
    study = results.study
    cells = {cell.name: cell for cell in study.cells}
    assert [cells[n].role for n in ("SFT", "SFT order 2", "SFT seed 2")] == ["arm", "floor", "grid"]
    assert {cell.arm for cell in study.cells} == {arm["name"] for arm in ARMS}
    assert cells["DPO seed 2"].seed == 1
    assert cells["full"].regime == "full"
    assert len(study.paired) == 5 * 4 / 2  # base and arms, but for the broken one
    assert {accuracy.run for accuracy in study.accuracies} == {"base", *cells}
    assert len(study.cross_seed) == 5 * 4 / 2
    sft_rft = study.cross_seed[0]
    assert (sft_rft.a, sft_rft.b, sft_rft.seeds) == ("SFT", "RFT", 2)
    assert sft_rft.repeats_a == (
        pair_of(results, "SFT", "SFT seed 2").scopes["union"].readings["cosine"].value,
    )
    scores = {accuracy.run: accuracy.accuracy for accuracy in study.accuracies}
    first = study.seed_scores[0]
    assert (first.arm, first.runs) == ("SFT", ("SFT", "SFT seed 2"))
    assert first.accuracies == pytest.approx([scores[run] for run in first.runs])
    between = study.seed_differences[0]
    assert (between.a, between.b, len(study.seed_differences)) == ("SFT", "RFT", 4 * 3 / 2)
    gaps = [scores[f"SFT{seed}"] - scores[f"RFT{seed}"] for seed in ("", " seed 2")]
    assert between.differences == pytest.approx(gaps)
    assert between.interval.undefined.startswith("2 seeds; with fewer than 5")
    verdict = pair_of(results, "SFT", "SFT seed 2").verdict
    assert verdict == "a repeat: another seed of one arm"
    for name, cell in cells.items():
        assert (cell.kl.value > 0) == (cell.arm != "broken"), name
        assert cell.kl_error is not None


@pytest.mark.slow
def test_a_broken_cell_is_a_state_and_the_others_go_on(results: Results):
    cells = {cell.name: cell for cell in results.study.cells}
    assert cells["broken"].state == "non-finite"
    assert cells["broken"].steps == 0
    assert all(cell.state == "trained" for cell in cells.values() if cell.arm != "broken")
    assert pair_of(results, "SFT", "broken").state == "zero delta"
    crossed = {(c.a, c.b): c.corrected for c in results.study.cross_seed}
    assert crossed["SFT", "broken"].undefined == "no seed at which both were trained"
    assert results.comparison.warnings[0].startswith("broken (non-finite, 0 steps), broken seed 2")
    assert headline(Index(results)).endswith("; broken stopped at step 0 (non-finite).")
    run = next(run for run in results.comparison.runs if run.name == "broken")
    assert run.state == "zero delta"


@pytest.mark.slow
def test_matched_updates_have_the_size_they_were_to_have(results: Results):
    cells = {cell.name: cell for cell in results.study.cells}
    norms = {run.name: run.scopes["all"]["norm"].value for run in results.comparison.runs}
    matched = {(m.run, m.by): m for m in results.study.matched}
    assert matched.keys() == {(run, by) for run in ("DPO", "broken") for by in ("norm", "kl")}
    by_norm, by_kl = matched["DPO", "norm"], matched["DPO", "kl"]
    assert by_norm.norm.value == pytest.approx(norms["SFT"], rel=1e-9)
    assert by_norm.factor.value == pytest.approx(norms["SFT"] / norms["DPO"], rel=1e-9)
    assert by_kl.kl.value == pytest.approx(cells["SFT"].kl.value, rel=0.01)
    for one in (by_norm, by_kl):
        assert one.accuracy.n == 12
        assert one.nll_right != cells["DPO"].nll_right
    assert matched["broken", "norm"].factor.undefined == "broken is non-finite"
    assert matched["broken", "kl"].accuracy is None


@pytest.mark.slow
def test_an_update_of_all_weights_runs_as_the_checkpoint(whole: Path, results: Results):
    from goniometer.deltas import BaseModel, Companions

    folder = folder_of(whole, "full")
    base = folder_of(whole, "base", "base")
    delta = read(folder, Companions(base=BaseModel(base)))
    model, tuned = load("embedded:base", device="cpu"), load("embedded:base", device="cpu")
    tokens = torch.tensor([model.encode_prompt("12+34=")])
    weights = load_file(folder / "model.safetensors")
    tuned.network.load_state_dict(weights, strict=False)
    assert len(delta) == len(dict(model.network.named_parameters()))
    with torch.no_grad():
        plain, expected = model.network(tokens).logits, tuned.network(tokens).logits
        with Placed(model, delta).running():
            found = model.network(tokens).logits
    assert (plain - expected).abs().max() > 1e-3
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    run = next(run for run in results.comparison.runs if run.name == "full")
    assert (run.state, run.modules) == ("ok", len(delta))


@pytest.mark.slow
def test_a_study_beside_it_takes_what_they_have_in_common(whole: Path):
    told: list[str] = []

    study = SETTINGS | {"name": "other", "floors": None}
    study |= {"arms": [ARMS[1] | {"name": "mine"}, ARMS[0] | {"learning_rate": 1e-5}]}
    out = whole.parent / "other"
    run_study(Study.model_validate(study), out, bars=Told(told), until="cells")
    mine = folder_of(out, "mine") / "adapter_model.safetensors"
    assert mine.samefile(folder_of(whole, "rft") / "adapter_model.safetensors")
    assert "cells · mine: taken from grid" in told
    assert "rollouts · arithmetic: taken from grid" in told
    assert [title for title in told if title.startswith("train")] == ["train · SFT (2 of 2)"]


@pytest.mark.slow
def test_two_processes_train_and_score_the_same_bytes(whole: Path):
    arms = [ARMS[0], ARMS[3], ARMS[4]]
    settings = SETTINGS | {"floors": None, "arms": arms}
    settings |= {"training": SETTINGS["training"] | {"workers": 2}}
    out = whole.parent / "apart" / "parallel"  # else it would take what `whole` has
    told: list[str] = []

    run_study(Study.model_validate(settings), out, bars=Told(told), until="evaluation")
    assert "train and score · 3 cells by 2 processes" in told
    here = ("train · ", "evaluate · SFT", "evaluate · full", "KL · ")
    assert not [title for title in told if title.startswith(here)]
    for stage in ("cells", "evaluation", "divergence"):
        for name in ("sft", "full", "broken"):
            one, other = folder_of(whole, name, stage), folder_of(out, name, stage)
            assert one.name == other.name
            assert (one / "manifest.json").read_bytes() == (other / "manifest.json").read_bytes()


@pytest.mark.slow
def test_two_processes_measure_the_same_numbers_along_paths(whole: Path):
    study = STUDY | {"training": SETTINGS["training"] | {"workers": 2}}
    base = load("embedded:base", device="cpu")
    run = Run(make_plan(Study.model_validate(study)), Store(whole), Silent(), base)
    sampled = get_rollouts(run)
    updates = read_updates(run, train_all(run, sampled))
    deltas = {name: updates[name] for name in ("DPO", "full")}
    texts = fixed_texts(run, sampled).first(2).texts
    points = points_of(("DPO", "full"), Paths(3))
    done: list[int] = []
    one = losses_at(base, deltas, points, texts)
    two = losses_apart(run, deltas, points, texts, batch_tokens=4096, advance=done.append)
    assert [*two.sums] == points
    assert [values.tolist() for values in two.sums.values()] == [
        one.sums[where].tolist() for where in points
    ]
    assert (two.items, two.tokens.tolist()) == (one.items, one.tokens.tolist())
    assert sum(done) == len(points) * len(texts.items)


@pytest.mark.slow
def test_arms_and_one_repeat_are_placed_together_and_a_broken_one_is_said(results: Results):
    told, runs = results.behaviour, ["SFT", "RFT", "DPO", "full", "SFT seed 2"]
    ends = [("base", run) for run in runs] + list(combinations(runs, 2))
    assert [(one.start, one.end) for one in told.connectivity.segments] == ends
    assert told.similarity.ceiling == ("SFT", "SFT seed 2")
    assert {(one.a, one.b) for one in told.similarity.pairs} == set(ends)
    left_out = "broken is non-finite: left out of paths and similarity"
    assert left_out in results.comparison.warnings
    cells = {cell.name: cell for cell in results.study.cells}
    assert {one.run: one.kl for one in told.divergence} == {run: cells[run].kl for run in runs}
    assert [(one.a, one.b, one.n) for one in told.agreement] == [
        (*e, 12) for e in ends[len(runs) :]
    ]
    assert {(one.a, one.b) for one in told.composed} == set(ends[len(runs) :])
    cosine = pair_of(results, "SFT", "DPO").scopes["union"].readings["cosine"]
    assert next(one for one in told.composed if (one.a, one.b) == ("SFT", "DPO")).cosine == cosine


@pytest.mark.slow
def test_losses_are_those_of_validation_solutions_under_the_checkpoint(
    whole: Path, results: Results
):
    """One text at a time, the full fine-tune's own weights loaded, float64 sums."""
    model = load("embedded:base", device="cpu")
    weights = load_file(folder_of(whole, "full") / "model.safetensors")
    task, seed = TASKS["arithmetic"](), derive(0, "fixed texts")
    rollouts = read_rollouts(next(whole.glob("rollouts/*/train.parquet")))
    train = {row.prompt_tokens for row in rollouts.rows}
    problems = task.problems("validation", 6, seed)
    assert not train & {model.encode_prompt(problem.question) for problem in problems}
    losses = []
    for state in (None, weights):
        if state is not None:
            model.network.load_state_dict(state, strict=False)
        total, count = 0.0, 0
        for problem in problems[:3]:
            prompt = model.encode_prompt(problem.question)
            tokens = model.encode_completion(problem.solution)
            ids = torch.tensor([*prompt, *tokens])
            with torch.no_grad():
                logits = model.network(ids[None]).logits[0].double()
            logprobs = logits.log_softmax(-1)[len(prompt) - 1 : -1]
            total -= float(logprobs.gather(1, ids[len(prompt) :, None]).sum())
            count += len(tokens)
        losses.append(total / count)
    paths = results.behaviour.connectivity
    segment = next(one for one in paths.segments if one.end == "full")
    assert (segment.start, paths.items, paths.tokens) == ("base", 3, count)
    assert [segment.loss[0], segment.loss[-1]] == pytest.approx(losses, rel=1e-5)


@pytest.mark.slow
def test_what_is_measured_is_found_again_and_other_settings_are_measured(
    whole: Path, results: Results
):
    told: list[str] = []

    def measured(**sections: object) -> Behaviour | None:
        plan = make_plan(Study.model_validate(STUDY | sections))
        run = Run(plan, Store(whole), Told(told), load("embedded:base", device="cpu"))
        sampled = get_rollouts(run)
        updates = read_updates(run, train_all(run, sampled))
        evaluated = evaluate_all(run, updates, sampled)
        cells = {cell.name: cell for cell in results.study.cells}
        found = measure_together(run, updates, evaluated, sampled, cells, results.comparison.k)
        return None if found is None else behaviour_of(found, results.comparison.pairs, plan.task)

    assert measured() == results.behaviour
    assert measured(paths=None, similarity=None) is None
    assert not told
    other = measured(similarity={"prompts": 5, "tokens": 60, "inputs": False})
    assert told == ["similarity of activations"]
    assert (other.similarity.prompts, results.behaviour.similarity.prompts) == (5, 6)
    assert other.connectivity == results.behaviour.connectivity
