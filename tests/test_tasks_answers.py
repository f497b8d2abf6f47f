"""Numbers in one canonical text, the extractors of answers, and what an answer key must be."""

import re
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from goniometer.behaviour.evaluate import Scores
from goniometer.report.tables.study import accuracies
from goniometer.statistics import accuracy
from goniometer.study.scoring import extractors_disagree
from goniometer.tasks import TASKS, Correct, Problem, Ungraded, Wrong, grade_to_text
from goniometer.tasks.answers import EXTRACTORS, boxed, grade_number, key_of_number
from goniometer.tasks.numbers import number

DECIMALS = st.decimals(-(10**15), 10**15, allow_nan=False, places=4)
# The two filters of lm-evaluation-harness's task gsm8k, and what its metric ignores, as published.
LM_EVAL = {"strict": r"#### (\-?[0-9\.\,]+)", "flexible": r"(-?[$0-9.,]{2,})|(-?[0-9]+)"}
IGNORED = (",", r"\$", r"(?s).*#### ", r"\.$")


def lm_eval(name: str, text: str) -> str | None:
    """What the harness compares with the gold number: the first match, or for flexible the last."""
    found = re.findall(LM_EVAL[name], text)
    if not found:
        return None
    answer = found[0] if name == "strict" else next(filter(None, found[-1]))
    for pattern in IGNORED:
        answer = re.sub(pattern, "", answer)
    return answer


@given(DECIMALS, st.sampled_from(["{}", "${}", "{} ", "{}%", r"\${}", "{}.", "**{}"]))
def test_every_spelling_of_a_decimal_has_its_exact_value(value: Decimal, spelling: str):
    for written in (f"{value:f}", f"{value:,f}"):
        text = spelling.format(written).replace("**", "")
        assert Fraction(number(text)) == Fraction(value)
        assert number(number(text)) == number(text)


@given(st.integers(-(10**6), 10**6), st.integers(1, 10**6), st.integers(1, 99))
def test_a_fraction_has_one_text_whatever_it_is_multiplied_by(top: int, bottom: int, k: int):
    text = number(f"{top}/{bottom}")
    sign = "-" * (top < 0)
    latex = rf"{sign}\frac{{{abs(top) * k}}}{{{bottom * k}}}"
    assert Fraction(text) == Fraction(top, bottom)
    assert number(f"{top * k}/{bottom * k}") == number(latex) == text


@given(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9))
def test_two_numbers_have_one_text_only_where_they_are_equal(a: int, b: int):
    assert (number(f"{a:,}.00") == number(f"${b}")) == (a == b)


def test_digits_without_end_are_read_exactly_and_in_no_time():
    digits = "7" * 6000
    assert number(f"{digits}.50") == f"{digits}.5"
    assert grade_number(f"#### {digits}", "7") == Wrong("answer")


WORDS = st.lists(st.sampled_from(["so", "she has", "apples", "in total", "that is", "x"]))
CLEAN = st.integers(-(10**7), 10**7).flatmap(
    lambda n: st.sampled_from([f"{n}", f"{n:,}", f"${abs(n)}", f"{n}.5"])
)


@given(WORDS, st.lists(CLEAN, min_size=1, max_size=4), st.sampled_from(["", ".", " apples."]))
def test_clean_texts_are_read_as_lm_eval_reads_them(words, found, end):
    text = " ".join(part for pair in zip(words + ["is"] * 9, found, strict=False) for part in pair)
    assert EXTRACTORS["flexible"](text + end) == lm_eval("flexible", text + end)
    marked = f"{text}\n#### {found[-1].replace('$', '')}{end}"
    assert EXTRACTORS["strict"](marked) == lm_eval("strict", marked)


@pytest.mark.parametrize(
    ("name", "text", "theirs", "ours"),
    [
        ("strict", "#### $18", None, "18"),
        ("strict", "#### 3\nWait, no.\n#### 4", "3", "4"),
        ("flexible", "That makes 18...", "18..", "18"),
        ("flexible", "She pays $28.00", "28.00", "28"),
        ("flexible", "from 10-3", "-3", "3"),
        ("flexible", "he ate 1/2", "2", "0.5"),
        ("flexible", "It is 18 $$.", None, "18"),
    ],
)
def test_where_lm_eval_misreads_we_leave_it(name, text, theirs, ours):
    assert (lm_eval(name, text) or None) == theirs
    assert EXTRACTORS[name](text) == ours


