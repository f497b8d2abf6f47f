"""CKA of all runs and the base, a layer at a time, on the same tokens.

One pass over the texts a model writes its activations to disk; then each layer is read back and
compared (`hsic.py`), so that no more than two runs' features of one layer stand in memory.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

import numpy as np
import torch
from torch import Tensor

from goniometer.behaviour.activations import Activations
from goniometer.behaviour.divergence import Text
from goniometer.behaviour.features import FeatureFiles, feature_files
from goniometer.behaviour.hsic import Estimate, LayerFeatures, layer_cka
from goniometer.behaviour.placed import Placed
from goniometer.behaviour.tokens import Tokens, choose_tokens
from goniometer.deltas import Delta
from goniometer.errors import GoniometerError
from goniometer.model import LanguageModel, blocks, hidden_states, require_fit
from goniometer.results import BASE, Band, LayerSimilarity, PairSimilarity, Reading, Similarity
from goniometer.seeds import derive

# Independent random features for the null; all their pairs are uncorrelated draws.
RANDOM_SETS = 10


DEFAULT = Activations()


def similarity_steps(
    base: LanguageModel, runs: int, texts: Sequence[Text], settings: Activations = DEFAULT
) -> int:
    """How often `similarity` advances: once a text and model, once a layer."""
    chosen = choose_tokens(base, texts, settings.positions, settings.tokens)
    return (runs + 1) * len(chosen.texts) + len(blocks(base)) + 1


def similarity(
    base: LanguageModel,
    deltas: Mapping[str, Delta],
    texts: Sequence[Text],
    settings: Activations = DEFAULT,
    *,
    ceiling: tuple[str, str] | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> Similarity:
    """Compare the residual streams of all runs and the base by debiased linear CKA.

    Runs are put on the base one after the other, by hooks or one moved weight at a time; no merged
    copy is made.

    Args:
        base: what the updates belong to.
        deltas: updates by run.
        texts: prompts and completions as token ids; which of their tokens count, see `Tokens`.
        settings: positions, number of tokens, batches.
        ceiling: two runs of one objective that differ by seed: how alike runs can be expected.
        advance: called with 1 a text and model and 1 a layer; see `similarity_steps`.

    Raises:
        GoniometerError: no text, too few tokens, tokens the base does not have; an update that
            does not fit the base (the first mismatch is named); a ceiling that is no two runs.
    """
    names = [BASE, *deltas]
    _check_names(deltas, ceiling)
    chosen = choose_tokens(base, texts, settings.positions, settings.tokens)
    for name, delta in deltas.items():
        require_fit(base.network, name, delta)
    with feature_files(settings.scratch) as files:
        for number, name in enumerate(names):
            _record(base, deltas.get(name), number, chosen, settings, files, advance)
        width = files.width((0, 0))
        found = []
        for layer in range(len(blocks(base)) + 1):
            found.append(_layer(files, layer, len(names), chosen.groups))
            advance(1)
    null, biased_null = random_features(chosen.count, width, settings)
    return Similarity(
        positions=chosen.positions,
        tokens=chosen.count,
        prompts=chosen.prompts,
        width=width,
        groups=len(chosen.groups) if len(chosen.groups) > 1 else 0,
        pairs=tuple(
            PairSimilarity(
                a=names[a],
                b=names[b],
                layers=tuple(_reading(layer, of[a, b]) for layer, of in enumerate(found)),
            )
            for a, b in combinations(range(len(names)), 2)
        ),
        ceiling=ceiling,
        random_features=null,
        random_features_biased=biased_null,
    )


def _check_names(deltas: Mapping[str, object], ceiling: tuple[str, str] | None) -> None:
    if BASE in deltas:
        raise GoniometerError("a run cannot have the base's name", key=BASE, fix="rename the run")
    if ceiling is not None and not (ceiling[0] != ceiling[1] and set(ceiling) <= set(deltas)):
        raise GoniometerError(
            "the ceiling of CKA is that of two runs",
            found=" and ".join(ceiling), expected=f"two of {', '.join(deltas)}",
        )  # fmt: skip


def _record(
    base: LanguageModel,
    delta: Delta | None,
    run: int,
    chosen: Tokens,
    settings: Activations,
    files: FeatureFiles,
    advance: Callable[[int], None],
) -> None:
    """Write one model's hidden states at the chosen tokens."""
    starts = chosen.starts

    def receive(layer: int, text: int, states: Tensor) -> None:
        files.write((run, layer), starts[text], states)

    with Placed(base, delta).running(in_flight=True) as model:
        hidden_states(
            model, chosen.texts, chosen.columns, receive,
            batch_size=settings.batch_size, advance=advance,
        )  # fmt: skip


def _layer(
    files: FeatureFiles, layer: int, runs: int, groups: tuple[slice, ...]
) -> dict[tuple[int, int], Estimate]:
    def read(run: int, part: slice) -> Tensor:
        return files.read((run, layer), part)

    return layer_cka(LayerFeatures(read, runs, groups))


def _reading(layer: int, of: Estimate) -> LayerSimilarity:
    cka, biased = (
        Reading(undefined=of.undefined) if of.undefined else Reading(value=value)
        for value in (of.cka, of.biased)
    )
    return LayerSimilarity(layer=layer, cka=cka, low=of.low, high=of.high, biased=biased)


def random_features(tokens: int, width: int, settings: Activations = DEFAULT) -> tuple[Band, Band]:
    """CKA of independent Gaussian features, debiased and by Kornblith's estimator.

    The first is 0 with a standard deviation of about sqrt(2) / n, the second about d / (n + d):
    what n tokens in d dimensions have in common by chance alone.
    """
    size = 512  # tokens drawn and read at a time
    groups = tuple(slice(start, min(start + size, tokens)) for start in range(0, tokens, size))
    with feature_files(settings.scratch) as files:
        for number in range(RANDOM_SETS):
            seed = derive(settings.seed, "random features", tokens, width, number)
            generator = torch.Generator().manual_seed(seed)
            for part in groups:
                drawn = torch.randn(part.stop - part.start, width, generator=generator)
                files.write((number, 0), part.start, drawn)
        found = _layer(files, 0, RANDOM_SETS, groups).values()
    return _band([x.cka for x in found]), _band([x.biased for x in found])


def _band(values: Sequence[float | None]) -> Band:
    known = [value for value in values if value is not None]
    low, median, high = np.quantile(known, (0.025, 0.5, 0.975)).tolist()
    return Band(low=low, median=median, high=high, draws=len(known))
