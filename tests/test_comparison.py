"""Verdicts: what a study's seeds allow one to say of each pair, on planted updates."""

from collections import Counter
from itertools import combinations

import pytest
import torch

from goniometer.comparison.compare import compare_deltas, compared
from goniometer.comparison.names import name_runs
from goniometer.comparison.replicates import Replicates
from goniometer.deltas import Delta, Dense, LowRank, Provenance
from goniometer.statistics import ANOTHER_SEED, REPEAT, UNTOLD, family_wise

SHAPE = (48, 40)


def direction(seed):
    """A random update of norm 1."""
    generator = torch.Generator().manual_seed(seed)
    matrix = LowRank(
        torch.randn(SHAPE[0], 3, generator=generator, dtype=torch.float64),
        torch.randn(3, SHAPE[1], generator=generator, dtype=torch.float64),
        1.0,
    )
    return matrix.scaled(1 / matrix.dense().norm().item())


def run(*parts):
    """A run as a weighted sum of directions: (weight, seed), ..."""
    total = direction(parts[0][1]).scaled(parts[0][0])
    for weight, seed in parts[1:]:
        total = total + direction(seed).scaled(weight)
    return Delta({"x": total}, Provenance("x", "test"))


def verdicts(deltas, replicates):
    comparison, _ = compare_deltas(deltas, k=1, replicates=replicates)
    return {(pair.a, pair.b): pair.verdict for pair in comparison.pairs}


def test_noise_of_a_shared_data_order_is_not_sameness():
    """Recipes 1 and 2 have nothing in common but the noise (10) of the order that they share."""
    deltas = {
        "A": run((1, 1), (1, 10)),
        "A order 2": run((1, 1), (1, 11)),
        "A order 3": run((1, 1), (1, 12)),
        "B": run((1, 2), (1, 10)),
        "A twin": run((1, 1), (1, 10), (0.1, 3)),
        "A init 2": run((1, 4), (1, 10)),
    }
    names = list(deltas)
    replicates = Replicates(
        same_init=(("A", "A order 2", "A order 3"),),
        other_init=(("A", "A init 2"),),
        init_of={name: int(name == "A init 2") for name in names},
        order_of={name: ("order 2" in name) + 2 * ("order 3" in name) for name in names},
    )
    found = verdicts(deltas, replicates)
    assert found["A", "B"] == "not the same update"
    assert found["A", "A twin"] == "same update"
    # The floor's own pairs cannot be judged by it, nor a pair that differs in two seeds.
    assert found["A", "A order 2"] == found["A order 2", "A order 3"] == REPEAT
    assert found["A", "A init 2"] == REPEAT
    assert "same update" not in found["A order 2", "A init 2"]
    assert "(provisional: fewer than 3 replicates)" in found["A twin", "A init 2"]


def test_the_strictest_floor_judges_where_neither_run_has_repeats():
    """A is noisy and C is not: a cosine that A's floor allows and C's does not is not sameness."""
    deltas = {
        "A": run((1, 1), (1.5, 10)), "A order 2": run((1, 1), (1.5, 11)),
        "A order 3": run((1, 1), (1.5, 12)),
        "C": run((1, 2), (0.2, 10)), "C order 2": run((1, 2), (0.2, 11)),
        "C order 3": run((1, 2), (0.2, 12)),
        "D": run((1, 5), (0.8, 6)), "E": run((1, 5), (0.8, 7)),
    }  # fmt: skip
    replicates = Replicates(
        same_init=(("A", "A order 2", "A order 3"), ("C", "C order 2", "C order 3")),
        other_init=(),
        init_of=dict.fromkeys(deltas, 0),
        order_of={n: ("order 2" in n) + 2 * ("order 3" in n) for n in deltas},
    )
    assert verdicts(deltas, replicates)["D", "E"] == "not the same update"


def test_seeds_of_a_grid_are_repeats_and_are_not_held_against_the_common_seeds_floor():
    """A and B share nothing but the noise of each seed, which no floor of seed 1 knows of."""
    deltas = {
        "A": run((1, 1), (0.2, 10)), "A order 2": run((1, 1), (0.2, 11)),
        "A order 3": run((1, 1), (0.2, 12)), "A seed 2": run((1, 1), (9, 20)),
        "B": run((1, 2), (0.2, 10)), "B seed 2": run((1, 2), (9, 20)),
        "A lr": run((0.1, 1), (0.02, 13)),
    }  # fmt: skip
    seeds = {name: int("seed 2" in name) for name in deltas}
    replicates = Replicates(
        same_init=(("A", "A order 2", "A order 3"),),
        other_init=(),
        init_of={name: 1001 * seed for name, seed in seeds.items()},
        order_of={n: 1001 * s + ("order 2" in n) + 2 * ("order 3" in n) for n, s in seeds.items()},
        recipe_of={name: name if name == "A lr" else name[0] for name in deltas},
        seed_of=seeds,
    )
    found = verdicts(deltas, replicates)
    assert found["A", "A seed 2"] == found["A order 2", "A seed 2"] == ANOTHER_SEED
    assert found["A", "A order 2"] == REPEAT
    assert found["A seed 2", "B seed 2"] == "similar, relative to the nulls"
    assert found["A", "B"] == "not the same update"
    # Another learning rate is another recipe, and judged by the floor.
    assert found["A", "A lr"] in ("same update", UNTOLD)
    assert found["A seed 2", "A lr"] not in (ANOTHER_SEED, "same update")


