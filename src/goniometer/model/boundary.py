"""How transformers is asked: from local files alone, refusals in one line, its bars off."""

from collections.abc import Iterator
from contextlib import contextmanager

from transformers.utils import logging

from goniometer.errors import GoniometerError, out_of_memory

LOCAL = {"local_files_only": True, "trust_remote_code": False}


@contextmanager
def refused(where: object) -> Iterator[None]:
    """Say in one line what transformers finds wrong with somebody's model; memory is no fault."""
    try:
        yield
    except Exception as error:  # of whatever type
        if out_of_memory(error):
            raise
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise GoniometerError(f"cannot be loaded: {reason}", file=where) from error


@contextmanager
def no_progress_bars() -> Iterator[None]:
    """Keep transformers' own bars off the terminal, which has ours."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
