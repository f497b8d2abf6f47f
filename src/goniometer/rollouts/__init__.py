"""What was said: rollouts as values (data), sampled from a teacher (sample) or read (sources)."""

from goniometer.rollouts.data import Rollout, RolloutSet

__all__ = ["Rollout", "RolloutSet"]
