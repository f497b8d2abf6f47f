"""Similarity of activations: CKA by layer, its ceiling and its null."""

from typing import Literal

from goniometer.results.values import Band, Frozen, Reading


class LayerSimilarity(Frozen):
    """Debiased linear CKA (Kornblith et al. 2019; Song et al. 2007, HSIC_1) of one layer."""

    layer: int  # 0 is the embedding's output, l the output of block l
    cka: Reading
    low: float | None  # 95 % interval, prompts resampled
    high: float | None
    biased: Reading  # Kornblith's estimator, for comparison with printed values


class PairSimilarity(Frozen):
    """Two runs, or the base and a run, by layer."""

    a: str
    b: str
    layers: tuple[LayerSimilarity, ...]


class InputNull(Frozen):
    """What strangers share by their inputs alone: A rows drawn from a module's input covariance.

    The right-hand measures of two updates with random B (isotropic) and rows of A drawn from the
    covariance of the module's inputs on the data; design.md's activation-covariance null.
    """

    module: str
    bands: dict[str, Band]  # v1, angle_right_smallest, angle_right_median, off_subspace_right
    tokens: int
    effective_rank: float  # of the input covariance


class Similarity(Frozen):
    """CKA of all runs and the base, on the same tokens."""

    positions: Literal["completion tokens", "last prompt token", "every token"]
    tokens: int  # n
    prompts: int
    width: int  # d
    draws: int
    pairs: tuple[PairSimilarity, ...]
    random_features: Band  # CKA of independent Gaussian features of the same n and d
    input_nulls: tuple[InputNull, ...] = ()
