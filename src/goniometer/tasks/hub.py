"""Rows of a data set: of the Hub, or a folder of data files, through the library `datasets`.

The only place of a task, and of foreign rollouts, that may use the network, and only for a name
that is not here. No code of a data set is run: `datasets` 4 dropped that.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from goniometer.errors import AbsentError, GoniometerError

# What `datasets` leaves in a folder that it wrote with save_to_disk.
_SAVED = ("state.json", "dataset_dict.json")


def dataset_rows(
    source: str, split: str, subset: str | None, *, streamed: bool = False
) -> Iterator[tuple[str, Any]]:
    """Yield each row of a split with its place, such as `train row 3`.

    Args:
        source: a folder of data files on this machine, or one that `datasets` saved, which is never
            sent out, or `owner/name@revision` of the Hub (`main` where no revision is given).
        split: such as `train`.
        subset: one of several; None where there is one.
        streamed: rows come as they are fetched, and nothing is held or written; else `datasets`
            keeps the whole in the user's cache first.

    Raises:
        GoniometerError: `datasets` is not installed, the source is neither, no such split or
            subset, or data that cannot be read, with the last row that could; AbsentError where it
            is not here and the Hub does not give it.
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
    number = 0
    try:
        if revision is None and any((Path(where) / name).is_file() for name in _SAVED):
            rows = _saved(datasets.load_from_disk(where), source, split, subset)
        else:
            rows = datasets.load_dataset(
                where, name=subset, split=split, revision=revision, streaming=streamed
            )
        for number, row in enumerate(rows, start=1):
            yield f"{split} row {number}", row
    except GoniometerError:
        raise
    except Exception as error:  # of the libraries that read files or the network, by version
        raise _refusal(error, source, number, of_hub=revision is not None) from None


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


def _saved(saved: Any, source: str, split: str, subset: str | None) -> Any:
    """Choose the split of what `datasets` saved; one that was saved alone has no name."""
    if subset is not None:
        raise GoniometerError("a saved data set has no subsets", file=source, found=repr(subset))
    if not isinstance(saved, dict):
        return saved
    if split not in saved:
        raise GoniometerError(
            "no such split", file=source, found=repr(split), expected=", ".join(saved)
        )
    return saved[split]


def _refusal(error: Exception, source: str, number: int, *, of_hub: bool) -> GoniometerError:
    reason = " ".join(str(error).split())[:300] or type(error).__name__
    place = f"after row {number}" if number else None
    if of_hub and _unreachable(error):
        return AbsentError(
            f"the Hub does not give this data set: {reason}",
            file=source,
            key=place,
            fix="download it, and name its files or their folder in its place",
        )
    return GoniometerError(f"cannot be read as a data set: {reason}", file=source, key=place)


def _unreachable(error: Exception) -> bool:
    """Whether the network, or the Hub, said no: not the content."""
    from huggingface_hub.errors import HfHubHTTPError

    names = {kind.__name__ for kind in type(error).__mro__}
    return isinstance(error, OSError | HfHubHTTPError) or bool(
        names & {"DatasetNotFoundError", "TransportError"}
    )
