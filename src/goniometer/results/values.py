"""Values that all results are made of: readings, bands, what a measure means."""

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, model_validator

BASE: Final = "base"  # what every result calls the base; no run has that name


class Frozen(BaseModel):
    """A value: immutable, no unknown field, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Reading(Frozen):
    """A measured number, or the reason why there is none."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"properties": {"value": {"type": "number"}, "undefined": {"type": "null"}}},
                {"properties": {"value": {"type": "null"}, "undefined": {"type": "string"}}},
            ]
        }
    )

    value: float | None = None
    undefined: str | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> "Reading":
        if (self.value is None) == (self.undefined is None):
            raise ValueError("a reading has a value or a reason, and not both")
        return self


class Band(Frozen):
    """Where a measure falls under a null: 2.5 %, 50 % and 97.5 % points of `draws` simulations."""

    low: float
    median: float
    high: float
    draws: int


class MeasureInfo(Frozen):
    """What a reader of a chart must know about a measure."""

    title: str
    unit: Literal["", "degrees", "share"]
    range: tuple[float | None, float | None]
    meaning: str
