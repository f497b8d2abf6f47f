"""Options as a file gives them, made into the dataclass whose fields they are. No torch."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from goniometer.errors import AbsentError, Faults, GoniometerError, GoniometerErrors

Kind = TypeVar("Kind")


def from_options(kind: type[Kind], options: Mapping[str, object], where: str, key: str) -> Kind:
    """Make a dataclass from its options; what is absent has its default.

    Args:
        kind: the dataclass; its fields are the options.
        options: values by the name of a field.
        where: what to call the place of these options in an error, such as `study.yaml: arms.2`.
        key: what the options' names stand under there, such as `options`.

    Raises:
        GoniometerError: all faults at once: options that are unknown (the nearest known one is
            named) or missing, values of the wrong type or out of range, options that do not go
            together.
    """
    faults = Faults()
    known = [field.name for field in fields(kind) if field.init]  # type: ignore[arg-type]
    for name in options:
        if name not in known:
            fix = nearest(name, known) if known else "it has no options"
            faults.found.append(
                GoniometerError("unknown option", file=where, key=f"{key}.{name}", fix=fix)
            )
    given = {name: value for name, value in options.items() if name in known}
    with faults.collected():
        made = _validated(kind, given, where, key)
    faults.raise_any()
    return made


def require(kind: Any, value: object, key: str) -> None:
    """Require a value that a type with its limits takes, as a study file's section would.

    Raises:
        GoniometerError: the first fault, in the words of a study file.
    """
    try:
        TypeAdapter(kind).validate_python(value, strict=True)
    except ValidationError as error:
        fault = error.errors()[0]
        raise GoniometerError(messages(fault)[0], key=key, found=repr(value)) from None


def messages(fault: ErrorDetails) -> tuple[str, ...]:
    """What pydantic found, in our own words where a validator of ours found it."""
    found: tuple[str, ...] = getattr(fault.get("ctx", {}).get("error"), "args", (fault["msg"],))
    return found


def meant(word: str, known: Sequence[str]) -> str | None:
    """Return the known word that is nearest to this one; None where they share too little."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return near[0] if near else None


def nearest(word: str, known: Sequence[str]) -> str:
    """Say which known word was meant, or all of them where none is near: the `fix` of an error."""
    near = meant(word, known)
    return f"did you mean {near!r}?" if near is not None else f"known are {', '.join(known)}"


def _validated(kind: type[Kind], options: dict[str, object], where: str, key: str) -> Kind:
    try:
        return TypeAdapter(kind).validate_python(options)
    except ValidationError as error:
        raise GoniometerErrors(
            GoniometerError(
                fault["msg"],
                file=where,
                key=".".join((key, *map(str, fault["loc"][:1]))),
                found=None if fault["type"] == "missing" else repr(fault["input"]),
            )
            for fault in error.errors()
        ) from None
    except GoniometerError as error:
        kind_of_error = AbsentError if isinstance(error, AbsentError) else GoniometerError
        raise kind_of_error(str(error), file=where, key=key) from None
