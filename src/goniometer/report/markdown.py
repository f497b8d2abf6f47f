"""Markdown for a model card: texts that stay as they are, and tables."""

from collections.abc import Sequence

_SPECIAL = str.maketrans(
    {
        "|": "\\|", "<": "&lt;", ">": "&gt;", "&": "&amp;", "*": "\\*", "_": "\\_", "`": "\\`",
        "[": "\\[", "]": "\\]", "\\": "\\\\", "#": "\\#", "\n": " ",
    }
)  # fmt: skip


def plain(text: str) -> str:
    """Text that Markdown shows as it is."""
    return text.translate(_SPECIAL)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], texts: int = 1) -> list[str]:
    """Lines of a table; the first `texts` columns are left-aligned, the rest are numbers.

    Cells are Markdown: names in them go through `plain` first.
    """
    ruled = [*["---"] * texts, *["---:"] * (len(heads) - texts)]
    return [*(f"| {' | '.join(row)} |" for row in (heads, ruled, *rows)), ""]
