"""Tables of two runs on the same problems, made for the tests of their statistics."""

from hypothesis import settings
from hypothesis import strategies as st

from goniometer.statistics import Counts

# Two busy cores make any one example slow.
unhurried = settings(deadline=None)


def counts(b: int, c: int, n: int) -> Counts:
    """Discordant counts among n problems."""
    return Counts(n - b - c, b, c, 0)


def swapped(table: Counts) -> Counts:
    return Counts(table.both, table.only_b, table.only_a, table.neither)


tables = st.builds(
    Counts,
    both=st.integers(0, 200),
    only_a=st.integers(0, 60),
    only_b=st.integers(0, 60),
    neither=st.integers(1, 200),
)


def grades(correct: int, total: int, first: int = 0) -> dict[str, str]:
    """`correct` right ones from problem `first` on, the others wrong."""
    return {
        f"p{i}": "correct" if first <= i < first + correct else "wrong:answer" for i in range(total)
    }
