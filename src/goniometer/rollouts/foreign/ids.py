"""The names that a file gives to its prompts and rows: one a prompt, one a row."""

from collections.abc import Iterable, Iterator

from goniometer.errors import GoniometerError
from goniometer.rollouts.data import Rollout
from goniometer.rollouts.foreign.said import Prompt, Said, Unusable

Row = Said | Unusable | Rollout


def distinct(rows: Iterable[Row]) -> Iterator[Row]:
    """Pass on the rows of one source whose names are one to one; rows may stand in any order.

    Raises:
        GoniometerError: an id that names two prompts, a prompt under two ids, a row's id that
            stands twice.
    """
    by_id: dict[str, Prompt | tuple[int, ...]] = {}
    by_prompt: dict[Prompt | tuple[int, ...], str] = {}
    row_ids: set[str] = set()
    for row in rows:
        if not isinstance(row, Unusable) and row.problem_id is not None:
            prompt = row.prompt if isinstance(row, Said) else row.prompt_tokens
            where = row.where if isinstance(row, Said) else "prompt_tokens"
            other = by_prompt.setdefault(prompt, row.problem_id)
            if by_id.setdefault(row.problem_id, prompt) != prompt:
                raise _fault("one id of two prompts", where, repr(row.problem_id))
            if other != row.problem_id:
                raise _fault("one prompt under two ids", where, f"{other!r} and {row.problem_id!r}")
        if isinstance(row, Said) and row.row_id is not None:
            if row.row_id in row_ids:
                raise _fault("a row's id stands twice", row.where, repr(row.row_id))
            row_ids.add(row.row_id)
        yield row


def _fault(message: str, where: str, found: str) -> GoniometerError:
    fix = "name another key by --field problem_id=KEY, or none by --field problem_id="
    return GoniometerError(message, file=where, found=found, fix=fix)
