"""The whole document, `results.json`: written, read, refused, and its JSON Schema."""

import json
from pathlib import Path
from typing import Final, Literal

from pydantic import ValidationError

from goniometer.errors import GoniometerError
from goniometer.results.behaviour import Behaviour
from goniometer.results.geometry import Comparison
from goniometer.results.study import StudyResults
from goniometer.results.trajectory import Trajectory
from goniometer.results.values import Frozen

# Any change of a field is a new version: readers refuse fields that they do not know.
SCHEMA_VERSION: Final = 4


class Results(Frozen):
    """The whole document, `results.json`."""

    schema_version: Literal[4] = SCHEMA_VERSION
    title: str
    versions: dict[str, str]
    comparison: Comparison
    trajectories: tuple[Trajectory, ...] = ()
    behaviour: Behaviour | None = None  # where the model and texts were given
    study: StudyResults | None = None


def to_json(results: Results) -> str:
    """Serialise in the order of the fields, so that equal results are equal bytes."""
    return results.model_dump_json(indent=1) + "\n"


def results_folder(folder: Path) -> Path:
    """Where results.json lies: in a folder that `compare` wrote, or in a study's report/.

    Raises:
        GoniometerError: in neither.
    """
    for found in (folder, folder / "report"):
        if (found / "results.json").is_file():
            return found
    raise GoniometerError(
        "no results here",
        file=folder,
        expected="results.json, in it or in its report/",
        fix="name the folder that compare or study wrote",
    )


def read_results(path: Path) -> Results:
    """Read a `results.json`; raise GoniometerError where it is absent or not of this schema."""
    if not path.is_file():
        raise GoniometerError("no such file", file=path, fix="name the folder that a run wrote")
    text = path.read_bytes()
    _require_version(path, text)
    try:
        return Results.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        raise GoniometerError(
            first["msg"],
            file=path,
            key=".".join(map(str, first["loc"])),
            expected=f"results of schema version {SCHEMA_VERSION}",
        ) from None


def _require_version(path: Path, text: bytes) -> None:
    try:
        found = json.loads(text)
    except ValueError:
        return  # said by the validation
    version = found.get("schema_version") if isinstance(found, dict) else None
    if version != SCHEMA_VERSION:
        raise GoniometerError(
            "written by another version of goniometer",
            file=path,
            key="schema_version",
            found=version,
            expected=SCHEMA_VERSION,
            fix="write it again with this one, or read it with that one",
        )


def json_schema() -> str:
    """Return the JSON Schema of `results.json` (draft 2020-12), with sorted keys."""
    schema = Results.model_json_schema(mode="serialization")
    schema["required"] = ["schema_version", *schema["required"]]
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:goniometer:results:{SCHEMA_VERSION}",
    }
    return json.dumps(head | schema, sort_keys=True, indent=1) + "\n"
