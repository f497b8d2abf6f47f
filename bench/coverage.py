"""Coverage and errors of the paired statistics, by simulation, against what they promise.

    python bench/coverage.py           prints the tables
    python bench/coverage.py --write   also writes docs/coverage.md

Pairs of runs are drawn with a known difference; counted is how often an interval holds it and how
often a test rejects what is true. Clusters and seeds are drawn more seldom than plain problems.
"""

import argparse
from collections.abc import Iterator, Sequence
from functools import cache, partial
from pathlib import Path

import numpy as np
from scipy.special import ndtri

from goniometer.progress import bars
from goniometer.statistics import Counts, mcnemar_exact, mcnemar_mid_p
from goniometer.statistics.bootstrap import bootstrap_limits, percentile_interval, resampled_sums
from goniometer.statistics.by_seed import hierarchical_means
from goniometer.statistics.clusters import Clustered
from goniometer.statistics.tango import equivalence_p, quantile, score, scores

OUT = Path(__file__).parent.parent / "docs" / "coverage.md"
PROBLEMS = (50, 100, 400, 1319, 5000)
DISCORDANCE = (0.02, 0.05, 0.1, 0.2, 0.4)
SHARES = (0.0, 0.25, 0.5, 0.75)  # difference over discordance
ENOUGH = 20  # discordant pairs expected
NOMINAL, TOLERANCE, LEVEL = 0.95, 0.01, 0.05
Z95, Z90 = float(ndtri(1 - LEVEL / 2)), float(ndtri(1 - LEVEL))
SAMPLES = 4  # of one problem, in a cluster
Row = list[str]


@cache
def p_values(b: int, c: int) -> tuple[float, float]:
    """Exact and mid p of one table; both see only the smaller and the larger count."""
    counts = Counts(1, b, c, 0)
    return mcnemar_exact(counts), mcnemar_mid_p(counts)


def plain(n: int, discordance: float, share: float, sets: int) -> Row:
    """Independent problems: coverage of both intervals, error of three tests where H0 is true."""
    rng = np.random.default_rng([n, int(1000 * discordance), int(100 * share)])
    truth = discordance * share
    chances = [(discordance + truth) / 2, (discordance - truth) / 2, 1 - discordance]
    drawn = rng.multinomial(n, chances, sets)[:, :2]
    tables, repeats = np.unique(drawn, axis=0, return_counts=True)
    (b, c), times = tables.T, repeats / sets
    tango = float(times @ (np.abs(scores(b, c, n, truth)) <= Z95))
    limits = bootstrap_limits(b, c, n)
    boot = float(times @ ((limits[:, 0] <= truth) & (truth <= limits[:, 1])))
    row = [str(n), percent(discordance), f"{100 * truth:.2f}", f"{n * discordance:.0f}"]
    row += [covered(tango, n * discordance), covered(boot, n * discordance)]
    if share:  # at a margin of just this difference, equivalence is false
        inside = (scores(b, c, n, -truth) > Z90) & (scores(b, c, n, truth) < -Z90)
        return [*row, "", "", percent(float(times @ inside))]
    p = np.array([p_values(*sorted(table)) for table in zip(b.tolist(), c.tolist(), strict=True)])
    return [*row, *(percent(float(times @ (p[:, i] < LEVEL))) for i in (0, 1)), ""]


def clusters(count: int, alike: float, share: float, sets: int) -> Row:
    """Four samples of each problem: what counting them as independent does, and the clustered."""
    rng = np.random.default_rng([count, int(100 * alike), int(100 * share)])
    truth = 0.3 * share
    chances = np.array([(0.3 + truth) / 2, (0.3 - truth) / 2, 0.7])
    seen = {"naive": 0, "tango": 0, "bootstrap": 0, "exact naive": 0, "exact": 0, "equal": 0}
    for _ in range(sets):
        inner = rng.dirichlet(chances * (1 - alike) / alike, count)
        b, c, _rest = rng.multinomial(SAMPLES, inner).T
        n = SAMPLES * count
        counts = Counts(n - int(b.sum() + c.sum()), int(b.sum()), int(c.sum()), 0)
        table = Clustered(counts, b - c, np.full(count, SAMPLES))
        seen["naive"] += abs(score(counts, truth)) <= Z95
        seen["tango"] += abs(score(table, truth)) <= float(quantile(0.975, table.freedom))
        sums = resampled_sums(np.stack([table.sums, table.sizes], 1), 1000, rng)
        low, high = percentile_interval(sums[:, 0] / sums[:, 1])
        seen["bootstrap"] += low <= truth <= high
        if truth:
            seen["equal"] += equivalence_p(table, truth) < LEVEL
        else:
            seen["exact naive"] += p_values(*sorted((counts.only_a, counts.only_b)))[0] < LEVEL
            seen["exact"] += table.sign_flip[0] < LEVEL
    shown = {key: percent(value / sets) for key, value in seen.items()}
    for key in ("exact naive", "exact") if truth else ("equal",):
        shown[key] = ""
    return [str(count), f"{alike:.1f}", percent(truth), *shown.values()]


