"""A causal network with its tokenizer: what it makes of texts, and saved."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, final

import torch
from jinja2 import TemplateError
from torch import nn

from goniometer.errors import GoniometerError
from goniometer.model.boundary import no_progress_bars


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

    @property
    def context(self) -> int | None:
        """Longest text that the config allows; None where it does not say."""
        network: Any = self.network
        room = getattr(network.config.get_text_config(), "max_position_embeddings", None)
        return room if isinstance(room, int) else None

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

    def save(self, folder: Path) -> None:
        """Write network and tokenizer as transformers does: safetensors, read back by `load`."""
        network: Any = self.network
        with no_progress_bars():
            network.save_pretrained(folder)
            self.tokenizer.save_pretrained(folder)

    def encode_prompt(self, question: str) -> tuple[int, ...]:
        """Encode as one user turn by the chat template, or as a line where there is none."""
        return self.encode_turns([("user", question)], self.name)

    def encode_turns(self, turns: Sequence[tuple[str, str]], where: str) -> tuple[int, ...]:
        """Encode a conversation, pairs of role and text, up to the answer that is to come.

        Raises:
            GoniometerError: several turns and no chat template, or roles that the template refuses;
                `where` names the conversation.
        """
        if self.tokenizer.chat_template is None:
            if [role for role, _ in turns] != ["user"]:
                raise GoniometerError(
                    f"a conversation, and {self.name} has no chat template", file=where
                )
            return tuple(self.tokenizer(turns[0][1] + "\n")["input_ids"])
        messages = [{"role": role, "content": text} for role, text in turns]
        try:
            tokens = self.tokenizer.apply_chat_template(
                messages, add_generation_prompt=True, tokenize=True, return_dict=False
            )
        except TemplateError as error:
            raise GoniometerError(
                f"the chat template of {self.name} refuses it: {error}", file=where
            ) from None
        return tuple(tokens)

    def encode_completion(self, text: str) -> tuple[int, ...]:
        """Encode what follows a prompt, its end token included."""
        tokens = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return (*tokens, self.end_token)

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text without special tokens."""
        text = self.tokenizer.decode(
            list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return str(text)
