"""A small network with runs on it whose paths are known, and losses by weights merged in copies."""

import copy

import torch

from goniometer.behaviour.texts import ReferenceTexts
from goniometer.deltas import Delta, Dense, LowRank, Provenance
from goniometer.model import LanguageModel
from goniometer.tasks import Problem
from tests.tiny_model import tiny_model

LAYERS = [f"model.layers.{layer}" for layer in range(2)]


def delta_of(matrices) -> Delta:
    return Delta(matrices, Provenance("made here", "test"))


def lora(model: LanguageModel, seed: int, size: float = 1.0) -> Delta:
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for layer in LAYERS[seed % 2 :]:  # not every run has every module
        for name in ("self_attn.q_proj", "self_attn.o_proj", "mlp.down_proj"):
            m, n = model.network.get_submodule(f"{layer}.{name}").weight.shape
            B, A = torch.randn(m, 3, generator=generator), torch.randn(3, n, generator=generator)
            found[f"{layer}.{name}"] = LowRank(B.double(), A.double(), size / n)
    return delta_of(found)


def problems(count: int = 6) -> list[Problem]:
    def words(start, number):
        return " ".join(f"w{4 + (start * 7 + 3 * i) % 70}" for i in range(number))

    return [Problem(words(i, 2 + i % 3), "5", words(i + 1, 3 + i % 4)) for i in range(count)]


def texts(model: LanguageModel, count: int = 6) -> ReferenceTexts:
    return ReferenceTexts.of_problems(model, problems(count))


def merged_nll(model: LanguageModel, deltas, where, given) -> list[float]:
    """NLL by text of a copy of the network with the mixture in its weights, a row at a time."""
    network = copy.deepcopy(model.network)
    with torch.no_grad():
        for run, coefficient in where:
            for name, matrix in deltas[run].items():
                weight = network.get_submodule(name).weight
                weight += coefficient * matrix.dense().view_as(weight)
        found = []
        for prompt, completion in zip(given.prompts, given.completions, strict=True):
            logits = network(input_ids=torch.tensor([[*prompt, *completion]])).logits[0]
            scores = logits[len(prompt) - 1 : -1].double()
            loss = torch.nn.functional.cross_entropy(
                scores, torch.tensor(completion), reduction="sum"
            )
            found.append(float(loss))
    return found


def difference(tuned, network) -> Delta:
    """A full fine-tune's update, every parameter in it."""
    own = dict(network.named_parameters())
    return delta_of(
        {
            name.removesuffix(".weight"): Dense(
                (weight.detach() - own[name].detach()).reshape(len(weight), -1)
            )
            for name, weight in tuned.named_parameters()
        }
    )


def moved_within_blocks(model: LanguageModel) -> list[int]:
    """Count, each time an MLP is half done, the weights that are not the network's own.

    Not counted is that of the tied head, which moves for the whole time of an update.
    """
    own = {name: weight.data_ptr() for name, weight in model.network.named_parameters()}
    counts: list[int] = []

    def look(module, inputs):
        moved = {n for n, w in model.network.named_parameters() if w.data_ptr() != own[n]}
        counts.append(len(moved - {"model.embed_tokens.weight"}))

    for layer in LAYERS:
        model.network.get_submodule(f"{layer}.mlp.act_fn").register_forward_pre_hook(look)
    return counts


def permuted_solutions() -> tuple[LanguageModel, dict[str, Delta]]:
    """A trained network, the same one with hidden units permuted, and with larger keys.

    The order of the hidden units of an MLP changes nothing, nor does the size of keys, which are
    normalised: all three are one function. Only the keys' way between is straight.
    """
    model = tiny_model()
    network = copy.deepcopy(model.network)
    given = texts(model).texts
    optimiser = torch.optim.Adam(network.parameters(), lr=0.02)
    for _ in range(40):
        optimiser.zero_grad()
        for prompt, completion in zip(given.prompts, given.completions, strict=True):
            tokens = torch.tensor([[*prompt, *completion]])
            labels = torch.tensor([[*[-100] * len(prompt), *completion]])
            network(input_ids=tokens, labels=labels).loss.backward()
        optimiser.step()
    permuted, larger = copy.deepcopy(network), copy.deepcopy(network)
    order = torch.randperm(24, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for layer in LAYERS:
            mlp = permuted.get_submodule(f"{layer}.mlp")
            for projection in (mlp.gate_proj, mlp.up_proj):
                projection.weight.copy_(projection.weight[order])
            mlp.down_proj.weight.copy_(mlp.down_proj.weight[:, order])
            larger.get_submodule(f"{layer}.self_attn.k_proj").weight.mul_(1.5)
    runs = {"trained": network, "permuted": permuted, "larger keys": larger}
    return model, {name: difference(run, model.network) for name, run in runs.items()}
