"""The items that all logs have, joined on what was asked and its answer key."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from goniometer.errors import GoniometerError
from goniometer.logs import Item, Log

COMMON = 0.9


@final
@dataclass(frozen=True)
class Joined:
    """Items by log, the same keys in the same order in each.

    Attributes:
        items: run -> key -> item; the key of a repeat ends in its epoch.
        clusters: key -> item, where some item was asked several times; else None.
        dropped: run -> items that not every log has.
    """

    items: dict[str, dict[str, Item]]
    clusters: dict[str, str] | None
    dropped: dict[str, int]


def join(logs: Mapping[str, Log], *, allow_partial: bool = False) -> Joined:
    """Join logs on their items' keys, and the epochs of an item on their numbers.

    Raises:
        GoniometerError: nothing is common, or less than COMMON of a log's items and partial
            overlap is not allowed.
    """
    keyed = {name: {_key(item): item for item in log.items} for name, log in logs.items()}
    first, *rest = keyed.values()
    common = [key for key in first if all(key in other for other in rest)]
    for name, items in keyed.items():
        if not common or (len(common) < COMMON * len(items) and not allow_partial):
            raise _too_few(name, len(common), logs)
    repeated = any(item.epoch > 1 for items in keyed.values() for item in items.values())
    return Joined(
        items={name: {key: items[key] for key in common} for name, items in keyed.items()},
        clusters={key: first[key].key for key in common} if repeated else None,
        dropped={name: len(items) - len(common) for name, items in keyed.items()},
    )


def _key(item: Item) -> str:
    return item.key if item.epoch == 1 else f"{item.key} epoch {item.epoch}"


def _too_few(name: str, common: int, logs: Mapping[str, Log]) -> GoniometerError:
    ids = [{item.id for item in log.items} for log in logs.values()]
    sources = {log.source for log in logs.values()}
    tasks = {log.task for log in logs.values()}
    if len({max(item.epoch for item in log.items) for log in logs.values()}) > 1:
        why = "the logs have different numbers of epochs"
    elif len(sources) > 1:
        why = f"logs of {' and '.join(sorted(sources))} name what was asked differently"
    elif len(tasks) > 1:
        why = f"the tasks are {', '.join(sorted(tasks))}"
    elif len(set.intersection(*ids)) >= COMMON * len(ids[0]):
        why = "the ids agree: questions or answer keys differ"
    else:
        why = "evaluate all on the same items"
    if common:
        why = f"{why}. --allow-partial compares what is common"
    return GoniometerError(
        "too few items that all logs have",
        file=name,
        found=f"{common} of {len(logs[name].items)}",
        expected=f"{COMMON:.0%}",
        fix=why,
    )
