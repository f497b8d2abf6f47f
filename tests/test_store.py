"""The run folder: what is there is complete, whatever was killed before."""

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from goniometer.atomic import MANIFEST, write_folder
from goniometer.errors import GoniometerError
from goniometer.store import Store


def writer(text: str):
    def make(folder: Path) -> None:
        (folder / "value.txt").write_text(text)

    return make


def fail(_: Path) -> None:
    raise AssertionError("made twice")


def test_a_stage_is_made_once_for_its_inputs(tmp_path: Path):
    store = Store(tmp_path)
    folder = store.ensure("cells", "SFT lr/10", {"lr": 1e-3}, writer("a"))
    assert store.ensure("cells", "SFT lr/10", {"lr": 1e-3}, fail) == folder
    other = store.ensure("cells", "SFT lr/10", {"lr": 1e-4}, writer("b"))
    assert other != folder
    assert (folder / "value.txt").read_text() == "a"
    assert folder.name.startswith("sft-lr-10-")


def test_a_stage_that_fails_leaves_nothing(tmp_path: Path):
    def make(folder: Path) -> None:
        (folder / "half.txt").write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(GoniometerError, match=r"no space left on the device\. Free some"):
        Store(tmp_path).ensure("cells", "x", {}, make)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def _hang(folder: Path) -> None:
    (folder / "half.txt").write_text("half")
    (folder.parent / "started").touch()
    time.sleep(60)


def _killed(root: str) -> None:
    store = Store(Path(root))
    with store.locked():
        store.ensure("cells", "x", {}, _hang)


def test_a_killed_process_leaves_a_stage_that_is_not_there(tmp_path: Path):
    process = multiprocessing.get_context("fork").Process(target=_killed, args=(str(tmp_path),))
    process.start()
    while not (tmp_path / "cells" / "started").exists():
        time.sleep(0.01)
    with (
        pytest.raises(GoniometerError, match="another study is running here"),
        Store(tmp_path).locked(),
    ):
        pass
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert list(tmp_path.rglob("half.txt"))
    with Store(tmp_path).locked():
        assert not list(tmp_path.rglob("half.txt"))
        folder = Store(tmp_path).ensure("cells", "x", {}, writer("whole"))
    assert (folder / "value.txt").read_text() == "whole"


def test_a_file_that_changed_is_found(tmp_path: Path):
    store = Store(tmp_path)
    folder = store.ensure("cells", "x", {}, writer("a"))
    (folder / "value.txt").write_text("b")
    with pytest.raises(GoniometerError, match=r"value.txt: changed since.*[Rr]emove"):
        store.ensure("cells", "x", {}, fail)


def test_the_manifest_names_every_file(tmp_path: Path):
    write_folder(tmp_path / "out", writer("a"), {"stage": "x"})
    manifest = json.loads((tmp_path / "out" / MANIFEST).read_text())
    assert set(manifest["files"]) == {"value.txt"}


def test_a_folder_of_ours_is_replaced_and_another_is_not(tmp_path: Path):
    out = tmp_path / "out"
    write_folder(out, writer("a"), {})
    write_folder(out, writer("b"), {})
    assert (out / "value.txt").read_text() == "b"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(GoniometerError, match="not written by goniometer"):
        write_folder(tmp_path / "mine", writer("c"), {})
    (tmp_path / "file").touch()
    with pytest.raises(GoniometerError, match="not written by goniometer"):
        write_folder(tmp_path / "file", writer("c"), {})
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


def test_studies_side_by_side_share_a_stage(tmp_path: Path):
    made = Store(tmp_path / "a").ensure("cells", "SFT", {"lr": 1}, writer("a"))
    told: list[str] = []
    shared = Store(tmp_path / "b").ensure("cells", "other name", {"lr": 1}, fail, told.append)
    assert told == ["a"]
    assert shared.parent.parent == tmp_path / "b"
    assert (shared / "value.txt").samefile(made / "value.txt")
    assert json.loads((shared / MANIFEST).read_text())["label"] == "other name"
    # What is here already is not looked for elsewhere.
    assert Store(tmp_path / "b").ensure("cells", "other name", {"lr": 1}, fail, told.append)
    assert told == ["a"]
    Store(tmp_path / "b").ensure("cells", "SFT", {"lr": 2}, writer("b"), told.append)
    assert told == ["a"]


@pytest.mark.parametrize("damage", ["no manifest", "changed", "other key", "no JSON", "missing"])
def test_a_sibling_that_is_not_whole_is_not_used(tmp_path: Path, damage: str):
    made = Store(tmp_path / "a").ensure("cells", "SFT", {"lr": 1}, writer("a"))
    manifest = made / MANIFEST
    if damage == "no manifest":
        manifest.unlink()
    elif damage == "changed":
        (made / "value.txt").write_text("c")
    elif damage == "other key":
        manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"key": "0"}))
    elif damage == "no JSON":
        manifest.write_text("[")
    else:
        (made / "value.txt").unlink()
    mine = Store(tmp_path / "b").ensure("cells", "SFT", {"lr": 1}, writer("b"))
    assert (mine / "value.txt").read_text() == "b"
