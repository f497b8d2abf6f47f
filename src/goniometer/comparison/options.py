"""How to compare: the options of `compare`, and which of them go together."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, final

from goniometer.config import Positions
from goniometer.errors import GoniometerError
from goniometer.options import require


@final
@dataclass(frozen=True)
class Options:
    """How to compare; the fields are the command's options."""

    origin: str | None = None
    base: str | None = None
    initial: str | None = None
    k: int | None = None
    draws: int = 200
    seed: int = 0
    over: Literal["steps"] | None = None
    exact: bool = False
    base_measures: bool = True
    data: str | None = None
    task: str | None = None
    task_options: Mapping[str, Any] = field(default_factory=dict)
    positions: int | None = None

    @property
    def at_base(self) -> bool:
        """Whether runs are measured against the base; over steps it would cost too much."""
        asked = self.base is not None and self.base_measures
        return asked and self.origin is None and self.over is None

    @property
    def base_folder(self) -> str | None:
        """Where the base's weights are read: also those that ship, or are of a package."""
        if self.base is None or not (self.data or self.base.startswith(("embedded:", "package:"))):
            return self.base
        from goniometer.model import find

        return str(find(self.base).path)

    @property
    def base_name(self) -> str:
        """What to call the base: a path of this machine is no name; a Hub id is."""
        given = str(self.base)
        return Path(given).resolve().name if Path(given).is_dir() else given

    def require_sense(self) -> None:
        """Require what goes together.

        Raises:
            GoniometerError: data without a base, a task without data, data where runs are no
                models: over steps, or from an origin; a path without its midpoint.
        """
        if self.positions is not None:
            require(Positions, self.positions, "--positions")
            if self.data is None:
                raise GoniometerError(
                    "points of paths, and no texts", key="--positions", fix="give --data too"
                )
        if self.task is not None and self.data is None:
            raise GoniometerError("a task, and no texts", key="--task", fix="give --data too")
        if self.task_options and self.task is None:
            raise GoniometerError("options, and no task", key="--option", fix="give --task too")
        if self.data is None:
            return
        if self.base is None:
            raise GoniometerError("texts, and no model", key="--data", fix="give --base too")
        for name, value in (("--origin", self.origin), ("--over", self.over)):
            if value is not None:
                raise GoniometerError(
                    f"not measured with {name}: on the base, what runs added since is no model",
                    key="--data", fix="compare without one of them",
                )  # fmt: skip
