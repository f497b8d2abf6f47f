"""What all sections of a study are made of: frozen, no unknown key, ranges in the type."""

from dataclasses import dataclass
from typing import Annotated, final

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


@final
@dataclass(frozen=True)
class Usual:
    """Metadata of a field: the range in which recipes lie; what lies outside is warned of."""

    low: float
    high: float


LearningRate = Annotated[float, Field(gt=0, le=1), Usual(1e-7, 1e-2)]


class Section(BaseModel):
    """A part of a study: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
