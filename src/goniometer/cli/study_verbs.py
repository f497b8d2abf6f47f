"""Verbs of a study: `study`, whole or planned, and the stages that it stops after."""

from pathlib import Path
from typing import Annotated

import typer

StudyFile = Annotated[Path, typer.Argument(help="A study, such as examples/arithmetic.yaml.")]
RunFolder = Annotated[
    Path | None,
    typer.Option("--out", "-o", help="Run folder; [dim]runs/NAME[/dim] by the study's name."),
]


def study(
    study_file: StudyFile,
    out: RunFolder = None,
    plan: Annotated[
        bool,
        typer.Option(
            "--plan", help="Do nothing; print the cells, the work, memory, disk and hours."
        ),
    ] = False,
    measure: Annotated[
        bool,
        typer.Option(
            "--measure/--no-measure",
            help="With --plan, time a few steps of the model, where it is here, for the hours.",
        ),
    ] = True,
    flops: Annotated[
        float | None,
        typer.Option(
            "--flops",
            metavar="GFLOPS",
            help="With --plan, the speed of steps in GFLOP/s, for hours on another machine.",
        ),
    ] = None,
    tokens_per_second: Annotated[
        float | None,
        typer.Option("--tokens-per-second", help="Beside --flops: tokens written a second."),
    ] = None,
) -> None:
    """Run a whole study: rollouts, training, evaluation, geometry, statistics, report.

    It resumes: what is finished in the run folder is not done again. What cannot work is said
    before any work, all faults at once.

    [bold]Examples[/bold]

    goniometer study examples/arithmetic.yaml

    goniometer study examples/paper.yaml --plan

    goniometer study examples/qwen3-4b.yaml --plan --flops 200000 --tokens-per-second 2000

    [bold]Studies in examples/[/bold]

    arithmetic, paper, original, matched: of the models that ship with goniometer

    qwen3-4b: the paper's protocol, for a GPU, the Hub and a file of rollouts
    """
    if not plan:
        _study(study_file, out, "report")
        return
    from goniometer.console.study import opened, planned, speed_given

    given = speed_given(flops, tokens_per_second)
    planned(*opened(study_file, out, fetch=False), measured=measure, given=given)


def sample(study_file: StudyFile, out: RunFolder = None) -> None:
    """Run a study up to its rollouts.

    [bold]Example[/bold]

    goniometer sample examples/arithmetic.yaml
    """
    _study(study_file, out, "rollouts")


def train(study_file: StudyFile, out: RunFolder = None) -> None:
    """Run a study up to its trained adapters.

    [bold]Example[/bold]

    goniometer train examples/arithmetic.yaml
    """
    _study(study_file, out, "cells")


def evaluate(study_file: StudyFile, out: RunFolder = None) -> None:
    """Run a study up to its evaluated cells.

    [bold]Example[/bold]

    goniometer evaluate examples/arithmetic.yaml
    """
    _study(study_file, out, "evaluation")


def _study(study_file: Path, out: Path | None, until: str) -> None:
    from goniometer.console.study import opened, studied

    studied(*opened(study_file, out, fetch=True), until)
