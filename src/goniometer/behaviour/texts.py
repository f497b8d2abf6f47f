"""What losses are measured on: fixed texts of held-out problems, the same for every run."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from typing import Any, Literal, final

from goniometer.errors import GoniometerError
from goniometer.model import LanguageModel
from goniometer.rollouts import RolloutSet
from goniometer.tasks import Problem


@final
@dataclass(frozen=True)
class Texts:
    """Prompts and completions as token ids, and the problem that each belongs to.

    Problems are what is resampled: texts of one problem are not independent.

    Raises:
        GoniometerError: on creation, where there is no text, or a prompt or a completion is empty.
    """

    items: tuple[str, ...]
    prompts: tuple[tuple[int, ...], ...]
    completions: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        """Refuse what nothing can be measured on."""
        if not self.items:
            raise GoniometerError("there are no texts to measure losses on")
        for item, prompt, completion in zip(
            self.items, self.prompts, self.completions, strict=True
        ):
            if not prompt or not completion:
                side = "completion" if prompt else "prompt"
                raise GoniometerError(f"a {side} has no tokens", key=item, expected="one at least")

    @property
    def lengths(self) -> tuple[int, ...]:
        """Tokens of each text, prompt and completion."""
        return tuple(len(p) + len(c) for p, c in zip(self.prompts, self.completions, strict=True))

    @cached_property
    def shared(self) -> int:
        """Tokens that all prompts begin with, as a chat template writes them; the last is not one.

        What they are is read once for all texts: the last of a prompt predicts what differs.
        """
        columns = zip(*(prompt[:-1] for prompt in self.prompts), strict=False)
        return sum(1 for _ in takewhile(lambda tokens: len(set(tokens)) == 1, columns))

    def require_fit(self, base: LanguageModel) -> None:
        """Require that the base knows every token and has room for the longest text.

        Raises:
            GoniometerError: a token id that the base does not have, or a text too long for it.
        """
        network: Any = base.network
        vocabulary = int(network.get_input_embeddings().weight.shape[0])
        largest = max(max(*p, *c) for p, c in zip(self.prompts, self.completions, strict=True))
        if largest >= vocabulary:
            raise GoniometerError(
                "a token id that the base does not have",
                file=base.name,
                found=largest,
                expected=f"below {vocabulary}",
                fix="encode the texts with the base's tokenizer",
            )
        if base.context is not None and max(self.lengths) > base.context:
            raise GoniometerError(
                "a text is too long for the base",
                file=base.name,
                key=self.items[self.lengths.index(max(self.lengths))],
                found=f"{max(self.lengths)} tokens",
                expected=f"at most {base.context}",
                fix="leave it out",
            )


@final
@dataclass(frozen=True)
class ReferenceTexts:
    """Texts that are right, whoever wrote them: the task's solutions, or graded rollouts."""

    kind: Literal["reference solutions", "held-out rollouts"]
    texts: Texts

    @classmethod
    def of_problems(cls, base: LanguageModel, problems: Sequence[Problem]) -> "ReferenceTexts":
        """Take each problem's solution, written as a completion is: with its end token.

        Problems without a solution are left out.

        Raises:
            GoniometerError: no problem has a solution.
        """
        kept = [problem for problem in problems if problem.solution]
        if not kept:
            raise GoniometerError(
                "no problem has a reference solution",
                found=f"0 of {len(problems)} problems",
                fix="bring held-out rollouts",
            )
        rows = ((p.id, p.question, base.encode_completion(p.solution)) for p in kept)
        return cls("reference solutions", _prompted(base, rows))

    @classmethod
    def of_rollouts(cls, held_out: RolloutSet) -> "ReferenceTexts":
        """Take the rows of held-out rollouts that are graded right.

        Raises:
            GoniometerError: no row is right.
        """
        kept = [row for row in held_out.rows if row.correct]
        if not kept:
            raise GoniometerError(
                "no rollout is right", found=f"0 of {len(held_out.rows)} rows", expected="one"
            )
        texts = Texts(
            tuple(row.problem_id for row in kept),
            tuple(row.prompt_tokens for row in kept),
            tuple(row.completion_tokens for row in kept),
        )
        return cls("held-out rollouts", texts)


def bare_answers(base: LanguageModel, problems: Sequence[Problem]) -> Texts:
    r"""Take each gold answer as `\boxed{answer}`, directly after the prompt and without an end.

    The loss that the paper draws its paths with: it says how likely a model answers without
    thinking, which is another question than whether it has lost the way to the answer.

    Raises:
        GoniometerError: no problem, or the tokenizer has no tokens for such a text.
    """
    unknown = base.tokenizer.unk_token_id
    rows = []
    for problem in problems:
        text = rf"\boxed{{{problem.answer}}}"
        tokens = tuple(base.tokenizer(text, add_special_tokens=False)["input_ids"])
        if not tokens or unknown in tokens:
            raise GoniometerError(
                "the tokenizer cannot write a bare answer", file=base.name, found=text
            )
        rows.append((problem.id, problem.question, tokens))
    return _prompted(base, rows)


def _prompted(base: LanguageModel, rows: Iterable[tuple[str, str, tuple[int, ...]]]) -> Texts:
    found = [(item, base.encode_prompt(question), tokens) for item, question, tokens in rows]
    items, prompts, completions = zip(*found, strict=True) if found else ((), (), ())
    return Texts(items, prompts, completions)
