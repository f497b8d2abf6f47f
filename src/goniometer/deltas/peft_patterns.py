"""Patterns of a configuration, `rank_pattern` and `alpha_pattern`: regular expressions of anybody.

An engine that backtracks can take for ever, so that they are matched under a limit of time.
"""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, final

import regex

from goniometer.errors import GoniometerError

T = TypeVar("T")
# Seconds for one pattern and for all slow ones; what a plain one never takes; characters of one.
_SECONDS, _SLOW, _LONGEST = 1.0, 1e-2, 2000


@final
@dataclass
class Patterns:
    """Looks modules up in the patterns of one folder; `spent` is the time that slow ones took."""

    file: Path
    spent: float = 0.0

    def find(self, patterns: Mapping[str, T] | None, module: str, key: str, default: T) -> T:
        """Look a module up as PEFT's `get_pattern_key` does: the first pattern to match a suffix.

        Raises:
            GoniometerError: a pattern is no regular expression, or they take for ever.
        """
        for expression, value in (patterns or {}).items():
            try:
                if self._matches(expression, module):
                    return value
            except (re.error, regex.error, ValueError, RecursionError, OverflowError) as error:
                why = f"not a regular expression: {error}"
            except TimeoutError:
                why = f"regular expressions that take more than {_SECONDS} s"
            else:
                continue
            raise GoniometerError(why, file=self.file, key=f"{key}.{expression[:200]}")
        return default

    def _matches(self, expression: str, module: str) -> bool:
        start = time.thread_time()
        found = bool(_suffix(expression).match(module, timeout=_SECONDS))
        took = time.thread_time() - start
        self.spent += took if took > _SLOW else 0.0
        if self.spent > _SECONDS:
            raise TimeoutError
        return found


@lru_cache(1 << 14)
def _suffix(expression: str) -> Any:
    if len(expression) > _LONGEST:
        raise ValueError(f"{len(expression)} characters")
    # What `re` refuses PEFT never matched: recursion, which takes memory without end.
    re.compile(rf"(.*\.)?({expression})$")
    return regex.compile(rf"(.*\.)?({expression})$")
