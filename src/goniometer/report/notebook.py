"""The view of a comparison in a notebook: the answer, and a compact table of pairs with nulls."""

from html import escape

from goniometer.report import notation
from goniometer.report.facts.index import Index, alike_first, read, whole
from goniometer.report.words.headline import headline
from goniometer.results import PairReadings, Results, Trajectory

MOST_PAIRS = 12
MOST_STEPS = 30
_LEFT, _RIGHT = 'style="text-align:left"', 'style="text-align:right"'


def view(results: Results) -> str:
    """HTML of a notebook's cell. It holds no script and loads nothing; every text is escaped."""
    index = Index(results)
    parts = [f"<p><strong>{escape(headline(index))}</strong></p>"]
    parts += [_steps(one) for one in results.trajectories]
    found = alike_first(index.arm_pairs)
    heads = ("a", "b", "cosine", "null, independent", "median left angle", "verdict")
    parts.append(_table(heads, [_pair(index, pair) for pair in found[:MOST_PAIRS]]))
    rest = len(found) - MOST_PAIRS
    if rest > 0:
        parts.append(f"<p>{notation.count(rest, 'more pair')}: to_pandas()</p>")
    return f"<div>{''.join(parts)}</div>"


def _pair(index: Index, pair: PairReadings) -> list[str]:
    scope = whole(pair)
    return [
        pair.a,
        pair.b,
        notation.reading(read(pair, scope, "cosine")),
        notation.band(index.null(pair.null_group, scope, "cosine", "independent")),
        notation.reading(read(pair, scope, "angle_left_median"), "degrees"),
        pair.verdict,
    ]


def _steps(one: Trajectory) -> str:
    heads = (one.name, "norm", "null", "cosine to final", "null", "cosine of increments")
    rows = [
        [
            f"step {step.step}",
            notation.significant(step.norm),
            notation.significant(step.norm_null),
            notation.reading(step.cosine_to_final),
            notation.reading(step.cosine_to_final_null),
            notation.reading(step.cosine_of_increments),
        ]
        for step in one.steps
    ]
    rest = len(rows) - MOST_STEPS
    more = f"<p>{notation.count(rest, 'more step')}: to_pandas('steps')</p>" if rest > 0 else ""
    return _table(heads, rows[:MOST_STEPS]) + more


def _table(heads: tuple[str, ...], rows: list[list[str]]) -> str:
    head = "".join(f"<th {_LEFT}>{escape(text)}</th>" for text in heads)
    body = "".join(f"<tr>{''.join(_cell(text) for text in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(text: str) -> str:
    number = text[:1].isdigit() or text[:1] in (notation.MINUS, notation.NONE)
    return f"<td {_RIGHT if number else _LEFT}>{escape(text)}</td>"
