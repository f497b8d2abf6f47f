"""Every way to damage a folder, by name: what it does, and what must come of it.

To add one: write a function (Random, Folder) -> Expected and add its line to MUTATIONS.
"""

import json
import os
import random
import shutil
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, final

import numpy as np

from tests.fuzz.configs import FIELDS_OF, INDEX, Tree, respelled_text, spoiled_text
from tests.fuzz.headers import BYTES, HEADERS, Edit, parsed

# "any": read or refused. "same", "other": read, with the fingerprint of before, or another.
Expected = Literal["any", "same", "other", "refused"]
CANARY = "CANARY-5d41402abc4b2a76"
INDEX_FILE = "model.safetensors.index.json"


@final
@dataclass(frozen=True)
class Folder:
    """A case's folder: the run that is damaged, and what lies outside and must not be read."""

    root: Path
    run: Path
    outside: Path

    def weights(self, rng: random.Random) -> Path:
        """One of the run's files of weights."""
        return rng.choice(_whole(self.run.glob("*.safetensors")))

    def texts(self) -> list[Path]:
        """The run's configuration, and its index."""
        return _whole(self.run.glob("*.json"))


def _whole(files: Iterable[Path]) -> list[Path]:
    """Those that another mutation has not made into something that must not be opened."""
    return sorted(
        x for x in files if not x.is_symlink() and x.is_file() and x.stat().st_size < 1 << 22
    )


def _by_bytes(
    edit: Callable[[random.Random, bytearray], None], rng: random.Random, folder: Folder
) -> Expected:
    file = folder.weights(rng)
    content = bytearray(file.read_bytes())
    edit(rng, content)
    file.write_bytes(content)
    return "any"


def _by_header(edit: Edit, rng: random.Random, folder: Folder) -> Expected:
    file = folder.weights(rng)
    stored = parsed(file)
    edit(rng, stored)
    file.write_bytes(stored.bytes())
    return "any"


def _by_tree(
    edit: Callable[[random.Random, Tree], None], name: str, rng: random.Random, folder: Folder
) -> Expected:
    texts = [file for file in folder.texts() if file.match(name)]
    if texts:
        file = rng.choice(texts)
        tree = json.loads(file.read_text())
        edit(rng, tree)
        file.write_text(json.dumps(tree))
    return "any"


def _spoil(rng: random.Random, folder: Folder) -> Expected:
    file = rng.choice(folder.texts())
    file.write_bytes(spoiled_text(rng, file.read_bytes()))
    return "any"


def _respell(rng: random.Random, folder: Folder) -> Expected:
    """The same values, written otherwise: header in another order, other metadata, other spaces."""
    file = folder.weights(rng)
    stored = parsed(file)
    stored.header = [pair for pair in stored.header if pair[0] != "__metadata__"]
    rng.shuffle(stored.header)
    stored.header.append(("__metadata__", {"written": str(rng.random())}))
    if file.name.startswith("adapter") and rng.random() < 0.5:
        stored.header = [
            (key.replace("base_model.model.", "module."), x) for key, x in stored.header
        ]
    file.write_bytes(stored.bytes())
    for text in folder.texts():
        text.write_bytes(respelled_text(rng, text.read_bytes()))
    return "same"


def _change(rng: random.Random, folder: Folder) -> Expected:
    """The last bit of one value."""
    file = folder.weights(rng)
    content = file.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    values = np.frombuffer(content[start:], np.uint32).copy()
    values[rng.randrange(len(values))] ^= 1
    file.write_bytes(content[:start] + values.tobytes())
    return "other"


def _missing(rng: random.Random, folder: Folder) -> Expected:
    rng.choice([*folder.texts(), folder.weights(rng)]).unlink()
    if rng.random() < 0.3:
        (folder.run / "adapter_model.bin").write_bytes(b"\x80\x04")
        (folder.run / "pytorch_model.bin").write_bytes(b"\x80\x04")
    return "any"


def _link_out(rng: random.Random, folder: Folder) -> Expected:
    """A file, or the whole of an initial adapter, is a link to what lies outside."""
    texts = [file for file in folder.texts() if file.name != "config.json"]
    if (folder.run / "init").is_dir() and rng.random() < 0.5:
        shutil.rmtree(folder.run / "init")
        (folder.run / "init").symlink_to(folder.outside / "init")
        return "refused"
    file = rng.choice([*texts, folder.weights(rng)])
    target = rng.choice(
        [folder.outside / file.name, folder.outside / "secret.txt", Path("/etc/passwd")]
    )
    file.unlink()
    relative = rng.random() < 0.5
    file.symlink_to(os.path.relpath(target, folder.run) if relative else target)
    return "refused"


