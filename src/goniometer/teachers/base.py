"""What a teacher is: something that completes problems, in tokens that the base can read."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, final, runtime_checkable

from goniometer.config import Rollouts, canonical
from goniometer.model import LanguageModel
from goniometer.seeds import derive
from goniometer.tasks import Problem


@final
@dataclass(frozen=True)
class Completion:
    """One completion of one problem.

    Attributes:
        prompt_tokens: what the base is prompted with when it trains on this.
        tokens: of the completion; they end with the end token unless `truncated`.
        text: the completion in words.
        truncated: whether it was cut off before its end.
        logprobs: of the policy that sampled, temperature included, in nats, one a token; None
            where the teacher does not say.
        refused: why there is no completion to grade, where there is none.
    """

    prompt_tokens: tuple[int, ...]
    tokens: tuple[int, ...]
    text: str
    truncated: bool
    logprobs: tuple[float, ...] | None = None
    refused: str | None = None


@runtime_checkable
class Kept(Protocol):
    """Answers by key, JSON values: a dictionary, or a journal that outlives the process."""

    def get(self, key: str, /) -> Any:
        """Return the answer of a key, None where there is none."""
        ...

    def __setitem__(self, key: str, answer: Any, /) -> None:
        """Keep an answer."""
        ...


@runtime_checkable
class Teacher(Protocol):
    """Something that completes problems; a how-to for the next one is in the package's docstring.

    Attributes:
        name: what to call it in an error.
        fingerprint: of all that its completions hang on besides problems, settings and seed.
        redrawn: whether equal seeds draw equal completions, so that nothing is lost with them.
        language: whose tokenizer wrote the tokens; None where it is the base's own.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def fingerprint(self) -> str: ...  # noqa: D102
    @property
    def redrawn(self) -> bool: ...  # noqa: D102
    @property
    def language(self) -> LanguageModel | None: ...  # noqa: D102

    def complete(
        self,
        problems: Sequence[Problem],
        settings: Rollouts,
        *,
        seed: str,
        first: int,
        kept: Kept,
        advance: Callable[[int], None],
    ) -> list[Completion]:
        """Sample `settings.samples` completions of each problem, from the untruncated distribution.

        Args:
            problems: what is asked.
            settings: samples, temperature, longest completion, rows at a time.
            seed: of the study and the split; a draw's own seed derives from it.
            first: problems that were asked under this seed before.
            kept: answers of an earlier process, by keys that hold all that they depend on; each new
                one is put there as it comes.
            advance: called with the number of completions as they come.

        Returns:
            The completions of the first problem, then of the next.

        Raises:
            GoniometerError: the teacher does not answer, or not as it should.
        """
        ...

    def logprobs(
        self, completions: Sequence[Completion], settings: Rollouts
    ) -> list[tuple[float, ...] | None]:
        """Return what the sampling policy gave each token, in nats; None where nobody knows."""
        ...


def key_of(**about: Any) -> str:
    """Hash what an answer depends on."""
    return hashlib.sha256(canonical(about).encode()).hexdigest()[:32]


Keep = Callable[[Mapping[str, Any]], None]


def answered(
    keys: Sequence[str],
    kept: Kept,
    ask: Callable[[Sequence[str], Keep], None],
    advance: Callable[[int], None] = lambda _: None,
) -> list[Any]:
    """Return the answer of each key: the one that is kept, or a new one, kept as it comes.

    Args:
        keys: what is wanted; a key that stands twice is asked for once.
        kept: answers of an earlier process, and place of the new ones.
        ask: called with the keys that are missing, if any, and with what it hands each new answer
            to by its key: all that come at once together.
        advance: called with the number of answers as they come, those that were kept first.

    Raises:
        GoniometerError: as `ask`; an answer that cannot be kept.
    """
    missing = [key for key in dict.fromkeys(keys) if kept.get(key) is None]
    advance(len(keys) - len(missing))

    def keep(answers: Mapping[str, Any]) -> None:
        for key, answer in answers.items():
            kept[key] = answer
        advance(len(answers))

    if missing:
        ask(missing, keep)
    return [kept.get(key) for key in keys]


@final
@dataclass(frozen=True)
class Draw:
    """One completion that is wanted: of what, by which seed, and the key of its answer."""

    problem: Problem
    seed: int
    key: str


def draws(
    problems: Sequence[Problem], settings: Rollouts, *, seed: str, answers: str
) -> list[Draw]:
    """Lay out a teacher's draws where each stands alone, whatever else is asked.

    Args:
        problems: what is asked.
        settings: how.
        seed: of the study and the split; that of a draw derives from it, the problem and the index.
        answers: hash of who answers.
    """
    found = []
    for problem in problems:
        for index in range(settings.samples):
            drawn = derive(seed, problem.id, index) >> 32  # 31 bits: servers take no more
            key = key_of(
                answers=answers,
                question=problem.question,
                temperature=settings.temperature,
                max_new_tokens=settings.max_new_tokens,
                seed=drawn,
                index=index,
            )
            found.append(Draw(problem, drawn, key))
    return found
