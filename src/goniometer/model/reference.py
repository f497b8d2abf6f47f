"""Which model a study names: where its folder lies, and what to call it."""

import importlib.resources
from pathlib import Path

from goniometer.deltas.hub import Located, hub_id, locate
from goniometer.errors import GoniometerError
from goniometer.model.gguf import converted

EMBEDDED = ("base", "teacher")
# What a tokenizer may be made of, besides the config and the weights.
_TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
)


def find(reference: str, *, weights: bool = True) -> Located:
    """Find the folder of a whole model: config, tokenizer and safetensors.

    Without `weights`, those of a repository of the Hub are not downloaded.

    | reference | what |
    |---|---|
    | `embedded:base`, `embedded:teacher` | they ship with goniometer |
    | `package:NAME` | the GGUF file in an installed package, converted once into the user's cache |
    | OWNER/NAME@REVISION | a repository of the Hub, downloaded, or found in the local cache |
    | anything else | a local folder |

    What exists here is never sent out, and nothing is without a revision.

    Returns:
        The folder, and the model's name: a Hub id with the commit that the revision stands for, a
        package with its version, else the reference itself.

    Raises:
        GoniometerError: no such model, package or folder, no config.json, no safetensors; as
            `locate` and `converted`.
    """
    kind, _, name = reference.partition(":")
    if kind == "embedded":
        found = _embedded(name)
    elif kind == "package":
        found = converted(name)
    elif "@" in reference and hub_id(reference) is not None:
        found = locate(reference, _TOKENIZER, weights=weights)
        if not weights:
            return found
    else:
        found = Located(Path(reference), reference)
    _require_whole(found)
    return found


def _embedded(name: str) -> Located:
    if name not in EMBEDDED:
        known = " or ".join(f"embedded:{name}" for name in EMBEDDED)
        raise GoniometerError("no such embedded model", found=f"embedded:{name}", expected=known)
    folder = importlib.resources.files("goniometer") / "embedded" / name
    return Located(Path(str(folder)), f"embedded:{name}")


def _require_whole(found: Located) -> None:
    folder = found.path
    try:
        names = {path.name for path in folder.iterdir()}
    except (OSError, ValueError):  # absent, no folder, a name that no file can have
        raise GoniometerError(
            "no such model folder",
            file=found.source,
            fix="name a folder, or a repository of the Hub with its revision, as owner/name@main: "
            "nothing is fetched without one",
        ) from None
    if "config.json" not in names:
        raise GoniometerError("no config.json", file=folder, expected="a folder with a whole model")
    if not any(name.endswith(".safetensors") for name in names):
        raise GoniometerError(
            "no safetensors weights", file=folder, fix="convert them: a pickle is not opened"
        )
