"""Rollouts that bring no log-probs: refused where they are needed, or the base's by option."""

from dataclasses import replace

import pytest

from goniometer.errors import GoniometerError
from goniometer.rollouts import RolloutSet, sources
from goniometer.rollouts.foreign import Source, read
from goniometer.training.columns import precompute
from tests.rollouts_factory import make_rollouts
from tests.tiny_model import tiny_model


def without(rollouts: RolloutSet, count: int) -> RolloutSet:
    rows = [replace(row, logprobs=None) for row in rollouts.rows[:count]]
    return RolloutSet((*rows, *rollouts.rows[count:]))


def test_absent_ones_survive_the_file_and_are_refused_where_needed(tmp_path):
    rollouts = without(make_rollouts(["+-", "+-"]), 3)
    sources.save(rollouts, tmp_path / "r.parquet")
    assert sources.read(tmp_path / "r.parquet") == rollouts
    with pytest.raises(GoniometerError, match="3 of 4 rows lack the log-probs"):
        precompute(tiny_model(), rollouts, ["behaviour"])


def test_by_option_they_are_the_base_s(tmp_path):
    rollouts, base = without(make_rollouts(["+-", "+-"]), 4), tiny_model()
    found = precompute(base, rollouts, ["behaviour", "reference"], behaviour="base")
    assert found["behaviour"] == found["reference"]
    given = make_rollouts(["+-", "+-"])
    brought = precompute(base, given, ["behaviour"])["behaviour"]
    assert brought == [row.logprobs for row in given.rows]


def test_a_data_set_of_the_hub_is_asked_for_by_its_revision(monkeypatch):
    import datasets

    asked = {}

    def load(path, **options):
        asked.update(options, path=path)
        return [{"prompt": "w5", "completion": "w7", "label": 1}]

    monkeypatch.setattr(datasets, "load_dataset", load)
    (row,) = read(Source("owner/name@abc", split="test", subset="main"))
    assert row.completion == "w7"
    wanted = {"path": "owner/name", "name": "main", "split": "test", "revision": "abc"}
    assert asked == wanted | {"streaming": True}
