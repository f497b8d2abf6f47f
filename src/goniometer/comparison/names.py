"""What runs are called. No torch."""

from collections.abc import Sequence
from os.path import exists  # which never raises
from pathlib import Path

from goniometer.errors import GoniometerError


def name_runs(arguments: Sequence[str], fewest: int = 2) -> dict[str, str]:
    """Name each run: `NAME=RUN` as it says, else by its folder; equal names get their parents'.

    Raises:
        GoniometerError: fewer than `fewest` runs, or one name for two of them.
    """
    if len(arguments) < fewest:
        raise GoniometerError("nothing to compare", found=f"{len(arguments)} run", expected="two")
    split = [_split_name(argument) for argument in arguments]
    parts = [_parts(run) for _, run in split]
    depths = [1] * len(split)

    def named() -> list[str]:
        return [name or "/".join(parts[i][-depths[i] :]) for i, (name, _) in enumerate(split)]

    for _ in range(max(map(len, parts))):
        names = named()
        depths = [d + (names.count(n) > 1) for d, n in zip(depths, names, strict=True)]
    names = named()
    for name in names:
        if names.count(name) > 1:
            raise GoniometerError(
                "two runs have one name", key=repr(name), fix="name them with NAME=PATH"
            )
    return {name: run for name, (_, run) in zip(names, split, strict=True)}


def _parts(run: str) -> tuple[str, ...]:
    """Parts of a path; what is not here, or no path at all, is refused when it is read."""
    return (Path(run).resolve() if exists(run) else Path(run)).parts  # noqa: PTH110


def _split_name(argument: str) -> tuple[str, str]:
    name, equals, rest = argument.partition("=")
    if equals and "/" not in name and not exists(argument):  # noqa: PTH110
        return name, rest
    return "", argument
