"""Every field of every PEFT type at odd values: what is read is finite, what is not is one line.

    python bench/fuzz_fields.py

The adapters are those of the contract battery, written by PEFT; LoRA's own fields are left to
bench/fuzz_adapters.py. A case that does not end has failed.
"""

import faulthandler
import json
import signal
import sys
import tempfile
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
SECONDS = 10
NUMBERS = (
    -(2**63), -2, -1, 0, 1, 2, 3, 5, 7, 16, 24, 40, 2**40, 0.5, 1e300, -1e300, float("nan"),
    float("inf"), True, None, "x", [1], {"q_proj": 1}, {"q_proj": -1e300},
)  # fmt: skip
OTHERS: tuple[Any, ...] = (True, 0, -1, "x", [], {}, 1.5)
NAMES = ("peft_type", "base_model_name_or_path", "target_modules", "task_type")
READ_ELSEWHERE = ("LORA", "ADALORA", "LN_TUNING", "TRAINABLE_TOKENS")


def outcome(folder: Path) -> str:
    """Read the first module; "read", "refused", or what is wrong."""
    from goniometer.deltas import BaseModel, Companions, read
    from goniometer.errors import GoniometerError

    try:
        delta = read(folder, Companions(BaseModel(folder / "base")))
        value = delta[next(iter(delta))].dense()
        return "read" if bool(value.isfinite().all()) and delta.fingerprint else "not finite"
    except GoniometerError as error:
        allocated = any(word in str(error) for word in ("MemoryError", "allocate"))
        return f"allocated: {error}" if allocated else "refused"
    except Exception as error:
        return repr(error)[:200]


def main() -> None:
    """Print each case that failed, and how many were read and refused."""
    warnings.simplefilter("ignore")
    cases: Any = import_module("tests.contracts.peft_cases")
    counts = {"read": 0, "refused": 0, "failed": 0}
    with tempfile.TemporaryDirectory() as scratch:
        for name, case in cases.CASES.items():
            folder = Path(scratch) / name.replace(" ", "_")
            cases.save_case(case, folder)
            file = folder / "adapter_config.json"
            tree: dict[str, Any] = json.loads(file.read_text())
            if tree["peft_type"] in READ_ELSEWHERE:
                continue
            for key in tree.keys() - {*NAMES}:
                of_number = type(tree[key]) in (int, float, dict)
                for value in NUMBERS if of_number else OTHERS:
                    file.write_text(json.dumps(tree | {key: value}))
                    faulthandler.dump_traceback_later(2 * SECONDS, exit=True)
                    signal.alarm(SECONDS)  # ends the process: nothing catches it
                    print(f"{name}, {key} = {value!r}", end="\r", flush=True)
                    found = outcome(folder)
                    signal.alarm(0)
                    faulthandler.cancel_dump_traceback_later()
                    counts[found if found in counts else "failed"] += 1
                    if found not in counts:
                        print(f"{name}, {key} = {value!r}: {found}")
    print(", ".join(f"{count} {what}" for what, count in counts.items()))
    sys.exit(counts["failed"] > 0)


if __name__ == "__main__":
    main()
