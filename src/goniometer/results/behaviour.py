"""What the updates do when they are placed in the model: paths, similarity, divergence, sums."""

from goniometer.results.connectivity import Connectivity
from goniometer.results.similarity import Similarity
from goniometer.results.values import Frozen, Reading


class Divergence(Frozen):
    """Forward KL(base || run) on task prompts, nats a completion."""

    run: str
    kl: Reading
    error: float | None  # standard error over prompts
    prompts: int


class Agreement(Frozen):
    """How often two runs say the same on the same problems."""

    a: str
    b: str
    n: int  # problems that both have graded
    same_outcome: float  # share where both are right or both are wrong
    same_answer: float | None  # share of equal final answers; None for a task without answers
    kappa: Reading  # Cohen's kappa of the outcomes: agreement beyond what the accuracies give


class Composed(Frozen):
    """The base with the sum or the mean of two updates on it (task arithmetic, 2212.04089).

    Interference is what the two do together beyond what each does alone. To second order it is
    wa wb a'Hb - sum_i w_i (1 - w_i) k_i / 2, with H the loss's curvature and k = a'Ha read from
    L(0), L(1/2) and L(1) on the way from the base to a run. Weights alone say what a'Hb is only
    if the curvature treats all directions alike: then it is cosine sqrt(k_a k_b), and at most
    sqrt(1 - off_subspace) sqrt(k_a k_b) in size, up to what lies outside the top-k subspaces.
    """

    a: str
    b: str
    weights: tuple[float, float]  # (1, 1) the sum, (1/2, 1/2) the mean
    nll: Reading  # of the reference texts, nats a token
    low: float | None  # bootstrap 95 % interval over items
    high: float | None
    # First order: L(0) + sum of weight x (L(run) - L(0)); what two updates that do not meet give.
    expected: Reading
    accuracy: Reading  # greedy; undefined unless asked for
    # nll - expected, with its interval over the same items: for the mean, the midpoint contrast.
    interference: Reading = Reading(undefined="not measured")
    interference_low: float | None = None
    interference_high: float | None = None
    cosine: Reading = Reading(undefined="not given")  # whole model, union of modules
    off_subspace: Reading = Reading(undefined="not given")  # joint; the smaller of both directions
    by_cosine: Reading = Reading(undefined="not given")  # interference that the cosine predicts
    # Interval of interference that off_subspace leaves open, lower and upper end.
    by_off_subspace: tuple[Reading, Reading] = (
        Reading(undefined="not given"),
        Reading(undefined="not given"),
    )


class Behaviour(Frozen):
    """What needs the model: measured by a study, and by compare --base MODEL --data ROLLOUTS."""

    base: str
    data: str  # which texts, in words
    connectivity: Connectivity | None = None
    similarity: Similarity | None = None
    divergence: tuple[Divergence, ...] = ()
    agreement: tuple[Agreement, ...] = ()
    composed: tuple[Composed, ...] = ()
