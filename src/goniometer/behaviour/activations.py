"""Which activations are compared, and how they are come by."""

from dataclasses import dataclass
from pathlib import Path
from typing import final

from goniometer.results import Positions


@final
@dataclass(frozen=True)
class Activations:
    """Positions, size and place of what is recorded.

    `scratch` is a folder for what is recorded while it is needed, the system's if absent: 4 bytes
    for each number of models x layers x tokens x width.
    """

    positions: Positions = "completion tokens"
    tokens: int = 4096  # at most
    batch_size: int = 8  # texts at a time
    seed: int = 0  # of what is simulated
    scratch: Path | None = None
