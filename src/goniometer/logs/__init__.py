"""What others' evaluations said: logs of single items, read without their tools. No torch.

log.py        Item and Log, what every reader gives; the content hash that items are joined on
opened.py     a file as rows, one document or a zip archive, whatever its name ends in
lm_eval.py    `samples_*.jsonl` of lm-evaluation-harness
inspect_ai.py logs of Inspect, `.json` and `.eval`
archive.py    members of a zip archive, Zstandard too
zeroeval.py   rows of `id`, `output`, `gold`: ungraded answers
generic.py    rows of an id and a score
grading.py    grades answers that a log holds without a score
read.py       which of these a file is

To add a format: write `logs/yours.py` with a function that recognises an opened file and one that
reads it into a Log, and add its line to FORMATS in read.py.
"""

from goniometer.logs.log import Item, Log, content_key
from goniometer.logs.read import FORMATS, read_log

__all__ = ["FORMATS", "Item", "Log", "content_key", "read_log"]
