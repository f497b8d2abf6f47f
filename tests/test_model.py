"""Models in folders: what is loaded is what was saved, and what cannot be used is named."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GenerationConfig

from goniometer.errors import GoniometerError
from goniometer.model import LanguageModel, load
from tests.tiny_complete import complete
from tests.tiny_model import END, PAD, VOCABULARY, tiny_model, tiny_network, tiny_tokenizer

WEIGHT = "model.layers.0.self_attn.q_proj.weight"


@pytest.fixture
def folder(tmp_path):
    network, tokenizer = tiny_network(dtype=torch.float32), tiny_tokenizer()
    network.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    return tmp_path


def test_a_loaded_model_is_the_saved_one(folder):
    model = load(str(folder))
    saved = tiny_network(dtype=torch.float32)
    tokens = torch.tensor([[3, 4, 5]])
    assert torch.equal(model.network(input_ids=tokens).logits, saved(input_ids=tokens).logits)
    assert (model.end_token, model.pad_token, model.name) == (END, PAD, str(folder))
    assert model.encode_prompt("w5 w6") == (5, 6, 3)
    assert model.decode((5, 6, END)) == "w5w6"
    assert model.fingerprint == tiny_model(dtype=torch.float32).fingerprint


def test_the_fingerprint_sees_one_weight_and_one_word():
    model = tiny_model()
    other = tiny_model()
    with torch.no_grad():
        other.network.model.norm.weight[0] += 1e-9
    words = LanguageModel(tiny_network(), tiny_tokenizer(VOCABULARY - 1), "tiny")
    assert len({model.fingerprint, other.fingerprint, words.fingerprint}) == 3


def test_a_chat_template_writes_the_prompt(folder):
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = (
        "{% for m in messages %}{{ 'w7 ' + m['content'] }}{% endfor %}"
        "{% if add_generation_prompt %}{{ ' w8' }}{% endif %}"
    )
    model = LanguageModel(tiny_network(), tokenizer, "chat")
    assert model.encode_prompt("w5 w6") == (7, 5, 6, 8)


def test_recommended_decoding_settings_do_not_bend_the_draws(folder):
    plain = complete(load(str(folder)), [(3, 4)] * 8, temperature=1.0)
    recommended = GenerationConfig(do_sample=True, top_k=1, repetition_penalty=9.0, min_p=0.9)
    recommended.save_pretrained(folder)
    assert complete(load(str(folder)), [(3, 4)] * 8, temperature=1.0) == plain


def edit_json(file, **changes):
    tree = json.loads(file.read_text())
    tree = {k: v for k, v in (tree | changes).items() if v is not None}
    file.write_text(json.dumps(tree))


def drop_weight(folder):
    tensors = load_file(folder / "model.safetensors")
    tensors.pop(WEIGHT)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def to_pickle(folder):
    tensors = load_file(folder / "model.safetensors")
    torch.save(tensors, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def drop_end_token(folder):
    edit_json(folder / "tokenizer_config.json", eos_token=None)


def demand_remote_code(folder):
    auto_map = {"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Model"}
    edit_json(folder / "config.json", model_type="mine", auto_map=auto_map)
    (folder / "code.py").write_text("raise RuntimeError('remote code ran')")


def cut_short(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "config.json").unlink(), "no config.json; expected a folder with a whole"),
        (lambda f: (f / "config.json").write_text("{"), "cannot be loaded: .*config.json"),
        (to_pickle, "no safetensors weights.*a pickle is not opened"),
        (drop_weight, f"{WEIGHT}: 1 weights are missing"),
        (cut_short, "cannot be loaded: "),
        (drop_end_token, "eos_token: the tokenizer has no end token"),
        (demand_remote_code, "cannot be loaded: .*code"),
        (lambda f: (f / "tokenizer.json").unlink(), "cannot be loaded: "),
    ],
)
def test_a_folder_that_cannot_be_used_is_named(folder, damage, message):
    damage(folder)
    with pytest.raises(GoniometerError, match=message) as caught:
        load(str(folder))
    assert str(folder) in str(caught.value)
    assert "remote code ran" not in str(caught.value)


def test_what_is_no_folder_is_never_sent_to_a_hub():
    with pytest.raises(GoniometerError, match=r"no such model folder.*nothing is fetched"):
        load("gpt2")
    with pytest.raises(GoniometerError, match="expected embedded:base or embedded:teacher"):
        load("embedded:bass")
