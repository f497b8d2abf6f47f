"""Values between the two sides of a sandbox: lines of JSON, each value under a tag of its type.

Only plain values go over: None, booleans, text, numbers, bytes, ranges, and lists, tuples, sets and
dictionaries of these. A value of a subclass goes as its plain type, an iterator as an iterator over
its first values. What is none of these stays with the program, and a `Handle` stands for it.
Nothing is ever executed to read a value, as it would be with pickle.
"""

import itertools
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, BinaryIO, NoReturn, final

LONGEST = 8 * 2**20  # bytes of one line
MOST_ITERATED = 10_000


class UncarriedError(Exception):
    """The tests want something of the program that cannot be had as a plain value."""


@final
class Handle:
    """An object that stays with the program: it can be handed back, and equals only itself."""

    __slots__ = ("number",)
    number: int

    def __init__(self, number: int) -> None:
        """Take the number by which the program knows the object."""
        object.__setattr__(self, "number", number)

    def __getattr__(self, name: str) -> NoReturn:
        """Refuse: attributes are not carried."""
        raise UncarriedError(f"the tests read {name!r} of an object of the program")

    def __setattr__(self, name: str, value: object) -> NoReturn:
        """Refuse: attributes are not carried."""
        raise UncarriedError(f"the tests set {name!r} of an object of the program")


def send(descriptor: int, message: Any) -> None:
    """Write one line."""
    line = memoryview(json.dumps(message).encode() + b"\n")
    while line:
        line = line[os.write(descriptor, line) :]


def receive(stream: BinaryIO) -> Any:
    """Read one line; raise EOFError where there is no more, ValueError where it is no message."""
    line = stream.readline(LONGEST)
    if not line.endswith(b"\n"):
        raise ValueError("a line too long") if line else EOFError
    return json.loads(line)


def encoded(value: Any, keep: Callable[[Any], int]) -> Any:
    """Write a value as what JSON can hold; `keep` numbers what is not plain, or refuses it."""
    if value is None or isinstance(value, bool | str):
        return value
    for kind, write in _SCALARS_OUT.items():
        if isinstance(value, kind):
            return [kind.__name__, *write(value)]
    for kind, values in _COLLECTIONS_OUT.items():
        if isinstance(value, kind):
            return [kind.__name__.lower(), [encoded(one, keep) for one in values(value)]]
    return ["handle", value.number if isinstance(value, Handle) else keep(value)]


def decoded(message: Any, known: Callable[[int], Any]) -> Any:
    """Read what `encoded` wrote; `known` gives the object of a number. ValueError on all else."""
    if message is None or isinstance(message, bool | str):
        return message
    try:
        tag, *content = message
        if tag == "handle":
            return known(content[0])
        if tag in _COLLECTIONS_IN:
            return _COLLECTIONS_IN[tag]([decoded(one, known) for one in content[0]])
        return _SCALARS_IN[tag](*content)
    except (TypeError, ValueError, LookupError) as error:
        raise ValueError(f"not a value: {error}") from None


_SCALARS_OUT: Mapping[type, Callable[[Any], Iterable[str]]] = {
    int: lambda value: [hex(value)],  # no limit on digits, and linear
    float: lambda value: [float.hex(value)],
    complex: lambda value: [value.real.hex(), value.imag.hex()],
    bytes: lambda value: [value.hex()],
    bytearray: lambda value: [value.hex()],
    range: lambda value: map(hex, (value.start, value.stop, value.step)),
}
_SCALARS_IN: Mapping[str, Callable[..., Any]] = {
    "int": lambda digits: int(digits, 16),
    "float": float.fromhex,
    "complex": lambda real, imag: complex(float.fromhex(real), float.fromhex(imag)),
    "bytes": bytes.fromhex,
    "bytearray": bytearray.fromhex,
    "range": lambda *ends: range(*(int(end, 16) for end in ends)),
}
_COLLECTIONS_OUT: Mapping[type, Callable[[Any], Iterable[Any]]] = {
    list: iter,
    tuple: iter,
    set: iter,
    frozenset: iter,
    dict: dict.items,
    Iterator: lambda value: itertools.islice(value, MOST_ITERATED),
}
_COLLECTIONS_IN: Mapping[str, Callable[[list[Any]], Any]] = {
    "list": list,
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "dict": dict,
    "iterator": iter,
}
