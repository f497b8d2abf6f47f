"""A study as one frozen tree, and its fingerprint."""

import hashlib
import json
from typing import Annotated, Any

from pydantic import Field, model_validator

from goniometer.config.cells import FLOOR_ARMS, Arm, Floors, Grid, Match
from goniometer.config.data import Rollouts, Task
from goniometer.config.measures import Divergence, Evaluation, Geometry, Paths, Similarity
from goniometer.config.models import Models
from goniometer.config.section import Section
from goniometer.config.training import Adapter, Training


class Study(Section):
    """A whole study. Its fingerprint is a hash of the resolved tree."""

    name: str
    seed: int = 0
    task: Task = Task()
    models: Models = Models()
    rollouts: Rollouts = Rollouts()
    adapter: Adapter = Adapter()
    training: Training = Training()
    arms: Annotated[tuple[Arm, ...], Field(min_length=1)]
    floors: Floors | None = Floors()
    grid: Grid = Grid()
    match: Match | None = None
    evaluation: Evaluation = Evaluation()
    divergence: Divergence = Divergence()
    paths: Paths | None = Paths()
    similarity: Similarity | None = Similarity()
    geometry: Geometry = Geometry()

    @model_validator(mode="before")
    @classmethod
    def _floors_of_its_own_arms(cls, tree: Any) -> Any:
        """Repeat the first two arms where the file names none and has not those of the default."""
        floors = tree.get("floors", {}) if isinstance(tree, dict) else None
        if not isinstance(floors, dict) or "arms" in floors:
            return tree
        arms = tree.get("arms")
        names = [
            arm.name if isinstance(arm, Arm) else arm.get("name") if isinstance(arm, dict) else None
            for arm in (arms if isinstance(arms, list | tuple) else ())
        ]
        if set(FLOOR_ARMS) <= set(map(str, names)) or not names or None in names:
            return tree
        return tree | {"floors": floors | {"arms": names[: len(FLOOR_ARMS)]}}

    @model_validator(mode="after")
    def _names_agree(self) -> "Study":
        names = [arm.name for arm in self.arms]
        repeated = sorted({name for name in names if names.count(name) > 1})
        faults = [f"arms: the name {name!r} stands twice" for name in repeated]
        if "base" in names:
            faults.append("arms: 'base' is what the base is called; call the arm otherwise")
        named = {
            "floors.arms": self.floors.arms if self.floors else (),
            "grid.learning_rate_arms": self.grid.learning_rate_arms,
            "grid.wrong_share_arms": self.grid.wrong_share_arms,
            "match.arms": self.match.arms if self.match else (),
            "match.to": (self.match.to,) if self.match else (),
        }
        faults += [
            f"{key}: no arm is called {arm!r}; there are {names}"
            for key, arms in named.items()
            for arm in arms
            if arm not in names
        ]
        if self.match and set(self.match.arms) == {self.match.to}:
            faults.append(
                f"match.arms: {self.match.to!r} is what they are matched to; name another arm"
            )
        if faults:
            raise ValueError(*faults)  # one argument a fault: `_explain` takes them apart
        return self

    @property
    def fingerprint(self) -> str:
        """Hash of every setting, defaults included."""
        return hashlib.sha256(canonical(self.model_dump(mode="json")).encode()).hexdigest()


def canonical(value: object) -> str:
    """Serialise to JSON that is the same text for the same value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
