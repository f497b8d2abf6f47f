"""What can be wrong with a configuration or an index: fields, patterns, the text itself."""

import json
import random
from collections.abc import Callable
from typing import Any

from tests.fuzz.odd import EXPRESSIONS, FIELDS, NAMES, NUMBERS, TYPES, VALUES

Tree = dict[str, Any]
SHARDS: tuple[Any, ...] = (
    "../canary/model.safetensors", "../../canary/model.safetensors", "..", ".", "", "/",
    "/etc/passwd", "a/../model-00001-of-00002.safetensors", "./model-00001-of-00002.safetensors",
    "..\\canary\\model.safetensors", "\0.safetensors", "x\0.safetensors",
    "x" * 300 + ".safetensors",
    "x" * 5000 + ".safetensors", "\ud800.safetensors", "é.safetensors", ".safetensors",
    "~.safetensors", "~/x.safetensors", "config.json", "pytorch_model.bin", " .safetensors",
    "model-00001-of-00002.safetensors\n", "linked.safetensors", "pipe.safetensors",
    "folder.safetensors", "file:///etc/passwd", "CON.safetensors", "...safetensors",
    "model-00002-of-00002.safetensors", None, 3, [], {}, ["model-00001-of-00002.safetensors"],
)  # fmt: skip


def _field(rng: random.Random, tree: Tree) -> None:
    mine = list(tree) * 4
    tree[rng.choice([*mine, *FIELDS])] = rng.choice(VALUES)


def _number(rng: random.Random, tree: Tree) -> None:
    mine = [key for key, value in tree.items() if type(value) in (int, float)]
    tree[rng.choice(mine or ["r"])] = rng.choice(
        (*NUMBERS, 1e308, 1e-320, float("inf"), float("nan"))
    )


def _removed(rng: random.Random, tree: Tree) -> None:
    if tree:
        del tree[rng.choice(list(tree))]


def _type(rng: random.Random, tree: Tree) -> None:
    tree["peft_type"] = rng.choice(TYPES)


def _pattern(rng: random.Random, tree: Tree) -> None:
    key = rng.choice(("rank_pattern", "alpha_pattern", "rank_pattern", "alpha_pattern",
                      "target_modules", "exclude_modules", "layers_pattern", "target_parameters",
                      "feedforward_modules", "modules_to_save"))  # fmt: skip
    asked = rng.sample(EXPRESSIONS, rng.choice((1, 1, 3)))
    if rng.random() < 0.05:
        asked = [f"({'x' * (i % 7)}+)*{i}" for i in range(20_000)]
    if key.endswith("_pattern") and key != "layers_pattern":
        tree[key] = {expression: rng.choice((3, 3, 2, 2**40, None)) for expression in asked}
    else:
        tree[key] = rng.choice((asked, asked[0]))


def _place(rng: random.Random, tree: Tree) -> None:
    """Where an index says that a tensor is."""
    places = tree.get("weight_map")
    if not isinstance(places, dict) or not places:
        tree["weight_map"] = rng.choice(VALUES)
        return
    key = rng.choice(list(places))
    which = rng.randrange(10)
    if which < 7:
        places[key] = rng.choice(SHARDS)
    elif which == 7:
        places[rng.choice(NAMES)] = places[key]
    elif which == 8:
        del places[key]
    else:
        tree["weight_map"] = rng.choice([dict.fromkeys(places, rng.choice(SHARDS)), *VALUES])


FIELDS_OF: dict[str, Callable[[random.Random, Tree], None]] = {
    "field of another value": _field,
    "number of a field": _number,
    "field left out": _removed,
    "type": _type,
    "patterns": _pattern,
}
INDEX = {"place in the index": _place}


def spoiled_text(rng: random.Random, content: bytes) -> bytes:
    """The same file, no longer JSON, or JSON that few expect."""
    text = content.decode()
    inner = text.strip()[1:-1] or '"x": 1'
    some = rng.randrange(max(1, len(content)))
    return rng.choice(
        [
            b"", b" ", b"\0" * 100, content[:some], content[some:], b"\xef\xbb\xbf" + content,
            text.encode("utf-16"), text.encode("utf-32"), b"\xff\xfe" + content, b"\x80" + content,
            content[:some] + bytes([rng.randrange(256)]) + content[some + 1 :],
            content[:some] + b"\xc3\x28" + content[some:], content + content, content + b"x",
            b"[" * 100_000, b'{"x":' * 100_000, b"[" * 500 + b"]" * 500, b"null", b"[]", b"3",
            b'"x"',
            f'{{{inner}, "r": {"9" * 5000}}}'.encode(), f'{{{inner}, "r": {"9" * 4000}}}'.encode(),
            f'{{{inner}, "lora_alpha": NaN}}'.encode(),
            f'{{{inner}, "lora_alpha": -Infinity}}'.encode(),
            f'{{{inner}, "lora_alpha": 1e999}}'.encode(), f'{{{inner}, "r": 1e3}}'.encode(),
            f'{{"r": 5, {inner}, "r": 3}}'.encode(), f'{{{inner}, {inner}}}'.encode(),
            f'{{{inner}, "x": {"[" * 900}{"]" * 900}}}'.encode(),
            f'{{{inner}, "rank_pattern": {"[" * 900}{"]" * 900}}}'.encode(),
            f"// comment\n{text}".encode(), text.replace('"', "'").encode(),
        ]
    )  # fmt: skip


def respelled_text(rng: random.Random, content: bytes) -> bytes:
    """The same JSON, in another order and with other spaces."""
    pairs = list(json.loads(content).items())
    rng.shuffle(pairs)
    return json.dumps(dict(pairs), indent=rng.choice((None, 1, 8))).encode()
