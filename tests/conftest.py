"""Hypothesis for slow machines: no deadline, and the same examples in every run."""

from hypothesis import settings

settings.register_profile("goniometer", deadline=None, derandomize=True)
settings.load_profile("goniometer")
