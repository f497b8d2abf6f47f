"""Rollouts that another program wrote, as texts: read, encoded for a model, counted.

`read` gives what a source says; `encode` makes rollouts of it.
"""

from goniometer.rollouts.foreign.encode import Imported, encode
from goniometer.rollouts.foreign.read import FORMATS, Source, read

__all__ = ["FORMATS", "Imported", "Source", "encode", "read"]
