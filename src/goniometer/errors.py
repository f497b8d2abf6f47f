"""The one exception a user is meant to see: bad input, said in one line."""

_LONGEST = 500  # characters of each part


class GoniometerError(Exception):
    """Input that cannot be used: file, key, what was found, what was expected, what to do.

    The command line prints it as one line and exits with code 2. Anything else that
    reaches the user as a traceback is a bug.
    """

    def __init__(
        self,
        message: str,
        *,
        file: object = None,
        key: str | None = None,
        found: object = None,
        expected: object = None,
        fix: str | None = None,
    ) -> None:
        """Compose the line from its parts; every part but the message may be absent."""
        where = ": ".join(_short(part) for part in (file, key) if part is not None)
        line = f"{where}: {_short(message)}" if where else _short(message)
        if found is not None:
            line += f"; found {_short(found)}"
        if expected is not None:
            line += f"{',' if found is not None else ';'} expected {_short(expected)}"
        if fix is not None:
            line += f". {fix[0].upper()}{fix[1:]}"
        super().__init__(_printable(" ".join(line.split())))


def _short(part: object) -> str:
    text = str(part)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _printable(line: str) -> str:
    """Escape what would move a terminal's cursor, turn the text round or not be encoded."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
