"""LoRA by its factors: on linear modules, convolutions and embeddings, with its bias, with DoRA.

The update of a module is scale * B A with scale = alpha / r (LoRA, arXiv 2106.09685, section 4.1)
or alpha / sqrt(r) (rsLoRA, arXiv 2312.03732). Matrices are out features by in features whatever
`fan_in_fan_out` says: that flag only tells how the base stores its weight. A convolution's kernel
is flattened behind its in channels; an embedding's update is vocabulary by features, as stored.
"""

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import final

from torch import Tensor

from goniometer.deltas.delta import Outline
from goniometer.deltas.matrix import AbstractMatrix, Dense, LowRank
from goniometer.deltas.peft_config import CONFIG, LoraConfig
from goniometer.deltas.peft_dora import Dora
from goniometer.deltas.peft_folder import Entries, Entry, Folder
from goniometer.errors import GoniometerError

# No tensor has a longer side; an integer of any length would not fit a float.
_MOST = 1 << 63
_NAME = re.compile(
    r"^(?P<module>.+)\.lora_(?P<side>A|B|E|embedding_A|embedding_B|magnitude_vector)"
    r"(?:\.(?!(?:weight|bias)$)[^.]+)?(?:\.(?P<kind>weight|bias))?$"
)


@final
@dataclass
class Factors:
    """Names of one module's tensors by their side: A, B, embedding_A, bias, ..."""

    module: str
    names: dict[str, str] = field(default_factory=dict)


def collect(names: Iterable[str], folder: Folder) -> tuple[list[Factors], list[str]]:
    """Sort tensors into factors by module, and what is no factor.

    Raises:
        GoniometerError: a LoRA tensor of a kind that is not known, or two for one side.
    """
    found: dict[str, Factors] = {}
    others = []
    for name in names:
        match = _NAME.match(name)
        side = match and ("bias" if match["kind"] == "bias" else match["side"])
        if match is None or (side == "bias" and match["side"] != "B"):
            if "lora_" in name.rpartition(".lora_")[1]:
                raise GoniometerError(
                    "an unknown LoRA tensor cannot be read", file=folder.weights.file, key=name
                )
            others.append(name)
            continue
        factors = found.setdefault(match["module"], Factors(match["module"]))
        if factors.names.setdefault(str(side), name) != name:
            raise GoniometerError(
                "two adapters in one file", file=folder.weights.file, key=name,
                found=f"also {factors.names[str(side)]}", fix="save each adapter by itself",
            )  # fmt: skip
    return list(found.values()), others


def lora_entries(factors: Factors, folder: Folder, config: LoraConfig) -> Entries:
    """Entries of one module: its weight, and its bias where LoRA has one.

    Raises:
        GoniometerError: a factor is missing or does not fit the rank or the base.
    """
    module = factors.module.replace(".base_layer", "")
    on_embedding = "embedding_A" in factors.names or "embedding_B" in factors.names
    known = {"embedding_A", "embedding_B"} if on_embedding else {"A", "B", "bias"}
    unknown = sorted(factors.names.keys() - known - {"magnitude_vector"})
    if unknown:
        raise _fault("not a factor of plain LoRA", folder, factors.names[unknown[0]])
    pair = _embedding_pair if on_embedding else _pair
    rank, scale = rank_and_scale(module, folder, config)
    outline, load = pair(module, factors, folder, rank, scale)
    entry = Entry(outline, load)
    if config.use_dora or "magnitude_vector" in factors.names:
        entry = _dora(module, factors, folder, entry, by_column=on_embedding)
    found = {module: entry}
    if "bias" in factors.names:
        found[f"{module}.bias"] = _bias(factors.names["bias"], outline.shape[0], scale, folder)
    return found


def rank_and_scale(module: str, folder: Folder, config: LoraConfig) -> tuple[int, float]:
    """Rank and scale of a module, as the configuration and its patterns say them.

    Raises:
        GoniometerError: a pattern is no regular expression, the rank no positive integer.
    """
    rank = folder.patterns.find(config.rank_pattern, module, "rank_pattern", config.r)
    if type(rank) is not int or not 1 <= rank <= _MOST:
        raise GoniometerError(
            "no rank", file=folder.config, key=module, found=repr(rank)[:200],
            expected="a positive integer",
        )  # fmt: skip
    alpha = folder.patterns.find(config.alpha_pattern, module, "alpha_pattern", config.lora_alpha)
    return rank, alpha / (math.sqrt(rank) if config.use_rslora else rank)