ODD = {  # as five models wrote them, cut short
    '{"reasoning": "5:00 pm - 3 hours = 2:00 pm", "answer": "2:00 pm"}': ("json", "2"),
    '{"reasoning": "20 - 15 = $ \\"answer\\": \\"5\\" oranges more."': ("json", "5"),
    '```json\n{"reasoning": "x", "answer": "$14.00"\n}\n```</s></s>': ("json", "14"),
    '{"answer": 1,080 }': ("json", "1080"),
    '{"answer": "160 - 40 = 120 roses"}': ("json", "120"),
    '{"reasoning": "there are 160", "answer": "Cannot be determined"}': ("json", None),
    "there are 160": ("json", None),
    "1360 meals - 142 meals = 1218 meals": ("flexible", "1218"),
    "what is left of 10 is 10 - 3": ("flexible", "3"),
    "it falls by -3": ("flexible", "-3"),
    "#### **$1{,}200**": ("strict", "1200"),
    "#### \\boxed{42}": ("strict", "42"),
    "#### \u22127": ("strict", "-7"),
    r"so \boxed{073}": ("boxed", "73"),
    r"first \boxed{1}, then \boxed{m+n = 73}": ("boxed", "73"),
    r"\boxed{73^\circ}": ("boxed", "73"),
    r"\boxed{73\text{ cm}}": ("boxed", "73"),
    r"\boxed{2^{10}}, so the answer is 2": ("boxed", None),
    r"\boxed{3, 4}": ("boxed", None),
    "The answer is $73$.": ("boxed", "73"),
    "The answer is 70. No: the answer is **73**, as": ("boxed", "73"),
    "There are 73": ("boxed", None),
}


@pytest.mark.parametrize("text", ODD)
def test_odd_answers(text):
    name, answer = ODD[text]
    assert EXTRACTORS[name](text) == answer


@given(st.recursive(st.sampled_from(["", "x", "12"]), lambda inner: inner.map("{{{}}}".format)))
def test_a_box_ends_where_its_brace_closes(content):
    assert boxed(rf"\boxed{{1}} and \boxed{{{content}}}, }}") == content
    assert boxed(rf"\boxed{{{content}") is None


@given(st.text(), st.sampled_from(list(EXTRACTORS)))
@example("many", "flexible")
@example("#### 1/0", "strict")
def test_a_key_that_is_no_number_is_never_answered_correctly(text, extractor):
    keys = ["many", "", "3 or 4", "1/0", "#### 1/0", "nan", "#### many"]
    for key in keys + [text] * (key_of_number(text) is None):
        assert isinstance(grade_number(text, key, extractor=extractor), Ungraded)


@given(st.integers(0, 999), st.sampled_from(["strict", "flexible", "boxed", "json"]))
def test_a_truncated_text_is_wrong_and_a_whole_one_right(n, extractor):
    text = f'\\boxed{{{n}}} {{"answer": {n}}}\n#### {n}'
    assert grade_number(text, n, extractor=extractor) == Correct()
    assert grade_number(text, n + 1, extractor=extractor) == Wrong("answer")
    assert grade_number(text, n, extractor=extractor, truncated=True) == Wrong("truncated")


TEXTS = {
    "#### 7": False,
    "#### 7 and 8 more": True,  # strict is right, flexible reads 8
    "it is 7": True,  # strict finds nothing, flexible is right
    "it is 8": False,  # wrong by both
}


def test_disagreement_is_counted_where_one_extractor_is_right():
    arithmetic = TASKS["arithmetic"]()
    problems = [Problem(f"What is {n} ?", "7", "#### 7") for n in range(len(TEXTS) + 1)]
    texts = (*TEXTS, "it is 7")
    cut = (*[False] * len(TEXTS), True)  # cut off: wrong by both
    grades = [
        arithmetic.grade(p, t, truncated=c) for p, t, c in zip(problems, texts, cut, strict=True)
    ]
    scores = Scores(tuple(p.id for p in problems), tuple(map(grade_to_text, grades)), texts, cut)
    assert extractors_disagree(arithmetic, problems, scores) == sum(TEXTS.values())
    ungraded = Scores(scores.problem_ids, ("ungraded:crash",) * 5, texts, cut)
    assert extractors_disagree(arithmetic, problems, ungraded) is None


def test_the_table_of_accuracies_holds_a_count_or_a_dash():
    scored = accuracy("SFT", {"a": "correct", "b": "wrong:truncated"})
    (row,) = accuracies([scored.model_copy(update={"extractors_disagree": 31})], "x", "").rows
    assert [cell.text for cell in row][-1] == "31"
    (row,) = accuracies([scored], "x", "").rows
    assert [cell.text for cell in row][-1] == "\u2013"
