"""Hypothesis for slow machines, equal examples in every run; the command line in this process."""

import sys
from collections.abc import Callable

import pytest
from hypothesis import settings

from goniometer import cli

settings.register_profile("goniometer", deadline=None, derandomize=True)
settings.load_profile("goniometer")

Command = Callable[..., tuple[int, str, list[str]]]


@pytest.fixture
def command(monkeypatch, capsys) -> Command:
    """Run the command line in this process: exit code, what it printed, its lines of error."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def run(*arguments: object) -> tuple[int, str, list[str]]:
        monkeypatch.setattr(sys, "argv", ["goniometer", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err.splitlines()

    return run
