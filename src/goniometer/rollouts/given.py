"""Rollouts from a file instead of a teacher: which prompts train, which are held out."""

from pathlib import Path

from goniometer.config import Rollouts
from goniometer.errors import GoniometerError
from goniometer.model import LanguageModel
from goniometer.results import RolloutReport
from goniometer.rollouts.data import RolloutSet
from goniometer.rollouts.foreign import Source, encode
from goniometer.rollouts.foreign import read as read_foreign
from goniometer.rollouts.foreign.ids import distinct
from goniometer.rollouts.foreign.read import is_tokens
from goniometer.rollouts.same_tokenizer import require_known
from goniometer.rollouts.sample import report
from goniometer.rollouts.sources import read


def read_given(settings: Rollouts, base: LanguageModel) -> RolloutSet:
    """Read the study's file: token ids as they are, texts as the base encodes them.

    Raises:
        GoniometerError: as `sources.read`, or as `foreign.read` and `encode`.
    """
    source = Source(settings.file or "", settings.format, settings.fields)
    if is_tokens(source):
        return read(Path(source.reference))
    return encode(distinct(read_foreign(source)), base).rollouts


def divide(
    drawn: RolloutSet, settings: Rollouts, seed: int, vocabulary: int
) -> tuple[RolloutSet, RolloutSet, RolloutSet, RolloutReport]:
    """Take the first mixed prompts of a file for training and the next ones as held out.

    Args:
        drawn: what the file holds, see `read_given`.
        settings: how many prompts of each, and rows a prompt.
        seed: of the thinning.
        vocabulary: size of the base's vocabulary; every token id must be below it.

    Returns:
        All graded rows of the training prompts, those of them to train on, the held-out rows and
        the report.

    Raises:
        GoniometerError: too few mixed prompts; a token id that is none; one
            prompt under two ids.
    """
    file = Path(settings.file or "")
    require_known(drawn, vocabulary, file)
    _require_one_name(drawn, file)
    mixed = drawn.mixed()
    wanted = settings.prompts + settings.held_out_prompts
    found = sum(1 for _ in mixed.groups())
    if found < wanted:
        raise GoniometerError(
            "too few prompts have both right and wrong completions",
            file=file,
            found=found,
            expected=f"{wanted}: rollouts.prompts + rollouts.held_out_prompts",
            fix="lower them, or bring more rollouts",
        )
    pool = mixed.first_prompts(settings.prompts)
    rest = RolloutSet(mixed.first_prompts(wanted).rows[len(pool.rows) :])
    kept, held_out = (
        part.thinned(settings.rows_per_prompt, f"{seed}/{name}")
        for name, part in (("train", pool), ("validation", rest))
    )
    return pool, kept, held_out, report(drawn, kept)


def _require_one_name(drawn: RolloutSet, file: Path) -> None:
    """A prompt under two ids could train and be held out at once."""
    names: dict[tuple[int, ...], str] = {}
    for row in drawn.rows:
        if names.setdefault(row.prompt_tokens, row.problem_id) != row.problem_id:
            raise GoniometerError(
                "one prompt under two problem ids",
                file=file,
                found=f"{names[row.prompt_tokens]!r} and {row.problem_id!r}",
                fix="give equal prompts one problem_id",
            )
