"""What a network holds inside while it reads texts: hidden states, and inputs of its modules.

By hooks, one tensor at a time as the network computes it: no list of all layers is kept.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from goniometer.errors import GoniometerError
from goniometer.model.fit import Places
from goniometer.model.generate import by_length
from goniometer.model.language_model import LanguageModel

# What is held (a layer, a module), which text, and its rows at that text's positions.
Receive = Callable[[Any, int, Float[Tensor, "position width"]], None]


def hidden_states(
    model: LanguageModel,
    texts: Sequence[Sequence[int]],
    positions: Sequence[Sequence[int]],
    receive: Receive,
    *,
    batch_size: int,
    advance: Callable[[int], None] = lambda _: None,
) -> None:
    """Give the residual stream at some positions of each text, a layer at a time.

    Layer 0 is what the first block is given, the embedding's output; layer l what block l returns.
    The last one is not normalised, as it is in transformers' own `hidden_states`.

    Args:
        model: what reads; its network may be `perturbed`.
        texts: token ids by row, read from the left: a state does not depend on what follows.
        positions: by text, which of its tokens.
        receive: called with layer, text and states, in the order the network computes them.
        batch_size: texts at a time.
        advance: called with the number of texts after each batch.

    Raises:
        GoniometerError: the network's blocks are not found.
    """
    layers = blocks(model)
    reading = _Reading(texts, positions, receive)
    with ExitStack() as stack:
        stack.callback(_on_input(layers[0], partial(reading.take, 0)).remove)
        for number, block in enumerate(layers, 1):
            stack.callback(_on_output(block, partial(reading.take, number)).remove)
        reading.through(model, batch_size, advance)


def module_inputs(
    model: LanguageModel,
    modules: Sequence[str],
    texts: Sequence[Sequence[int]],
    positions: Sequence[Sequence[int]],
    receive: Receive,
    *,
    batch_size: int,
    advance: Callable[[int], None] = lambda _: None,
) -> None:
    """Give what some modules are given at some positions of each text, a module at a time.

    Arguments are those of `hidden_states`; `receive` is called with a module's name.

    Raises:
        GoniometerError: the network has no such module.
    """
    named = dict(model.network.named_modules())
    for name in modules:
        if name not in named:
            raise GoniometerError(
                "the delta does not fit the network",
                file=model.name, key=name, found="no such module", expected="a module of the base",
            )  # fmt: skip
    reading = _Reading(texts, positions, receive)
    with ExitStack() as stack:
        for name in modules:
            stack.callback(_on_input(named[name], partial(reading.take, name)).remove)
        reading.through(model, batch_size, advance)


def same_inputs(model: LanguageModel, modules: Sequence[str]) -> dict[str, str]:
    """Which modules are given the very same tensor (q, k and v): the first such, by module.

    A part of a fused module is given what the module is. Modules that are not given one vector a
    token have no entry, nor has the head, which runs at the last token alone.
    """
    places = Places(model.network)
    owners = {name: places.owner(name) for name in modules}
    seen: list[tuple[str, Tensor]] = []
    first: dict[str, str] = {}

    def look(name: str, x: Tensor) -> None:
        if x.ndim == 3 and x.shape[:2] == (1, 2) and x.is_floating_point():
            first[name] = next((other for other, y in seen if y is x), name)
            seen.append((name, x))

    with ExitStack() as stack:
        for name in dict.fromkeys(owners.values()):
            if name in places.modules:  # not a parameter
                stack.callback(_on_input(places.modules[name], partial(look, name)).remove)
        _forward(model, torch.tensor([[model.end_token] * 2]))
    return {name: first[owner] for name, owner in owners.items() if owner in first}


def blocks(model: LanguageModel) -> nn.ModuleList:
    """The network's decoder blocks: the first list of modules as long as its config has layers.

    Raises:
        GoniometerError: there is none.
    """
    network: Any = model.network
    count = getattr(network.config.get_text_config(), "num_hidden_layers", None)
    for module in network.modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return module
    raise GoniometerError(
        "the network's layers are not found", file=model.name, expected=f"a list of {count} modules"
    )


@final
class _Reading:
    """One pass over the texts: which rows of a batch are wanted, and who gets them."""

    def __init__(
        self, texts: Sequence[Sequence[int]], positions: Sequence[Sequence[int]], receive: Receive
    ) -> None:
        self.texts, self.positions, self.receive = texts, positions, receive
        self.batch: list[int] = []

    def through(
        self, model: LanguageModel, batch_size: int, advance: Callable[[int], None]
    ) -> None:
        """Run all texts, batches of similar length."""
        for batch in by_length(self.texts, batch_size):
            self.batch = batch
            length = max(len(self.texts[text]) for text in batch)
            # Right padding, which causal attention does not look at.
            gaps = [length - len(self.texts[text]) for text in batch]
            padded = [
                [*self.texts[text], *[model.pad_token] * gap]
                for text, gap in zip(batch, gaps, strict=True)
            ]
            _forward(model, torch.tensor(padded))
            advance(len(batch))

    def take(self, key: Any, held: Float[Tensor, "row length width"]) -> None:
        """Hand over the rows of the batch at hand."""
        for row, text in enumerate(self.batch):
            columns = torch.tensor(self.positions[text], dtype=torch.long, device=held.device)
            self.receive(key, text, held[row, columns])


def _on_input(module: nn.Module, take: Callable[[Tensor], None]) -> RemovableHandle:
    def hook(_: nn.Module, inputs: tuple[Any, ...], named: Mapping[str, Any]) -> None:
        take(inputs[0] if inputs else named.get("hidden_states", named.get("input")))

    return module.register_forward_pre_hook(hook, with_kwargs=True)


def _on_output(module: nn.Module, take: Callable[[Tensor], None]) -> RemovableHandle:
    def hook(_: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        take(output[0] if isinstance(output, tuple) else output)

    return module.register_forward_hook(hook)


def _forward(model: LanguageModel, tokens: Tensor) -> None:
    network: Any = model.network
    device = next(network.parameters()).device
    with torch.no_grad():
        network(input_ids=tokens.to(device), use_cache=False, logits_to_keep=1)
