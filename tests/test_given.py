"""Rollouts from a file: what trains is not held out."""

import dataclasses

import pytest

from goniometer.config import Rollouts
from goniometer.errors import GoniometerError
from goniometer.rollouts import RolloutSet, sources
from goniometer.rollouts.given import divide, read_given
from tests.rollouts_factory import make_rollouts
from tests.tiny_model import tiny_model

SETTINGS = Rollouts(prompts=3, held_out_prompts=2, rows_per_prompt=2)


def divided(rollouts: RolloutSet, folder):
    sources.save(rollouts, folder / "rollouts.parquet")
    settings = SETTINGS.model_copy(update={"file": str(folder / "rollouts.parquet")})
    return divide(read_given(settings, tiny_model()), settings, 0, vocabulary=30)


def test_training_and_held_out_rows_share_no_prompt(tmp_path):
    _, train, held_out, report = divided(make_rollouts(["+-"] * 6), tmp_path)
    prompts = [{row.prompt_tokens for row in part.rows} for part in (train, held_out)]
    assert [len(part) for part in prompts] == [3, 2]
    assert not prompts[0] & prompts[1]
    assert report.rows == 6


def test_one_prompt_under_two_ids_is_refused(tmp_path):
    """Its rows could train under one id and be held out under the other."""
    rows = make_rollouts(["+-"] * 6).rows
    last = rows[-1].problem_id
    twins = tuple(
        dataclasses.replace(row, prompt_tokens=rows[0].prompt_tokens)
        if row.problem_id == last
        else row
        for row in rows
    )
    with pytest.raises(GoniometerError, match="one prompt under two problem ids; found 'p0' and"):
        divided(RolloutSet(twins), tmp_path)
