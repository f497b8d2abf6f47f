"""KEY=VALUE texts, as options of a task or of a file's fields are given."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from goniometer.errors import GoniometerError


def key_values(texts: Sequence[str], option: str) -> dict[str, str]:
    """Take KEY=VALUE texts apart.

    Raises:
        GoniometerError: a text without an equals sign.
    """
    found = {}
    for text in texts:
        key, sign, value = text.partition("=")
        if not sign or not key:
            raise GoniometerError("no KEY=VALUE", key=option, found=repr(text))
        found[key] = value
    return found


def typed(values: Mapping[str, str]) -> dict[str, Any]:
    """Read each value as YAML does: numbers and truth values are what they look like."""
    try:
        return {key: yaml.safe_load(value) for key, value in values.items()}
    except yaml.YAMLError as error:
        raise GoniometerError(f"not a value: {error}", key="--option") from None