def seeds(count: int, spread: float, sets: int) -> Row:
    """Two arms alike: 300 problems, every run off by a normal error of this spread."""
    rng = np.random.default_rng([count, int(1000 * spread)])
    problems, draws = 300, 1000
    covered = {"first": 0, "plain": 0, "widened": 0}
    for i in range(sets):
        chance = rng.uniform(0.25, 0.75, problems) + rng.normal(0, spread, (2 * count, 1))
        right = rng.random((2 * count, problems)) < chance
        b, c = (int(np.sum(right[i] & ~right[j])) for i, j in ((0, count), (count, 0)))
        covered["first"] += abs(float(scores(b, c, problems, 0))) <= Z95
        units = np.vstack([right, np.ones((1, problems))]).T
        for kind in ("plain", "widened"):
            found = hierarchical_means(units, 2, draws, i, widened=kind == "widened")
            low, high = percentile_interval(found[:, 0] - found[:, 1])
            covered[kind] += low <= 0 <= high
    return [str(count), f"{100 * spread:.0f}", *(percent(x / sets) for x in covered.values())]


def percent(value: float) -> str:
    """A share in percent."""
    return f"{100 * value:.1f}"


def covered(value: float, expected: float) -> str:
    """Coverage in percent, bold where it misses with enough discordant pairs."""
    missed = expected >= ENOUGH and abs(value - NOMINAL) > TOLERANCE
    return f"**{percent(value)}**" if missed else percent(value)


def table(heads: Sequence[str], rows: Sequence[Row]) -> str:
    """A Markdown table, numbers to the right."""
    lines = ["| " + " | ".join(heads) + " |", "|" + "---:|" * len(heads)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


def farthest(heads: Sequence[str], rows: Sequence[Row]) -> str:
    """A line on the largest misses of the two intervals, where the table has both."""
    if not {"Tango", "bootstrap"} <= set(heads):
        return ""
    most = {}
    for name in ("Tango", "bootstrap"):
        values = [float(row[heads.index(name)].strip("*")) for row in rows]
        most[name] = max(abs(value - 100 * NOMINAL) for value in values)
    return (
        "\nFarthest from 95 %: " + ", ".join(f"{k} {v:.1f} points" for k, v in most.items()) + ".\n"
    )


def sections(sets: int) -> Iterator[tuple[str, str, list[partial[Row]], Sequence[str]]]:
    """Title, words, the cells to draw and the heads of each table."""
    few, fewer = max(1, sets // 10), max(1, sets // 20)
    heads = ["problems", "discordant, %", "difference, points", "pairs expected"]
    heads += ["Tango", "bootstrap", "exact", "mid-p", "equivalence"]
    grid = [(n, d) for n in PROBLEMS for d in DISCORDANCE]
    words = (
        f"{sets} sets a row. Tango and bootstrap: coverage in percent of the 95 % intervals, bold "
        f"where it misses by more than 1 point with {ENOUGH} discordant pairs expected. Exact, "
        "mid-p: how often McNemar's tests reject at 5 % where there is no difference. Equivalence: "
        "how often it is claimed at 5 % at a margin of just the true difference: falsely. "
        "A table without a discordant pair has no bootstrap interval; here it is a point at 0."
    )
    rest = [(n, d) for n, d in grid if n * d < ENOUGH]
    full = [cell for cell in grid if cell not in rest]
    for title, cells in (
        (f"{ENOUGH} discordant pairs or more", full),
        (f"Fewer than {ENOUGH}", rest),
    ):
        yield title, words, [partial(plain, n, d, s, sets) for n, d in cells for s in SHARES], heads
    heads = ["clusters", "correlation", "difference, points", "Tango, as if independent"]
    heads += ["Tango, clustered", "bootstrap of clusters", "exact, as if independent"]
    heads += ["exact over clusters", "equivalence, clustered"]
    words = (
        f"{few} sets a row, {SAMPLES} samples of each problem, 30 % of the pairs discordant; "
        "correlation: of two samples of one problem. Columns as above, the bootstrap of 1000 draws."
    )
    grid = [(k, alike) for k in (10, 30, 100, 400) for alike in (0.1, 0.5)]
    yield (
        "Clusters",
        words,
        [partial(clusters, k, alike, s, few) for k, alike in grid for s in (0.0, 0.5)],
        heads,
    )
    heads = ["seeds", "spread of seeds, points", "Tango of the first seed"]
    heads += ["seeds and problems", "the same, seeds widened"]
    words = (
        f"{fewer} sets a row of two arms that are alike, 300 problems, 1000 draws: coverage in "
        "percent. Spread: standard deviation of one run's accuracy by its seed. The last column "
        "is the one that is used, from five seeds up."
    )
    grid = [(k, spread) for k in (2, 3, 5, 10) for spread in (0.0, 0.05, 0.15)]
    yield "Seeds", words, [partial(seeds, k, spread, fewer) for k, spread in grid], heads


def main() -> None:
    """Print the tables; write docs/coverage.md where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=10_000)
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    text = "# Coverage by simulation\n\nWritten by `python bench/coverage.py --write`.\n"
    with bars() as shown:
        for title, words, cells, heads in sections(asked.replicates):
            rows = []
            with shown.task(title, len(cells)) as advance:
                for cell in cells:
                    rows.append(cell())
                    advance(1)
            part = f"\n## {title}\n\n{words}\n\n{table(heads, rows)}{farthest(heads, rows)}"
            print(part, flush=True)
            text += part
    if asked.write:
        OUT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
