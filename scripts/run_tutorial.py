"""Run the commands of docs/tutorial.md in a folder, in their order, and hold them to what it says.

python scripts/run_tutorial.py FOLDER           but for what takes long
python scripts/run_tutorial.py FOLDER --whole   all of it

A fence with a title is a file; each line of a `sh` fence is a command, whose exit code is 0 unless
a comment names another. All run in this process, so that torch is imported once.
"""

import os
import re
import runpy
import shlex
import sys
from pathlib import Path
from unittest.mock import patch

PAGE = Path(__file__).parent.parent / "docs" / "tutorial.md"
FENCE = re.compile(
    r'^(?P<whole><!-- whole -->\n)?```(?P<kind>\w+)(?: title="(?P<title>[\w.]+)")?\n'
    r"(?P<body>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
EXIT = re.compile(r"#\s*exit code (\d+)\s*$")


def run(line: str) -> int:
    """Run one command as its own program would; return its exit code."""
    from goniometer.cli import main

    program, *arguments = shlex.split(line, comments=True)
    try:
        if program == "python":
            runpy.run_path(arguments[0], run_name="__main__")
        elif program == "goniometer":
            with patch.object(sys, "argv", [program, *arguments]):
                main()
        else:
            raise ValueError(f"a command that the tutorial may not have: {line}")
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def main(folder: Path, *, whole: bool) -> list[str]:
    """Write the files and run the commands; return those that ended otherwise than is said."""
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    wrong = []
    for fence in FENCE.finditer(PAGE.read_text(encoding="utf-8")):
        if fence["title"]:
            Path(fence["title"]).write_text(fence["body"], encoding="utf-8")
        if fence["kind"] != "sh" or (fence["whole"] and not whole):
            continue
        for line in fence["body"].splitlines():
            said = EXIT.search(line)
            wanted = int(said[1]) if said else 0
            found = run(line)
            print(f"ran ({found}): {line}", file=sys.stderr)
            if found != wanted:
                wrong.append(f"exit code {found}, not {wanted}: {line}")
    return wrong


if __name__ == "__main__":
    faults = main(Path(sys.argv[1]).resolve(), whole="--whole" in sys.argv)
    print("\n".join(faults), file=sys.stderr)
    sys.exit(bool(faults))
