"""Sampling as a study does it: the pool, what is kept of it, and the report."""

from goniometer.results import RolloutReport
from goniometer.rollouts import RolloutSet
from goniometer.rollouts.sample import report, sample_pool, thin


def sample(teacher, task, split, *, settings, seed, **options) -> tuple[RolloutSet, RolloutReport]:
    drawn, pool = sample_pool(teacher, task, split, settings=settings, seed=seed, **options)
    kept = thin(pool, split, settings, seed)
    return kept, report(drawn, kept)
