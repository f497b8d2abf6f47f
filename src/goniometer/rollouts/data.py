"""Rollouts: what was said, with everything that an objective or a report may ask about it."""

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import groupby
from typing import final

from goniometer.errors import GoniometerError
from goniometer.tasks import Correct, Grade, Wrong, grade_to_text


@final
@dataclass(frozen=True)
class Rollout:
    """One completion of one prompt.

    `completion_tokens` end with the end token unless `truncated`; `logprobs` are those of the
    policy that sampled them, in nats, one a completion token, or None where nobody kept them.
    """

    problem_id: str
    prompt_tokens: tuple[int, ...]
    completion_tokens: tuple[int, ...]
    text: str
    logprobs: tuple[float, ...] | None
    grade: Grade
    truncated: bool

    @property
    def correct(self) -> bool:
        """True where the grade is Correct."""
        return isinstance(self.grade, Correct)

    @property
    def wrong(self) -> bool:
        """True where the grade is Wrong; an ungraded row is neither."""
        return isinstance(self.grade, Wrong)


@final
@dataclass(frozen=True)
class RolloutSet:
    """Rollouts in prompt order: rows of one problem stand together."""

    rows: tuple[Rollout, ...]

    def groups(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Yield each problem id with the positions of its rows."""
        for problem_id, indices in groupby(
            range(len(self.rows)), lambda i: self.rows[i].problem_id
        ):
            yield problem_id, tuple(indices)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of prompts, completions, log-probs and grades, in order."""
        digest = hashlib.sha256()
        for row in self.rows:
            parts = (row.problem_id, row.prompt_tokens, row.completion_tokens, row.logprobs)
            digest.update(repr((*parts, grade_to_text(row.grade))).encode())
        return digest.hexdigest()

    def require_logprobs(self, where: str = "rollouts") -> list[tuple[float, ...]]:
        """Return each row's log-probs of the policy that sampled it, in nats.

        Raises:
            GoniometerError: rows without them.
        """
        found = [row.logprobs for row in self.rows if row.logprobs is not None]
        if len(found) < len(self.rows):
            raise GoniometerError(
                f"{len(self.rows) - len(found)} of {len(self.rows)} rows lack the log-probs of the "
                "policy that sampled them",
                file=where,
                fix="bring them as logprobs, or let rollouts.behaviour: base take the base's",
            )
        return found

    @property
    def wrong_share(self) -> float:
        """Share of wrong rows among those that are right or wrong; 0 where there are none."""
        wrong = sum(row.wrong for row in self.rows)
        return wrong / max(1, wrong + sum(row.correct for row in self.rows))

    def mixed(self) -> "RolloutSet":
        """Keep the problems that have both right and wrong rows; ungraded rows are dropped."""
        kept: list[Rollout] = []
        for _, indices in self.groups():
            rows = [self.rows[i] for i in indices if self.rows[i].correct or self.rows[i].wrong]
            if any(r.correct for r in rows) and any(r.wrong for r in rows):
                kept.extend(rows)
        return RolloutSet(tuple(kept))

    def thinned(self, rows_per_prompt: int, seed: str) -> "RolloutSet":
        """Keep that many rows a prompt, drawn without replacement, right and wrong both among them.

        One right and one wrong row are drawn first, the others from what is left, so the share
        of wrong rows moves a little towards one half: report it after thinning.
        """
        kept: list[Rollout] = []
        for problem_id, indices in self.groups():
            rng = random.Random(f"{seed}/thin/{problem_id}")
            right = [i for i in indices if self.rows[i].correct]
            wrong = [i for i in indices if self.rows[i].wrong]
            first = [rng.choice(side) for side in (right, wrong) if side]
            rest = [i for i in indices if i not in first]
            more = rng.sample(rest, max(0, min(rows_per_prompt - len(first), len(rest))))
            kept.extend(self.rows[i] for i in sorted(first + more))
        return RolloutSet(tuple(kept))

    def with_wrong_share(self, share: float, rows_per_prompt: int, seed: str) -> "RolloutSet":
        """Keep rows of each prompt so that their share of wrong ones is as near as can be.

        Of the numbers of right and wrong rows that come equally near, the largest are taken, at
        most `rows_per_prompt` together; rows are drawn without replacement. A prompt with few
        rows of one side may miss the share or keep fewer rows: report `wrong_share`. Prompts stay
        in their order, so sets of other shares see the same prompts at the same steps.
        """
        kept: list[Rollout] = []
        for problem_id, indices in self.groups():
            rng = random.Random(f"{seed}/share/{problem_id}")
            right = [i for i in indices if self.rows[i].correct]
            wrong = [i for i in indices if self.rows[i].wrong]
            counts = _nearest(share, len(right), len(wrong), rows_per_prompt)
            # Shuffled whole, so that a larger share keeps the wrong rows of a smaller one.
            sides = [rng.sample(side, len(side)) for side in (right, wrong)]
            chosen = [i for side, n in zip(sides, counts, strict=True) for i in side[:n]]
            kept.extend(self.rows[i] for i in sorted(chosen))
        return RolloutSet(tuple(kept))

    def first_prompts(self, count: int) -> "RolloutSet":
        """Keep the rows of the first `count` problems."""
        kept = [i for _, indices in list(self.groups())[:count] for i in indices]
        return RolloutSet(tuple(self.rows[i] for i in kept))


def _nearest(share: float, right: int, wrong: int, most: int) -> tuple[int, int]:
    """Numbers of right and wrong rows to keep of so many, by `with_wrong_share`'s rule."""
    target = Fraction(share).limit_denominator(10**6)
    options = [(r, w) for r in range(right + 1) for w in range(wrong + 1) if 0 < r + w <= most]
    # Of equal ones the one with more right rows, which comes first.
    return min(options, key=lambda o: (abs(Fraction(o[1], sum(o)) - target), -sum(o), -o[0]))
