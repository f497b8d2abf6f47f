"""Whether token ids mean to a base what they meant where rollouts were encoded and runs trained."""

from collections.abc import Mapping
from pathlib import Path

from goniometer.deltas.files import json_object, stays_inside
from goniometer.errors import GoniometerError
from goniometer.model import LanguageModel
from goniometer.rollouts.data import Rollout, RolloutSet

COMPARED = 50  # rows whose text is compared with what the tokens say
FILE = "tokenizer.json"
_MOST = 1 << 28  # bytes of it; large vocabularies take 35 MB


def require_known(rollouts: RolloutSet, vocabulary: int, where: object) -> None:
    """Require that every token id is in a vocabulary of such a size.

    Raises:
        GoniometerError: with the largest id.
    """
    largest = max(max(*row.prompt_tokens, *row.completion_tokens) for row in rollouts.rows)
    if largest >= vocabulary:
        raise GoniometerError(
            "a token id that the base does not have", file=where, found=largest,
            expected=f"below {vocabulary}", fix="encode the rollouts with the base's tokenizer",
        )  # fmt: skip


def require_same_tokenizer(rollouts: RolloutSet, base: LanguageModel, where: object) -> None:
    """Require that the base's tokenizer is the one that the rollouts were encoded by.

    Every token id must be in the vocabulary. Of some rows, spread evenly, the tokens must say what
    the text says, or the text must encode to the tokens: white space may be lost in one direction,
    and a character that was cut. A row without a text is not asked.

    Raises:
        GoniometerError: the largest id that the base does not have, or the first row that says
            something else.
    """
    require_known(rollouts, len(base.tokenizer), where)
    step = max(1, len(rollouts.rows) // COMPARED)
    for row in rollouts.rows[::step]:
        if row.text and not _says(row, base):
            raise GoniometerError(
                f"tokens that say something else to {base.name}: its tokenizer is another",
                file=where, key=row.problem_id, found=repr(base.decode(row.completion_tokens)[:40]),
                expected=repr(row.text[:40]),
                fix="name the base that the rollouts were sampled from or encoded for",
            )  # fmt: skip


def _says(row: Rollout, base: LanguageModel) -> bool:
    if _letters(base.decode(row.completion_tokens)) == _letters(row.text):
        return True
    encoded = base.encode_completion(row.text)
    return row.completion_tokens in (encoded, encoded[:-1])


def _letters(text: str) -> str:
    return "".join(text.replace("\ufffd", "").split())


def require_same_vocabulary(run: str, folder: Path, base: LanguageModel) -> None:
    """Require that the tokenizer that a run's folder holds gives every token the base's id.

    Either may have added tokens beyond the other's. A folder without a tokenizer, or with one
    that is no list of tokens or lies elsewhere, is not asked.

    Raises:
        GoniometerError: the first token whose id differs; a tokenizer that cannot be read.
    """
    file = folder / FILE
    if not file.is_file() or not stays_inside(file):
        return
    theirs, added = _vocabulary(file)
    ours = base.tokenizer.get_vocab()
    more = {*added, *base.tokenizer.get_added_vocab()}
    token = _first_differing(theirs, ours, more) if theirs else None
    if token is not None:
        raise GoniometerError(
            f"{run} was trained with another tokenizer than {base.name} has: {token!r}", file=file,
            found=f"id {theirs.get(token, 'none')}", expected=f"id {ours.get(token, 'none')}",
            fix="name the base that it was trained from",
        )  # fmt: skip


def _first_differing(
    theirs: Mapping[str, int], ours: Mapping[str, int], added: set[str]
) -> str | None:
    """Token of the least id that has another id, or whose id is another token, elsewhere.

    An added token may be absent where its id is free.
    """
    taken = set(theirs.values()) & set(ours.values())
    differing = [
        (number, token)
        for token, number in {**theirs, **ours}.items()
        if theirs.get(token) != ours.get(token)
        and (token in theirs.keys() & ours.keys() or token not in added or number in taken)
    ]
    return min(differing)[1] if differing else None


def _vocabulary(file: Path) -> tuple[dict[str, int], frozenset[str]]:
    """All tokens with their ids, and which were added to the model's own; none of another kind."""
    tree = json_object(file, _MOST)
    try:
        match tree["model"].get("vocab"):
            case dict(own):
                pass
            case list(pieces):  # of a unigram model, each with its score
                own = {piece: number for number, (piece, _) in enumerate(pieces)}
            case _:
                return {}, frozenset()
        added = {one["content"]: one["id"] for one in tree.get("added_tokens") or ()}
        if not all(isinstance(number, int) for number in (*own.values(), *added.values())):
            raise TypeError
    except (AttributeError, KeyError, TypeError, ValueError):
        raise GoniometerError("not a tokenizer that can be read", file=file) from None
    return {**own, **added}, frozenset(added)
