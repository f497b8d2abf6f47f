"""What `compare --base MODEL --data ROLLOUTS` prints of the model: paths, activations, KL, sums."""

from collections.abc import Iterator

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from goniometer.console.terminal import number, print_undefined
from goniometer.report.words.labels import measured_on
from goniometer.results import BASE, Behaviour, Composed, PairSimilarity, Reading, Segment


def print_behaviour(found: Behaviour | None, console: Console) -> None:
    """Print a table of paths, one of activations and KL, one of sums; nothing without a model."""
    if found is None:
        return
    console.print(f"on {found.base}, {found.data}", soft_wrap=True, highlight=False, markup=False)
    if found.connectivity is not None:
        console.print(_paths(found.connectivity.segments, found.connectivity.items))
    if found.similarity is not None:
        console.print(_alike(found))
        line = measured_on(found.similarity)
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    if found.composed:
        console.print(_sums(found.composed))
    print_undefined(_readings(found), console)


def _readings(found: Behaviour) -> Iterator[tuple[str, Reading]]:
    """The readings that the tables show, by what to call them."""
    for path in found.connectivity.segments if found.connectivity else ():
        where = f"of {path.start} to {path.end}"
        yield from ((f"middle {where}", path.midpoint), (f"barrier {where}", path.barrier))
    for pair in found.similarity.pairs if found.similarity else ():
        yield from ((f"CKA of {pair.a} and {pair.b}", layer.cka) for layer in pair.layers[-1:])
    yield from ((f"kappa of {one.a} and {one.b}", one.kappa) for one in found.agreement)
    yield from ((f"KL of {one.run}", one.kl) for one in found.divergence)
    for one in found.composed:
        what = f"{_kind(one)} of {one.a} and {one.b}"
        yield from ((f"loss of {what}", one.nll), (f"expected of {what}", one.expected))
        yield from (
            (f"beyond of {what}", one.interference),
            (f"by the cosine, {what}", one.by_cosine),
        )
        yield from ((f"by off subspace, {what}", end) for end in one.by_off_subspace[:1])


def _kind(one: Composed) -> str:
    return "sum" if one.weights == (1, 1) else "mean"


def _paths(segments: tuple[Segment, ...], items: int) -> Table:
    title = f"losses along straight paths, nats a token; 95 % over {items} problems"
    table = _table(title, ["from", "to"])
    answered = any(one.accuracy for one in segments)
    heads = ["start", "middle", "end", "middle above chord", "95 %", "barrier"]
    for head in [*heads, *(["right at start, middle, end"] if answered else [])]:
        table.add_column(head, justify="right", no_wrap=True)
    for one in segments:
        places = (0, len(one.positions) // 2, -1)
        row = [_optional(one.loss[i]) for i in places]
        row += [number(one.midpoint, 4), _band(one.midpoint_low, one.midpoint_high)]
        row.append(number(one.barrier, 4))
        if one.accuracy:
            row.append(", ".join(_optional(one.accuracy[i], 3) for i in places))
        table.add_row(escape(one.start), escape(one.end), *row)
    return table


def _alike(found: Behaviour) -> Table:
    what = ["activations (debiased CKA)"]
    heads = ["lowest CKA", "last layer"]
    if found.agreement:
        what.append("answers")
        heads += ["same outcome", "kappa"]
    if found.divergence:
        what.append("KL from the base in nats a completion")
        heads.append("KL")
    table = _table(", ".join(what), ["a", "b"])
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    agreed = {frozenset((one.a, one.b)): one for one in found.agreement}
    kl = {frozenset((BASE, one.run)): one.kl for one in found.divergence}
    for pair in found.similarity.pairs if found.similarity else ():
        ends = frozenset((pair.a, pair.b))
        said = agreed.get(ends)
        row = [_lowest(pair), number(pair.layers[-1].cka, 4)]
        if found.agreement:
            row.append("" if said is None else f"{said.same_outcome:.3f}")
            row.append("" if said is None else number(said.kappa, 3))
        if found.divergence:
            row.append(number(kl[ends], 3) if ends in kl else "")
        table.add_row(escape(pair.a), escape(pair.b), *row)
    return table


def _sums(composed: tuple[Composed, ...]) -> Table:
    table = _table("sums and means of updates; loss beyond what each does alone", ["a", "b", ""])
    for head in ("loss", "expected", "beyond", "95 %", "by the cosine", "by off subspace"):
        table.add_column(head, justify="right", no_wrap=True)
    for one in composed:
        numbers = [number(one.nll, 4), number(one.expected, 4), number(one.interference, 4)]
        numbers.append(_band(one.interference_low, one.interference_high))
        numbers += [number(one.by_cosine, 4), _left_open(one.by_off_subspace)]
        table.add_row(escape(one.a), escape(one.b), _kind(one), *numbers)
    return table


def _table(title: str, names: list[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left")
    for name in names:
        table.add_column(name, no_wrap=True)
    return table


def _lowest(pair: PairSimilarity) -> str:
    known = [layer.cka.value for layer in pair.layers if layer.cka.value is not None]
    return f"{min(known):z.4f}" if known else "undefined"


def _left_open(ends: tuple[Reading, Reading]) -> str:
    """What off_subspace leaves open of the loss beyond what each does alone."""
    low, high = (end.value for end in ends)
    return "undefined" if low is None or high is None else _band(low, high)


def _optional(value: float | None, digits: int = 4) -> str:
    return "undefined" if value is None else f"{value:z.{digits}f}"


def _band(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{low:z.4f} to {high:z.4f}"
