"""From texts to rollouts: encoded as the study prompts its model, graded, grouped and counted."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, final

from goniometer.errors import GoniometerError
from goniometer.model import LanguageModel
from goniometer.rollouts.data import Rollout, RolloutSet
from goniometer.rollouts.foreign.said import Prompt, Said, Unusable, text_of
from goniometer.tasks import AbstractTask, Correct, Problem, Ungraded, Wrong, grade_or_ungraded

UNKNOWN = "a text for which the tokenizer has no token"
SPECIAL = "a special token within the text"
TOO_LONG = "longer than the model's context"
NO_GOLD = "no answer key to grade with"


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
    """Encodes texts for one model, and grades them by a task where one is given."""

    def __init__(self, model: LanguageModel, task: AbstractTask | None, counts: Counts) -> None:
        """Take the model whose tokenizer and chat template are used; its weights are not."""
        tokenizer: Any = model.tokenizer
        self.model, self.task, self.counts = model, task, counts
        self.special = frozenset(tokenizer.all_special_ids)
        network: Any = model.network
        self.context = getattr(network.config.get_text_config(), "max_position_embeddings", None)
        self._prompts: dict[Prompt, tuple[int, ...] | str] = {}

    def encode(self, said: Said) -> Rollout | Unusable:
        """Make a rollout of what was said, or say why it cannot be one.

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
        problem = Problem(text_of(said.prompt), said.gold or "", "")
        grade = said.grade if self.task is None else self._graded(self.task, problem, said, text)
        return Rollout(problem.id, prompt, tokens, text, logprobs, grade, truncated)

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

    def _graded(
        self, task: AbstractTask, problem: Problem, said: Said, text: str
    ) -> Correct | Wrong | Ungraded:
        if said.gold is None:
            return Ungraded(NO_GOLD)
        found = grade_or_ungraded(task, problem, text, truncated=bool(said.truncated))
        if not isinstance(found, Ungraded) and not isinstance(said.grade, Ungraded):
            same = isinstance(found, Correct) == isinstance(said.grade, Correct)
            self.counts.agreed += same
            self.counts.differ += not same
        return found


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
        task: grades again, by the rows' own answer keys, in place of the rows' labels.
        prompts: at most so many, the first ones; what cannot be encoded does not count.
        samples: at most so many rows of each, the first ones.

    Raises:
        GoniometerError: as `read`; nothing is left.
    """
    counts = Counts()
    encoder = Encoder(model, task, counts)
    groups: dict[str, list[Rollout]] = {}
    for row in rows:
        if isinstance(row, Said) and _full(groups, row, prompts, samples):
            continue
        made = encoder.encode(row) if isinstance(row, Said) else row
        if isinstance(made, Unusable):
            counts.drop(made)
            continue
        group = groups.get(made.problem_id)
        if group is None:
            if prompts is not None and len(groups) == prompts:
                continue
            group = groups[made.problem_id] = []
        if samples is None or len(group) < samples:
            group.append(made)
    if not groups:
        reasons = [f"{n} times {why} (first {counts.first[why]})" for why, n in _most(counts)]
        raise GoniometerError("no row can be used", file=model.name, found="; ".join(reasons))
    return Imported(RolloutSet(tuple(row for rows in groups.values() for row in rows)), counts)


def _full(
    groups: dict[str, list[Rollout]], said: Said, prompts: int | None, samples: int | None
) -> bool:
    """Whether nothing more of this prompt is wanted: then it need not be encoded."""
    if prompts is None and samples is None:
        return False
    group = groups.get(Problem(text_of(said.prompt), "", "").id)
    if group is None:
        return prompts is not None and len(groups) == prompts
    return samples is not None and len(group) >= samples


def _most(counts: Counts) -> Iterator[tuple[str, int]]:
    return iter(counts.dropped.most_common(3))
