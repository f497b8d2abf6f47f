"""Sampling as a study does it: the pool, what is kept of it, and the report."""

from goniometer.results import RolloutReport
from goniometer.rollouts import RolloutSet
from goniometer.rollouts.sample import report, sample_pool, thin
from goniometer.teachers import TransformersTeacher


def sample(model, task, split, *, settings, seed, **options) -> tuple[RolloutSet, RolloutReport]:
    drawn, pool = pooled(model, task, split, settings=settings, seed=seed, **options)
    kept = thin(pool, split, settings, seed)
    return kept, report(drawn, kept)


def pooled(model, task, split, **options) -> tuple[RolloutSet, RolloutSet]:
    return sample_pool(TransformersTeacher(model), task, split, kept={}, **options)
