"""Layer replication: several layers of the tuned network are copies of one layer of the base."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from goniometer.errors import GoniometerError

# The lists that PEFT's `replicate_layers` replaces: Llama's, BERT's, Falcon's.
_LAYER = re.compile(r"(?:^|\.)(?:layers|layer|h)\.(\d+)(?=\.|$)")
_MOST = 10_000


def original_layers(ranges: Any, file: Path) -> tuple[int, ...]:
    """Which layer of the base stands at each place, e.g. [[0, 2], [1, 3]] -> (0, 1, 1, 2).

    Raises:
        GoniometerError: no list of pairs start < stop.
    """
    if not ranges:
        return ()
    try:
        pairs = [(start, stop) for start, stop in ranges]
        whole = all(type(n) is int for pair in pairs for n in pair)
        fits = whole and all(0 <= start < stop <= _MOST for start, stop in pairs)
        if fits and sum(stop - start for start, stop in pairs) <= _MOST:
            return tuple(layer for start, stop in pairs for layer in range(start, stop))
    except (TypeError, ValueError):
        pass
    raise GoniometerError(
        "not ranges of layers", file=file, key="layer_replication", found=repr(ranges)[:200],
        expected="pairs start < stop",
    )  # fmt: skip


def replace_layer(module: str, layers: Sequence[int]) -> str:
    """Name of the base's module that a module of the replicated network is a copy of."""
    match = _LAYER.search(module) if layers else None
    if match is None or int(match.group(1)) >= len(layers):
        return module
    start, stop = match.span(1)
    return f"{module[:start]}{layers[int(match.group(1))]}{module[stop:]}"
