"""The nulls: drawn in r^3, distributed as the plain simulation, at the values known in advance."""

import math
from itertools import product

import numpy as np
import pytest
import torch
from scipy import stats

from goniometer.deltas import Delta, LowRank, Provenance
from goniometer.geometry import MEASURES
from goniometer.geometry.null_table import add_nulls
from goniometer.geometry.nulls import Spectrum, null_pairs
from goniometer.geometry.readings import read_pairs


def decaying(r):
    return tuple(2.0 / 1.3**i for i in range(r))


def spectrum(r):
    return Spectrum(decaying(r), rank=r)


def draw(kind, shape, r, k, draws=200, seed=0):
    return null_pairs(kind, shape, (spectrum(r), spectrum(r)), k, draws, seed)


def frame(m, r, generator):
    """A uniformly random frame, the plain way."""
    Q, R = torch.linalg.qr(torch.randn(m, r, generator=generator, dtype=torch.float64))
    return Q * R.diagonal().sign()


@pytest.mark.parametrize("kind", ["independent", "shared_A0"])
def test_draws_are_distributed_as_whole_matrices_are(kind):
    """Two routes: r x r draws, and m x n updates through the path of real ones."""
    m, n, r, k, count = 18, 12, 4, 2, 300
    generator = torch.Generator().manual_seed(1)
    plain = {name: [] for name in MEASURES}
    for _ in range(count):
        A0 = frame(n, r, generator)
        runs = {}
        for name in "ab":
            U = frame(m, r, generator)
            V = A0 @ frame(r, r, generator) if kind == "shared_A0" else frame(n, r, generator)
            update = LowRank(U * torch.tensor(decaying(r)).double(), V.T.contiguous(), 1.0)
            runs[name] = Delta({"x": update}, Provenance("x", "test"))
        values = read_pairs(runs, k=k).values
        for name, column in plain.items():
            column.append(float(values[name][0, 0]))
    drawn = draw(kind, (m, n), r, k, draws=2000)
    for name, measure in MEASURES.items():
        # Rounded, as a shared row space overlaps by 1 up to the last digit.
        values = (np.round(column, 9) for column in (plain[name], measure.of(drawn).numpy()))
        p = stats.ks_2samp(*values).pvalue
        assert p > 1e-4, name


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("independent", 1 / math.sqrt(4096 * 2560)), ("shared_A0", 1 / math.sqrt(4096 * 32))],
)
def test_cosine_of_unrelated_updates_has_mean_zero_and_the_known_spread(kind, expected):
    cosines = MEASURES["cosine"].of(draw(kind, (4096, 2560), 32, 10, draws=2000))
    assert float(cosines.std()) == pytest.approx(expected, rel=0.08)
    assert abs(float(cosines.mean())) < 4 * expected / math.sqrt(2000)


@pytest.mark.parametrize(
    ("m", "top", "worst"), [(4096, 84.9, 89.7), (2560, 83.4, 89.7), (1024, 79.9, 89.7)]
)
def test_angles_between_random_subspaces_are_those_of_the_paper_notes(m, top, worst):
    """paper.md: 84.9, 83.4 and 79.9 degrees; the 10th angle of chance is 89.6 to 89.8."""
    draws = draw("independent", (m, 2560), 32, 10, draws=2000)
    smallest = MEASURES["angle_left_smallest"].of(draws).mean()
    assert float(smallest) == pytest.approx(top, abs=0.25)
    assert float(MEASURES["angle_left_largest"].of(draws).median()) == pytest.approx(
        worst, abs=0.15
    )
    overlap = MEASURES["overlap_left"].of(draws)
    assert float(overlap.mean()) == pytest.approx(10 / m, rel=0.05)


def test_a_shared_a0_alone_aligns_the_right_side():
    """paper.md: about 26 degrees at r = 32, k = 10."""
    draws = draw("shared_A0", (4096, 2560), 32, 10)
    assert 22 < float(MEASURES["angle_right_smallest"].of(draws).median()) < 30
    assert float(MEASURES["angle_left_smallest"].of(draws).median()) > 80
    rows = MEASURES["row_space_overlap"].of(draws)
    assert torch.allclose(rows, torch.ones_like(rows))
    strangers = MEASURES["row_space_overlap"].of(draw("independent", (4096, 2560), 32, 10))
    assert float(strangers.mean()) == pytest.approx(32 / 2560, rel=0.05)
    full = draw("shared_A0", (40, 24), 6, 6)
    assert float(MEASURES["angle_right_largest"].of(full).max()) < 1e-4


def test_share_outside_a_random_subspace_is_its_codimension():
    draws = draw("independent", (40, 24), 6, 2, draws=4000)
    for name, expected in (("left", 1 - 2 / 40), ("right", 1 - 2 / 24), ("joint", 1 - 4 / 960)):
        mean = float(MEASURES[f"off_subspace_{name}"].of(draws).mean())
        assert mean == pytest.approx(expected, abs=0.003), name


