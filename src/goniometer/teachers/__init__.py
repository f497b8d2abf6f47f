"""Who writes the rollouts: a model of this process, one that vLLM runs, or one behind a URL.

To add a teacher, write a frozen class with the members of `base.Teacher` in a file of its own, a
line in TEACHERS, and how `models.teacher` names it in `kind_of`. One whose draws each stand alone
takes `base.draws` for their seeds and keys; each asks through `base.answered`, which keeps what
comes. One whose tokens are its own names its `language`: the base must have the same vocabulary.
"""

from collections.abc import Callable, Mapping
from typing import Literal

from goniometer.config import Models, Server
from goniometer.errors import GoniometerError
from goniometer.model import LanguageModel
from goniometer.teachers.base import Completion, Kept, Teacher
from goniometer.teachers.journal import Journal, journal
from goniometer.teachers.server import ServerTeacher, require_server
from goniometer.teachers.transformers import TransformersTeacher
from goniometer.teachers.vllm import VllmTeacher, open_vllm, require_vllm

__all__ = [
    "TEACHERS",
    "Completion",
    "Journal",
    "Kept",
    "ServerTeacher",
    "Teacher",
    "TransformersTeacher",
    "VllmTeacher",
    "journal",
    "kind_of",
    "open_teacher",
    "reference_of",
    "require_server",
    "require_vllm",
]

BASE = "base"
Kind = Literal["transformers", "vllm", "server"]
Load = Callable[[str], LanguageModel]
_VLLM = "vllm:"


def kind_of(named: str | Server) -> Kind:
    """Say which row of TEACHERS a study's teacher is."""
    if isinstance(named, Server):
        return "server"
    return "vllm" if named.startswith(_VLLM) else "transformers"


def reference_of(named: str | Server) -> str | None:
    """Return the model that `find` is to find; None where there is none but the base, or a URL."""
    if isinstance(named, Server) or named == BASE:
        return None
    return named.removeprefix(_VLLM)


def open_teacher(models: Models, base: LanguageModel, load: Load) -> Teacher:
    """Open the teacher of a study.

    Args:
        models: the study's.
        base: its base, as it is trained on.
        load: loads a model by its reference, on the study's device and in its precision.

    Raises:
        GoniometerError: as `load`, `find` and `skeleton`.
    """
    return TEACHERS[kind_of(models.teacher)](models, base, load)


def _transformers(models: Models, base: LanguageModel, load: Load) -> Teacher:
    reference = reference_of(models.teacher)
    return TransformersTeacher(base if reference is None else load(reference))


def _vllm(models: Models, base: LanguageModel, load: Load) -> Teacher:
    return open_vllm(reference_of(models.teacher) or "", models.dtype)


def _server(models: Models, base: LanguageModel, load: Load) -> Teacher:
    if not isinstance(models.teacher, Server):
        raise GoniometerError("not a server", key="models.teacher", found=models.teacher)
    return ServerTeacher(models.teacher, base)


TEACHERS: Mapping[Kind, Callable[[Models, LanguageModel, Load], Teacher]] = {
    "transformers": _transformers,
    "vllm": _vllm,
    "server": _server,
}