Loader = Callable[[], AbstractMatrix]


def _pair(
    module: str, factors: Factors, folder: Folder, rank: int, scale: float
) -> tuple[Outline, Loader]:
    A, B = (_shape(side, module, factors, folder) for side in ("A", "B"))
    fits = len(A) == len(B) >= 2 and A[0] == B[1] == rank and set(B[2:]) <= {1}
    if not fits or 0 in (*A, *B):
        raise _misfit(module, folder, f"lora_A {A}, lora_B {B}", f"rank {rank}")

    def load() -> LowRank:
        return LowRank(
            folder.weights.value(factors.names["B"]).flatten(1),
            folder.weights.value(factors.names["A"]).flatten(1),
            scale,
        )

    return Outline((B[0], math.prod(A[1:])), rank), load


def _embedding_pair(
    module: str, factors: Factors, folder: Folder, rank: int, scale: float
) -> tuple[Outline, Loader]:
    A, B = (_shape(f"embedding_{side}", module, factors, folder) for side in "AB")
    if len(A) != 2 or len(B) != 2 or not A[0] == B[1] == rank or 0 in (*A, *B):
        found = f"lora_embedding_A {A}, lora_embedding_B {B}"
        raise _misfit(module, folder, found, f"rank {rank}")

    def load() -> LowRank:
        A = folder.weights.value(factors.names["embedding_A"])
        return LowRank(A.T, folder.weights.value(factors.names["embedding_B"]).T, scale)

    return Outline((A[1], B[0]), rank), load


def _dora(module: str, factors: Factors, folder: Folder, plain: Entry, *, by_column: bool) -> Entry:
    why = "DoRA scales the base's weight"
    if "magnitude_vector" not in factors.names:
        raise _fault("DoRA's lora_magnitude_vector is missing", folder, module)
    name = factors.names["magnitude_vector"]
    base = folder.require(module, why)
    found, expected = (base.shape[0], math.prod(base.shape[1:])), plain.outline.shape
    if found != expected:
        raise GoniometerError(
            "the base does not fit the run", file=base.file, key=module,
            found=f"shape {found}", expected=f"{expected} as in {folder.path}",
        )  # fmt: skip
    count = math.prod(folder.weights.tensors[name].shape)
    if count != expected[by_column]:
        raise _misfit(module, folder, f"{count} magnitudes", f"{expected[by_column]}")

    def load() -> Dora:
        low_rank = plain.load()
        assert isinstance(low_rank, LowRank)  # noqa: S101  (of _pair or _embedding_pair)
        magnitude: Tensor = folder.weights.value(name).flatten()
        return Dora(magnitude, low_rank, base, by_column)

    return Entry(Outline(expected, min(expected), low_rank=False), load)


def _bias(name: str, m: int, scale: float, folder: Folder) -> Entry:
    shape = folder.weights.tensors[name].shape
    if shape != (m,):
        raise _misfit(name, folder, f"shape {shape}", f"({m},)")

    def load() -> Dense:
        return Dense(scale * folder.weights.value(name).double()[:, None])

    return Entry(Outline((m, 1), 1, low_rank=False), load)


def _shape(side: str, module: str, factors: Factors, folder: Folder) -> tuple[int, ...]:
    if side not in factors.names:
        raise _fault(f"lora_{side} is missing", folder, module)
    return folder.weights.tensors[factors.names[side]].shape


def _fault(message: str, folder: Folder, key: str) -> GoniometerError:
    return GoniometerError(message, file=folder.weights.file, key=key)


def _misfit(module: str, folder: Folder, found: str, expected: str) -> GoniometerError:
    return GoniometerError(
        "the factors do not fit", file=folder.weights.file, key=module, found=found,
        expected=f"{expected} of {CONFIG} in both" if "rank" in expected else expected,
    )  # fmt: skip
