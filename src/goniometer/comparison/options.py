"""How to compare: the options of `compare`, and which of them go together."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, final

from goniometer.config import Positions
from goniometer.errors import GoniometerError
from goniometer.options import require

Dtype = Literal["float32", "bfloat16", "float16"]
Device = Literal["auto", "cpu", "cuda"]
Accuracy = Literal["everywhere"]


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
    dtype: str | None = None
    device: str | None = None
    bare_answer: bool = False
    accuracy: str | None = None

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
            GoniometerError: data without a base, what needs data or a task without it, data where
                runs are no models: over steps, or from an origin; a path without its midpoint;
                what is no precision, device or choice.
        """
        self._require_beside()
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

    def _require_beside(self) -> None:
        """Require choices that are some, and beside each what it is of: texts, a task."""
        of_data = (
            ("--positions", self.positions, Positions, "points of paths"),
            ("--dtype", self.dtype, Dtype, "a precision of the base"),
            ("--device", self.device, Device, "a device for the base"),
            ("--task", self.task, str, "a task"),
        )
        for key, value, kind, what in of_data:
            if value is not None:
                require(kind, value, key)
                if self.data is None:
                    raise GoniometerError(f"{what}, and no texts", key=key, fix="give --data too")
        if self.accuracy is not None:
            require(Accuracy, self.accuracy, "--accuracy")
        of_task = (
            ("--option", self.task_options, "options"),
            ("--bare-answer", self.bare_answer, "bare answers"),
            ("--accuracy", self.accuracy, "accuracy everywhere"),
        )
        for key, given, what in of_task:
            if given and self.task is None:
                raise GoniometerError(f"{what}, and no task", key=key, fix="give --task too")
