"""A teacher that this process loads: transformers' generate, in batches of similar length."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

from goniometer.config import Rollouts
from goniometer.model import Generation, LanguageModel, completion_logprobs, generate
from goniometer.seeds import derive
from goniometer.tasks import Problem
from goniometer.teachers.base import Completion, Keep, Kept, answered, key_of


@final
@dataclass(frozen=True)
class TransformersTeacher:
    """A network of this process; equal seeds give equal completions on one machine."""

    language: LanguageModel
    redrawn: bool = True

    @property
    def name(self) -> str:
        """The model's."""
        return self.language.name

    @property
    def fingerprint(self) -> str:
        """The model's."""
        return self.language.fingerprint

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
        """Sample as `generate` does; a batch is kept whole, as its draws hang together."""
        prompts = [
            tokens
            for problem in problems
            for tokens in [self.language.encode_prompt(problem.question)] * settings.samples
        ]
        drawn = derive(seed, first)
        about = key_of(
            teacher=self.fingerprint, prompts=prompts, seed=drawn, settings=settings.sampling
        )

        def remembered(number: int, make: Callable[[], list[Generation]]) -> list[Generation]:
            def ask(missing: Sequence[str], keep: Keep) -> None:
                keep({key: [[row.tokens, row.truncated] for row in make()] for key in missing})

            [rows] = answered([f"{about}/{number}"], kept, ask)
            return [Generation(tuple(tokens), truncated) for tokens, truncated in rows]

        generations = generate(
            self.language,
            prompts,
            max_new_tokens=settings.max_new_tokens,
            temperature=settings.temperature,
            seed=drawn,
            batch_size=settings.batch_size,
            advance=advance,
            through=remembered,
        )
        return [
            Completion(prompt, row.tokens, self.language.decode(row.tokens), row.truncated)
            for prompt, row in zip(prompts, generations, strict=True)
        ]

    def logprobs(
        self, completions: Sequence[Completion], settings: Rollouts
    ) -> list[tuple[float, ...] | None]:
        """Score the completions once more, by the network that sampled them."""
        scored = completion_logprobs(
            self.language,
            [completion.prompt_tokens for completion in completions],
            [completion.tokens for completion in completions],
            batch_size=settings.batch_size,
            advance=lambda rows: None,
            temperature=settings.temperature,
        )
        return list(scored)
