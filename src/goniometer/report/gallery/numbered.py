"""Charts that come several at once: hung under one name and a number each."""

from collections.abc import Iterable

from goniometer.report.charts.chart import Chart


def hang_numbered(hung: dict[str, Chart], name: str, drawn: Iterable[Chart]) -> tuple[str, ...]:
    """Add `drawn` as name-0, name-1 and so on; give these names."""
    named = {f"{name}-{i}": chart for i, chart in enumerate(drawn)}
    hung |= named
    return tuple(named)
