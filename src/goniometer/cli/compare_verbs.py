"""The verb of updates: `compare`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from goniometer.cli.parameters import Figures, TaskOptions, formats


def compare(  # noqa: PLR0913, PLR0917 (an option each)
    runs: Annotated[
        list[str],
        typer.Argument(
            help="Two or more: folders of adapters or checkpoints, or Hub ids "
            "(OWNER/NAME@REVISION); NAME=RUN names one."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write into.")] = Path(
        "goniometer-report"
    ),
    origin: Annotated[
        str | None, typer.Option(help="A common starting adapter, subtracted from each run.")
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(help="The base model's folder or Hub id: checkpoints are read against it."),
    ] = None,
    initial: Annotated[
        str | None,
        typer.Option(
            help="The adapter that PiSSA and its like started from, saved before training."
        ),
    ] = None,
    k: Annotated[
        int | None,
        typer.Option(
            "-k", min=1, help="Size of the top-k subspaces; max(1, min(10, r // 3)) if absent."
        ),
    ] = None,
    draws: Annotated[int, typer.Option(min=100, help="Simulations for each null.")] = 200,
    seed: Annotated[int, typer.Option(help="Seed of the simulated nulls.")] = 0,
    over: Annotated[
        Literal["steps"] | None,
        typer.Option(
            help="Read the checkpoints of one run as a trajectory: RUN is a folder with "
            "checkpoint-N in it (each of several is its own), or the checkpoints are listed."
        ),
    ] = None,
    exact: Annotated[
        bool,
        typer.Option(
            "--exact", help="Decompose large dense updates whole, not to their top k: slow."
        ),
    ] = False,
    base_measures: Annotated[
        bool,
        typer.Option(
            "--base-measures/--no-base-measures",
            help="With --base, measure each run against it too: seconds a module and run.",
        ),
    ] = True,
    data: Annotated[
        str | None,
        typer.Option(
            help="With --base MODEL, rollouts (Parquet, JSON lines) to run it on: losses "
            "along paths, CKA, KL, sums of runs."
        ),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            help="With --data, answer 200 test problems of this task: accuracy along paths, "
            "agreement. Far slower than reading texts."
        ),
    ] = None,
    accuracy: Annotated[
        Literal["everywhere"] | None,
        typer.Option(
            help="With --task, answer at every point of the paths, not only at ends, midpoints "
            "and sums: as much slower as there are more points (31 for 7, with two runs)."
        ),
    ] = None,
    bare_answer: Annotated[
        bool,
        typer.Option(
            "--bare-answer",
            help="With --task, also the loss of the gold answer right after the prompt, of 64 "
            "problems: at each point as many short texts more to read.",
        ),
    ] = False,
    option: TaskOptions = None,
    positions: Annotated[
        int | None,
        typer.Option(help="With --data, points of a path, odd, from 3 up: 11 if absent."),
    ] = None,
    dtype: Annotated[
        Literal["float32", "bfloat16", "float16"] | None,
        typer.Option(
            help="With --data, of the base's weights: float32 if absent. The others take half the "
            "memory, and round: small differences are lost."
        ),
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda"] | None,
        typer.Option(help="With --data, where the base runs: auto if absent, a GPU if any."),
    ] = None,
    figures: Figures = None,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            help="A gate, such as 'cosine<0.9', 'a,b:projection.q_proj:cosine<0.9', 'norm>5' or "
            "'verdict=same update'; may be repeated. Undefined readings trip it."
        ),
    ] = None,
) -> None:
    """Compare fine-tunes of one base by their weights. No training, no model, no GPU.

    With --base MODEL --data ROLLOUTS the model is run too, and says what the weights do.

    [bold]Examples[/bold]

    goniometer compare adapters/a adapters/b

    goniometer compare sft=runs/1/final dpo=runs/2/final -o report

    goniometer compare seed1 seed2 --origin stage1

    goniometer compare new released --fail-on 'cosine<0.9'

    goniometer compare --over steps runs/1

    goniometer compare adapters/a adapters/b --base models/base --data rollouts.parquet

    goniometer compare a b --base models/base --data rollouts.parquet --positions 3

    goniometer compare a b --base base --data r.parquet --task arithmetic --option spacing=prose

    [bold]Written into the folder of --out[/bold]

    report.html, summary.md; with --figures svg the charts as files: to read

    results.json: everything; [dim]goniometer schema[/dim] prints its JSON Schema

    pairs.csv, runs.csv; over steps also steps.csv, rank_one.csv: tidy tables

    modules.parquet, with a base base_modules.parquet: every reading of every module

    [bold]Exit codes[/bold]

    0 done, 1 a gate tripped (the report is written), 2 bad input, 130 interrupted
    """
    from goniometer.atomic import check_replaceable
    from goniometer.comparison.options import Options
    from goniometer.console.compare import compared

    check_replaceable(out)
    task_options = {}
    if option:
        from goniometer.console.key_values import key_values, typed

        task_options = typed(key_values(option, "--option"))
    options = Options(
        origin,
        base,
        initial,
        k,
        draws,
        seed,
        over,
        exact,
        base_measures,
        data,
        task,
        task_options,
        positions,
        dtype,
        device,
        bare_answer,
        accuracy,
    )
    if not compared(runs, out, options, fail_on or [], formats(figures)):
        raise typer.Exit(1)
