"""From texts to rollouts: encoded as the study prompts its model, graded, grouped and counted."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, final

from goniometer.errors import GoniometerError
from goniometer.model import LanguageModel
from goniometer.rollouts.data import Rollout, RolloutSet
from goniometer.rollouts.foreign.said import Prompt, Said, Unusable, text_of
from goniometer.tasks import AbstractTask, Correct, Grade, Problem, Ungraded, grade_all
from goniometer.tasks.rows import AbstractRowsTask

UNKNOWN = "a text for which the tokenizer has no token"
SPECIAL = "a special token within the text"
TOO_LONG = "longer than the model's context"
NO_GOLD = "no answer key to grade with"
AT_ONCE = 256  # rows that a task grades together: programs run side by side


@final
@dataclass
class Counts:
    """What was met on the way.

    Attributes:
        dropped: rows that were left out, by reason.
        first: where each reason was met first.
        unsaid: rows of which the source does not say whether they were cut off.
        logprobs: rows whose log-probs are of another tokenisation, and were left out.
        agreed: rows whose label the task's grade confirms.
        differ: rows whose label the task's grade contradicts.
    """

    dropped: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)
    unsaid: int = 0
    logprobs: int = 0
    agreed: int = 0
    differ: int = 0

    def drop(self, row: Unusable) -> None:
        """Count a row that is left out."""
        self.dropped[row.reason] += 1
        self.first.setdefault(row.reason, row.where)


@final
@dataclass(frozen=True)
class Imported:
    """Rollouts of one or more sources, rows of one prompt together, and what was counted."""

    rollouts: RolloutSet
    counts: Counts


@final
class Encoder:
    """Encodes texts for one model."""

    def __init__(self, model: LanguageModel, counts: Counts) -> None:
        """Take the model whose tokenizer and chat template are used; its weights are not."""
        tokenizer: Any = model.tokenizer
        self.model, self.counts = model, counts
        self.special = frozenset(tokenizer.all_special_ids)
        self.context = model.context
        self._prompts: dict[Prompt, tuple[int, ...] | str] = {}
        self._ids: dict[int, int] = {}  # equal token ids are one object: 8 bytes a token, not 36

    def encode(self, said: Said) -> Rollout | Unusable:
        """Make a rollout of what was said, graded as it says, or say why it cannot be one.

        The end token, where a dump ends with its text, is not encoded twice; a truncated row has
        none.
        """
        prompt = self._prompt(said.prompt, said.where)
        if isinstance(prompt, str):
            return Unusable(prompt, said.where)
        text = said.completion.removesuffix(str(self.model.tokenizer.eos_token))
        ended = said.completion != text
        truncated = bool(said.truncated) and not ended
        encoded = self.model.encode_completion(text)
        encoded = tuple(map(self._ids.setdefault, encoded, encoded))
        fault = self._fault(encoded[:-1])
        tokens = encoded[:-1] if truncated else encoded
        if fault is None and self.context and len(prompt) + len(tokens) > self.context:
            fault = TOO_LONG
        if fault is not None or not tokens:
            return Unusable(fault or "an empty text that was cut off", said.where)
        self.counts.unsaid += said.truncated is None and not ended
        logprobs = said.logprobs
        if logprobs is not None and len(logprobs) != len(tokens):
            self.counts.logprobs += 1
            logprobs = None
        problem = _problem(said)
        return Rollout(problem.id, prompt, tokens, text, logprobs, said.grade, truncated)

    def _prompt(self, prompt: Prompt, where: str) -> tuple[int, ...] | str:
        """Return the prompt's tokens, or why it has none."""
        if prompt not in self._prompts:
            tokenizer: Any = self.model.tokenizer
            parts = [tokenizer(t.content, add_special_tokens=False)["input_ids"] for t in prompt]
            fault = next(filter(None, map(self._fault, parts)), None)
            self._prompts[prompt] = fault or self.model.encode_turns(prompt, where)
        return self._prompts[prompt]

    def _fault(self, tokens: Iterable[int]) -> str | None:
        """Say what is wrong with the tokens of a text, in which no special one may be."""
        found = self.special.intersection(tokens)
        if not found:
            return None
        return UNKNOWN if self.model.tokenizer.unk_token_id in found else SPECIAL


