"""Rows of a data set: of the Hub, or a folder of data files, through the library `datasets`.

The only place of a task that may use the network, and only for a name that is not here. No code of
a data set is run: `datasets` 4 dropped that.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from goniometer.errors import AbsentError, GoniometerError


def dataset_rows(source: str, split: str, subset: str | None) -> Iterator[tuple[str, Any]]:
    """Yield each row of a split with its place, such as `train row 3`.

    Args:
        source: a folder of data files on this machine, which is never sent out, or
            `owner/name@revision` of the Hub (`main` where no revision is given), kept in the
            user's cache by `datasets`.
        split: such as `train`.
        subset: one of several; None where there is one.

    Raises:
        GoniometerError: `datasets` is not installed, the source is neither, no such split or
            subset, or data that cannot be read; AbsentError where it is not here and the Hub does
            not give it.
    """
    try:
        import datasets
    except ImportError:
        raise GoniometerError(
            "data sets are read by the library datasets, which is not installed",
            file=source,
            fix="pip install 'goniometer[datasets]'",
        ) from None
    where, revision = _located(source)
    try:
        rows = datasets.load_dataset(where, name=subset, split=split, revision=revision)
    except Exception as error:  # of the libraries that read files or the network, by version
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        if revision is not None and _unreachable(error):
            raise AbsentError(
                f"the Hub does not give this data set: {reason}",
                file=source,
                fix="give its files as file and test_file, or a folder of them as source",
            ) from None
        raise GoniometerError(f"cannot be read as a data set: {reason}", file=source) from None
    for number, row in enumerate(rows, start=1):
        yield f"{split} row {number}", row


def on_hub(source: str) -> bool:
    """Say whether a source is to be asked of the Hub: it is not here, and reads like a name."""
    from goniometer.deltas.hub import hub_id

    return hub_id(source) is not None


def _located(source: str) -> tuple[str, str | None]:
    """Give what `load_dataset` takes: a folder and None, or a name and its revision."""
    from goniometer.deltas.hub import hub_id

    asked = hub_id(source)
    if asked is None:
        if not Path(source).is_dir():
            raise AbsentError(
                "no such folder of data files", file=source,
                expected="a folder, or owner/name@revision of the Hub",
            )  # fmt: skip
        return str(Path(source).absolute()), None
    if asked.folder:
        raise GoniometerError(
            "a data set is named without a folder", file=source, expected="owner/name@revision"
        )
    return asked.repo, asked.revision


def _unreachable(error: Exception) -> bool:
    """Whether the network, or the Hub, said no: not the content."""
    from huggingface_hub.errors import HfHubHTTPError

    names = {kind.__name__ for kind in type(error).__mro__}
    return isinstance(error, OSError | HfHubHTTPError) or bool(
        names & {"DatasetNotFoundError", "TransportError"}
    )
