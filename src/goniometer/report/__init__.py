"""What a person reads: one offline page, a summary for a model card, and figures. No torch."""

from goniometer.report.build import build

__all__ = ["build"]
