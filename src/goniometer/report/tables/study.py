"""Tables of a study: checks, accuracies, paired tests, cells and the rollout mixture."""

from collections.abc import Sequence

from goniometer.report import notation
from goniometer.report.tables.table import (
    ABSENT,
    Cell,
    Column,
    Table,
    number,
    share,
    table,
    whole_number,
)
from goniometer.report.words.labels import learning_rate
from goniometer.results import Accuracy, Check, Paired, RolloutReport
from goniometer.results import Cell as Run

REGIMES = {"lora": "LoRA", "attention": "attention weights", "full": "all weights"}


def checks(found: Sequence[Check]) -> Table:
    """What makes the study worth reading, and whether it is so."""
    rows = [
        [
            Cell(check.name),
            Cell("passed", kind="good") if check.passed else Cell("failed", kind="bad"),
            Cell(check.required, kind="words"),
            Cell(check.found, kind="words"),
        ]
        for check in found
    ]
    columns = [Column(head, numeric=False) for head in ("check", "state", "required", "found")]
    return table("checks", "Conditions that make the study worth reading.", columns, rows)


def accuracies(found: Sequence[Accuracy], name: str, caption: str) -> Table:
    """Greedy accuracy of each of these runs."""
    rows = [
        [
            Cell(a.run),
            share(a.accuracy),
            Cell(f"{notation.percent(a.low)} to {notation.percent(a.high)}"),
            whole_number(a.correct),
            whole_number(a.n),
            whole_number(a.truncated),
            whole_number(a.ungraded),
            share(a.changed),
            whole_number(a.extractors_disagree),
        ]
        for a in found
    ]
    heads = (
        "accuracy", "Wilson 95 %", "correct", "n", "truncated", "ungraded", "changed answers",
        "extractors disagree",
    )  # fmt: skip
    columns = [Column("run", numeric=False), *(Column(head) for head in heads)]
    return table(name, caption, columns, rows)


def paired(found: Sequence[Paired], name: str, caption: str) -> Table:
    """2x2 counts of each pair, and what they allow one to say."""
    rows = [
        [
            Cell(f"{p.a} \u2212 {p.b}"),
            Cell(p.verdict, kind="verdict"),
            Cell(notation.points(p.difference)),
            Cell(notation.points_span(p.low, p.high)),
            whole_number(p.both),
            whole_number(p.only_a),
            whole_number(p.only_b),
            whole_number(p.neither),
            whole_number(p.n),
            whole_number(p.dropped),
            *(
                Cell(notation.p_value(value))
                for value in (
                    p.p_exact, p.p_mid, p.p_holm, p.p_equivalence, p.p_equivalence_holm,
                )
            ),
            Cell(notation.fixed(100 * p.smallest_margin, 1)),
            ABSENT
            if p.smallest_margin_holm is None
            else Cell(notation.fixed(100 * p.smallest_margin_holm, 1)),
        ]
        for p in found
    ]  # fmt: skip
    heads = (
        ("points", "difference"), ("Tango 95 %", "difference"), ("both", "right"),
        ("only first", "right"), ("only second", "right"), ("neither", "right"), ("n", ""),
        ("dropped", ""), ("exact", "p of a difference"), ("mid", "p of a difference"),
        ("exact, Holm", "p of a difference"), ("TOST", "p of equivalence"),
        ("TOST, Holm", "p of equivalence"), ("alone", "smallest margin, points"),
        ("Holm", "smallest margin, points"),
    )  # fmt: skip
    columns = [
        Column("pair", numeric=False),
        Column("verdict", numeric=False),
        *(Column(head, group=group) for head, group in heads),
    ]
    return table(name, caption, columns, rows, about=[(p.a, p.b) for p in found])


def cells(found: Sequence[Run], name: str) -> Table:
    """Training runs and how each ended."""
    rows = [
        [
            Cell(cell.name),
            Cell(cell.state, kind="" if cell.state == "trained" else "bad"),
            Cell(cell.objective, kind="words"),
            Cell(
                ", ".join(f"{k} = {v}" for k, v in sorted(cell.options.items())) or notation.NONE,
                kind="words",
            ),
            Cell(_role(cell), kind="words"),
            Cell(REGIMES[cell.regime], kind="words"),
            Cell(learning_rate(cell)),
            share(cell.wrong_kept),
            *trained_on(cell),
            whole_number(cell.init_seed),
            whole_number(cell.order_seed),
            Cell(f"{len(cell.losses)} of {cell.steps}"),
            share(cell.clipped),
            number(cell.nll_right),
            number(cell.nll_right_base),
            number(cell.nll_wrong),
            number(cell.nll_wrong_base),
            share(cell.ordered_pairs),
        ]
        for cell in found
    ]
    heads = (
        "learning rate", "wrong rows", "rows", "tokens", "init seed", "order seed", "steps",
        "clipped steps", "NLL right rows", "base", "NLL wrong rows", "base", "ordered pairs",
    )  # fmt: skip
    columns = [
        Column("run", numeric=False), Column("state", numeric=False),
        Column("objective", numeric=False), Column("options", numeric=False),
        Column("role", numeric=False), Column("trained", numeric=False), *map(Column, heads),
    ]  # fmt: skip
    caption = (
        "Training runs. Wrong rows: among those that a run was given; rows and tokens: those that "
        "carry loss. NLL in nats a token on held-out rollouts; ordered pairs: share of held-out "
        "pairs with a positive implicit reward margin."
    )
    return table(name, caption, columns, rows)


def trained_on(cell: Run) -> list[Cell]:
    """Rows that carry loss and tokens of their completions."""
    own = cell.rows is None and cell.wrong_kept is None
    none = Cell("samples its own" if own else notation.NONE, kind="absent")
    return [none if n is None else whole_number(n) for n in (cell.rows, cell.tokens)]


def _role(cell: Run) -> str:
    return {
        "arm": "arm",
        "floor": f"repeat of {cell.arm} for a floor",
        "grid": f"{cell.arm}, one thing moved",
    }[cell.role]


def rollouts(found: RolloutReport) -> list[tuple[str, str]]:
    """The mixture that all arms train on, as terms and values."""
    return [
        ("prompts sampled", str(found.prompts_sampled)),
        ("completions a prompt", str(found.samples_per_prompt)),
        ("prompts kept, with right and wrong completions", str(found.prompts_kept)),
        ("rows that the arms train on", str(found.rows)),
        ("wrong among the sampled", notation.percent(found.wrong_sampled)),
        ("wrong among the kept", notation.percent(found.wrong_kept)),
        ("prompts with right and wrong", notation.percent(found.mixed)),
        ("duplicates", notation.percent(found.duplicates)),
        ("truncated", notation.percent(found.truncated)),
        ("ungraded (the grader failed)", str(found.ungraded)),
    ]
