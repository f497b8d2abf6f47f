"""Sections on what is measured of the trained cells: behaviour, paths, activations, geometry."""

from typing import Annotated

from pydantic import AfterValidator, Field

from goniometer.config.section import Positive, Section


class Evaluation(Section):
    """Greedy accuracy on the test split, and the margin within which runs count as equivalent."""

    problems: Positive = 2000
    max_new_tokens: Positive = 64
    batch_size: Positive = 256
    margin: Annotated[float, Field(gt=0, lt=1)] = 0.02


class Divergence(Section):
    """Forward KL from the base: how many prompts and how long the base's completions are."""

    prompts: Positive = 100
    max_new_tokens: Positive = 64


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError("an odd number, so that the midpoint is one of them")
    return value


Positions = Annotated[int, Field(ge=3), AfterValidator(_odd)]


class Paths(Section):
    """Losses along straight lines: from the base to each arm, between arms, and to their sums.

    Runs are the arms and one repeat of the first. Texts are solutions of validation problems, or
    held-out right rollouts where the task has none.
    """

    problems: Annotated[int, Field(ge=2)] = 64
    positions: Positions = Field(default=11, description="points of a path, both ends among them")
    draws: Annotated[int, Field(ge=100)] = Field(
        default=2000, description="of the bootstrap over problems"
    )
    accuracy: Positive | None = Field(
        default=None, description="validation problems answered greedily at every point: slow"
    )
    bare_answer: bool = Field(
        default=False, description="also the loss of the gold answer right after the prompt"
    )


class Similarity(Section):
    """Similarity of activations (CKA) by layer between the runs of `paths`, and to the base.

    With `inputs`, also what a module's inputs alone give two strangers' updates to share.
    """

    prompts: Annotated[int, Field(ge=2)] = 128
    tokens: Annotated[int, Field(ge=4)] = Field(default=4096, description="at most, of all texts")
    inputs: bool = True


class Geometry(Section):
    """Size of the top-k subspaces (default by the smallest rank) and draws for the nulls."""

    k: Positive | None = None
    draws: Annotated[int, Field(ge=100)] = 200
