"""Write the map of the tree into README.md, a phrase a file, from the files' own first lines.

python scripts/readme_tree.py          rewrite the map
python scripts/readme_tree.py --check  exit 1 where it is not what the disk says
"""

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
START, END = "<!-- tree: scripts/readme_tree.py -->\n```\n", "```\n<!-- end of tree -->"
FOLDERS = ("src/goniometer", "bench", "scripts")
OTHERS = {
    "examples/arithmetic.yaml": "the embedded study",
    "examples/learning_rate.yaml": "how its learning rate was chosen",
    "docs/index.md": "where the pages of the site begin",
    "docs/log.md": "decisions and negative results, dated",
    "tests/planted_faults.json": "mutations, each with the test that it must turn red",
    "constraints.txt": "the tested set of versions",
    "Makefile": "make study, make test, make docs, make bench",
}


def phrase(path: Path) -> str:
    """Return the first sentence of a file's docstring, without its full stop."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.split("\n\n")[0].replace("\n", " ").split(". ")[0].rstrip(".")


def tree() -> str:
    """Write one line a tracked Python file, indented by folder."""
    listed = subprocess.run(
        ["git", "ls-files", *FOLDERS], cwd=ROOT, capture_output=True, text=True, check=True
    )
    paths = [Path(line) for line in listed.stdout.splitlines() if line.endswith(".py")]
    files = [path.as_posix() for path in sorted(paths, key=lambda path: (path.parent, path.name))]
    lines: list[str] = []
    seen: set[str] = set()
    for name in files:
        folder, _, base = name.rpartition("/")
        if folder not in seen:
            seen.add(folder)
            initial = ROOT / folder / "__init__.py"
            about = phrase(initial) if initial.is_file() else ""
            lines.append(f"{folder + '/':<36} {about}".rstrip())
        if base != "__init__.py":
            lines.append(f"  {base:<34} {phrase(ROOT / name)}")
    lines += [f"{name:<36} {about}" for name, about in OTHERS.items()]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Rewrite or check the map; return the exit code."""
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    written = f"{before}{START}{tree()}{END}{after}"
    if "--check" in sys.argv:
        return int(written != text)
    readme.write_text(written, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
