"""Similarity of activations: CKA by layer, its ceiling and its null; what inputs alone give."""

from typing import Literal

from goniometer.results.values import Band, Frozen, Reading

Positions = Literal["completion tokens", "last prompt token", "every token"]


class LayerSimilarity(Frozen):
    """Debiased linear CKA (Kornblith et al. 2019; Song et al. 2007, HSIC_1) of one layer."""

    layer: int  # 0 is the embedding's output, l the output of block l
    cka: Reading
    low: float | None  # 95 % interval, jackknife over groups of prompts
    high: float | None
    biased: Reading  # Kornblith's estimator, for comparison with printed values


class PairSimilarity(Frozen):
    """Two runs, or the base and a run, by layer."""

    a: str
    b: str
    layers: tuple[LayerSimilarity, ...]


InputMoment = Literal["covariance", "second moment"]
# covariance: of the inputs about their mean. Second moment: about zero, what a sum of outer
# products of inputs with independent errors of mean 0 has; the stricter null where inputs have
# a large mean.


class InputNull(Frozen):
    """What strangers share at a module by its inputs alone.

    Right-hand measures of two updates B A with isotropic random B and rows of A drawn from
    N(0, S), S a moment of the module's inputs on the data: design's activation-covariance null.
    """

    module: str
    rank: int  # of both updates: the largest of the runs'
    # v1, angle_right_*, overlap_right, off_subspace_right, row_space_overlap
    bands: dict[InputMoment, dict[str, Band]]
    effective_rank: dict[InputMoment, float]  # exp of the entropy of the moment's eigenvalues


class InputNulls(Frozen):
    """The input nulls of all modules, and of the measures over all modules together."""

    modules: tuple[InputNull, ...]
    whole: dict[InputMoment, dict[str, Band]]  # as the whole-model measures are: medians over them
    k: int
    tokens: int
    prompts: int
    positions: Positions


class Similarity(Frozen):
    """CKA of all runs and the base, on the same tokens."""

    positions: Positions  # without the first token of a text, BOS, the closing end token, padding
    tokens: int  # n; tokens with equal text before them are counted once
    prompts: int
    width: int  # d
    groups: int  # of prompts, each left out once for the intervals; 0 without intervals
    pairs: tuple[PairSimilarity, ...]  # those with the base first
    ceiling: tuple[str, str] | None = None  # two seeds of one objective, a pair of the above
    random_features: Band  # CKA of independent Gaussian features of the same n and d
    random_features_biased: Band  # the same by Kornblith's estimator: about d / (n + d)
    input_nulls: InputNulls | None = None
