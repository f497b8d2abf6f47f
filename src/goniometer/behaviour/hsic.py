"""Debiased linear CKA of all pairs of runs at one layer, with intervals; nothing n x n is formed.

With K = X X', L = Y Y' and K~, L~ the same with a zero diagonal (Song et al., JMLR 13, 2012, eq. 5,
called HSIC_1 by the authors in 2007 and used by Nguyen et al., ICLR 2021):

    HSIC(X, Y) = [ tr(K~ L~) + (1'K~1)(1'L~1) / ((n-1)(n-2)) - 2 1'K~L~1 / (n-2) ] / (n (n-3))
    CKA = HSIC(X, Y) / sqrt(HSIC(X, X) HSIC(Y, Y))

Kornblith et al. (ICML 2019), by name "biased": ||Xc'Yc||^2 / (||Xc'Xc|| ||Yc'Yc||), Xc centred.

HSIC does not change when X is moved by a constant (Szekely and Rizzo, Ann. Statist. 42, 2014), so X
and Y are centred here, for precision. In features, with k_i = |x_i|^2, l_i = |y_i|^2, s and t the
sums of the rows of X and of Y:

    tr(K~ L~) = ||X'Y||^2 - sum_i k_i l_i                (sum_ij K_ij L_ij = ||X'Y||^2)
    1'K~1     = |s|^2 - sum_i k_i
    1'K~L~1   = sum_i (x_i's - k_i) (y_i't - l_i)        (row sums of K~ are x_i's - k_i)

all of them sums over tokens of products of width d. With s = t = 0 this is the formula in the
code of Kornblith et al.: ||X'Y||^2 - n/(n-2) sum k l + sum k sum l / ((n-1)(n-2)). Where n <= d
the same sum_ij K_ij L_ij comes from rows of the Gram matrices, a group of tokens at a time.

Tokens of one text are not independent, so the interval is a delete-one jackknife over groups of
prompts. It needs no other pass: with T_gh = sum of K_ij L_ij over i in g, j in h =
<X_g'Y_g, X_h'Y_h>, leaving out g gives ||X'Y||^2 = sum T - 2 sum_h T_gh + T_gg, and s = -s_g as the
sum over all is 0. A bootstrap would repeat prompts, and a repeated token is no further sample for
an estimator that leaves out each token's product with itself. HSIC is an inner product of
U-centred matrices, so CKA is within [-1, 1] and the interval is symmetric in atanh(CKA).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, combinations_with_replacement
from math import atanh, sqrt, tanh
from typing import final

import torch
from jaxtyping import Float
from scipy import stats
from torch import Tensor

# Entries of products of features that stand in memory at once: 64 MB.
ENTRIES = 1 << 23
SHARE = 96  # columns of them that are summed at once
# An HSIC of a run with itself, as a share of its biased one, that is rounding.
NOTHING = 1e-12
_LAST = 1 - 2.0**-52


@final
@dataclass(frozen=True)
class LayerFeatures:
    """Features of all runs at one layer, read a range of tokens at a time.

    `groups` are ranges of tokens that follow each other and cover all of them.
    """

    read: Callable[[int, slice], Float[Tensor, "token width"]]
    runs: int
    groups: tuple[slice, ...]

    @property
    def tokens(self) -> int:
        """How many tokens: n."""
        return self.groups[-1].stop

    @cached_property
    def kept(self) -> Float[Tensor, "token left"]:
        """Which tokens stand: all of them, then all but each group where there are several."""
        left = len(self.groups) if len(self.groups) > 1 else 0
        kept = torch.ones(self.tokens, 1 + left, dtype=torch.float64)
        for group, part in enumerate(self.groups[:left]):
            kept[part, 1 + group] = 0
        return kept


@final
@dataclass(frozen=True)
class Estimate:
    """CKA of a pair, its 95 % interval where there is one, and Kornblith's; None if undefined."""

    cka: float | None
    low: float | None = None
    high: float | None = None
    biased: float | None = None
    undefined: str | None = None


@final
@dataclass(frozen=True)
class _Run:
    """Sums over one run's centred tokens; column 0 is for all, column 1 + g without group g."""

    mean: Float[Tensor, " width"]
    square: Float[Tensor, " token"]  # k_i
    rows: Float[Tensor, "token left"]  # minus the row sums of K~; 0 for what is left out
    total: Float[Tensor, " left"]  # 1'K~1


def layer_cka(layer: LayerFeatures) -> dict[tuple[int, int], Estimate]:
    """Estimate CKA of all pairs of runs; of one group alone there are no intervals."""
    runs = [_sums(layer, run) for run in range(layer.runs)]
    finite = [run for run in range(layer.runs) if bool(runs[run].square.isfinite().all())]
    products = _products(layer, runs, finite)
    hsic = {pair: _hsic(layer, runs, pair, T) for pair, T in products.items()}
    norms = {run: float(products[run, run].sum()) for run in finite}
    varied = [
        run for run in finite if float(hsic[run, run][0]) > NOTHING * norms[run] / layer.tokens**2
    ]
    found = {}
    for a, b in combinations(range(layer.runs), 2):
        if a in varied and b in varied:
            values = (hsic[a, b] / (hsic[a, a] * hsic[b, b]).sqrt()).clamp(-1, 1)
            biased = float(products[a, b].sum()) / sqrt(norms[a] * norms[b])
            found[a, b] = Estimate(float(values[0]), *_interval(values), biased)
        elif a in finite and b in finite:
            found[a, b] = Estimate(None, undefined="the activations do not vary between tokens")
        else:
            found[a, b] = Estimate(None, undefined="the activations are not finite")
    return found


