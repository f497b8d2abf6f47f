"""CKA of runs on a base, the tokens it is measured at, and what inputs alone give."""

import pytest
import torch
from scipy import stats

from goniometer.behaviour.activations import Activations
from goniometer.behaviour.cka import similarity, similarity_steps
from goniometer.behaviour.covariance import input_nulls
from goniometer.behaviour.together import nulls_shown
from goniometer.behaviour.tokens import choose_tokens
from goniometer.deltas import Delta, LowRank, Provenance
from goniometer.errors import GoniometerError
from goniometer.geometry.input_null import draw_input_null
from goniometer.model import (
    LanguageModel,
    hidden_states,
    module_inputs,
    perturbed,
    same_inputs,
)
from goniometer.progress import Silent
from tests.checkpoints import nudged
from tests.paths import difference, moved_within_blocks
from tests.test_hsic import dense
from tests.tiny_model import END, tiny_model

MODULES = [f"model.layers.{layer}.self_attn.{p}_proj" for layer in (0, 1) for p in "qkvo"]


def delta(model, seed, size=1.0):
    generator = torch.Generator().manual_seed(seed)
    matrices = {}
    for name in MODULES:
        m, n = model.network.get_submodule(name).weight.shape
        B, A = (torch.randn(shape, generator=generator).double() for shape in ((m, 3), (3, n)))
        matrices[name] = LowRank(size * B, A, 0.1)
    return Delta(matrices, Provenance(f"run {seed}", "test"))


def texts(count=8, length=6):
    draw = torch.Generator().manual_seed(5)
    rows = torch.randint(4, 80, (count, 3 + length), generator=draw).tolist()
    return [(tuple(row[:3]), (*row[3:], END)) for row in rows]


def test_hidden_states_are_those_of_transformers_at_the_positions_asked_for():
    model = tiny_model()
    rows = [(3, 4, 5, 6, 7), (8, 9, 10), (11, 12, 13, 14)]
    columns = [(1, 3), (2,), (0, 1, 3)]
    got = {}
    hidden_states(
        model, rows, columns, lambda layer, text, x: got.update({(layer, text): x}), batch_size=2
    )
    for text, row in enumerate(rows):
        expected = model.network(input_ids=torch.tensor([row]), output_hidden_states=True)
        for layer in (0, 1):  # the last is normalised there
            wanted = expected.hidden_states[layer][0, list(columns[text])]
            torch.testing.assert_close(got[layer, text], wanted, rtol=1e-10, atol=1e-12)
        last = model.network.model.norm(got[2, text])
        wanted = expected.hidden_states[2][0, list(columns[text])]
        torch.testing.assert_close(last, wanted, rtol=1e-10, atol=1e-12)
    fresh = tiny_model()
    hidden_states(fresh, rows, columns, lambda *_: None, batch_size=2)
    assert hooks(fresh) == 0


def test_inputs_that_modules_share_are_found():
    model = tiny_model()
    first = same_inputs(model, MODULES)
    q, k, v, o = MODULES[:4]
    assert first[q] == first[k] == first[v] == q
    assert first[o] == o
    got = {}
    module_inputs(
        model, [q, k], [(3, 4, 5)], [(1, 2)], lambda name, _, x: got.update({name: x}), batch_size=1
    )
    assert torch.equal(got[q], got[k])


def test_tokens_with_equal_text_before_them_count_once_and_first_and_end_tokens_never():
    model = tiny_model()
    prompt = (5, 6, 7)
    given = [(prompt, (8, 9, END)), (prompt, (8, 10, END)), (prompt, (8, 9, END)), ((9,), (4,))]
    chosen = choose_tokens(model, given, "completion tokens", 100)
    found = dict(zip(chosen.texts, chosen.columns, strict=True))
    assert found == {(5, 6, 7, 8, 9): (3, 4), (5, 6, 7, 8, 10): (4,), (9, 4): (1,)}
    assert (chosen.count, chosen.prompts) == (4, 2)
    assert chosen.groups == (slice(0, 3), slice(3, 4))  # whole prompts
    every = choose_tokens(model, given, "every token", 100)
    assert every.count == 6
    last = choose_tokens(model, given, "last prompt token", 100, least=1)
    assert (last.texts, last.columns) == ((prompt,), ((2,),))
    fewer = choose_tokens(model, texts(), "every token", 10)
    assert (fewer.count, fewer.prompts) == (10, 8)


