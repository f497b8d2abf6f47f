"""Options of an objective as a file gives them: what is refused, by name, and what arrives."""

import pytest
import torch

from goniometer.errors import GoniometerError
from goniometer.objectives import OBJECTIVES, build
from goniometer.objectives.dpo import DPO
from goniometer.objectives.offline_grpo import OfflineGRPO
from goniometer.objectives.sft import SFT
from tests.rollouts_factory import GROUPS, make_batch, make_rollouts


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("stf", {}, r"s.yaml: arms.1: objective: unknown objective 'stf'. Did you mean 'sft'\?"),
        ("zzz", {}, r"Known are sft, rft"),
        ("dpo", {"betta": 1}, r"s.yaml: arms.1: options.betta: unknown .* mean 'beta'\?"),
        ("dpo", {"beta": -1}, r"options.beta: Input should be greater than 0; found -1"),
        ("dpo", {"beta": float("nan")}, r"options.beta: .*found nan"),
        ("dpo", {"pairs_per_prompt": 0}, r"options.pairs_per_prompt: .*greater than 0; found 0"),
        ("sft", {"rows": "wrong"}, r"options.rows: Input should be 'all' or 'correct'"),
        ("dft", {"rows": "all"}, r"options.rows: unknown option. It has no options"),
        ("rift", {"variant": "paper_weighted"}, r"lam: paper_weighted needs lambda"),
        ("rift", {"lam": 0.5}, r"lam: the original variant has no lambda; found 0.5"),
        ("rift", {"variant": "paper_weighted", "lam": 1.5}, r"options.lam: .*less than or equal"),
        (
            "rift",
            {"variant": "paper_weighted", "lam": 0.5, "wrong_reward": -1},
            r"paper_weighted has the rewards 1 and 0",
        ),
        ("rift", {"wrong_reward": 0.2}, r"options.wrong_reward: .*less than 0; found 0.2"),
        ("rift", {"level": "text"}, r"options.level: Input should be 'token', 'length_normalised'"),
        (
            "rift",
            {"variant": "paper_weighted", "lam": 0.5, "level": "sequence"},
            r"level: paper_weighted has no surrogate, and so no level; found sequence",
        ),
        ("rft", {"deduplicate": "text"}, r"options.deduplicate: Input should be 'none' or 'equ"),
        ("offline_grpo", {"clip": 0.2}, r"clip: the paper variant does not read clip; found 0.2"),
        ("offline_grpo", {"kl": 0.0}, r"kl: the paper variant does not read kl"),
        (
            "offline_grpo",
            {"variant": "ratio_clipped", "bias": 0.1},
            r"bias: the ratio_clipped variant does not read bias; .* it reads clip, kl",
        ),
        ("offline_grpo", {"variant": "ratio_clipped", "clip": 1.0}, r"options.clip: .*less than 1"),
        ("offline_grpo", {"variant": "ratio_clipped", "kl": -1}, r"options.kl: .*equal to 0"),
        ("ipo", {"tau": 0}, r"options.tau: Input should be greater than 0; found 0"),
        ("ipo", {"beta": 0.1}, r"options.beta: unknown option. Did you mean 'tau'"),
        ("simpo", {"gamma": -1}, r"options.gamma: .*greater than or equal to 0; found -1"),
        ("kto", {"lambda_desirable": 0}, r"options.lambda_desirable: .*greater than 0; found 0"),
        ("online_grpo", {"group_size": 1}, r"options.group_size: .*equal to 2; found 1"),
        ("no.such.module:X", {}, r"cannot import 'no.such.module:X'"),
        ("goniometer.objectives.sft:XYZ", {}, r"cannot import .*XYZ"),
        ("pathlib:Path", {}, r"'pathlib:Path' is no objective; expected a dataclass"),
    ],
)
def test_bad_options_are_refused_by_name(name, options, message):
    with pytest.raises(GoniometerError, match=message) as error:
        build(name, options, "s.yaml: arms.1")
    assert str(error.value).startswith("s.yaml: arms.1: ")
    assert "\n" not in str(error.value)


def test_options_reach_the_fields():
    assert build("dpo", {"beta": 2, "pairs_per_prompt": 3}, "test") == DPO(2.0, 3)
    assert build("sft", {"rows": "correct"}, "test") == SFT(rows="correct")


def test_an_objective_out_of_tree_is_imported_by_name():
    assert build("goniometer.objectives.dpo:DPO", {"beta": 0.5}, "test") == DPO(beta=0.5)


def test_what_an_objective_needs_depends_on_its_options():
    def needs(**options):
        return build("offline_grpo", options, "test").needs

    assert needs() == frozenset()
    assert needs(variant="probability_weighted") == {"reference"}
    assert needs(variant="probability_weighted", kl=0.0) == frozenset()
    assert needs(variant="ratio_clipped") == {"behaviour"}
    assert needs(variant="ratio_clipped", kl=0.01) == {"behaviour", "reference"}
    assert build("online_grpo", {}, "test").needs == {"behaviour"}
    assert build("online_grpo", {"kl": 0.04}, "test").needs == {"behaviour", "reference"}
    assert build("simpo", {}, "test").needs == frozenset()


def test_only_online_grpo_is_on_policy():
    assert [name for name, kind in OBJECTIVES.items() if kind.on_policy] == ["online_grpo"]


def test_an_option_left_out_has_the_default_of_the_variant():
    given = OfflineGRPO(variant="probability_weighted", bias=0.1, clip=0.2, kl=0.1)
    rollouts = make_rollouts(GROUPS)
    left_out = OfflineGRPO(variant="probability_weighted")
    assert given.needs == left_out.needs
    assert torch.equal(given.select(rollouts).coefficient, left_out.select(rollouts).coefficient)
    batch = make_batch(given, rollouts)
    assert torch.equal(given.loss(batch).total, left_out.loss(batch).total)
