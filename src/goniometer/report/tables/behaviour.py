"""Tables of what needs the model: paths, activations, answers and sums."""

from goniometer.report import notation
from goniometer.report.tables.table import (
    Cell,
    Column,
    Notes,
    Table,
    number,
    share,
    table,
    whole_number,
)
from goniometer.report.words.labels import (
    barrier,
    contrast,
    interference,
    measured_on,
    weights_name,
)
from goniometer.results import Behaviour, Composed, Connectivity, Reading, Similarity

_MONOTONE = {True: "yes", False: "no", None: "not told"}


def segments(found: Connectivity) -> Table:
    """All paths, the highest midpoint contrast first."""
    notes = Notes()
    rows, about = [], []
    accuracy = any(one.accuracy for one in found.segments)
    bare = any(one.bare_answer for one in found.segments)
    for one in sorted(found.segments, key=lambda s: -(s.midpoint.value or -1e9)):
        middle = len(one.positions) // 2
        losses = [one.loss[at] if one.loss else None for at in (0, middle, -1)]
        rows.append(
            [
                Cell(f"{one.start}, {one.end}"),
                *(number(value) for value in losses),
                Cell(contrast(one)) if one.midpoint.value is not None else notes.cell(one.midpoint),
                Cell(barrier(one)) if one.barrier.value is not None else notes.cell(one.barrier),
                Cell(_MONOTONE[one.monotone], kind="words"),
                *([share(one.accuracy[middle] if one.accuracy else None)] if accuracy else []),
                *([number(one.bare_answer[middle] if one.bare_answer else None)] if bare else []),
            ]
        )
        about.append((one.start, one.end))
    columns = [
        Column("path", numeric=False), Column("start", group="loss, nats a token"),
        Column("middle", group="loss, nats a token"), Column("end", group="loss, nats a token"),
        Column("midpoint contrast (95 %)"), Column("barrier"), Column("monotone", numeric=False),
        *([Column("accuracy at the middle")] if accuracy else []),
        *([Column("bare answer at the middle")] if bare else []),
    ]  # fmt: skip
    caption = (
        f"All paths, on {notation.count(found.items, 'item')} and "
        f"{notation.count(found.tokens, 'token')} of {found.texts}; intervals by {found.draws} "
        "bootstrap draws over items, not adjusted for the number of paths."
    )
    return table("segments", caption, columns, rows, notes, about=about)


def similarity(found: Similarity) -> Table:
    """CKA of each pair: lowest over layers, at the last layer, and Kornblith's."""
    notes = Notes()
    rows, about = [], []
    for one in found.pairs:
        defined = [layer for layer in one.layers if layer.cka.value is not None]
        low = min(defined, key=lambda layer: layer.cka.value or 0.0, default=None)
        last = one.layers[-1] if one.layers else None
        ends = (
            notation.span(last.low, last.high)
            if last and last.low is not None and last.high is not None
            else notation.NONE
        )
        note = " (ceiling)" if (one.a, one.b) == found.ceiling else ""
        rows.append(
            [
                Cell(f"{one.a}, {one.b}{note}"),
                notes.cell(low.cka if low else None),
                Cell("emb" if low and low.layer == 0 else str(low.layer - 1) if low else ""),
                notes.cell(last.cka if last else None),
                Cell(ends),
                notes.cell(last.biased if last else None),
            ]
        )
        about.append((one.a, one.b))
    columns = [
        Column("pair", numeric=False), Column("CKA", group="lowest"),
        Column("after block", group="lowest"), Column("CKA", group="after the last block"),
        Column("95 %", group="after the last block"),
        Column("biased (Kornblith)", group="after the last block"),
    ]  # fmt: skip
    return table("similarity", measured_on(found), columns, rows, notes, about=about)


def divergence(found: Behaviour) -> Table:
    """Forward KL of each run."""
    notes = Notes()
    rows = [
        [
            Cell(one.run),
            Cell(notation.with_error(one.kl.value, one.error))
            if one.kl.value is not None
            else notes.cell(one.kl),
            whole_number(one.prompts),
        ]
        for one in found.divergence
    ]
    columns = [Column("run", numeric=False), Column("KL(base || run)"), Column("prompts")]
    caption = "Forward KL in nats a completion, with its standard error over prompts."
    return table("kl", caption, columns, rows, notes)


def agreement(found: Behaviour) -> Table:
    """How often two runs say the same."""
    notes = Notes()
    ordered = sorted(found.agreement, key=lambda one: -one.same_outcome)
    rows = [
        [
            Cell(f"{one.a}, {one.b}"),
            whole_number(one.n),
            share(one.same_outcome),
            share(one.same_answer),
            notes.cell(one.kappa),
        ]
        for one in ordered
    ]
    columns = [
        Column("pair", numeric=False), Column("problems"), Column("same outcome"),
        Column("same answer"), Column("kappa"),
    ]  # fmt: skip
    caption = (
        "Agreement on the same problems: both right or both wrong; equal final answers; Cohen's "
        "kappa of the outcomes, 0 where they agree as often as their accuracies alone give."
    )
    about = [(one.a, one.b) for one in ordered]
    return table("agreement", caption, columns, rows, notes, about=about)


def composed(found: Behaviour) -> Table:
    """Two updates together: measured, expected, and what the weights predict."""
    notes = Notes()
    ordered = sorted(found.composed, key=lambda one: -(one.interference.value or -1e9))
    accuracy = any(one.accuracy.value is not None for one in ordered)
    rows = [
        [
            Cell(f"{one.a}, {one.b}"),
            Cell(weights_name(one.weights), kind="words"),
            _nats(one.nll, notes),
            _nats(one.expected, notes),
            Cell(interference(one))
            if one.interference.value is not None
            else notes.cell(one.interference),
            _nats(one.by_cosine, notes),
            _left_open(one, notes),
            notes.cell(one.cosine),
            notes.cell(one.off_subspace),
            *([share(one.accuracy.value)] if accuracy else []),
        ]
        for one in ordered
    ]
    columns = [
        Column("pair", numeric=False), Column("weights", numeric=False), Column("measured"),
        Column("expected"), Column("interference (95 %)"),
        Column("by cosine", group="interference predicted"),
        Column("left open by off subspace", group="interference predicted"),
        Column("cosine"), Column("off subspace"), *([Column("accuracy")] if accuracy else []),
    ]  # fmt: skip
    caption = (
        "Loss of sums and means in nats a token. Expected: what two updates that do not meet "
        "would give, L(base) plus each one's own share; interference: measured less expected."
    )
    about = [(one.a, one.b) for one in ordered]
    return table("composed", caption, columns, rows, notes, about=about)


def _nats(found: Reading, notes: Notes) -> Cell:
    return notes.cell(found) if found.value is None else number(found.value, 4)


def _left_open(one: Composed, notes: Notes) -> Cell:
    low, high = one.by_off_subspace
    if low.value is None or high.value is None:
        return notes.cell(low if low.value is None else high)
    return Cell(notation.span(low.value, high.value))
