"""What a person reads: one offline page, a summary for a model card, and figures. No torch."""

from goniometer.report.build import FigureFormat, build
from goniometer.report.facts.index import Index
from goniometer.report.words.headline import headline
from goniometer.results import Results

__all__ = ["FigureFormat", "answer", "build"]


def answer(results: Results) -> str:
    """Say in one sentence which runs are one update and which are not."""
    return headline(Index(results))
