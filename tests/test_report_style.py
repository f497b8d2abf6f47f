"""How numbers are written, curves thinned and colours chosen."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goniometer.report import notation, theme
from goniometer.report.charts.parts import decades
from goniometer.report.charts.training import MOST_POINTS, thinned


@given(st.floats(-1, 1), st.integers(1, 4))
def test_fixed_is_near_and_never_claims_one(value, decimals):
    text = notation.fixed(value, decimals)
    back = float(text.replace(notation.MINUS, "-"))
    assert abs(back - value) <= 10**-decimals
    assert (abs(back) == 1) == (abs(value) == 1)
    assert "-" not in text
    assert not (back == 0 and notation.MINUS in text)


@given(st.floats(0, 1))
def test_a_p_value_is_never_zero(p):
    text = notation.p_value(p)
    assert float(text.removeprefix("<\u00a0")) > 0


@given(st.floats(-1, 1), st.floats(-1, 1))
def test_a_measure_is_written_so_that_it_can_be_told_from_0_and_1(a, b):
    for value in (a, b):
        text = notation.in_unit(value, "").replace(notation.MINUS, "-")
        if abs(value) > 1e-6:
            assert float(text) != 0
        if abs(abs(value) - 1) > notation.ROUNDING:
            assert abs(float(text)) != 1
    ends = notation.span(min(a, b), max(a, b)).replace(notation.MINUS, "-").split(" to ")
    assert float(ends[0]) <= float(ends[-1])


def test_notation():
    assert notation.in_unit(-0.00021, "") == "\u22120.00021"
    assert notation.in_unit(0.99995, "") == "0.999950"
    assert notation.in_unit(84.96, "degrees") == "85.0\u00b0"
    assert notation.fixed(-0.0004, 3) == "0.000"
    assert notation.fixed(0.9999, 3) == "0.999"
    assert notation.points(0.012) == "+1.2"
    assert notation.points(-0.0001) == "0.0"
    assert notation.percent(0.5) == "50.0\u00a0%"
    assert notation.span(0.12341, 0.12349) == "0.123"
    assert notation.significant(0.211) == "0.211"
    assert notation.significant(0) == "0.00"
    assert notation.significant(1234567) == "1.23e+06"
    assert notation.listed([]) == ""
    assert notation.count(1, "pair") == "1 pair"


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=2000))
def test_a_thinned_curve_is_short_and_keeps_its_mean(values):
    rows = thinned(values)
    assert len(rows) <= MOST_POINTS
    stride = -(-len(values) // MOST_POINTS)
    weights = [min(stride, len(values) - i * stride) for i in range(len(rows))]
    mean = math.fsum(w * row["y"] for w, row in zip(weights, rows, strict=True)) / len(values)
    assert mean == pytest.approx(math.fsum(values) / len(values), abs=3e-3)
    assert [row["x"] for row in rows] == list(range(1, len(values) + 1, stride))


@given(st.floats(-4, 3), st.floats(0.7, 5))
def test_ticks_of_a_logarithmic_axis_lie_inside(start, decades_wide):
    low, high = 10**start, 10 ** (start + decades_wide)
    ticks = decades(low, high)
    assert len(ticks) > 1
    assert ticks == sorted(ticks)
    assert low <= ticks[0] < ticks[-1] <= high


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("tokens", [theme.LIGHT, theme.DARK], ids=["light", "dark"])
def test_text_and_marks_stand_out_from_the_ground(tokens):
    """Contrast after WCAG 2.2: 4.5 for text (1.4.3), 3 for marks that carry meaning (1.4.11)."""

    def contrast(a: str, b: str) -> float:
        lighter, darker = sorted((luminance(tokens[a]), luminance(tokens[b])), reverse=True)
        return (lighter + 0.05) / (darker + 0.05)

    for ground in ("ground", "panel"):
        for text in ("ink", "muted", "accent", "good", "bad"):
            assert contrast(text, ground) >= 4.5, (text, ground)
    for i in range(theme.RUN_COLOURS):
        assert contrast(f"run-{i}", "ground") >= 3, i
    assert contrast("on-accent", "accent") >= 4.5


# Machado, Oliveira and Fernandes (IEEE TVCG 15, 2009), severity 1, on linear RGB.
BLIND = {
    "protan": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216),
               (-0.003882, -0.048116, 1.051998)),
    "deutan": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413),
               (-0.011820, 0.042940, 0.968881)),
    "none": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
}  # fmt: skip


def lab(colour: str, seen: tuple[tuple[float, ...], ...]) -> tuple[float, float, float]:
    """CIE Lab (D65) of an sRGB colour as a colour-blind eye sees it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    rgb = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    r, g, b = (min(1, max(0, sum(m * x for m, x in zip(row, rgb, strict=True)))) for row in seen)
    xyz = (
        (0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.9505,
        0.2126 * r + 0.7152 * g + 0.0722 * b,
        (0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.089,
    )
    x, y, z = (t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in xyz)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


@pytest.mark.parametrize("kind", BLIND)
@pytest.mark.parametrize("tokens", [theme.LIGHT, theme.DARK], ids=["light", "dark"])
def test_run_colours_differ_to_every_eye(tokens, kind):
    seen = [lab(tokens[f"run-{i}"], BLIND[kind]) for i in range(theme.RUN_COLOURS)]
    near = min(math.dist(a, b) for i, a in enumerate(seen) for b in seen[i + 1 :])
    assert near > 15, near  # a just noticeable difference is 2.3
