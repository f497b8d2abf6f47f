"""Rollouts in files: Parquet, written and read without loss, and JSON lines from elsewhere.

Both have the fields of `Rollout`, one row (or line) a completion, rows of one problem together.
Files of texts in place of token ids are read by `foreign`.

| key | type | meaning |
|---|---|---|
| problem_id | text | the same for all completions of one prompt |
| prompt_tokens | integers | token ids as the model is prompted, one at least |
| completion_tokens | integers | the end token included, unless truncated |
| text | text | the completion in words |
| logprobs | numbers, may be absent | of the policy that sampled, in nats, one a token |
| grade | text | `correct`, `wrong:REASON`, or `ungraded:WHY` where no grader could tell |
| truncated | true or false | whether the completion was cut off before its end token |

REASON is `answer`, `no_answer` or `truncated`; of a program `tests` (one does not hold), `error`
(it raises or ends) or `timeout`. To an objective all are wrong, so a file need not tell them
apart: labels of texts that others wrote, a mere wrong, are `wrong:answer`.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, get_args

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from goniometer.errors import GoniometerError
from goniometer.rollouts.data import Rollout, RolloutSet
from goniometer.rollouts.records import records
from goniometer.tasks import Correct, Ungraded, Wrong, grade_from_text, grade_to_text
from goniometer.tasks.base import WrongReason

SCHEMA = pa.schema(
    {
        "problem_id": pa.string(),
        "prompt_tokens": pa.list_(pa.int64()),
        "completion_tokens": pa.list_(pa.int64()),
        "text": pa.string(),
        "logprobs": pa.list_(pa.float64()),
        "grade": pa.string(),
        "truncated": pa.bool_(),
    }
)
_GROUP = 8192  # rows that are laid out for Parquet at once
_Text = Annotated[str, Field(min_length=1, description="a text")]
_Tokens = Annotated[
    list[Annotated[int, Field(ge=0)]], Field(min_length=1, description="a list of token ids")
]


class _Row(BaseModel):
    """One row as it stands in a file; a field's description is what an error expects."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    problem_id: _Text
    prompt_tokens: _Tokens
    completion_tokens: _Tokens
    text: Annotated[str, Field(description="a text")]
    logprobs: Annotated[
        list[Annotated[float, Field(le=1e-6)]] | None,
        Field(description="one log-prob a completion token, none above 0"),
    ] = None
    grade: Annotated[
        Correct | Wrong | Ungraded,
        BeforeValidator(lambda text: grade_from_text(str(text))),
        Field(
            description=f"correct, ungraded:WHY or wrong: and {', '.join(get_args(WrongReason))}"
        ),
    ]
    truncated: Annotated[bool, Field(description="true or false")]

    @model_validator(mode="after")
    def _one_log_prob_a_token(self) -> "_Row":
        if self.logprobs is not None and len(self.logprobs) != len(self.completion_tokens):
            counts = f"{len(self.logprobs)} logprobs, {len(self.completion_tokens)} tokens"
            raise ValueError(f"not one log-prob a completion token: {counts}")
        return self


def save(rollouts: RolloutSet, path: Path) -> None:
    """Write Parquet; equal rollouts are equal bytes under one version of pyarrow.

    The file is whole or not there: it is written beside its place, then moved.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with pq.ParquetWriter(aside, SCHEMA) as writer:
            for start in range(0, len(rollouts.rows), _GROUP):
                writer.write_table(_table(rollouts.rows[start : start + _GROUP]))
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def _table(rows: Sequence[Rollout]) -> pa.Table:
    columns: dict[str, list[Any]] = {
        name: [getattr(row, name) for row in rows] for name in SCHEMA.names
    }
    columns["grade"] = [grade_to_text(row.grade) for row in rows]
    return pa.table(columns, schema=SCHEMA)


def read(path: Path) -> RolloutSet:
    """Read a `.parquet` or `.jsonl` file with the keys above, a row at a time.

    Raises:
        GoniometerError: no such file, another kind of file, no rows, or the first row that
            cannot be used, by its number and key.
    """
    rows = tuple(_together(records(path), path))
    if not rows:
        raise GoniometerError("no rollouts in the file", file=path)
    return RolloutSet(rows)


def rollout_of(record: Any, path: Path, where: str) -> Rollout:
    """Read one row.

    Raises:
        GoniometerError: a key that is missing, unknown, or holds what it cannot.
    """
    try:
        row = _Row.model_validate(record)
    except ValidationError as error:
        raise _explain(error, path, where) from None
    return Rollout(
        problem_id=row.problem_id,
        prompt_tokens=tuple(row.prompt_tokens),
        completion_tokens=tuple(row.completion_tokens),
        text=row.text,
        logprobs=None if row.logprobs is None else tuple(row.logprobs),
        grade=row.grade,
        truncated=row.truncated,
    )


def _together(found: Iterable[tuple[str, Any]], path: Path) -> Iterator[Rollout]:
    seen: set[str] = set()
    last = None
    for where, record in found:
        row = rollout_of(record, path, where)
        if row.problem_id in seen and row.problem_id != last:
            raise GoniometerError(
                "the rows of one problem stand apart",
                file=path,
                key=f"{where}: problem_id",
                found=repr(row.problem_id),
                expected=f"{last!r} or a new problem",
                fix="sort the rows by problem, as goniometer rollouts does",
            )
        seen.add(last := row.problem_id)
        yield row


def _explain(error: ValidationError, path: Path, where: str) -> GoniometerError:
    first = error.errors()[0]
    location = ".".join(map(str, first["loc"]))
    field = _Row.model_fields.get(str(first["loc"][0])) if first["loc"] else None
    found = repr(first["input"])
    absent = first["type"] in ("missing", "extra_forbidden") or not first["loc"]
    return GoniometerError(
        first["msg"].removeprefix("Value error, "),
        file=path,
        key=f"{where}: {location}" if location else where,
        found=None if absent else found[:60],
        expected=field.description if field else f"the keys {', '.join(_Row.model_fields)}",
    )
