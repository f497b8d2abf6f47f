"""Generated one- to three-step word problems with written-out steps: the embedded task.

The split of a problem is a hash of its arithmetic (start, operations, operands), not of its
wording: the same sum under another name is never in two splits.
"""

import hashlib
import random
import re
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal, final

from pydantic import Field

from goniometer.tasks.answers import MARKER, final_answer, graded_by_answer, graded_otherwise
from goniometer.tasks.base import AbstractTask, Grade, Problem, Split

NAMES = [
    "Ada",
    "Ben",
    "Cleo",
    "Dan",
    "Eva",
    "Finn",
    "Gus",
    "Hana",
    "Ivan",
    "June",
    "Kofi",
    "Lena",
    "Max",
    "Nora",
    "Omar",
    "Pia",
    "Quinn",
    "Rosa",
    "Sam",
    "Tess",
]
ITEMS = [
    "apples",
    "books",
    "coins",
    "shells",
    "stamps",
    "marbles",
    "pencils",
    "cards",
    "stones",
    "flowers",
    "buttons",
    "ribbons",
]
PHRASES = {
    "+": (
        "{name} buys {n} more {item} .",
        "{other} gives {name} {n} {item} .",
        "Then {name} finds {n} more .",
    ),
    "-": (
        "{name} gives {n} {item} to {other} .",
        "Then {name} loses {n} of them .",
        "{name} sells {n} {item} .",
    ),
    "*": (
        "Then the number of {item} grows to {n} times as many .",
        "{other} makes it {n} times as many .",
    ),
}
LARGEST = 199
# Shares of the hash space; pretrain is what the embedded base and teacher were trained on.
_SPLITS: tuple[tuple[Split, float], ...] = (
    ("pretrain", 0.60),
    ("train", 0.80),
    ("validation", 0.88),
    ("test", 1.0),
)


def split_of(start: int, steps: tuple[tuple[str, int], ...]) -> Split:
    """Return the split that this arithmetic belongs to, whatever words it is dressed in."""
    content = f"{start}|" + "|".join(f"{op}{n}" for op, n in steps)
    share = int.from_bytes(hashlib.sha256(content.encode()).digest()[:8], "big") / 2**64
    return next(name for name, upper in _SPLITS if share < upper)


def _draw_steps(
    rng: random.Random, largest: int, most_steps: int
) -> tuple[int, tuple[tuple[str, int], ...]]:
    start = value = rng.randint(2, largest // 2)
    steps = []
    for _ in range(rng.choice([count for count in (1, 2, 2, 3, 3) if count <= most_steps])):
        possible = {"+": value <= largest - 2, "-": value >= 2, "*": 2 <= value <= largest // 2}
        op = rng.choice([op for op, possible_here in possible.items() if possible_here])
        if op == "+":
            n = rng.randint(2, min(99, largest - value))
            value += n
        elif op == "-":
            n = rng.randint(1, value - 1)
            value -= n
        else:
            n = rng.randint(2, min(6, largest // value))
            value *= n
        steps.append((op, n))
    return start, tuple(steps)


def _write(start: int, steps: tuple[tuple[str, int], ...], rng: random.Random) -> Problem:
    name, other = rng.sample(NAMES, 2)
    item = rng.choice(ITEMS)
    sentences = [f"{name} has {start} {item} ."]
    lines, value = [], start
    for op, n in steps:
        sentences.append(rng.choice(PHRASES[op]).format(name=name, other=other, item=item, n=n))
        result = {"+": value + n, "-": value - n, "*": value * n}[op]
        lines.append(f"{value} {op} {n} = {result}")
        value = result
    sentences.append(f"How many {item} does {name} have now ?")
    solution = "\n".join([*lines, f"{MARKER} {value}"])
    return Problem(question=" ".join(sentences), answer=str(value), solution=solution)


@final
@dataclass(frozen=True)
class Arithmetic(AbstractTask):
    """Word problems over +, - and times, all values from 1 up.

    Attributes:
        spacing: `words` sets each full stop apart, as the embedded model's tokenizer wants it;
            `prose` writes as people do, for tokenizers that learnt from what people write. The
            sums and their splits are the same.
        largest: no value of a problem is above it.
        most_steps: no problem has more.
    """

    name: ClassVar[str] = "arithmetic"
    spacing: Literal["words", "prose"] = "words"
    largest: Annotated[int, Field(ge=20, le=LARGEST)] = LARGEST
    most_steps: Annotated[int, Field(ge=1, le=3)] = 3

    def problems(self, split: Split, count: int, seed: int) -> tuple[Problem, ...]:
        """Generate until `count` distinct problems are found; a longer list extends a shorter."""
        rng = random.Random(f"{seed}/{split}")
        found: dict[str, Problem] = {}
        while len(found) < count:
            start, steps = _draw_steps(rng, self.largest, self.most_steps)
            if split_of(start, steps) == split:
                problem = _write(start, steps, rng)
                if self.spacing == "prose":
                    problem = replace(problem, question=re.sub(r" (?=[.?])", "", problem.question))
                found.setdefault(problem.id, problem)
        return tuple(found.values())

    def grade(self, problem: Problem, completion: str, *, truncated: bool) -> Grade:
        """Compare the number after the last `####`; a completion without an end is truncated."""
        return graded_by_answer(problem, completion, truncated=truncated)

    def grade_otherwise(self, problem: Problem, completion: str, *, truncated: bool) -> Grade:
        """Grade by the last number of the completion."""
        return graded_otherwise(problem, completion, truncated=truncated)

    def answer_of(self, completion: str) -> str | None:
        """Return the number after the last `####`."""
        return final_answer(completion)
