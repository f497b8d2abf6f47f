"""One damaged folder through `goniometer.compare`, under guard: what came of it.

Allowed is an answer whose readings are finite or undefined, or one GoniometerError that can be
printed. Not allowed: any other exception, more than TIME seconds, more than MEMORY bytes over what
was there before (a refusal after an allocation failed counts too), files left open, and opening
what lies outside the case's folder, by Python (seen by an audit hook) or by safetensors (by the
one name through which the readers call it).
"""

import gc
import json
import math
import os
import random
import re
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import goniometer
from goniometer.comparison.options import Options
from goniometer.deltas import tensors
from goniometer.library import compare_with
from goniometer.progress import Silent
from goniometer.results import to_json
from goniometer.seeds import derive
from tests.fuzz.damage import CANARY, MUTATIONS, Expected, Folder, write_outside
from tests.fuzz.seeds import CHECKPOINTS, SEEDS, write_seed

TIME, MEMORY = 10, 300 << 20
_OUT_OF_MEMORY = re.compile(r"MemoryError|allocate|out of memory|std::bad_alloc", re.IGNORECASE)
# A refusal's class is its words, without what is of this case.
_WHERE = re.compile(r"^.*?(?:/|model\.)\S*: ")


class TooLong(BaseException):
    """A case did not end in time; no `except Exception` may hide it."""


@final
@dataclass(frozen=True)
class Outcome:
    """What came of a case: "read", "refused" with the reason, or "FAILED" with the fault."""

    seed: str
    mutation: str
    state: str
    detail: str
    fingerprint: str = ""


@final
@dataclass
class Bench:
    """Where the cases of one process are run: the seeds, written once, and what was opened."""

    root: Path
    expected: dict[str, str] = field(default_factory=dict)
    opened: list[str] = field(default_factory=list)
    watched: bool = False

    def __post_init__(self) -> None:
        """Write what lies outside and the seeds, read each once, and begin to listen."""
        self.root = self.root.resolve()
        write_outside(self.root / "canary", write_seed)
        for name in SEEDS:
            write_seed(name, self.root / "seeds" / name)
            _, found = _compared(self.root / "seeds" / name, name, base_measures=name == "DoRA")
            self.expected[name] = found
        sys.addaudithook(self._hear)
        readers: Any = tensors  # by this name alone they open a file of weights
        real = readers.safe_open

        def heard(file: Any, *args: Any, **options: Any) -> Any:
            if self.watched:
                self.opened.append(os.path.realpath(file))
            return real(file, *args, **options)

        readers.safe_open = heard

    def _hear(self, event: str, args: tuple[Any, ...]) -> None:
        if self.watched and event in ("open", "os.listdir", "os.scandir") and args:
            path = args[0]
            if isinstance(path, str | bytes | os.PathLike):
                self.opened.append(os.path.realpath(os.fsdecode(path)))

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Hear what is opened."""
        self.opened.clear()
        self.watched = True
        try:
            yield
        finally:
            self.watched = False

    def strays(self, case: Path) -> list[str]:
        """What was opened outside the case's folder; Python's own modules may be."""
        inside = (f"{case}/", f"{sys.prefix}/", f"{sys.base_prefix}/lib/", f"{self.root}/hub")
        # Python lists the folders of its path anew when it looks for a module.
        allowed = {str(case), *map(os.path.realpath, sys.path)}
        return [x for x in self.opened if x not in allowed and not x.startswith(inside)]


def choose(seed: int, number: int) -> tuple[str, list[str], random.Random]:
    """Format, mutations and the source of all chance of a case, from its number alone."""
    rng = random.Random(derive("fuzz", seed, number))
    name = rng.choice([*SEEDS, "LoRA", "rsLoRA, patterns", *CHECKPOINTS, "sharded checkpoint"])
    names = list(MUTATIONS)
    if name.startswith("sharded"):
        names += ["place in the index"] * 6
    else:
        names.remove("place in the index")
    return name, rng.sample(sorted(set(names)) + names, 2 if rng.random() < 0.15 else 1), rng


def run_case(bench: Bench, seed: int, number: int, keep: Path | None = None) -> Outcome:
    """Make the folder of a case, and compare it under guard; `keep` gets what was damaged."""
    name, mutations, rng = choose(seed, number)
    case = bench.root / "case"
    shutil.copytree(bench.root / "seeds" / name, case, symlinks=True)
    try:
        damaged = "base" if SEEDS[name].base and rng.random() < 0.15 else "a"
        folder = Folder(case, case / damaged, bench.root / "canary")
        expected: Expected = "any"
        for mutation in mutations:
            try:
                expected = MUTATIONS[mutation](rng, folder)
            except (OSError, ValueError, LookupError, AttributeError, TypeError, RecursionError):
                if len(mutations) == 1:
                    raise
        if len(mutations) == 2 or damaged == "base":
            expected = "any"
        if keep is not None:
            _keep(case, bench.root / "seeds" / name, keep)
        measured = SEEDS[name].base and rng.random() < 0.03
        state, detail, fingerprint = guarded(bench, case, name, base_measures=measured)
        if state != "FAILED":
            wrong = _unexpected(expected, state, fingerprint, bench.expected[name])
            state, detail = ("FAILED", f"{wrong}: {detail}") if wrong else (state, detail)
        return Outcome(name, " + ".join(mutations), state, detail, fingerprint)
    finally:
        shutil.rmtree(case)


def _keep(case: Path, seed: Path, folder: Path) -> None:
    """Copy the files that are not the seed's."""
    for file in sorted(case.rglob("*")):
        before = seed / file.relative_to(case)
        regular = file.is_file() and not file.is_symlink() and file.stat().st_size < 1 << 20
        if regular and not (before.is_file() and before.read_bytes() == file.read_bytes()):
            to = folder / file.relative_to(case)
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, to)


