"""Study files: YAML in, the checked tree out; every fault with its file and key. No torch."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from goniometer.config import Arm, Study
from goniometer.errors import Faults, GoniometerError
from goniometer.options import meant, messages, nearest


def read_study(path: Path) -> Study:
    """Read and check a study file.

    Raises:
        GoniometerError: no such file, not YAML, or all faults at once, with the file and the key:
            keys that are unknown (the nearest one is named), then values that cannot be.
    """
    tree = _tree(path)
    try:
        return Study.model_validate(tree)
    except ValidationError as error:
        faults = Faults()
        faults.found += _explain(error, path)
        faults.raise_any()
        raise  # not reached: a ValidationError has one fault at least


@final
@dataclass(frozen=True)
class Rest:
    """What is left of a faulty study: it can be asked what else is wrong.

    Attributes:
        study: with defaults in place of what was faulty.
        removed: those keys.
    """

    study: Study
    removed: tuple[str, ...]

    def of_the_file(self, fault: GoniometerError) -> bool:
        """Whether a fault of the rest is one of the file, and not of a default in its place."""
        # A section's name is a word, too: what is looked for is a key within it.
        keys = [re.escape(key) + (r"(?!\w)" if "." in key else r"\.\w") for key in self.removed]
        return not any(re.search(rf"(?<![\w./]){key}", str(fault)) for key in keys)


# Where one of these is at fault, what is left is another study: its faults would not be the file's.
_DECIDING = re.compile(
    r"models(\.(base|base_config|teacher).*)?|task.*|rollouts(\.file)?|arms(\.\d+)?(\.regime)?"
)


def without_faults(path: Path) -> Rest | None:
    """Read a faulty study file without its faulty keys; None where it cannot do without them."""
    removed: list[str] = []
    try:
        tree = _tree(path)
    except GoniometerError:
        return None
    while True:
        try:
            return Rest(Study.model_validate(tree), tuple(removed))
        except ValidationError as error:
            found = {key for fault in _faults(error) for key in _at_fault(fault)}
        keys = [key for key in found if not any(key[:end] in found for end in range(len(key)))]
        if any(not _remove(tree, key) for key in keys):
            return None
        removed += [".".join(map(str, key)) for key in keys]


def _at_fault(fault: ErrorDetails) -> Iterator[tuple[str | int, ...]]:
    """Yield the keys without which a fault is gone: of what is missing, the section it is in."""
    place = fault["loc"]
    if not place:  # keys that do not go together, named by ourselves
        for message in messages(fault):
            yield tuple(message.partition(":")[0].split("."))
        return
    if fault["type"] == "missing":
        yield place[:-1]
        return
    # A list is left out whole, but for the arms.
    start = 2 if place[0] == "arms" else 0
    ends = [i for i in range(start, len(place)) if isinstance(place[i], int)]
    yield place[: min(ends, default=len(place))]


def _remove(tree: Any, key: tuple[str | int, ...]) -> bool:
    """Take a key out of the tree; False where the rest would be no study, or another one."""
    if not key or _DECIDING.fullmatch(".".join(map(str, key))):
        return False
    *section, last = key
    for part in section:
        known = isinstance(tree, dict) and part in tree
        listed = isinstance(tree, list) and isinstance(part, int) and part < len(tree)
        if not known and not listed:
            return False
        tree = tree[part]
    if not isinstance(tree, dict) or last not in tree:
        return False
    del tree[last]
    return True


def _tree(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise GoniometerError("no such study file", file=path)
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}" if mark else None
        problem = getattr(error, "problem", None) or "not UTF-8 text"
        raise GoniometerError(f"not valid YAML: {problem}", file=path, key=line) from None
    if not isinstance(tree, dict):
        raise GoniometerError(
            "not a study",
            file=path,
            found=type(tree).__name__,
            expected="keys such as name and arms",
        )
    return tree


def _faults(error: ValidationError) -> list[ErrorDetails]:
    # Pydantic names the branch of a union that it took, which is no key of the file.
    return [
        fault | {"loc": tuple(part for part in fault["loc"] if not str(part).startswith("<"))}
        for fault in error.errors()
    ]


def _explain(error: ValidationError, path: Path) -> Iterator[GoniometerError]:
    faults = _faults(error)
    misspelt = [fault for fault in faults if fault["type"] == "extra_forbidden"]
    right_names = set()
    for fault in misspelt:
        *section, key = map(str, fault["loc"])
        known = _known_keys([part for part in fault["loc"][:-1] if isinstance(part, str)])
        right_names.add((*section, meant(key, known)))
        at = ".".join((*section, key))
        yield GoniometerError("unknown key", file=path, key=at, fix=nearest(key, known))
    for fault in faults:
        location = tuple(map(str, fault["loc"]))
        # A misspelt key also leaves its right name missing: the misspelling is what to show.
        if fault in misspelt or (fault["type"] == "missing" and location in right_names):
            continue
        where = ".".join(location) or None
        if fault["type"] == "missing":
            yield GoniometerError("missing key", file=path, key=where)
            continue
        found = None if isinstance(fault["input"], dict) else repr(fault["input"])
        for message in messages(fault):
            yield GoniometerError(message, file=path, key=where, found=found)


def _known_keys(section: list[str]) -> list[str]:
    model: type[BaseModel] = Study
    for name in section:
        annotation = Arm if name == "arms" else model.model_fields[name].annotation
        candidates = getattr(annotation, "__args__", (annotation,))
        bare = [getattr(candidate, "__origin__", candidate) for candidate in candidates]
        model = next(c for c in bare if isinstance(c, type) and issubclass(c, BaseModel))
    return list(model.model_fields)
