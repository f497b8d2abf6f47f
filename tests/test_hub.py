"""Hub ids through huggingface_hub itself: a Hub on localhost, its cache, and no network at all."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from goniometer.deltas.hub import HubId, argument_of, find_base, hub_id, locate
from tests.adapters import save_adapter
from tests.fake_hub import COMMIT, FakeHub, serving

PROGRAM = """
import json
from goniometer.comparison.names import name_runs
from goniometer.comparison.runs import read_runs
from goniometer.deltas.hub import companions, find_base, locate
from goniometer.errors import GoniometerError

def line(argument):
    try:
        return str(locate(argument).path)
    except GoniometerError as error:
        return str(error)

print(json.dumps({expression}))
"""


def _online() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}


def run(expression: str, cache: Path, url: str, **environment: str) -> Any:
    """Evaluate in a process of its own: huggingface_hub reads its settings when imported."""
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("{expression}", expression)],
        capture_output=True, text=True, check=False, cwd=cache.parent,
        # make sets HF_HUB_OFFLINE for all tests; these have a Hub of their own.
        env=_online() | {"HF_HUB_CACHE": str(cache), "HF_ENDPOINT": url,
                          "HF_HUB_DISABLE_XET": "1", **environment},
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout)


@pytest.fixture
def repositories(tmp_path: Path) -> dict[str, Path]:
    home = tmp_path / "hub"
    adapter, model, pickled = home / "adapter", home / "model", home / "pickled"
    save_adapter(adapter)
    save_adapter(adapter / "checkpoint-5")
    for folder in (adapter, adapter / "checkpoint-5"):
        (folder / "training_args.bin").write_bytes(b"\x80\x04")
        (folder / "modeling.py").write_text("raise SystemExit")
    model.mkdir()
    index = {"weight_map": {"a.weight": "one.safetensors", "b.weight": "two.safetensors"}}
    for shard, name in (("one", "a"), ("two", "b")):
        save_file({f"{name}.weight": torch.ones(2, 2)}, model / f"{shard}.safetensors")
    (model / "model.safetensors.index.json").write_text(json.dumps(index))
    (model / "config.json").write_text("{}")
    (model / "pytorch_model.bin").write_bytes(b"\x80\x04")
    (model / "consolidated.safetensors").write_bytes(b"")
    pickled.mkdir()
    (pickled / "pytorch_model.bin").write_bytes(b"\x80\x04")
    return {"ann/lora": adapter, "ann/model": model, "ann/pickled": pickled}


def test_an_adapter_is_read_and_named_by_its_commit(tmp_path: Path, repositories):
    runs = "name_runs(['ann/lora', 'ann/lora/checkpoint-5@main'])"
    expression = f"[[n, d.provenance.source, d.fingerprint] for n, d in read_runs({runs}).items()]"
    cache = tmp_path / "cache"
    with serving(FakeHub(repositories)) as hub:
        first, second = run(expression, cache, hub.url)
    assert first[:2] == ["lora", f"ann/lora@{COMMIT}"]
    assert second[:2] == ["checkpoint-5@main", f"ann/lora/checkpoint-5@{COMMIT}"]
    files = {"adapter_config.json", "adapter_model.safetensors"}
    assert hub.fetched() == files | {f"checkpoint-5/{name}" for name in files}
    # Once here, it is found again without the Hub.
    offline = run(expression, cache, "http://127.0.0.1:9", HF_HUB_OFFLINE="1")
    assert offline == [first, second]


def test_of_a_model_its_shards_are_fetched_and_nothing_else(tmp_path: Path, repositories):
    with serving(FakeHub(repositories)) as hub:
        found = run("sorted(companions('ann/model').base.tensors)", tmp_path / "cache", hub.url)
        assert found == ["a.weight", "b.weight"]
        shards = {"one.safetensors", "two.safetensors"}
        assert hub.fetched() == shards | {"config.json", "model.safetensors.index.json"}
        before = len(hub.asked)
        named = "[find_base('ann/model') is not None, find_base('ann/lora') is None]"
        assert run(named, tmp_path / "cache", hub.url) == [True, True]
        assert len(hub.asked) == before  # by the name that a run holds, nothing is asked


SAID = {
    "ann/nobody": "no such folder here, and no such repository on the Hub, or a private one",
    "ann/lora@v9": "no such revision of that repository",
    "ann/gated": "a gated repository. Ask for access",
    "ann/broken": "not in the local cache, and the Hub cannot be reached",
    "ann/pickled": "no weights that can be read",
    "ann/lora/nowhere@main": "no weights that can be read",
}


def test_what_the_hub_refuses_is_one_line_each(tmp_path: Path, repositories):
    refusals = {"ann/gated": (403, "GatedRepo"), "ann/broken": (500, "Oops")}
    with serving(FakeHub(repositories, refusals)) as hub:
        lines = run(f"[line(argument) for argument in {[*SAID]}]", tmp_path / "cache", hub.url)
        assert not hub.fetched()
    for (argument, said), found in zip(SAID.items(), lines, strict=True):
        assert found.startswith(argument.partition("@")[0])
        assert said in found


def test_offline_and_no_network_are_one_line_each(tmp_path: Path):
    with socket.socket() as closed:  # bound and never listening: a port that refuses
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        found = run("line('ann/lora')", tmp_path / "cache", url)
        assert found == "ann/lora: not in the local cache, and the Hub cannot be reached"
        offline = run("line('ann/lora')", tmp_path / "cache", url, HF_HUB_OFFLINE="1")
    assert offline == "ann/lora: not in the local cache. Unset HF_HUB_OFFLINE to download it"


def test_a_cache_that_has_only_a_part_is_not_the_whole(tmp_path: Path):
    """As another program, or an older huggingface_hub, may leave it: no list of what there is."""
    repository = tmp_path / "cache" / "models--ann--model"
    snapshot = repository / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    (snapshot / "config.json").write_text("{}")
    expression = "[line('ann/model'), find_base('ann/model') is None]"
    found = run(expression, tmp_path / "cache", "http://127.0.0.1:9", HF_HUB_OFFLINE="1")
    assert "no weights that can be read" in found[0]
    assert found[1] is True
    save_file({"a.weight": torch.ones(2, 2)}, snapshot / "model.safetensors")
    found = run(expression, tmp_path / "cache", "http://127.0.0.1:9", HF_HUB_OFFLINE="1")
    assert found == [str(snapshot), False]


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("ann/lora", HubId("ann/lora")),
        ("ann/lora@v1.0", HubId("ann/lora", "", "v1.0")),
        ("ann/lora@refs/pr/3", HubId("ann/lora", "", "refs/pr/3")),
        ("ann/lora/a/b@main", HubId("ann/lora", "a/b", "main")),
    ],
)
def test_ids(argument: str, expected: HubId):
    assert hub_id(argument) == expected


@pytest.mark.parametrize(
    "argument",
    ["lora", "./ann/lora", "../ann/lora", "/ann/lora", "~/lora", "~ann/lora", "ann/", "ann/a/b",
     "ann//lora", "ann/lora/", "ann/../lora@main", "ann/..@main", "ann/lora@a..b", "ann\\lora",
     "C:/lora", "ann/lo ra", "ann/lora@", "ann/lora@a b", "", "ann/.lora", "ann/lora\n", "änn/lora",
     "https://huggingface.co/ann/lora", "ann/\0", "here/lora", "here/run@main"],
)  # fmt: skip
def test_what_looks_like_a_path_is_never_sent_out(argument: str, tmp_path: Path, monkeypatch):
    (tmp_path / "here" / "run@main").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    # Whatever asked the Hub would go through here.
    monkeypatch.setattr("huggingface_hub.snapshot_download", None)
    assert hub_id(argument) is None
    assert locate(argument).source == argument


def test_a_path_object_is_a_path(tmp_path: Path):
    assert hub_id(argument_of(Path("ann/lora"))) is None
    assert argument_of("ann/lora") == "ann/lora"
    assert argument_of(tmp_path) == str(tmp_path)


def test_a_base_by_name_is_a_folder_with_weights_here(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base").mkdir()
    assert find_base("base") is None
    save_file({"a": torch.ones(1)}, tmp_path / "base" / "model.safetensors")
    for name in ("base", "./base", str(tmp_path / "base")):
        found = find_base(name)
        assert found is not None
        assert set(found.tensors) == {"a"}
    for name in ("", "\0", "x" * 5000, "a/b/c", "ann/\n"):
        assert find_base(name) is None