def _sums(layer: LayerFeatures, run: int) -> _Run:
    first = sum(layer.read(run, part).double().sum(0) for part in layer.groups)
    mean = torch.as_tensor(first) / layer.tokens
    left = layer.kept.shape[1] - 1
    parts = [layer.read(run, part) - mean for part in layer.groups]
    square = torch.cat([torch.einsum("td,td->t", X, X) for X in parts])
    sums = torch.stack([X.sum(0) for X in parts])[:left]
    # Without group g the sum of all rows is -s_g.
    rows = torch.nn.functional.pad(torch.cat([X @ sums.T for X in parts]), (1, 0))
    squared = torch.nn.functional.pad(sums.square().sum(1), (1, 0))
    kept = layer.kept
    return _Run(mean, square, (rows + square[:, None]) * kept, squared - square @ kept)


def _products(
    layer: LayerFeatures, runs: Sequence[_Run], finite: Sequence[int]
) -> dict[tuple[int, int], Float[Tensor, "group group"]]:
    """T_gh of all pairs, by whichever of features and tokens is fewer."""
    width = len(runs[0].mean)
    pairs = list(combinations_with_replacement(finite, 2))
    if layer.tokens <= width:
        return _by_tokens(layer, runs, pairs)
    found = {}
    # Written over for every pair: fresh memory costs as much as what is done with it.
    # Products within a group in the features' own precision, all sums of them in float64.
    dtype = layer.read(finite[0], slice(0, 1)).dtype if finite else torch.float64
    X, Y = (torch.empty(layer.tokens, width, dtype=dtype) for _ in "ab")
    step = max(1, min(width, ENTRIES // (len(layer.groups) * width)))
    strip = torch.empty(len(layer.groups), step, width, dtype=dtype)
    for a in finite:
        _centred(layer, runs, a, X)
        for b in [other for first, other in pairs if first == a]:
            of_b = X if a == b else _centred(layer, runs, b, Y)
            found[a, b] = _by_features(X, of_b, layer.groups, strip)
    return found


def _centred(
    layer: LayerFeatures, runs: Sequence[_Run], run: int, out: Float[Tensor, "token width"]
) -> Float[Tensor, "token width"]:
    for part in layer.groups:
        torch.sub(layer.read(run, part), runs[run].mean, out=out[part])
    return out


def _by_features(
    X: Float[Tensor, "token width"],
    Y: Float[Tensor, "token width"],
    groups: Sequence[slice],
    strip: Float[Tensor, "group some width"],
) -> Float[Tensor, "group group"]:
    """<X_g'Y_g, X_h'Y_h> for all groups, as many columns of X at a time as the strip has."""
    step, width = strip.shape[1:]
    T = torch.zeros(len(groups), len(groups), dtype=torch.float64)
    for start in range(0, width, step):
        products = strip[:, : min(step, width - start)]
        for group, part in enumerate(groups):
            torch.mm(X[part, start : start + step].T, Y[part], out=products[group])
        for own in range(0, products.shape[1], SHARE):
            flat = products[:, own : own + SHARE].flatten(1).double()
            T += flat @ flat.T
    return T


def _by_tokens(
    layer: LayerFeatures, runs: Sequence[_Run], pairs: Sequence[tuple[int, int]]
) -> dict[tuple[int, int], Float[Tensor, "group group"]]:
    """Sums of K_ij L_ij over blocks of tokens, from one group's rows of all Gram matrices."""
    groups = layer.groups
    T = {pair: torch.zeros(len(groups), len(groups), dtype=torch.float64) for pair in pairs}
    starts = torch.tensor([part.start for part in groups])
    of_token = torch.bucketize(torch.arange(layer.tokens), starts, right=True) - 1
    X = torch.empty(layer.tokens, len(runs[0].mean), dtype=torch.float64)
    for group, part in enumerate(groups):
        gram = {}
        for run in sorted({run for pair in pairs for run in pair}):
            _centred(layer, runs, run, X)
            gram[run] = X[part] @ X.T
        for a, b in pairs:
            T[a, b][group].index_add_(0, of_token, (gram[a] * gram[b]).sum(0))
    return T


def _hsic(
    layer: LayerFeatures,
    runs: Sequence[_Run],
    pair: tuple[int, int],
    T: Float[Tensor, "group group"],
) -> Float[Tensor, " left"]:
    """HSIC with all tokens, and without each group."""
    x, y = (runs[run] for run in pair)
    without = (T.sum() - 2 * T.sum(1) + T.diagonal())[: layer.kept.shape[1] - 1]
    traces = torch.cat([T.sum()[None], without]) - (x.square * y.square) @ layer.kept
    n = layer.kept.sum(0)
    return (
        traces + x.total * y.total / ((n - 1) * (n - 2)) - 2 * (x.rows * y.rows).sum(0) / (n - 2)
    ) / (n * (n - 3))


def _interval(values: Float[Tensor, " left"]) -> tuple[float | None, float | None]:
    """95 % interval from the estimates without each group (Efron and Stein, 1981), in atanh."""
    own = float(values[0])
    estimate, *others = values.clamp(-_LAST, _LAST).tolist()
    if len(others) < 2 or not bool(values.isfinite().all()):
        return None, None
    z = torch.tensor([atanh(value) for value in others], dtype=torch.float64)
    count = len(others)
    error = sqrt((count - 1) / count * float((z - z.mean()).square().sum()))
    reach = float(stats.t.ppf(0.975, count - 1)) * error
    low, high = (tanh(atanh(estimate) + reach * side) for side in (-1, 1))
    return min(low, own), max(high, own)
