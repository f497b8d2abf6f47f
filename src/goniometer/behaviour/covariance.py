"""What the inputs of each adapted module give two strangers' updates to share, on the right side.

The covariance of a module's inputs is taken over tokens of the data, on the base alone, and pairs
of updates that know of nothing else are drawn from it (`geometry/input_null.py`). Measured v1 or
right-hand angles within these bands say no more than that both runs read such texts.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import get_args

import torch
from jaxtyping import Float
from torch import Tensor

from goniometer.behaviour.activations import Activations
from goniometer.behaviour.divergence import Text
from goniometer.behaviour.features import FeatureFiles, feature_files
from goniometer.behaviour.tokens import Tokens, choose_tokens
from goniometer.deltas import Delta, Outline, module_order
from goniometer.errors import GoniometerError
from goniometer.geometry.input_null import Draws, bands_of, draw_input_null, over_modules
from goniometer.geometry.readings import default_k
from goniometer.geometry.spectrum import effective_rank
from goniometer.model import LanguageModel, module_inputs, require_fit, same_inputs
from goniometer.results import InputMoment, InputNull, InputNulls
from goniometer.seeds import derive

MOMENTS: tuple[InputMoment, ...] = get_args(InputMoment)
# Gradients pass through every token, the prompts' too.
EVERY_TOKEN = Activations(positions="every token")

Spectra = Mapping[InputMoment, Float[Tensor, " p"]]


def input_nulls(
    base: LanguageModel,
    deltas: Mapping[str, Delta],
    texts: Sequence[Text],
    settings: Activations = EVERY_TOKEN,
    *,
    k: int | None = None,
    draws: int = 200,
    advance: Callable[[int], None] = lambda _: None,
) -> InputNulls:
    """Draw the right-hand measures of strangers at each module that some run adapts by low rank.

    Modules that are no linear maps of one vector a token (embeddings, routed experts) have none,
    nor has the head, whose inputs are not taken.

    Args:
        base: what the updates belong to; its own inputs are taken, not the runs'.
        deltas: updates by run; of them only shapes and ranks are used.
        texts: prompts and completions as token ids.
        settings: positions, number of tokens, batches.
        k: size of the top-k subspaces, as in the comparison; by the smallest rank if absent.
        draws: pairs drawn a module and moment.
        advance: called with the number of texts after each batch, then with 1 a module.

    Raises:
        GoniometerError: no text, too few tokens; an update that does not fit the base; no module
            is adapted by low rank.
    """
    outlines, source = _outlines(deltas), _sources(base, deltas)
    if not source:
        raise GoniometerError(
            "no linear module is adapted by low rank", found=", ".join(deltas) or "no run",
            expected="LoRA", fix="leave the null of inputs out",
        )  # fmt: skip
    chosen = choose_tokens(base, texts, settings.positions, settings.tokens)
    size = k or default_k([outline.rank for of in outlines.values() for outline in of])
    drawn: list[dict[InputMoment, Draws]] = []
    modules: list[InputNull] = []
    with feature_files(settings.scratch) as files:
        _record(base, sorted(set(source.values())), chosen, settings, files, advance)
        spectra: dict[str, Spectra] = {}
        for module in sorted(source, key=module_order):
            found = spectra.get(source[module]) or _spectra(files, source[module], chosen.groups)
            spectra[source[module]] = found
            m, rank = outlines[module][0].shape[0], max(of.rank for of in outlines[module])
            mine = {
                of: draw_input_null(found[of], m, rank, size, draws, derive(settings.seed, module))
                for of in MOMENTS
            }
            drawn.append(mine)
            modules.append(
                InputNull(
                    module=module,
                    rank=rank,
                    bands={of: bands_of(mine[of]) for of in MOMENTS},
                    effective_rank={of: _effective_rank(found[of]) for of in MOMENTS},
                )
            )
            advance(1)
    return InputNulls(
        modules=tuple(modules),
        whole={of: bands_of(over_modules([one[of] for one in drawn])) for of in MOMENTS},
        k=size,
        tokens=chosen.count,
        prompts=chosen.prompts,
        positions=chosen.positions,
    )


def has_inputs(base: LanguageModel, deltas: Mapping[str, Delta]) -> bool:
    """Whether `input_nulls` has a module to draw for.

    Raises:
        GoniometerError: an update that does not fit the base.
    """
    return bool(_sources(base, deltas))


def _sources(base: LanguageModel, deltas: Mapping[str, Delta]) -> dict[str, str]:
    """The module whose inputs are recorded, by each module that has a null."""
    for name, delta in deltas.items():
        require_fit(base.network, name, delta)
    outlines = _outlines(deltas)
    return same_inputs(base, list(outlines)) if outlines else {}


def _outlines(deltas: Mapping[str, Delta]) -> dict[str, list[Outline]]:
    """The low-rank updates of each module."""
    found: dict[str, list[Outline]] = {}
    for delta in deltas.values():
        for module in delta:
            outline = delta.outline(module)
            if outline.low_rank:
                found.setdefault(module, []).append(outline)
    return found


def _record(
    base: LanguageModel,
    modules: Sequence[str],
    chosen: Tokens,
    settings: Activations,
    files: FeatureFiles,
    advance: Callable[[int], None],
) -> None:
    starts = chosen.starts

    def receive(module: str, text: int, inputs: Tensor) -> None:
        files.write((module,), starts[text], inputs)

    module_inputs(
        base, modules, chosen.texts, chosen.columns, receive,
        batch_size=settings.batch_size, advance=advance,
    )  # fmt: skip


def _spectra(files: FeatureFiles, module: str, groups: Sequence[slice]) -> Spectra:
    """Eigenvalues of both moments of a module's inputs that are not 0, in float64."""
    return {
        "second moment": _eigenvalues(files, module, groups, 0.0),
        "covariance": _eigenvalues(files, module, groups, _mean(files, module, groups)),
    }


def _mean(files: FeatureFiles, module: str, groups: Sequence[slice]) -> Float[Tensor, " width"]:
    total = sum(files.read((module,), part).double().sum(0) for part in groups)
    return torch.as_tensor(total) / groups[-1].stop


def _eigenvalues(
    files: FeatureFiles, module: str, groups: Sequence[slice], centre: Tensor | float
) -> Float[Tensor, " p"]:
    """Of X'X / n, or of X X' / n where tokens are fewer than features: they are the same."""
    tokens, width = groups[-1].stop, files.width((module,))
    if tokens <= width:
        X = files.read((module,), slice(0, tokens)).double() - centre
        product = X @ X.T
    else:
        product = torch.zeros(width, width, dtype=torch.float64)
        for part in groups:
            X = files.read((module,), part).double() - centre
            product += X.T @ X
    if not bool(product.isfinite().all()):
        raise GoniometerError("the base's activations are not finite", key=module)
    values = torch.linalg.eigvalsh(product / tokens)
    rounding = float(values[-1]) * len(values) * torch.finfo(torch.float64).eps
    return values[values > rounding]


def _effective_rank(eigenvalues: Float[Tensor, " p"]) -> float:
    return float(effective_rank(eigenvalues[None], eigenvalues[None, 0]))
