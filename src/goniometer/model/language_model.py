"""A causal network with its tokenizer, loaded from the package or from a local folder."""

import hashlib
import importlib.resources
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, final

import torch
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig
from transformers.utils import logging

from goniometer.errors import GoniometerError

EMBEDDED = ("base", "teacher")
LOCAL = {"local_files_only": True, "trust_remote_code": False}


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
    folder = folder_of(reference)
    tokenizer = load_tokenizer(folder)
    with refused(folder), _no_progress_bars():
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, output_loading_info=True, **LOCAL
        )
    network, info = loaded
    if info["missing_keys"]:
        # transformers would draw them at random and go on.
        missing = sorted(info["missing_keys"])
        raise GoniometerError(f"{len(missing)} weights are missing", file=folder, key=missing[0])
    network.generation_config = GenerationConfig()
    return LanguageModel(network.to(device).eval(), tokenizer, reference)


def load_tokenizer(folder: Path) -> Any:
    """Load the tokenizer of a model's folder.

    Raises:
        GoniometerError: what transformers cannot load.
    """
    with refused(folder):
        return AutoTokenizer.from_pretrained(folder, **LOCAL)


def folder_of(reference: str) -> Path:
    """Find the folder of a model that ships with goniometer or lies on this machine.

    Raises:
        GoniometerError: no such model or folder, no config.json, no safetensors in it.
    """
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
def refused(where: object) -> Iterator[None]:
    """Say in one line what transformers finds wrong with somebody's model."""
    try:
        yield
    except Exception as error:  # of whatever type
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise GoniometerError(f"cannot be loaded: {reason}", file=where) from error


@contextmanager
def _no_progress_bars() -> Iterator[None]:
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
