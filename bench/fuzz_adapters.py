"""Damaged folders through `goniometer.compare`: what is read, what is refused, what fails.

    python bench/fuzz_adapters.py --cases 10000 --processes 2
    python bench/fuzz_adapters.py --only 1234        one case again, by its number
    python bench/fuzz_adapters.py --only 1234 --keep tests/corpus/NAME     its damaged files, kept

A case is its number: the same folder every time. What is allowed stands in tests/fuzz/guard.py. A
process that hangs beyond reach or dies is started again after the case that it died of, which has
failed. Needs Linux (/proc, RLIMIT_AS).
"""

import argparse
import faulthandler
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
# A process that its own alarm does not reach is ended by a thread that needs no lock.
LAST_RESORT, ADDRESSES = 15, 20 << 30


def work(seed: int, numbers: range, keep: Path | None) -> None:
    """Run cases in this process; a line before each and one after."""
    from tests.fuzz.guard import Bench, run_case

    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(Path(scratch))
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + ADDRESSES, size + ADDRESSES))
        for number in numbers:
            print(json.dumps({"begun": number}), flush=True)
            faulthandler.dump_traceback_later(LAST_RESORT, exit=True)
            found = run_case(bench, seed, number, keep)
            faulthandler.cancel_dump_traceback_later()
            print(json.dumps({"number": number, **vars(found)}), flush=True)


def supervised(seed: int, numbers: range, keep: Path | None) -> Iterator[dict[str, object]]:
    """Outcomes of some cases, from a process that is started again where it dies."""
    from tests.fuzz.guard import choose

    while numbers:
        command = [sys.executable, __file__, "--seed", str(seed), "--work"]
        command += [f"{numbers.start}:{numbers.stop}:{numbers.step}"]
        command += ["--keep", str(keep)] if keep else []
        quiet = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=os.environ | quiet,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            assert process.stderr is not None
            begun = None
            for line in process.stdout:
                found = json.loads(line)
                begun = found.get("begun")
                if begun is None:
                    yield found
            trace = process.stderr.read()[-3000:]
        if begun is None:
            if process.returncode:
                raise RuntimeError(trace)
            return
        name, mutations, _ = choose(seed, begun)
        why = "beyond the alarm's reach" if "Timeout" in trace else f"died, {process.returncode}"
        yield {
            "number": begun, "seed": name, "mutation": " + ".join(mutations), "state": "FAILED",
            "detail": f"{why}: {trace}", "fingerprint": "",
        }  # fmt: skip
        numbers = range(begun + numbers.step, numbers.stop, numbers.step)


def main() -> None:
    """Run the cases; print what failed, the table, and the reasons of refusals."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only", type=int)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.work:
        work(asked.seed, range(*map(int, asked.work.split(":"))), asked.keep)
        return
    first, last = asked.first, asked.first + asked.cases
    if asked.only is not None:
        first, last = asked.only, asked.only + 1
    from tests.fuzz.guard import Outcome, reason, table

    def share(place: int) -> list[Outcome]:
        outcomes = []
        for found in supervised(
            asked.seed, range(first + place, last, asked.processes), asked.keep
        ):
            number = found.pop("number")
            outcome = Outcome(**found)  # type: ignore[arg-type]
            outcomes.append(outcome)
            if outcome.state == "FAILED" or asked.only is not None:
                print(f"{number}: {outcome}", flush=True)
            if asked.keep:
                said = {"seed": outcome.seed, "state": "read or refused", "detail": ""}
                (asked.keep / "expected.json").write_text(json.dumps(said, indent=2) + "\n")
        return outcomes

    with ThreadPoolExecutor(asked.processes) as pool:
        outcomes = [one for part in pool.map(share, range(asked.processes)) for one in part]
    print("\n".join(table(outcomes)))
    for state in ("refused", "FAILED"):
        print(f"\n{state}:")
        reasons = Counter(reason(one) for one in outcomes if one.state == state)
        for text, count in reasons.most_common(60):
            print(f"{count:6} {text}")
    sys.exit(any(one.state == "FAILED" for one in outcomes))


if __name__ == "__main__":
    main()
