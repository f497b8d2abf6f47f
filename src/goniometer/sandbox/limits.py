"""How much a program under test may use."""

import math
from dataclasses import dataclass
from typing import final

_MIB = 2**20


@final
@dataclass(frozen=True)
class Limits:
    """Limits of one grade. Memory is of one process: `processes` times it bounds them all.

    Attributes:
        cpu_seconds: of each process of the program; its work, not its waiting.
        wall_seconds: until all is ended from outside, from when both sandboxes stand.
        memory: address space of one process, in MiB.
        processes: at a time, threads included. Without a sandbox the user's other processes count
            too, so that a program there can start none.
        scratch: the folder that can be written, in MiB; without a sandbox, of each file.
        open_files: of one process.
    """

    cpu_seconds: int = 5
    wall_seconds: float = 20.0
    memory: int = 512
    processes: int = 8
    scratch: int = 16
    open_files: int = 64

    def resources(self) -> dict[str, int]:
        """Limits by the names of the `resource` module, without `RLIMIT_`."""
        return {
            "CPU": self.cpu_seconds,
            "AS": self.memory * _MIB,
            "NPROC": self.processes,
            "FSIZE": self.scratch * _MIB,
            "NOFILE": self.open_files,
            "CORE": 0,
        }

    @property
    def whole_wall_seconds(self) -> int:
        """`wall_seconds`, rounded up."""
        return math.ceil(self.wall_seconds)