def _link_strangely(rng: random.Random, folder: Folder) -> Expected:
    """Links to devices, to themselves, to nothing, and within the folder, which may be."""
    file = rng.choice([*folder.texts(), folder.weights(rng)])
    kept = file.with_name("kept")
    file.rename(kept)
    targets = ("/dev/zero", "/dev/urandom", "/dev/stdin", "/proc/self/mem", "/proc/self/fd/0",
               file.name, "nothing", ".", "..", "/", "kept", "kept", "x" * 250)  # fmt: skip
    file.symlink_to(rng.choice(targets))
    return "any"


def _no_file(rng: random.Random, folder: Folder) -> Expected:
    """A pipe, a socket, a folder in place of a file."""
    file = rng.choice([*folder.texts(), folder.weights(rng)])
    file.unlink()
    what = rng.randrange(4)
    if what == 0:
        os.mkfifo(file)
    elif what == 1:
        file.mkdir()
    elif what == 2:
        os.mkfifo(folder.run / "pipe")
        file.symlink_to("pipe")
    else:
        here = os.open(".", os.O_RDONLY)
        try:
            os.chdir(folder.run)  # a socket's path is short
            with socket.socket(socket.AF_UNIX) as opened:
                opened.bind(file.name)
        finally:
            os.fchdir(here)
            os.close(here)
    return "any"


def _sparse(rng: random.Random, folder: Folder) -> Expected:
    """Huge files that take no place on the disk: the header may even be true."""
    size = rng.choice((2**33, 2**40, 2**42))
    if rng.random() < 0.3:
        os.truncate(rng.choice(folder.texts()), size)
        return "any"
    file = folder.weights(rng)
    stored = parsed(file)
    for entry in rng.sample([x for key, x in stored.header if key != "__metadata__"], 1):
        a = len(stored.data)
        old = entry["data_offsets"]
        stored.header.append(
            ("left", {"dtype": "U8", "shape": [old[1] - old[0]], "data_offsets": old})
        )
        shape = list(entry["shape"]) or [1]
        place = rng.randrange(len(shape))
        rest = int(np.prod(shape[:place] + shape[place + 1 :], dtype=object))
        shape[place] = size // (4 * rest)
        stop = a + shape[place] * 4 * rest
        entry |= {"shape": shape, "dtype": "F32", "data_offsets": [a, stop]}
        file.write_bytes(stored.bytes())
        os.truncate(file, file.stat().st_size + stop - a)
    return "any"


def _beside(rng: random.Random, folder: Folder) -> Expected:
    """More in the folder than belongs to it."""
    names = ("adapter_model.bin", "model.safetensors", INDEX_FILE, "config.json", "init/x",
             "x_init/x", "checkpoint-1/x", "initial/adapter_config.json",
             "a_init/adapter_config.json")  # fmt: skip
    for name in rng.sample(names, rng.choice((1, 3))):
        file = folder.run / name
        if file.parent.is_dir() or not file.parent.exists():
            file.parent.mkdir(exist_ok=True)
            if not file.exists():
                file.write_bytes(rng.choice((b"", b"{}", b"\x80\x04", rng.randbytes(64))))
    return "any"


Mutation = Callable[[random.Random, Folder], Expected]
MUTATIONS: dict[str, Mutation] = {
    **{name: partial(_by_bytes, edit) for name, edit in BYTES.items()},
    **{name: partial(_by_header, edit) for name, edit in HEADERS.items()},
    **{name: partial(_by_tree, edit, "*.json") for name, edit in FIELDS_OF.items()},
    **{name: partial(_by_tree, edit, "*.index.json") for name, edit in INDEX.items()},
    "text of the JSON": _spoil,
    "same values": _respell,
    "one bit of one value": _change,
    "file left out": _missing,
    "link out of the folder": _link_out,
    "other links": _link_strangely,
    "no regular file": _no_file,
    "sparse file": _sparse,
    "files beside": _beside,
}


def write_outside(folder: Path, seeds: Any) -> None:
    """What must not be read: a text, and every file that a run's folder has, whole and valid."""
    folder.mkdir()
    for name in ("LoRA", "checkpoint", "sharded checkpoint"):
        seeds(name, folder / "made")
        for file in (folder / "made" / "a").iterdir():
            file.rename(folder / file.name)
        shutil.rmtree(folder / "made")
    seeds("PiSSA", folder / "made")
    (folder / "made" / "a" / "init").rename(folder / "init")
    shutil.rmtree(folder / "made")
    (folder / "secret.txt").write_text(CANARY)
