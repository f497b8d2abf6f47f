"""What can be wrong with a safetensors file: its length, its header, its values, its end."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from tests.fuzz.odd import NAMES, NUMBERS, VALUES

_LENGTHS = (0, 1, 7, 2**20, 100_000_000, 100_000_001, 2**31, 2**63 - 1, 2**63, 2**64 - 1)
_TYPES: tuple[Any, ...] = (
    "F64", "F32", "F16", "BF16", "I64", "I32", "U8", "BOOL", "F8_E4M3", "F8_E5M2", "F4", "C64",
    "f32", "", None, 7, [], "X" * 1000,
)  # fmt: skip
_SHAPES: tuple[Any, ...] = (
    [], [0], [0, 0], [-1, 3], [2**31, 2**31], [2**62, 4], [2**63, 2**63], [2**64, 1], [1, 1, 1, 1],
    [3.5, 2], ["3", "8"], [[3], [8]], None, "3", [True, True], [1] * 10_000, [2**40, 0], [1e3, 8],
)  # fmt: skip


@final
@dataclass
class Stored:
    """A safetensors file in parts: its header as pairs, so that keys can stand twice."""

    header: list[tuple[str, Any]]
    data: bytes

    def bytes(self) -> bytes:
        """The file."""
        text = ",".join(f"{json.dumps(key)}:{json.dumps(value)}" for key, value in self.header)
        header = f"{{{text}}}".encode()
        return len(header).to_bytes(8, "little") + header + self.data

    def tensor(self, rng: random.Random) -> tuple[int, dict[str, Any]]:
        """Place in the header, and the entry, of some tensor."""
        place = rng.choice([i for i, (key, _) in enumerate(self.header) if key != "__metadata__"])
        return place, self.header[place][1]


def parsed(file: Path) -> Stored:
    """Read a whole file, one that nothing is wrong with yet."""
    content = file.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    return Stored(list(header.items()), content[8 + size :])


Edit = Callable[[random.Random, Stored], None]


def _bytes_of_header(rng: random.Random, content: bytearray) -> None:
    size = int.from_bytes(content[:8], "little")
    for _ in range(rng.choice((1, 1, 2, 8))):
        content[8 + rng.randrange(size)] = rng.randrange(256)


def _bytes_of_data(rng: random.Random, content: bytearray) -> None:
    start = 8 + int.from_bytes(content[:8], "little")
    for _ in range(rng.choice((1, 1, 4, 32))):
        content[rng.randrange(start, len(content))] = rng.choice((0, 255, 127, rng.randrange(256)))


def _cut(rng: random.Random, content: bytearray) -> None:
    start = 8 + int.from_bytes(content[:8], "little")
    places = (
        0,
        1,
        7,
        8,
        start - 1,
        start,
        start + 1,
        len(content) - 1,
        rng.randrange(len(content)),
    )
    del content[rng.choice(places) :]


def _length(rng: random.Random, content: bytearray) -> None:
    size = int.from_bytes(content[:8], "little")
    near = (size + rng.choice((-9, -1, 1, 8, 64)), len(content) - 8, len(content))
    content[:8] = (rng.choice(_LENGTHS + near) % 2**64).to_bytes(8, "little")


def _added(rng: random.Random, content: bytearray) -> None:
    content += bytes(rng.choice((1, 4, 8, 4096)))


def _offsets(rng: random.Random, file: Stored) -> None:
    _, entry = file.tensor(rng)
    a, b = entry["data_offsets"]
    entry["data_offsets"] = rng.choice(
        [
            [b, a], [a, a], [0, b - a], [a + 4, b + 4], [a - 4, b], [a, b + 4], [-4, b], [a, 2**63],
            [2**64 - 4, 4], [a, 2**64], [2**70, 2**70], [float(a), float(b)], [str(a), str(b)],
            [a], [a, b, b], None, [[a], [b]], {"a": a},
        ]
    )  # fmt: skip


def _shape(rng: random.Random, file: Stored) -> None:
    _, entry = file.tensor(rng)
    shape = entry["shape"]
    same = [shape[::-1], [1, *shape], [*shape, 1], [int(np.prod(shape))], [int(np.prod(shape)), 1]]
    entry["shape"] = rng.choice([*same, *same, *_SHAPES, [rng.choice(NUMBERS) for _ in shape]])


def _type(rng: random.Random, file: Stored) -> None:
    _, entry = file.tensor(rng)
    entry["dtype"] = rng.choice(_TYPES)
    if (
        rng.random() < 0.5
        and entry["dtype"] in ("F64", "I64", "F16", "BF16", "U8")
        and entry["shape"]
    ):
        half = 0.5 if entry["dtype"] in ("F64", "I64") else 2 if entry["dtype"] != "U8" else 4
        entry["shape"] = [*entry["shape"][:-1], int(entry["shape"][-1] * half)]


def _fields(rng: random.Random, file: Stored) -> None:
    place, entry = file.tensor(rng)
    key = rng.choice(("dtype", "shape", "data_offsets", "more"))
    if rng.random() < 0.4:
        entry.pop(key, None)
    elif rng.random() < 0.5:
        entry[key] = rng.choice(VALUES)
    else:
        file.header[place] = (file.header[place][0], rng.choice(VALUES))


def _names(rng: random.Random, file: Stored) -> None:
    place, entry = file.tensor(rng)
    name = file.header[place][0]
    stem, _, leaf = name.rpartition(".")
    other = file.header[file.tensor(rng)[0]][0]
    file.header[place] = (
        rng.choice(
            [
                rng.choice(NAMES), f"{name}.{leaf}", f"{name}.bias", stem, leaf, other,
                name.replace("lora_A", "lora_B"), name.replace("lora_", "lora_X"),
                f"{other}.weight",
                name.replace("q_proj", "v_proj"), f"{stem}.default.{leaf}", name.upper(),
                f"{rng.choice(NAMES)}.{name}", f"{stem}.{rng.choice(NAMES)}.{leaf}",
                f"{name}{rng.choice(NAMES)}", name.replace("layers.0", f"layers.{10**400}"),
                name.replace("layers.0", "layers.٣"), "module." * 40 + name, "__metadata__",
                name.replace("self_attn", "model." * 60 + "self_attn"),
            ]
        ),
        entry,
    )  # fmt: skip


def _twice(rng: random.Random, file: Stored) -> None:
    place, entry = file.tensor(rng)
    other = file.tensor(rng)[1]
    copy = dict(rng.choice((entry, other, {**entry, "dtype": "U8"}, {**entry, "shape": [1]})))
    file.header.insert(rng.randrange(len(file.header) + 1), (file.header[place][0], copy))


def _dropped(rng: random.Random, file: Stored) -> None:
    """Leave a tensor out, its data too: what is left is a whole file."""
    place, entry = file.tensor(rng)
    a, b = entry["data_offsets"]
    del file.header[place]
    file.data = file.data[:a] + file.data[b:]
    for key, other in file.header:
        if key != "__metadata__" and other["data_offsets"][0] >= b:
            other["data_offsets"] = [x - (b - a) for x in other["data_offsets"]]


def _more(rng: random.Random, file: Stored) -> None:
    """Another tensor, whole, under an odd name."""
    place, _ = file.tensor(rng)
    name = file.header[place][0]
    shape, values = rng.choice(
        [([], 1), ([0], 0), ([0, 8], 0), ([3], 3), ([2, 2], 4), ([1, 2, 2], 4), ([1] * 70, 1)]
    )
    added = rng.choice(
        [rng.choice(NAMES), f"{name}.x", name.replace("base_model.model.", ""), f"{name[:-7]}.bias",
         "base_model.model.lm_head.modules_to_save.weight", name.replace("q_proj", "k_proj"),
         f"_orig_mod.{name}", name.replace(".weight", ".default.weight")]
    )  # fmt: skip
    start = len(file.data)
    file.data += np.ones(values, np.float32).tobytes()
    offsets = [start, len(file.data)]
    file.header.append((added, {"dtype": "F32", "shape": shape, "data_offsets": offsets}))


def _metadata(rng: random.Random, file: Stored) -> None:
    file.header = [pair for pair in file.header if pair[0] != "__metadata__"]
    values = [rng.choice(VALUES), {"format": rng.choice(VALUES)}, {rng.choice(NAMES): "pt"}]
    file.header.insert(0, ("__metadata__", rng.choice(values)))


def _values(rng: random.Random, file: Stored) -> None:
    """Extreme numbers, the whole tensor or one of them, in float32 or float64."""
    _, entry = file.tensor(rng)
    a, b = entry["data_offsets"]
    if entry["dtype"] != "F32":
        return
    values = np.frombuffer(file.data[a:b], np.float32).copy()
    odd = rng.choice((0.0, -0.0, np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-45, 1e-38, 1e20, 1e150))
    with np.errstate(over="ignore"):
        odd = float(np.float32(odd)) if rng.random() < 0.7 else odd
        narrow = np.float32(odd)
    values[rng.choice((slice(None), slice(0, 1)))] = narrow
    if rng.random() < 0.3 or odd > 1e100:
        wide = np.where(
            values == narrow, rng.choice((odd, 1e300, 1e-300)), values.astype(np.float64)
        )
        start = len(file.data)
        # Where the old values lay something has to stay: a tensor that nobody reads.
        file.header.append(("left", {"dtype": "U8", "shape": [b - a], "data_offsets": [a, b]}))
        file.data += wide.astype(np.float64).tobytes()
        entry |= {"dtype": "F64", "data_offsets": [start, len(file.data)]}
    else:
        file.data = file.data[:a] + values.tobytes() + file.data[b:]


BYTES: dict[str, Callable[[random.Random, bytearray], None]] = {
    "bytes of the header": _bytes_of_header,
    "bytes of the data": _bytes_of_data,
    "file cut": _cut,
    "header's length": _length,
    "bytes added": _added,
}
HEADERS: dict[str, Edit] = {
    "offsets": _offsets,
    "shape": _shape,
    "type": _type,
    "fields of an entry": _fields,
    "name of a tensor": _names,
    "one name twice": _twice,
    "tensor left out": _dropped,
    "tensor added": _more,
    "metadata": _metadata,
    "extreme values": _values,
}
