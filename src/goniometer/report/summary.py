"""summary.md: the answer for a model card, in words, with a small table and the fingerprints."""

from goniometer.report import notation
from goniometer.report.facts.differences import rescaled
from goniometer.report.facts.index import Index, alike_first, read, whole
from goniometer.report.facts.seeds import crossed
from goniometer.report.markdown import plain, table
from goniometer.report.page.compose import Page
from goniometer.report.words.labels import size_kept

MOST_PAIRS = 20


def summary(page: Page) -> str:
    """Compose the summary."""
    index, answer = page.index, page.answer
    lines = [f"## {plain(page.results.title)}", "", f"**{plain(answer.headline)}**", ""]
    lines += [f"- {plain(sentence)}" for sentence in answer.sentences]
    lines += [f"- **Failed check.** {plain(alert)}" for alert in answer.alerts]
    lines += ["", *_steps(index), *_pairs(index), *_accuracies(index), *_seeds(index)]
    lines += [*_matched(index), *_fingerprints(index)]
    return "\n".join(lines) + "\n"


def _pairs(index: Index) -> list[str]:
    found = alike_first(index.arm_pairs)
    rows = []
    for pair in found[:MOST_PAIRS]:
        scope = whole(pair)
        band = index.null(pair.null_group, scope, "cosine", "independent")
        cells = [
            plain(f"{pair.a}, {pair.b}"),
            notation.reading(read(pair, scope, "cosine")),
            notation.band(band),
            notation.reading(read(pair, scope, "angle_left_median"), "degrees"),
            plain(pair.verdict),
        ]
        rows.append(cells)
    heads = ("pair", "cosine", "null, independent", "median left angle", "verdict")
    rest = len(found) - len(rows)
    more = [f"{notation.count(rest, 'more pair')} in report.html.", ""] if rest else []
    return [*table(heads, rows), *more] if rows else []


def _steps(index: Index) -> list[str]:
    rows = [
        [
            plain(step.run),
            notation.significant(step.norm),
            notation.reading(step.cosine_to_final),
            notation.reading(step.cosine_to_final_null),
            notation.reading(step.cosine_of_increments),
        ]
        for one in index.results.trajectories
        for step in one.steps
    ]
    heads = ("checkpoint", "norm", "cosine to final", "null", "cosine of increments")
    return table(heads, rows) if rows else []


def _accuracies(index: Index) -> list[str]:
    study = index.results.study
    if study is None or not study.accuracies:
        return []
    rows = [
        [
            plain(a.run),
            notation.percent(a.accuracy),
            f"{notation.percent(a.low)} to {notation.percent(a.high)}",
            str(a.n),
            notation.percent(a.truncated / a.n),
            notation.NONE if a.extractors_disagree is None else str(a.extractors_disagree),
        ]
        for a in study.accuracies
        if a.run not in index.repeats and a.run not in index.grid
    ]
    heads = ("run", "accuracy", "Wilson 95 %", "n", "truncated", "extractors disagree")
    return table(heads, rows)


def _seeds(index: Index) -> list[str]:
    rows = [
        [
            plain(f"{row.found.a}, {row.found.b}"),
            notation.reading(row.found.corrected),
            notation.reach((row.found.low, row.found.high)),
            notation.reach(row.within),
            notation.reach(row.found.cosines),
            notation.reach(row.repeats),
        ]
        for row in crossed(index)[:MOST_PAIRS]
    ]
    heads = (
        "pair", "cosine corrected for seeds", "jackknife 95 % over seeds", "within one seed",
        "across seeds", "seeds of one arm",
    )  # fmt: skip
    return table(heads, rows) if rows else []


def _matched(index: Index) -> list[str]:
    study = index.results.study
    rows = [
        [
            plain(f"{one.run} at the {size_kept(one)} of {one.to}"),
            *(
                notation.NONE if found.value is None else notation.with_error(found.value, error)
                for found, error in ((one.factor, None), (one.norm, None), (one.kl, one.kl_error))
            ),
            notation.percent(one.accuracy.accuracy) if one.accuracy else notation.NONE,
            notation.percents(one.accuracy.low, one.accuracy.high)
            if one.accuracy
            else notation.NONE,
            left.text if (left := rescaled(index, one)) else notation.NONE,
        ]
        for one in (study.matched if study else ())
    ]
    heads = (
        "rescaled", "factor", "norm", "KL, nats a completion", "accuracy", "Wilson 95 %",
        "difference to it, points (Tango 95 %)",
    )  # fmt: skip
    return table(heads, rows) if rows else []


def _fingerprints(index: Index) -> list[str]:
    rows = [[plain(run.name), f"`{run.fingerprint}`"] for run in index.comparison.runs]
    study = index.results.study
    if study:
        rows.append(["the study", f"`{study.fingerprint}`"])
    versions = ", ".join(f"{plain(k)} {plain(v)}" for k, v in index.results.versions.items())
    return [*table(("run", "fingerprint"), rows), f"Versions: {versions}."]