def test_cka_of_runs_is_that_of_their_hidden_states():
    model = tiny_model()
    runs = {"a": delta(model, 1), "b": delta(model, 2), "same": delta(model, 1)}
    steps = []
    found = similarity(model, runs, texts(), ceiling=("a", "same"), advance=steps.append)
    assert sum(steps) == similarity_steps(model, 3, texts())
    assert (found.tokens, found.prompts, found.width, found.groups) == (48, 8, 16, 8)
    states = {}
    for name, run in {"base": None, **runs}.items():
        rows = [(*p, *c) for p, c in texts()]
        got = {}

        def receive(layer, text, x, got=got):
            got[layer, text] = x

        with perturbed(model.network, [run] if run else [], torch.ones(1, int(run is not None))):
            hidden_states(model, rows, [range(3, 9)] * 8, receive, batch_size=8)
        states[name] = [torch.cat([got[layer, text] for text in range(8)]) for layer in range(3)]
    assert [(p.a, p.b) for p in found.pairs][:3] == [("base", x) for x in runs]
    for pair in found.pairs:
        for at in pair.layers:
            expected = dense(states[pair.a][at.layer], states[pair.b][at.layer])
            assert at.cka.value == pytest.approx(expected, abs=1e-6)
            assert at.low <= at.cka.value <= at.high
    by_pair = {(p.a, p.b): p.layers for p in found.pairs}
    assert by_pair["base", "a"][0].cka.value == pytest.approx(1, abs=1e-9)  # the embedding
    assert by_pair["base", "a"][2].cka.value < 0.999
    assert by_pair["a", "same"][2].cka.value == pytest.approx(1, abs=1e-9)
    assert similarity(model, runs, texts(), ceiling=("a", "same")) == found


def test_whole_updates_are_those_of_a_merged_copy_and_make_none():
    model = tiny_model()
    tuned = nudged(model.network, 1, 0.1)
    moved = moved_within_blocks(model)
    (pair,) = similarity(model, {"whole": difference(tuned, model.network)}, texts()).pairs
    assert set(moved) == {0}
    rows, states = [(*p, *c) for p, c in texts()], []
    for network in (model.network, tuned):
        got = {}
        hidden_states(
            LanguageModel(network, model.tokenizer, "copy"), rows, [range(3, 9)] * 8,
            lambda layer, text, x, got=got: got.update({(layer, text): x}), batch_size=8,
        )  # fmt: skip
        states.append([torch.cat([got[layer, text] for text in range(8)]) for layer in range(3)])
    for at in pair.layers:
        expected = dense(states[0][at.layer], states[1][at.layer])
        assert at.cka.value == pytest.approx(expected, abs=1e-6)


def hooks(model):
    modules = list(model.network.modules())
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in modules)


def other_shape(model):
    matrix = LowRank(torch.ones(5, 1), torch.ones(1, 16), 1.0)
    return Delta({MODULES[0]: matrix}, Provenance("x", "test"))


@pytest.mark.parametrize(
    ("given", "change", "message"),
    [
        ([], {}, "no texts"),
        ([((5, 6), (7, END))], {}, "too few tokens"),
        ([((5, 6), (7, 999))], {}, "tokens that the base does not have; found token 999"),
        (texts(), {"deltas": {"r": other_shape}}, MODULES[0]),
        (texts(), {"deltas": {"base": delta}}, "base's name"),
        (texts(), {"ceiling": ("a", "c")}, "two runs; found a and c"),
        (texts(), {"scratch": "absent"}, "no folder for activations"),
    ],
)
def test_bad_input_is_named(tmp_path, given, change, message):
    model = tiny_model()
    runs = {"a": delta(model, 1)}
    if "deltas" in change:
        ((name, make),) = change["deltas"].items()
        runs[name] = make(model) if make is other_shape else make(model, 2)
    scratch = tmp_path / change["scratch"] if "scratch" in change else tmp_path
    with pytest.raises(GoniometerError, match=message):
        similarity(model, runs, given, Activations(scratch=scratch), ceiling=change.get("ceiling"))
    assert not list(tmp_path.iterdir())


