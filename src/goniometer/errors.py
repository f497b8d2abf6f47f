"""The one exception a user is meant to see: bad input, said in one line."""

_LONGEST = 2000


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
        where = ": ".join(str(part) for part in (file, key) if part is not None)
        line = f"{where}: {message}" if where else message
        if found is not None:
            line += f"; found {found}"
        if expected is not None:
            line += f", expected {expected}" if found is not None else f"; expected {expected}"
        if fix is not None:
            line += f". {fix[0].upper()}{fix[1:]}"
        super().__init__(_printable(" ".join(line[:_LONGEST].split())))


def _printable(line: str) -> str:
    """Escape what would move a terminal's cursor, turn the text round or not be encoded."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
