"""The command line: verbs are stages. Torch is imported inside the verb, so `--help` is instant."""

import errno
import gc
import os
import sys
import traceback

import typer

from goniometer.cli.compare_verbs import compare
from goniometer.cli.data_verbs import paired, rollouts
from goniometer.cli.report_verbs import claims, report, schema, view
from goniometer.cli.study_verbs import evaluate, sample, study, train
from goniometer.errors import GoniometerError, out_of_memory

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Measures the angles between fine-tuning updates: which fine-tunes of one base are the "
    "same update under different names, which differ, and how sure one can be.",
)
# In the order in which `--help` lists them.
for _verb in (compare, study, rollouts, paired, claims, sample, train, evaluate, report, view):
    app.command(no_args_is_help=True)(_verb)
app.command()(schema)


def main() -> None:
    """Run the command line; bad input is one line on stderr and exit code 2."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # Threads that spin long make two busy processes on one machine ten times slower, and threads
    # that sleep at once make one alone half as slow again.
    os.environ.setdefault("GOMP_SPINCOUNT", "100000")
    # The default looks for cycles after every 700 new objects: an import of torch makes a million.
    gc.set_threshold(50_000, 20, 20)
    try:
        app()
    except GoniometerError as error:
        _fail(str(error))
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT):
            traceback.print_exc()
            sys.exit(70)
        _fail(f"{error.filename or 'output'}: {error.strerror}")
    except Exception as error:
        if out_of_memory(error):
            _fail(_without_memory(error))
        # A fault of ours: not 1, which says that a gate tripped.
        traceback.print_exc()
        sys.exit(70)
    except KeyboardInterrupt:
        _fail("stopped; run the same command to go on", code=130)
    finally:
        # Else the interpreter walks through all of torch once more before it ends.
        gc.freeze()


def _without_memory(error: Exception) -> str:
    """What ran out, in the allocator's first two sentences, and which options need less."""
    gpu = type(error).__name__ == "OutOfMemoryError"
    places = ("--device cpu, ", "models.device: cpu, ") if gpu else ("", "")
    fix = "for compare --data {}--dtype bfloat16; for a study {}models.dtype: bfloat16"
    return str(
        GoniometerError(
            "the GPU's memory ran out" if gpu else "memory ran out",
            found=". ".join(str(error).split(". ")[:2]) or None,
            fix=fix.format(*places),
        )
    )


def _fail(lines: str, code: int = 2) -> None:
    for line in lines.split("\n"):
        sys.stderr.write(f"goniometer: {line}\n")
    sys.exit(code)