def test_a_null_of_many_modules_of_one_shape_stays_centred():
    """A pool no larger than what each module takes would leave its own error in the band."""
    shapes = {f"layers.{i}.q_proj": (48, 32) for i in range(96)}
    generator = torch.Generator().manual_seed(0)

    def update(m, n):
        return LowRank(frame(m, 4, generator), frame(n, 4, generator).T.contiguous(), 1.0)

    runs = {
        name: Delta({k: update(*shape) for k, shape in shapes.items()}, Provenance("x", "test"))
        for name in "ab"
    }
    readings = read_pairs(runs, k=2)
    bands = [
        add_nulls(readings, draws=100, seed=seed)[1]["ranks 4 and 4"]["union"] for seed in range(8)
    ]
    shares = [band["off_subspace_left"]["independent"] for band in bands]
    half_width = np.mean([share.high - share.low for share in shares]) / 2
    # The pool's error would be half of the half-width; the quantiles of 100 draws leave less.
    assert np.std([share.median for share in shares]) < 0.3 * half_width
    assert np.mean([share.median for share in shares]) == pytest.approx(1 - 2 / 48, abs=half_width)
    spread = 1 / math.sqrt(48 * 32 * 96)
    cosines = [band["cosine"]["independent"] for band in bands]
    assert abs(np.mean([cosine.median for cosine in cosines])) < 0.3 * spread
    assert np.mean([cosine.high for cosine in cosines]) == pytest.approx(1.96 * spread, rel=0.2)


def test_modules_that_nobody_changed_and_modules_of_one_run_have_their_place_in_the_null():
    generator = torch.Generator().manual_seed(0)
    shapes = {"q": (40, 24), "v": (16, 24), "o": (24, 40)}

    def update(module):
        m, n = shapes[module]
        B = frame(m, 4, generator) * (0.0 if module == "v" else 1.0)
        return LowRank(B, frame(n, 4, generator).T.contiguous(), 1.0)

    runs = {
        "a": Delta({name: update(name) for name in ("q", "v", "o")}, Provenance("a", "test")),
        "b": Delta({name: update(name) for name in ("q", "v")}, Provenance("b", "test")),
    }
    pairs, tables = add_nulls(read_pairs(runs, k=1), draws=200, seed=0)
    (table,) = tables.values()
    # Half of a's energy is in a module that b does not have: outside by construction.
    outside = pairs[0].scopes["union"].readings["off_subspace_left_reverse"].value
    band = table["union"]["off_subspace_left_reverse"]["independent"]
    assert band.low - 0.02 < outside < band.high + 0.02
    assert band.median > table["intersection"]["off_subspace_left_reverse"]["independent"].median


def test_no_shared_a0_between_ranks():
    with pytest.raises(ValueError, match="no shared A0"):
        null_pairs("shared_A0", (40, 24), (spectrum(6), spectrum(4)), 2, 20, 0)


def test_factors_of_more_columns_than_the_module_has_sides_have_a_null():
    generator = torch.Generator().manual_seed(3)
    runs = {
        name: Delta(
            {"x": LowRank(*(torch.randn(s, generator=generator) for s in ((6, 9), (9, 5))), 1.0)},
            Provenance(name, "test"),
        )
        for name in "ab"
    }
    _, tables = add_nulls(read_pairs(runs, k=1), draws=100, seed=0)
    assert tables["ranks 9 and 9"]["union"]["cosine"]["independent"].high < 1


def test_null_table_covers_unrelated_runs_and_repeats_itself():
    """Bands hold 95 %: of 45 unrelated pairs about two fall outside, and no more than eight."""
    generator = torch.Generator().manual_seed(3)
    shapes = {"layers.0.q_proj": (64, 32), "layers.1.q_proj": (64, 32)}
    runs = {
        f"run{i}": Delta(
            {
                name: LowRank(
                    torch.randn(m, 4, generator=generator),
                    torch.randn(4, n, generator=generator),
                    1.0,
                )
                for name, (m, n) in shapes.items()
            },
            Provenance("x", "test"),
        )
        for i in range(10)
    }
    readings = read_pairs(runs, k=2)
    pairs, tables = add_nulls(readings, draws=400, seed=5)
    assert set(tables) == {"ranks 4 and 4"}
    for name in ("cosine", "off_subspace_joint", "angle_left_smallest", "angle_right_2", "v1"):
        band = tables["ranks 4 and 4"]["union"][name]["independent"]
        values = [pair.scopes["union"].readings[name].value for pair in pairs]
        assert sum(not band.low <= value <= band.high for value in values) <= 8, name
    assert add_nulls(readings, draws=400, seed=5)[1] == tables
    assert add_nulls(readings, draws=400, seed=6)[1] != tables


def test_the_nulls_of_single_angles_rise_from_the_smallest_to_the_largest():
    """The ends are the same draws over the same modules; between them no band falls."""
    shapes = {"layers.0.q_proj": (48, 32), "layers.0.v_proj": (20, 32), "layers.1.q_proj": (48, 32)}
    generator = torch.Generator().manual_seed(7)
    runs = {
        name: Delta(
            {
                module: LowRank(
                    torch.randn(m, 6, generator=generator),
                    torch.randn(6, n, generator=generator),
                    1.0,
                )
                for module, (m, n) in shapes.items()
                if (name, module) != ("b", "layers.1.q_proj")
            },
            Provenance("x", "test"),
        )
        for name in "ab"
    }
    _, tables = add_nulls(read_pairs(runs, k=4), draws=100, seed=2)
    table = tables["ranks 6 and 6"]["union"]
    for side, kind in product(("left", "right"), ("independent", "shared_A0")):
        ranks = [table[f"angle_{side}_{rank}"][kind] for rank in range(1, 5)]
        ends = [table[f"angle_{side}_{which}"][kind] for which in ("smallest", "largest")]
        assert [ranks[0], ranks[3]] == ends
        for end in ("low", "median", "high"):
            values = [getattr(band, end) for band in ranks]
            assert values == sorted(values)
        assert ranks[0].high < ranks[3].low
    right = table["angle_right_2"]
    assert right["shared_A0"].high < right["independent"].low
