"""Study files: YAML in, the checked tree out; every fault with its file and key. No torch."""

from collections.abc import Iterator
from pathlib import Path

import yaml
from pydantic import BaseModel, ValidationError

from goniometer.config import Arm, Study
from goniometer.errors import Faults, GoniometerError
from goniometer.options import meant, messages, nearest


def read_study(path: Path) -> Study:
    """Read and check a study file.

    Raises:
        GoniometerError: no such file, not YAML, or all faults at once, with the file and the key:
            keys that are unknown (the nearest one is named), then values that cannot be.
    """
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
    try:
        return Study.model_validate(tree)
    except ValidationError as error:
        faults = Faults()
        faults.found += _explain(error, path)
        faults.raise_any()
        raise  # not reached: a ValidationError has one fault at least


def _explain(error: ValidationError, path: Path) -> Iterator[GoniometerError]:
    # Pydantic names the branch of a union that it took, which is no key of the file.
    faults = [
        fault | {"loc": tuple(part for part in fault["loc"] if not str(part).startswith("<"))}
        for fault in error.errors()
    ]
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
