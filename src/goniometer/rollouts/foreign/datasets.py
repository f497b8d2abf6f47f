"""Records of a data set: of the Hub, or a folder of data files, through the library `datasets`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from goniometer.deltas.hub import HubId
from goniometer.errors import GoniometerError


def dataset_records(
    reference: str, asked: HubId | None, split: str, subset: str | None
) -> Iterator[tuple[str, Any]]:
    """Yield each record of a split with its place, as they come: nothing is held or written.

    Args:
        reference: what the user named, for errors and for a folder.
        asked: the repository and its revision; None for a folder on this machine.
        split: such as `train`.
        subset: one of several; None where there is one.

    Raises:
        GoniometerError: `datasets` is not installed, no such data set, split or subset, or the Hub
            cannot be reached.
    """
    try:
        import datasets
    except ImportError:
        raise GoniometerError(
            "a data set is read by the library datasets, which is not installed",
            file=reference,
            fix="pip install 'goniometer[datasets]'",
        ) from None
    number = 0
    try:
        rows = _opened(datasets, reference, asked, split, subset)
        for number, record in enumerate(rows, start=1):
            yield f"{split} row {number}", record
    except GoniometerError:
        raise
    except Exception as error:  # of the libraries that read files or the network, by version
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise GoniometerError(
            f"cannot be read as a data set: {reason}", file=reference,
            key=f"after row {number}" if number else None,
        ) from None  # fmt: skip


def _opened(
    datasets: Any, reference: str, asked: HubId | None, split: str, subset: str | None
) -> Any:
    folder = Path(reference)
    if asked is None and any((folder / f).is_file() for f in ("state.json", "dataset_dict.json")):
        saved = datasets.load_from_disk(str(folder))
        if not isinstance(saved, datasets.DatasetDict):
            return saved
        if split not in saved:
            raise GoniometerError(
                "no such split", file=reference, found=repr(split), expected=", ".join(saved)
            )
        return saved[split]
    where = str(folder.absolute()) if asked is None else asked.repo
    revision = None if asked is None else asked.revision
    return datasets.load_dataset(where, name=subset, split=split, revision=revision, streaming=True)
