"""Damaged folders: an answer or one line, in time, within memory, and nothing read outside.

The long run is bench/fuzz_adapters.py; the corpus has what failed before it was put right.
"""

import json
import os
import random
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

import goniometer
from goniometer import GoniometerError
from goniometer.deltas import BaseModel, Companions, read
from tests.adapters import edit_config, read_values, save_adapter
from tests.fuzz.damage import MUTATIONS, Folder
from tests.fuzz.guard import Bench, Outcome, guarded, run_case
from tests.fuzz.seeds import SEEDS, write_seed

CORPUS = Path(__file__).parent / "corpus"
CASES = 250


@pytest.fixture(scope="module")
def bench(tmp_path_factory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"))


def failures(outcomes: list[Outcome]) -> list[str]:
    return [
        f"{i}: {x.seed}, {x.mutation}: {x.detail}"
        for i, x in enumerate(outcomes)
        if x.state == "FAILED"
    ]


def test_some_hundred_damaged_folders(bench: Bench):
    outcomes = [run_case(bench, seed=1, number=i) for i in range(CASES)]
    assert failures(outcomes) == []
    # A fuzz that reads nothing, or refuses nothing, has damaged nothing that matters.
    states = [one.state for one in outcomes]
    assert min(states.count("read"), states.count("refused")) > CASES / 5


def test_a_case_is_its_number(bench: Bench):
    for number in range(5):
        assert run_case(bench, 2, number) == run_case(bench, 2, number)


@pytest.mark.parametrize("entry", sorted(path.name for path in CORPUS.iterdir()))
def test_what_failed_once(bench: Bench, entry: str, tmp_path: Path):
    """Files of the entry laid over its seed; expected.json names it, and what must come of it."""
    said = json.loads((CORPUS / entry / "expected.json").read_text())
    case = tmp_path / "case"
    write_seed(said["seed"], case)
    shutil.copytree(CORPUS / entry, case, dirs_exist_ok=True)
    state, detail, _ = guarded(bench, case, said["seed"])
    assert state in said["state"].split(" or "), detail
    assert said["detail"] in detail


@pytest.mark.parametrize("name", SEEDS)
def test_the_same_values_have_one_fingerprint_and_one_bit_another(bench: Bench, name: str):
    case = bench.root / "case"
    for kind in ("same values", "one bit of one value"):
        shutil.copytree(bench.root / "seeds" / name, case)
        MUTATIONS[kind](random.Random(3), Folder(case, case / "a", bench.root / "canary"))
        state, detail, found = guarded(bench, case, name)
        shutil.rmtree(case)
        assert state == "read", detail
        assert (found == bench.expected[name]) == (kind == "same values")


@pytest.mark.parametrize("file", ["adapter_config.json", "adapter_model.safetensors"])
def test_a_link_out_of_the_folder_is_not_followed_and_one_within_it_is(tmp_path: Path, file: str):
    save_adapter(tmp_path / "run")
    expected = read(tmp_path / "run").fingerprint
    kept = tmp_path / "run" / "kept"
    (tmp_path / "run" / file).rename(kept)
    (tmp_path / "run" / file).symlink_to("kept")
    assert read(tmp_path / "run").fingerprint == expected
    kept.rename(tmp_path / "elsewhere")
    (tmp_path / "run" / file).unlink()
    (tmp_path / "run" / file).symlink_to("../elsewhere")
    with pytest.raises(GoniometerError, match="a link out of its folder is not followed"):
        read(tmp_path / "run")


def test_the_hub_s_cache_keeps_its_files_beside_its_folders(tmp_path: Path):
    model = tmp_path / "models--owner--name"
    snapshot = model / "snapshots" / ("c" * 40)
    save_adapter(snapshot / "sub")
    expected = read(snapshot / "sub").fingerprint
    (model / "blobs").mkdir()
    for file in list((snapshot / "sub").iterdir()):
        file.rename(model / "blobs" / file.name)
        file.symlink_to(os.path.relpath(model / "blobs" / file.name, file.parent))
    assert read(snapshot / "sub").fingerprint == expected
    (model / "blobs").rename(model / "other")
    for file in (snapshot / "sub").iterdir():
        file.unlink()
        file.symlink_to(model / "other" / file.name)
    with pytest.raises(GoniometerError, match="a link out"):
        read(snapshot / "sub")


def test_an_initial_adapter_that_is_a_link_is_not_taken(tmp_path: Path):
    write_seed("PiSSA", tmp_path)
    read(tmp_path / "a")
    (tmp_path / "a" / "init").rename(tmp_path / "elsewhere")
    (tmp_path / "a" / "init").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(GoniometerError, match="--initial"):
        read(tmp_path / "a")
    read(tmp_path / "a", Companions(initial=tmp_path / "elsewhere"))


def test_a_factor_of_more_bytes_than_are_held_is_refused_though_the_file_has_them(tmp_path: Path):
    save_adapter(tmp_path)
    long = 1 << 30
    header, start = {}, 0
    for name, shape in (("A", (4, long)), ("B", (40, 4))):
        stop = start + 4 * shape[0] * shape[1]
        key = f"base_model.model.layers.0.q_proj.lora_{name}.weight"
        header[key] = {"dtype": "F32", "shape": shape, "data_offsets": [start, stop]}
        start = stop
    text = json.dumps(header).encode()
    file = tmp_path / "adapter_model.safetensors"
    file.write_bytes(len(text).to_bytes(8, "little") + text)
    os.truncate(file, 8 + len(text) + start)  # a sparse file: 16 GiB that take no place
    with pytest.raises(GoniometerError, match="too large for a factor"):
        read_values(read(tmp_path))


@pytest.mark.parametrize("kind", ["LoHa", "OFT", "IA3"])
def test_a_task_s_type_does_not_change_what_peft_merges(tmp_path: Path, kind: str):
    write_seed(kind, tmp_path)
    given = Companions(BaseModel(tmp_path / "base") if SEEDS[kind].base else None)
    for task in ("CAUSAL_LM", None, "SEQ_CLS"):
        edit_config(tmp_path / "a", task_type=task)
        found = read_values(read(tmp_path / "a", given))
        assert found
        assert all(bool(torch.isfinite(value).all()) for value in found.values())


@pytest.mark.parametrize("start", ["", r"model\.la"])
def test_slow_patterns_have_a_limit_each_and_together(tmp_path: Path, start: str):
    """From the start of a name one takes minutes; from `model.la` on many take a tenth second."""
    write_seed("LoRA", tmp_path)
    slow = {f"{start}(?:.|..|...)*(?<!j)(?#{i})": 3 for i in range(100 if start else 1)}
    edit_config(tmp_path / "a", rank_pattern=slow)
    before = time.process_time()
    with pytest.raises(GoniometerError, match=r"regular expressions that take more than 1"):
        read(tmp_path / "a")
    assert time.process_time() - before < 5


def test_a_pattern_that_python_does_not_know_is_refused(tmp_path: Path):
    """Recursion takes hundreds of megabytes before it takes its second."""
    write_seed("LoRA", tmp_path)
    edit_config(tmp_path / "a", rank_pattern={"(?R)": 3})
    with pytest.raises(GoniometerError, match=r"\(\?R\): not a regular expression"):
        read(tmp_path / "a")


@pytest.mark.parametrize("argument", ["x" * 5000, f"/{'x' * 300}", "a/" * 3000, "\ud800"])
def test_arguments_that_no_file_can_have(tmp_path: Path, argument: str):
    save_adapter(tmp_path)
    with pytest.raises(GoniometerError, match="no such folder") as caught:
        goniometer.compare([tmp_path, argument])
    assert str(caught.value).isprintable()
    with pytest.raises(GoniometerError, match="no such folder"):
        goniometer.compare({"a": tmp_path, "b": tmp_path}, base=argument)


def test_an_update_too_small_to_be_squared_twice_is_none(tmp_path: Path):
    for run, size in (("a", 1e-200), ("b", 1.0)):
        save_adapter(tmp_path / run)
        edit_config(tmp_path / run, lora_alpha=size)
    found = goniometer.compare([tmp_path / "a", tmp_path / "b"], draws=100)
    assert found.pairs[0].state == "zero delta"


def test_names_of_control_characters_would_move_the_terminal(tmp_path: Path):
    save_adapter(tmp_path)
    values = {"x\x1b[2J.lora_A.weight": np.ones((2, 3), np.float32)}
    save_file(values, tmp_path / "adapter_model.safetensors")
    with pytest.raises(GoniometerError) as caught:
        read(tmp_path)
    assert str(caught.value).isprintable()
