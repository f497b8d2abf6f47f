"""Language models: load, generate, token log-probs, and deltas put on without a merged copy.

The only file that imports transformers.
"""

import hashlib
import importlib.resources
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, final

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig
from transformers.utils import logging

from goniometer.deltas import AbstractMatrix, LowRank
from goniometer.errors import GoniometerError
from goniometer.seeds import derive

EMBEDDED = ("base", "teacher")


@final
@dataclass(frozen=True, eq=False)
class LanguageModel:
    """A causal network with its tokenizer.

    Raises:
        GoniometerError: on creation, where the tokenizer has no end token.
    """

    network: nn.Module
    tokenizer: Any
    name: str

    def __post_init__(self) -> None:
        """Refuse a model whose completions could never end."""
        if self.tokenizer.eos_token_id is None:
            raise GoniometerError(
                "the tokenizer has no end token",
                file=self.name,
                key="eos_token",
                fix="name it in tokenizer_config.json",
            )

    @property
    def end_token(self) -> int:
        """The token that ends a completion."""
        return int(self.tokenizer.eos_token_id)

    @property
    def pad_token(self) -> int:
        """The padding token, the end token where there is none: padding is never looked at."""
        token = self.tokenizer.pad_token_id
        return self.end_token if token is None else int(token)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of weights, vocabulary and chat template; ask before the network is changed."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.network.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
        tokenizer = (sorted(self.tokenizer.get_vocab().items()), self.tokenizer.chat_template)
        digest.update(repr((tokenizer, self.end_token)).encode())
        return digest.hexdigest()

    def encode_prompt(self, question: str) -> tuple[int, ...]:
        """Encode as one user turn by the chat template, or as a line where there is none."""
        if self.tokenizer.chat_template is None:
            return tuple(self.tokenizer(question + "\n")["input_ids"])
        turns = [{"role": "user", "content": question}]
        tokens = self.tokenizer.apply_chat_template(
            turns, add_generation_prompt=True, tokenize=True, return_dict=False
        )
        return tuple(tokens)

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text without special tokens."""
        text = self.tokenizer.decode(
            list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return str(text)


def load(
    reference: str, *, device: str = "cpu", dtype: torch.dtype = torch.float32
) -> LanguageModel:
    """Load a model that ships with goniometer or lies in a local folder; never from a hub.

    Safetensors only, no remote code. What the folder's generation config recommends (top-k,
    penalties, ...) is dropped: it would bend the distribution that is sampled from.

    Args:
        reference: `embedded:base`, `embedded:teacher` or the path of a folder.
        device: where the weights go.
        dtype: of the weights, whatever they are stored in.

    Raises:
        GoniometerError: no such model or folder, no config.json, no safetensors, weights that
            are missing or do not fit, no end token, or what else transformers cannot load.
    """
    folder = _folder(reference)
    local = {"local_files_only": True, "trust_remote_code": False}
    try:
        with _no_progress_bars():
            tokenizer = AutoTokenizer.from_pretrained(folder, **local)
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                folder, dtype=dtype, use_safetensors=True, output_loading_info=True, **local
            )
    except Exception as error:  # whatever transformers finds wrong with somebody's folder
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise GoniometerError(f"cannot be loaded: {reason}", file=folder) from error
    network, info = loaded
    if info["missing_keys"]:
        # transformers would draw them at random and go on.
        missing = sorted(info["missing_keys"])
        raise GoniometerError(f"{len(missing)} weights are missing", file=folder, key=missing[0])
    network.generation_config = GenerationConfig()
    return LanguageModel(network.to(device).eval(), tokenizer, reference)


def _folder(reference: str) -> Path:
    kind, _, name = reference.partition(":")
    if kind == "embedded" and name not in EMBEDDED:
        known = " or ".join(f"embedded:{name}" for name in EMBEDDED)
        raise GoniometerError("no such embedded model", found=reference, expected=known)
    embedded = importlib.resources.files("goniometer") / "embedded" / name
    folder = Path(str(embedded)) if kind == "embedded" else Path(reference)
    if not folder.is_dir():
        raise GoniometerError(
            "no such model folder",
            file=reference,
            fix="download the model and name its folder: nothing is fetched from a hub",
        )
    if not (folder / "config.json").is_file():
        raise GoniometerError("no config.json", file=folder, expected="a folder with a whole model")
    if not any(folder.glob("*.safetensors")):
        raise GoniometerError(
            "no safetensors weights", file=folder, fix="convert them: a pickle is not opened"
        )
    return folder


@contextmanager
def _no_progress_bars() -> Iterator[None]:
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


@final
@dataclass(frozen=True)
class Generation:
    """A completion; its tokens end with the end token unless `truncated`."""

    tokens: tuple[int, ...]
    truncated: bool


def generate(
    model: LanguageModel,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    temperature: float,
    seed: int,
    batch_size: int,
    advance: Callable[[int], None],
) -> list[Generation]:
    """Complete prompts by transformers' own generate, from the untruncated distribution.

    Batches hold prompts of similar length. Each has its own seed, and the global generator is
    left as it was. Equal inputs on equally many threads give equal completions; another batch
    size gives other draws of the same distribution.

    Args:
        model: what completes; its network may be `perturbed`.
        prompts: token ids by row.
        max_new_tokens: a completion that has not ended by then is truncated.
        temperature: divides the logits; 0 is greedy.
        seed: of all draws.
        batch_size: rows at a time.
        advance: called with the number of rows after each batch.

    Returns:
        One generation a prompt, in the order of the prompts.
    """
    sampled = temperature > 0
    settings = GenerationConfig(
        max_new_tokens=max_new_tokens,
        do_sample=sampled,
        temperature=temperature if sampled else None,
        top_k=0 if sampled else None,
        top_p=1.0 if sampled else None,
        eos_token_id=model.end_token,
        pad_token_id=model.pad_token,
    )
    network: Any = model.network
    done: dict[int, Generation] = {}
    for number, rows in enumerate(_by_length(prompts, batch_size)):
        width = max(len(prompts[row]) for row in rows)
        gaps = [width - len(prompts[row]) for row in rows]
        padded = [[*[model.pad_token] * g, *prompts[r]] for g, r in zip(gaps, rows, strict=True)]
        tokens = torch.tensor(padded, device=network.device)
        mask = torch.arange(width, device=network.device) >= tokens.new_tensor(gaps)[:, None]
        with _seeded(derive(seed, "batch", number), network.device):
            output = network.generate(
                input_ids=tokens, attention_mask=mask.long(), generation_config=settings
            )
        for row, completion in zip(rows, output[:, width:].tolist(), strict=True):
            done[row] = _until(model.end_token, completion)
        advance(len(rows))
    return [done[row] for row in range(len(prompts))]


def _by_length(texts: Sequence[Sequence[int]], batch_size: int) -> Iterator[list[int]]:
    order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Fence the global generator, which is the only one that transformers draws from."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def _until(end_token: int, completion: list[int]) -> Generation:
    if end_token not in completion:
        return Generation(tuple(completion), truncated=True)
    return Generation(tuple(completion[: completion.index(end_token) + 1]), truncated=False)


def token_logprobs(
    network: nn.Module,
    prompts: Sequence[Sequence[int]],
    completions: Sequence[Sequence[int]],
    pad_token: int,
    temperature: float = 1.0,
) -> tuple[Float[Tensor, "row token"], Bool[Tensor, "row token"]]:
    """Score the realised completion tokens: log pi(y_t | x, y_<t) in nats, with gradient.

    Rows are padded on the right: causal attention never looks there, so no attention mask is
    needed and positions count from 0 as in a lone row. The head runs from the last token of the
    shortest prompt on; the softmax only over the positions that predict completion tokens, in
    float32 or better.

    Args:
        network: a causal language model, wrapped (PEFT, DDP) or not.
        prompts: token ids by row, one at least.
        completions: token ids by row, end token included where there is one.
        pad_token: any valid id; what it is does not matter.
        temperature: divides the logits: 1 for the model, else for a policy that sampled with it.

    Returns:
        The log-probs, 0 where the mask is False, and the mask of completion tokens. The width is
        that of the longest completion.

    Raises:
        GoniometerError: a prompt without tokens: nothing predicts its first completion token.
    """
    if not all(prompts):
        raise GoniometerError("a prompt has no tokens", expected="one at least")
    device = next(network.parameters()).device
    texts = [(*p, *c) for p, c in zip(prompts, completions, strict=True)]
    length = max(map(len, texts))
    tokens = torch.tensor([[*t, *[pad_token] * (length - len(t))] for t in texts], device=device)
    starts = torch.tensor([len(p) for p in prompts], device=device)
    lengths = torch.tensor([len(c) for c in completions], device=device)
    mask = torch.arange(int(lengths.max()), device=device) < lengths[:, None]
    first = int(starts.min()) - 1  # the column whose logits predict the first token of any row
    logits = network(input_ids=tokens, use_cache=False, logits_to_keep=length - first).logits
    row, offset = mask.nonzero(as_tuple=True)
    column = starts[row] + offset
    scores = logits[row, column - 1 - first]
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32)) / temperature
    chosen = -nn.functional.cross_entropy(scores, tokens[row, column], reduction="none")
    return chosen.new_zeros(mask.shape).masked_scatter(mask, chosen), mask


def completion_logprobs(
    model: LanguageModel,
    prompts: Sequence[Sequence[int]],
    completions: Sequence[Sequence[int]],
    *,
    batch_size: int,
    advance: Callable[[int], None],
    temperature: float = 1.0,
) -> list[tuple[float, ...]]:
    """Score many completions without gradient: `token_logprobs` in batches of similar length.

    Returns:
        The log-probs of each completion's tokens in nats, in the order of the rows.
    """
    texts = [(*p, *c) for p, c in zip(prompts, completions, strict=True)]
    done: dict[int, tuple[float, ...]] = {}
    for rows in _by_length(texts, batch_size):
        with torch.no_grad():
            logprobs, mask = token_logprobs(
                model.network,
                [prompts[row] for row in rows],
                [completions[row] for row in rows],
                model.pad_token,
                temperature,
            )
        for row, values, kept in zip(rows, logprobs, mask, strict=True):
            done[row] = tuple(values[kept].tolist())
        advance(len(rows))
    return [done[row] for row in range(len(texts))]


@contextmanager
def perturbed(
    network: nn.Module,
    deltas: Sequence[Mapping[str, AbstractMatrix]],
    coefficients: Float[Tensor, "row delta"],
) -> Iterator[None]:
    """Run the network as if sum_d coefficients[row, d] * delta_d were added to its weights.

    Forward hooks add the products to the outputs of linear modules, so rows of one batch can be
    at different points and nothing is merged or restored. The hooks go when the context ends.

    Args:
        network: names its modules as the deltas do, e.g. `model.layers.0.self_attn.q_proj`.
        deltas: updates by module; a module that one does not name is a zero in it.
        coefficients: one row for each row of the batches that are run, or one row for all.

    Raises:
        GoniometerError: a delta names a module that is absent, not linear or of another shape;
            a batch has neither one row a row of coefficients nor is there one row for all.
    """
    modules = dict(network.named_modules())
    terms: dict[str, list[tuple[int, AbstractMatrix]]] = {}
    for index, delta in enumerate(deltas):
        for name, matrix in delta.items():
            terms.setdefault(name, []).append((index, matrix))
    handles = []
    try:
        for name, additions in terms.items():
            module = _linear(modules, name, [matrix for _, matrix in additions])
            hook = _Addition(module.weight, additions, coefficients)
            handles.append(module.register_forward_hook(hook))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _linear(
    modules: Mapping[str, nn.Module], name: str, matrices: Sequence[AbstractMatrix]
) -> nn.Linear:
    module = modules.get(name)
    if not isinstance(module, nn.Linear):
        raise GoniometerError(
            "the delta does not fit the network",
            key=name,
            found="no such module" if module is None else type(module).__name__,
            expected="a linear module",
        )
    shape = (module.out_features, module.in_features)
    for matrix in matrices:
        if matrix.shape != shape:
            raise GoniometerError(
                "the delta does not fit the network",
                key=name,
                found=f"shape {matrix.shape}",
                expected=f"{shape}",
            )
    return module


@final
class _Addition:
    """Forward hook of one linear module: output + sum_d c[row, d] * scale_d * (x A_d') B_d'."""

    def __init__(
        self,
        weight: Tensor,
        additions: Sequence[tuple[int, AbstractMatrix]],
        coefficients: Float[Tensor, "row delta"],
    ) -> None:
        self.coefficients = coefficients.to(weight)
        self.terms = [(index, _factors(matrix, weight)) for index, matrix in additions]

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        x = inputs[0]
        rows = self.coefficients.shape[0]
        if rows not in (1, x.shape[0]):
            raise GoniometerError(
                "coefficients do not fit the batch", found=f"{rows} rows", expected=x.shape[0]
            )
        for index, factors in self.terms:
            y = x
            for factor in factors:
                y = nn.functional.linear(y, factor)
            weight = self.coefficients[:, index].reshape(-1, *[1] * (x.ndim - 1))
            output = output + weight * y
        return output


def _factors(matrix: AbstractMatrix, like: Tensor) -> tuple[Tensor, ...]:
    """Cast what x is multiplied with, one after the other, to the network's dtype and device."""
    if isinstance(matrix, LowRank):
        return matrix.A.to(like), (matrix.scale * matrix.B.double()).to(like)
    return (matrix.dense().to(like),)