def encode(
    rows: Iterable[Said | Unusable | Rollout],
    model: LanguageModel,
    *,
    task: AbstractTask | None = None,
    prompts: int | None = None,
    samples: int | None = None,
) -> Imported:
    """Make rollouts of what sources say; rows of one prompt are brought together.

    Args:
        rows: as `read` gives them, of all sources one after another.
        model: encodes; a skeleton will do.
        task: grades again, in place of the rows' labels, by the rows' own answer keys or, where a
            row has none, by that of the task's problem with this question.
        prompts: at most so many, the first ones; what cannot be encoded does not count.
        samples: at most so many rows of each, the first ones.

    Raises:
        GoniometerError: as `read`; nothing is left.
    """
    counts = Counts()
    kept = _kept(rows, Encoder(model, counts), prompts, samples)
    groups: dict[str, list[Rollout]] = {}
    for row in (made for made, _ in kept) if task is None else _graded(kept, task, counts):
        groups.setdefault(row.problem_id, []).append(row)
    if not groups:
        reasons = [f"{n} times {why} (first {counts.first[why]})" for why, n in _most(counts)]
        raise GoniometerError("no row can be used", file=model.name, found="; ".join(reasons))
    return Imported(RolloutSet(tuple(row for rows in groups.values() for row in rows)), counts)


def _kept(
    rows: Iterable[Said | Unusable | Rollout],
    encoder: Encoder,
    prompts: int | None,
    samples: int | None,
) -> Iterator[tuple[Rollout, Said | None]]:
    """Yield each row that is wanted and can be encoded, with what it was made of, if of texts."""
    counted: Counter[str] = Counter()

    def full(name: str) -> bool:
        if name not in counted:
            return prompts is not None and len(counted) == prompts
        return samples is not None and counted[name] >= samples

    limited = prompts is not None or samples is not None
    for row in rows:
        said = row if isinstance(row, Said) else None
        if said is not None and limited and full(_problem(said).id):
            continue  # it need not be encoded
        made = encoder.encode(row) if isinstance(row, Said) else row
        if isinstance(made, Unusable):
            encoder.counts.drop(made)
        elif not full(made.problem_id):
            counted[made.problem_id] += 1
            yield made, said


def _graded(
    kept: Iterator[tuple[Rollout, Said | None]], task: AbstractTask, counts: Counts
) -> Iterator[Rollout]:
    """Grade rows of texts by their own answer keys, else by that of the task's problem.

    Rows of token ids keep the grades that they have.
    """
    parts = task.parts.values() if isinstance(task, AbstractRowsTask) else ()
    known = {problem.question.strip(): problem for part in parts for problem in part}

    def asked(said: Said) -> Problem | None:
        return known.get(text_of(said.prompt)) if said.gold is None else _problem(said)

    while batch := list(islice(kept, AT_ONCE)):
        texts = [(row, problem) for row, s in batch if s is not None and (problem := asked(s))]
        answers = ((problem, row.text, row.truncated) for row, problem in texts)
        grades = iter(grade_all(task, answers))
        for row, said in batch:
            if said is None:
                yield row
                continue
            grade: Grade = Ungraded(NO_GOLD) if asked(said) is None else next(grades)
            if not isinstance(grade, Ungraded) and not isinstance(said.grade, Ungraded):
                same = isinstance(grade, Correct) == isinstance(said.grade, Correct)
                counts.agreed += same
                counts.differ += not same
            yield replace(row, grade=grade)


def _problem(said: Said) -> Problem:
    return Problem(text_of(said.prompt), said.gold or "", "")


def _most(counts: Counts) -> Iterator[tuple[str, int]]:
    return iter(counts.dropped.most_common(3))
