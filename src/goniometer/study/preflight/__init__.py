"""Whether a study can work, asked before any of its work, with all faults at once.

A check is a small function that raises GoniometerError; it needs headers only: settings, configs,
tokenizers, prompts, rows of a file. To add one, write it beside its like and call it in
`examine`.
"""

from pathlib import Path

from goniometer.config import Study
from goniometer.study.preflight.examine import Examined, examine
from goniometer.study.preflight.rollouts import check_rollouts

__all__ = ["Examined", "check_rollouts", "examine", "preflight"]


def preflight(study: Study, out: Path) -> Examined:
    """Require that a study can work as far as can be seen; nothing is written, no weights read.

    Raises:
        GoniometerError: every fault that was found, and everything that is not here.
    """
    found = examine(study, out, fetch=True)
    found.faults.found += found.absent.found
    found.faults.raise_any()
    return found
