"""What the docstring of an objective says of its options is what the code holds them to."""

import inspect
import re
from dataclasses import MISSING, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

import annotated_types
import pytest
from pydantic.fields import FieldInfo

from goniometer.config import Usual
from goniometer.objectives import OBJECTIVES

OPTIONS = [
    (name, field.name) for name, kind in OBJECTIVES.items() for field in fields(kind) if field.init
]
BOUNDS = (
    (annotated_types.Gt, "gt", "above"),
    (annotated_types.Ge, "ge", "at least"),
    (annotated_types.Lt, "lt", "below"),
    (annotated_types.Le, "le", "at most"),
)


def said(name: str, option: str) -> str:
    """The entry of an option in the docstring, in one line and in small letters."""
    text = inspect.getdoc(OBJECTIVES[name]).split("Attributes:\n")[1].split("\n\n")[0]
    entries = re.split(r"^    (?=\w+: )", text, flags=re.MULTILINE)
    (entry,) = [entry for entry in entries if entry.startswith(f"{option}: ")]
    return " ".join(entry.lower().split())


def holds(entry: str, words: str) -> bool:
    """Whether it says these words, the number at their end not being the start of a longer one."""
    return re.search(rf"{re.escape(words.lower())}(?!\.?\d)", entry) is not None


def parts_of(annotation: Any) -> list[object]:
    """The metadata of an annotation, also within `... | None`, those of a FieldInfo among them."""
    found: list[object] = []
    for part in getattr(annotation, "__metadata__", ()):
        found += part.metadata if isinstance(part, FieldInfo) else [part]
    return found + [one for inner in get_args(annotation) for one in parts_of(inner)]


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_default_and_range_are_said(name: str, option: str):
    kind, entry = OBJECTIVES[name], said(name, option)
    annotation = get_type_hints(kind, include_extras=True)[option]
    (default,) = [field.default for field in fields(kind) if field.name == option]
    assert default is not MISSING
    if get_origin(annotation) is Literal:
        assert f"default `{default}`" in entry
        assert all(f"`{choice}`" in entry for choice in get_args(annotation))
    elif default is not None:
        assert holds(entry, f"default {default}")
    for part in parts_of(annotation):
        for bound, attribute, words in BOUNDS:
            if isinstance(part, bound):
                limit = getattr(part, attribute)
                whole = (words, limit) == ("above", 0) and isinstance(default, int)
                assert holds(entry, "at least 1" if whole else f"{words} {limit}")
        if isinstance(part, Usual):
            assert holds(entry, f"usually {part.low:g} to {part.high:g}")


def test_every_entry_is_an_option():
    for name, kind in OBJECTIVES.items():
        doc = inspect.getdoc(kind)
        if "Attributes:\n" in doc:
            entries = doc.split("Attributes:\n")[1].split("\n\n")[0]
            named = re.findall(r"^    (\w+): ", entries, flags=re.MULTILINE)
            assert sorted(named) == sorted(option for owner, option in OPTIONS if owner == name)