def test_runs_of_two_regimes_are_held_against_no_floor():
    deltas = {
        "A": run((1, 1), (0.2, 10)), "A order 2": run((1, 1), (0.2, 11)),
        "A order 3": run((1, 1), (0.2, 12)), "B": run((1, 2), (0.2, 10)),
    }  # fmt: skip
    same = dict.fromkeys(deltas, 0)
    for moved, expected in ((False, "not the same update"), (True, "beyond independence")):
        kinds = {name: ("full" if moved and name == "B" else "lora", None) for name in deltas}
        orders = {"A": 0, "A order 2": 1, "A order 3": 2, "B": 0}
        replicates = Replicates(
            same_init=(("A", "A order 2", "A order 3"),), other_init=(),
            init_of=same, order_of=orders, kind_of=kinds,
        )  # fmt: skip
        assert verdicts(deltas, replicates)["A", "B"].startswith(expected)


def test_of_many_pairs_those_of_named_runs_keep_their_layers():
    deltas = {
        f"run {i}": Delta({"layers.0.x": direction(i)}, Provenance("x", "test")) for i in range(22)
    }
    for named in ((), ("run 0", "run 3", "run 7")):
        comparison, _ = compare_deltas(deltas, k=1, draws=100, detailed=named)
        detailed = {frozenset((p.a, p.b)) for p in comparison.pairs if "layer.0" in p.scopes}
        assert detailed == {frozenset(pair) for pair in combinations(named, 2)}
        assert all("union" in pair.scopes for pair in comparison.pairs)


def test_without_seeds_nothing_is_the_same_update():
    deltas = {"a": run((1, 1), (0.1, 2)), "b": run((1, 1), (0.1, 3)), "stranger": run((1, 4))}
    results, _ = compared(deltas, k=1)
    said = {(pair.a, pair.b): pair.verdict for pair in results.comparison.pairs}
    assert said["a", "b"] == "similar, relative to the nulls"
    assert "shared-A0" not in said["a", "stranger"]
    assert any("started from one A" in w for w in results.comparison.warnings)


def test_equal_folder_names_get_their_parents(tmp_path):
    paths = [tmp_path / a / "final" for a in ("x", "y")] + [tmp_path / "other"]
    for path in paths:
        path.mkdir(parents=True)
    assert list(name_runs([str(p) for p in paths])) == ["x/final", "y/final", "other"]
    assert list(name_runs([f"mine={paths[0]}", str(paths[1])])) == ["mine", "final"]


def test_of_many_unrelated_pairs_hardly_any_is_called_similar():
    """190 pairs at 95 % each would have some five above their null: all together hold 95 %."""
    generator = torch.Generator().manual_seed(11)
    runs = {
        f"run{i}": Delta(
            {
                f"layers.{layer}.q": LowRank(
                    torch.randn(64, 4, generator=generator),
                    torch.randn(4, 48, generator=generator),
                    1.0,
                )
                for layer in range(12)
            },
            Provenance("x", "test"),
        )
        for i in range(20)
    }
    comparison, _ = compare_deltas(runs, draws=400)
    band = comparison.nulls["ranks 4 and 4"]["union"]["cosine"]["independent"]
    values = [pair.scopes["union"].readings["cosine"].value for pair in comparison.pairs]
    assert sum(value > band.high for value in values) >= 2
    verdicts = [pair.verdict for pair in comparison.pairs]
    assert sum("relative to the nulls" in verdict for verdict in verdicts) <= 1


def test_a_family_of_pairs_has_a_wider_band_and_heavy_tails_a_wider_still():
    one, many = family_wise(0.1, 0.0, 1, 9), family_wise(0.1, 0.0, 100, 9)
    assert (one.low, one.high) == pytest.approx((-0.196, 0.196), abs=1e-4)
    # Bonferroni at 100 pairs: the 99.975 % point of a normal variable.
    assert many.high == pytest.approx(0.34808, rel=1e-4)
    assert family_wise(0.1, 3.0, 100, 9).high > 1.2 * many.high


def test_a_pair_whose_energy_lies_elsewhere_is_judged_by_its_own_band():
    """Unrelated updates of which two have nearly all energy in one module: not called similar."""
    found = Counter()
    for seed in range(6):
        generator = torch.Generator().manual_seed(seed)

        def update(module, run, generator=generator):
            size = 30.0 if module == 0 and run < 2 else 1.0
            B, A = (torch.randn(s, generator=generator) for s in ((40, 4), (4, 40)))
            return LowRank(size * B, A, 1.0)

        runs = {
            f"run{run}": Delta(
                {f"layers.{m}.q": update(m, run) for m in range(16)}, Provenance("x", "test")
            )
            for run in range(6)
        }
        comparison, _ = compare_deltas(runs, draws=200)
        odd = next(p for p in comparison.pairs if {p.a, p.b} == {"run0", "run1"})
        plain = next(p for p in comparison.pairs if {p.a, p.b} == {"run4", "run5"})
        assert odd.family["independent"].high > 2 * plain.family["independent"].high
        found.update("relative to the nulls" in pair.verdict for pair in comparison.pairs)
    assert found[True] <= 2


def test_a_trained_bias_leaves_the_null_of_a_shared_start():
    generator = torch.Generator().manual_seed(2)
    A0 = torch.randn(4, 40, generator=generator)
    runs = {
        name: Delta(
            {"q": LowRank(torch.randn(40, 4, generator=generator), A0, 1.0),
             "q.bias": Dense(torch.randn(40, 1, generator=generator) / 10)},
            Provenance("x", "test"),
        )
        for name in "ab"
    }  # fmt: skip
    pair = compare_deltas(runs)[0].pairs[0]
    assert pair.family["shared_A0"].high > 2 * pair.family["independent"].high


def test_one_run_alone_is_read_without_a_pair():
    comparison, _ = compare_deltas({"A": run((2, 1))}, k=1)
    assert comparison.pairs == ()
    assert comparison.runs[0].scopes["all"]["norm"].value == pytest.approx(2)
