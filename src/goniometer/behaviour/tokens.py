"""Which tokens of the data activations are compared at: fixed, stated, each state once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from goniometer.behaviour.divergence import Text
from goniometer.errors import GoniometerError
from goniometer.model import LanguageModel
from goniometer.results import Positions

GROUPS = 20  # of prompts, at most: each is left out once


@final
@dataclass(frozen=True)
class Tokens:
    """Texts and the columns of them that count, texts of one prompt side by side.

    `groups` are ranges of tokens, texts after texts: whole prompts, about as many tokens each.
    """

    texts: tuple[tuple[int, ...], ...]
    columns: tuple[tuple[int, ...], ...]
    groups: tuple[slice, ...]
    prompts: int
    positions: Positions

    @property
    def count(self) -> int:
        """How many tokens."""
        return self.groups[-1].stop

    @property
    def starts(self) -> tuple[int, ...]:
        """By text, the number of its first token."""
        found = [0]
        for columns in self.columns:
            found.append(found[-1] + len(columns))
        return tuple(found[:-1])


def choose_tokens(
    base: LanguageModel, texts: Sequence[Text], positions: Positions, most: int, least: int = 4
) -> Tokens:
    """Choose at most `most` tokens, evenly spread over all that stand at such positions.

    Left out are the first token of a text, which attention uses as a sink whether it is BOS or not
    (arXiv 2309.17453) and whose huge state would decide the measure alone; BOS anywhere; the end
    token that closes a text, whose state predicts nothing. A state is a function of the tokens up
    to it, so tokens with equal text up to them count once: repeated rows are no further sample.

    Raises:
        GoniometerError: no texts, tokens that the base does not have, or fewer than `least` left.
    """
    if not texts:
        raise GoniometerError("no texts to compare activations on", expected="one at least")
    vocabulary = int(base.network.get_input_embeddings().weight.shape[0])  # type: ignore[operator, union-attr]
    by_prompt: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
    for prompt, completion in texts:
        strange = [t for t in (*prompt, *completion) if not 0 <= t < vocabulary]
        if strange:
            raise GoniometerError(
                "a text has tokens that the base does not have",
                file=base.name, found=f"token {strange[0]}", expected=f"0 to {vocabulary - 1}",
                fix="encode the texts by the base's own tokenizer",
            )  # fmt: skip
        by_prompt.setdefault(tuple(prompt), []).append(tuple(completion))
    seen: dict[tuple[int, int], int] = {}
    found = [
        (prompt, (*prompt, *completion), column)
        for prompt, completions in by_prompt.items()
        for completion in completions
        for column in _columns(base, prompt, completion, positions, seen)
    ]
    total = len(found)
    if total < least:
        raise GoniometerError(
            f"too few tokens to compare activations on: {positions}",
            found=total, expected=f"{least} at least", fix="give more texts",
        )  # fmt: skip
    kept = min(total, max(most, least))
    return _laid_out([found[i * total // kept] for i in range(kept)], positions)


def _columns(
    base: LanguageModel,
    prompt: tuple[int, ...],
    completion: tuple[int, ...],
    positions: Positions,
    seen: dict[tuple[int, int], int],
) -> list[int]:
    """Columns of a text that count and whose tokens, from the first on, were not seen before."""
    text = (*prompt, *completion)
    ended = len(text) - (completion[-1:] == (base.end_token,))
    wanted = {
        "completion tokens": range(len(prompt), ended),
        "last prompt token": range(len(prompt) - 1, len(prompt)),
        "every token": range(ended),
    }[positions]
    node, columns = 0, []
    for column, token in enumerate(text):
        new = (node, token) not in seen
        node = seen.setdefault((node, token), len(seen) + 1)
        if new and column in wanted and column > 0 and token != base.tokenizer.bos_token_id:
            columns.append(column)
    return columns


def _laid_out(
    found: Sequence[tuple[tuple[int, ...], tuple[int, ...], int]], positions: Positions
) -> Tokens:
    columns: dict[tuple[int, ...], list[int]] = {}
    first: dict[tuple[int, ...], int] = {}
    for number, (prompt, text, column) in enumerate(found):
        columns.setdefault(text, []).append(column)
        first.setdefault(prompt, number)
    # A prompt belongs to the group that its first token falls into; empty groups are none.
    most, size = min(GROUPS, len(first)), len(found)
    starts = sorted({start * most // size: start for start in reversed(first.values())}.values())
    return Tokens(
        # What follows the last column is not looked at.
        texts=tuple(text[: max(of) + 1] for text, of in columns.items()),
        columns=tuple(map(tuple, columns.values())),
        groups=tuple(map(slice, starts, [*starts[1:], size])),
        prompts=len(first),
        positions=positions,
    )
