"""Evaluation logs, alone: joined, compared in pairs, told in words and on a page. No torch.

sources.py  arguments of the command line to named, graded logs
join.py     the items that all logs have; refused where they are few
compare.py  accuracies and all pairs, as one document
words.py    the answer in one sentence, and rows of text
page.py     a folder: paired.json, summary.md and an offline page with a forest plot
"""

from goniometer.paired.compare import compare_logs
from goniometer.paired.page import write_paired
from goniometer.paired.sources import read_named

__all__ = ["compare_logs", "read_named", "write_paired"]
