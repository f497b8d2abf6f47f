"""A tiny random Qwen3 model with a word-level tokenizer, made in code."""

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from goniometer.model import LanguageModel

VOCABULARY, PAD, END = 80, 0, 1


def tiny_network(
    seed: int = 0, dtype: torch.dtype = torch.float64, words: int = VOCABULARY
) -> Qwen3ForCausalLM:
    config = Qwen3Config(
        vocab_size=words,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=64,
        tie_word_embeddings=True,
        initializer_range=0.15,
        pad_token_id=PAD,
        eos_token_id=END,
        bos_token_id=None,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Qwen3ForCausalLM(config).to(dtype).eval()


def tiny_tokenizer(words: int = VOCABULARY) -> PreTrainedTokenizerFast:
    special = {"pad_token": "<pad>", "eos_token": "<eos>", "unk_token": "<unk>"}
    vocabulary = [*special.values(), "\n", *(f"w{i}" for i in range(4, words))]
    model = models.WordLevel({word: i for i, word in enumerate(vocabulary)}, special["unk_token"])
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Split(
        Regex(r"w[0-9]+|\n"), behavior="removed", invert=True
    )
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)


def tiny_model(
    seed: int = 0, dtype: torch.dtype = torch.float64, words: int = VOCABULARY
) -> LanguageModel:
    """Fewer words, shorter completions: the end token is about as likely as any other."""
    return LanguageModel(tiny_network(seed, dtype, words), tiny_tokenizer(words), "tiny")
