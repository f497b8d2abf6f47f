"""What a reader may use besides a run's own folder: the base, an initial adapter."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import final

from goniometer.deltas.base_model import BaseModel
from goniometer.errors import GoniometerError


@final
@dataclass(frozen=True)
class Companions:
    """The base as given, how to find one by the name that a run holds, the initial adapter."""

    base: BaseModel | None = None
    initial: Path | None = None
    find_base: Callable[[str], BaseModel | None] = lambda _: None

    def base_for(self, named: str | None) -> BaseModel | None:
        """Return the base as given, else the one that the run names, if it lies on this machine."""
        if self.base is not None or not named:
            return self.base
        return self.find_base(named)

    def require_base(self, named: str | None, *, file: Path, why: str) -> BaseModel:
        """As `base_for`.

        Raises:
            GoniometerError: there is none; `why` says what of the run needs it.
        """
        found = self.base_for(named)
        if found is None:
            raise GoniometerError(
                f"{why}: the base weights are needed", file=file,
                found=f"base {named!r}, not on this machine" if named else "no name of a base",
                fix="give the base model's folder or Hub id with --base",
            )  # fmt: skip
        return found