def _unexpected(expected: Expected, state: str, fingerprint: str, before: str) -> str | None:
    if expected == "refused" and state != "refused":
        return "read what lies outside"
    if expected in ("same", "other") and state != "read":
        return "refused what can be read"
    if expected == "same" and fingerprint != before:
        return "another fingerprint for the same values"
    if expected == "other" and fingerprint == before:
        return "the same fingerprint for another value"
    return None


def guarded(
    bench: Bench, case: Path, name: str, *, base_measures: bool = False
) -> tuple[str, str, str]:
    """State, detail and fingerprint of one comparison."""
    gc.collect(0)
    files, before = _open_files(), _reset_peak()
    fingerprint = ""
    try:
        with bench.watch(), _alarm():
            text, fingerprint = _compared(case, name, base_measures=base_measures)
        state, detail = "read", ""
        if CANARY in text:
            state, detail = "FAILED", "the canary's text is in the answer"
    except goniometer.GoniometerError as error:
        state, detail = _refusal(error)
    except TooLong:
        state, detail = "FAILED", f"more than {TIME} s"
    except Exception as error:
        state, detail = "FAILED", f"{type(error).__name__}: {error}"[:300] + _where(error)
    grown = _peak() - before
    if state != "FAILED" and grown > MEMORY:
        state, detail = "FAILED", f"{grown >> 20} MiB: {detail}"
    if state != "FAILED" and bench.strays(case):
        state, detail = "FAILED", f"opened {bench.strays(case)[0]}: {detail}"
    if state != "FAILED" and _open_files() > files:
        state, detail = "FAILED", f"files left open: {detail}"
    return state, detail, fingerprint


def _refusal(error: Exception) -> tuple[str, str]:
    text = str(error)
    try:
        text.encode()
    except UnicodeEncodeError:
        return "FAILED", f"the message cannot be printed: {text!r}"[:300]
    if CANARY in text or "root:x" in text:
        return "FAILED", "the message holds what lies outside"
    if _OUT_OF_MEMORY.search(text):
        return "FAILED", f"refused after an allocation: {text}"[:300]
    if len(text) > 5000 or "\n" in text or "\x1b" in text or "\0" in text:
        return "FAILED", f"no line to print: {len(text)} characters, {text[:200]!r}"
    return "refused", text[:800]


def _compared(case: Path, name: str, *, base_measures: bool) -> tuple[str, str]:
    """The answer as JSON, and the fingerprint of run a."""
    base = str(case / "base") if SEEDS[name].base else None
    # `goniometer.compare` less its bound on the draws: simulations have no part in this.
    options = Options(base=base, draws=2, base_measures=base_measures)
    found = compare_with([case / "a", case / "b"], options, Silent())
    text = to_json(found.results)
    text.encode()
    odd = [path for path, value in _numbers(json.loads(text), "") if not math.isfinite(value)]
    if odd:
        raise AssertionError(f"no finite number: {odd[0]}")
    fingerprints = [run.fingerprint for run in found.runs]
    assert all(re.fullmatch("[0-9a-f]{64}", one) for one in fingerprints)
    return text, fingerprints[0]


def _numbers(tree: Any, path: str) -> Iterator[tuple[str, float]]:
    if isinstance(tree, float):
        yield path, tree
    elif isinstance(tree, dict):
        for key, value in tree.items():
            yield from _numbers(value, f"{path}.{key}")
    elif isinstance(tree, list):
        for i, value in enumerate(tree):
            yield from _numbers(value, f"{path}[{i}]")


@contextmanager
def _alarm() -> Iterator[None]:
    def late(*_: Any) -> None:
        raise TooLong

    old = signal.signal(signal.SIGALRM, late)
    signal.alarm(TIME)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, old)


def _where(error: Exception) -> str:
    trace = error.__traceback__
    found = ""
    while trace is not None:
        code = trace.tb_frame.f_code
        if "goniometer" in code.co_filename:
            found = f" at {Path(code.co_filename).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found


def _open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def _reset_peak() -> int:
    Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def _peak() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) << 10


def reason(outcome: Outcome) -> str:
    """The class of a refusal or a fault."""
    text = outcome.detail.partition("; found")[0].partition("; expected")[0].partition(". ")[0]
    last = text.rpartition(": ")[2] if outcome.state == "refused" else text
    return re.sub(r"\d+", "N", last)[:70]


def table(outcomes: list[Outcome]) -> Iterator[str]:
    """Rows of mutation, read, refused, failed."""
    counts: dict[str, Counter[str]] = {}
    for outcome in outcomes:
        mutation = outcome.mutation if " + " not in outcome.mutation else "two of these"
        counts.setdefault(mutation, Counter())[outcome.state] += 1
    yield f"| {'mutation':24} | cases |  read | refused | failed |"
    yield f"|{'-' * 26}|------:|------:|--------:|-------:|"
    total: Counter[str] = Counter()
    for mutation in [*sorted(counts.keys() - {"two of these"}), "two of these"]:
        found = counts.get(mutation, Counter())
        total += found
        yield _row(mutation, found)
    yield _row("all", total)


def _row(name: str, found: Counter[str]) -> str:
    return (
        f"| {name:24} | {found.total():5} | {found['read']:5} | {found['refused']:7} |"
        f" {found['FAILED']:6} |"
    )
