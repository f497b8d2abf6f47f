"""Read the final answer out of a written-out solution, and grade it against a gold number.

`grade_number(text, gold, extractor=..., truncated=...)` grades any text. The extractors:

- `strict`: the number right after the last `####`, as GSM8K (arXiv 2110.14168) marks answers.
- `flexible`: the last number of the text.
- `boxed`: the content of the last LaTeX box, else the number of the last "answer is N".
- `json`: the value of the last `"answer"` of a JSON text, also of one that is not well formed.

`strict` and `flexible` are the two filters of lm-evaluation-harness's GSM8K task, whose regular
expressions are `#### (-?[0-9.,]+)` and `(-?[$0-9.,]{2,})|(-?[0-9]+)`. We leave them where they
misread: the last `####` counts, not the first; `$` and LaTeX may stand after it; `1/2` is one
number; in `10-3` the minus is no sign; `18...` is 18.
"""

import re
from collections.abc import Callable, Mapping
from typing import Literal

from goniometer.tasks.base import Correct, Grade, Problem, Ungraded, Wrong
from goniometer.tasks.numbers import number, number_at_start, numbers_in, plain

MARKER = "####"
Extractor = Literal["strict", "flexible", "boxed", "json"]

# What may stand between a marker and its number: emphasis, math, a box.
_WRAPPING = re.compile(r"(?:\*\*|\\\(|\\\[|\$(?=\\)|\\boxed\s*\{|\\text\s*\{|\s)+")
_PHRASE = re.compile(r"answer\s*(?:is|:|=)\s*(?:\*\*)?\s*:?\s*", re.IGNORECASE)
_SENTENCE_END = re.compile(r"\n|[.,;](?=\s|$)")
# What may stand behind the number of a box: degrees, per cent, words, units in LaTeX.
_UNIT = re.compile(
    r"(?:\^\{?\s*\\circ\s*\}?|\\[,;:! ]|\\(?:text|mathrm|textbf|mbox)\s*\{[^{}]*\}?|\\?%"
    r"|(?<=[0-9])\s+[A-Za-z][A-Za-z /]*)+$"
)
_ANSWER_KEY = re.compile(r"\\?[\"']answer\\?[\"']\s*:\s*\\?", re.IGNORECASE)
_JSON_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"?', re.DOTALL)


def final_answer(text: str) -> str | None:
    """Return the number after the last `####` in canonical form, or None where there is none.

    A dollar sign, thousands separators, leading zeros and an empty fraction are dropped:
    `$1,200.0` is `1200`, and `12.5` is not `12`.
    """
    _, marker, tail = text.rpartition(MARKER)
    return number_at_start(_unwrapped(tail)) if marker else None


def last_number(text: str) -> str | None:
    """Return the last number of the text in canonical form, or None where there is none."""
    found = None
    for found in numbers_in(text):  # noqa: B007 (the last one is kept)
        pass
    return found


def boxed(text: str) -> str | None:
    r"""Return the content of the last `\boxed{...}` as written; None where none is closed."""
    start = text.rfind(r"\boxed")
    opening = text.find("{", start)
    if start < 0 or opening < 0 or text[start + len(r"\boxed") : opening].strip():
        return None
    depth = 0
    for place in range(opening, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return text[opening + 1 : place].strip()
    return None


def boxed_number(text: str) -> str | None:
    r"""Return the number in the last `\boxed{...}`, else that of the last "answer is N".

    Of an equation the last side counts. What holds more than a number and its unit, such as
    `2^{10}`, is no number; then there is no answer, whatever the text says elsewhere.
    """
    content = boxed(text)
    if content is None:
        phrases = list(_PHRASE.finditer(text))
        content = _SENTENCE_END.split(text[phrases[-1].end() :])[0] if phrases else ""
    written = _unwrapped(content.rpartition("=")[2])
    return number(_UNIT.sub("", written.rstrip(" }*)]$\\")))


def with_box(solution: str, answer: str) -> str:
    r"""Return a solution that ends in its answer: as it is where it holds a `\boxed{...}`."""
    if boxed(solution) is not None:
        return solution
    return f"{solution}\n\\boxed{{{answer}}}" if solution else f"\\boxed{{{answer}}}"


def json_number(text: str) -> str | None:
    """Return the number that the last `"answer"` key holds, of JSON that may not be well formed.

    A text value is read as one number, with what unit ever behind it; where it holds an equation,
    its last number counts.
    """
    keys = list(_ANSWER_KEY.finditer(text))
    if not keys:
        return None
    tail = text[keys[-1].end() :]
    quoted = _JSON_TEXT.match(tail)
    if quoted is None:
        return number_at_start(_unwrapped(tail))
    content = quoted[1]
    return last_number(content) if "=" in content else next(numbers_in(content), None)


EXTRACTORS: Mapping[Extractor, Callable[[str], str | None]] = {
    "strict": final_answer,
    "flexible": last_number,
    "boxed": boxed_number,
    "json": json_number,
}


def key_of_number(gold: str) -> str | None:
    """Return a gold number in canonical form, alone or after `####`; None where it is none."""
    key = final_answer(gold) if MARKER in gold else number(gold)
    return None if key is None or key.endswith("/0") else key


def grade_number(
    text: str, gold: str | float, *, extractor: Extractor = "strict", truncated: bool = False
) -> Grade:
    """Grade a text against a gold number.

    A gold answer that is no number gives Ungraded, whatever the text says: it can neither be right
    nor wrong about it. (In a file of problems such a key is refused before any work.)

    Args:
        text: the completion.
        gold: the number, in any spelling, or with GSM8K's solution before `####`.
        extractor: which answer of the text counts.
        truncated: the text never reached its end; that is wrong.
    """
    key = key_of_number(str(gold))
    if key is None:
        return Ungraded(f"the answer key is no number: {str(gold)[:40]!r}")
    if truncated:
        return Wrong("truncated")
    answer = EXTRACTORS[extractor](text)
    if answer is None:
        return Wrong("no_answer")
    return Correct() if answer == key else Wrong("answer")


def graded_by_answer(
    problem: Problem, completion: str, *, truncated: bool, extractor: Extractor = "strict"
) -> Grade:
    """Grade as `grade_number` does, against the problem's answer."""
    return grade_number(completion, problem.answer, extractor=extractor, truncated=truncated)


def graded_otherwise(
    problem: Problem, completion: str, *, truncated: bool, extractor: Extractor = "strict"
) -> Grade:
    """Grade by the extractor that was not chosen: `flexible`, or `strict` where that one was."""
    other: Extractor = "strict" if extractor == "flexible" else "flexible"
    return grade_number(completion, problem.answer, extractor=other, truncated=truncated)


def _unwrapped(text: str) -> str:
    match = _WRAPPING.match(text)
    return plain(text[match.end() :] if match else text)