def test_input_nulls_are_those_of_whole_matrices():
    """Two routes: eigenvalues and R alone, and B A with rows of A from the covariance itself."""
    generator = torch.Generator().manual_seed(0)
    m, n, r, count = 12, 10, 3, 400
    root = torch.randn(n, n, generator=generator).double() * torch.logspace(0, -1, n).double()
    v1 = []
    for _ in range(count):
        tops = []
        for _ in "ab":
            B, G = (torch.randn(s, generator=generator).double() for s in ((m, r), (r, n)))
            tops.append(torch.linalg.svd(B @ G @ root.T).Vh[0])
        v1.append(abs(float(tops[0] @ tops[1])))
    drawn = draw_input_null(torch.linalg.eigvalsh(root @ root.T), m, r, 2, 2000, seed=0)
    assert stats.ks_2samp(v1, drawn["v1"].numpy()).pvalue > 1e-3
    flat = draw_input_null(torch.ones(n).double(), m, r, 2, 2000, seed=0)
    assert flat["v1"].median() < 0.8 * drawn["v1"].median()
    one = draw_input_null(torch.tensor([1.0, 1e-12]).double(), m, r, 1, 50, seed=0)
    assert one["v1"].min() > 0.999


def test_input_nulls_of_a_model_take_each_modules_own_inputs():
    model = tiny_model()
    runs = {"a": delta(model, 1), "b": delta(model, 2)}
    found = input_nulls(model, runs, texts(), k=1, draws=60)
    assert [null.module for null in found.modules] == sorted(MODULES)
    assert (found.positions, found.tokens, found.k) == ("every token", 64, 1)
    rows = [(*p, *c)[:-1] for p, c in texts()]
    got = []
    module_inputs(
        model, MODULES[3:4], rows, [range(1, 9)] * 8, lambda *x: got.append(x[2]), batch_size=8
    )
    X = torch.cat(got)
    for moment, centre in (("second moment", 0), ("covariance", X.mean(0))):
        values = torch.linalg.eigvalsh((X - centre).T @ (X - centre))
        p = values / values.sum()
        null = next(null for null in found.modules if null.module == MODULES[3])
        assert null.effective_rank[moment] == pytest.approx(float((-p * p.log()).sum().exp()), 1e-4)
        assert null.bands[moment]["v1"].draws == 60
        assert {"v1", "angle_right_smallest", "off_subspace_right"} <= null.bands[moment].keys()
        assert found.whole[moment]["v1"].low > null.bands[moment]["v1"].low  # medians vary less
    whole = {"full": Delta({}, Provenance("x", "test"))}
    with pytest.raises(GoniometerError, match="no linear module is adapted by low rank"):
        input_nulls(model, whole, texts())


def of_the_vocabulary(name):
    return Delta(
        {name: LowRank(torch.ones(80, 1), torch.ones(1, 16), 1.0)}, Provenance(name, "test")
    )


def test_a_head_beside_other_modules_has_no_input_null():
    model = tiny_model()
    runs = {"a": delta(model, 1), "head": of_the_vocabulary("lm_head")}
    found = input_nulls(model, runs, texts(), k=1, draws=10)
    assert [null.module for null in found.modules] == sorted(MODULES)


@pytest.mark.parametrize("name", ["lm_head", "model.embed_tokens"])
def test_where_no_module_has_an_input_null_there_is_none(name: str):
    model, runs, every = tiny_model(), {"a": of_the_vocabulary(name)}, Activations("every token")
    assert nulls_shown(model, runs, texts(), every, Silent()) is None
    with pytest.raises(GoniometerError, match="no linear module is adapted by low rank"):
        input_nulls(model, runs, texts())
