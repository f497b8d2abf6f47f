"""Study files: YAML in, the checked tree out; every fault with its file and key. No torch."""

import difflib
from pathlib import Path

import yaml
from pydantic import BaseModel, ValidationError

from goniometer.config import Arm, Study
from goniometer.errors import GoniometerError


def read_study(path: Path) -> Study:
    """Read and check a study file.

    Raises:
        GoniometerError: no such file, not YAML, a key that is unknown (the nearest one is
            named) or a value that cannot be; always with the file and the key.
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
        raise _explain(error, path) from None


def _explain(error: ValidationError, path: Path) -> GoniometerError:
    faults = error.errors()
    # A misspelt key also leaves its right name missing: the misspelling is what to show.
    first = next((fault for fault in faults if fault["type"] == "extra_forbidden"), faults[0])
    location = [str(part) for part in first["loc"]]
    key = ".".join(location)
    if first["type"] == "extra_forbidden":
        known = _known_keys([part for part in first["loc"][:-1] if isinstance(part, str)])
        near = difflib.get_close_matches(location[-1], known, n=1, cutoff=0.5)
        fix = f"did you mean {near[0]!r}?" if near else f"known keys are {', '.join(known)}"
        return GoniometerError("unknown key", file=path, key=key, fix=fix)
    if first["type"] == "missing":
        return GoniometerError("missing key", file=path, key=key)
    message = first["msg"].removeprefix("Value error, ")
    found = None if isinstance(first["input"], dict) else repr(first["input"])
    return GoniometerError(message, file=path, key=key or None, found=found)


def _known_keys(section: list[str]) -> list[str]:
    model: type[BaseModel] = Study
    for name in section:
        annotation = Arm if name == "arms" else model.model_fields[name].annotation
        candidates = getattr(annotation, "__args__", (annotation,))
        model = next(c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel))
    return list(model.model_fields)
