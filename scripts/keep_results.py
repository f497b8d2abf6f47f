"""Keep a study's summary and figures in docs/results/NAME: `keep_results.py RUN_FOLDER NAME`."""

import shutil
import sys
from pathlib import Path

RESULTS = Path(__file__).parent.parent / "docs" / "results"
GENERATED = "<!-- Written by scripts/keep_results.py from the run folder: do not edit. -->\n\n"


def keep(report: Path, name: str) -> Path:
    """Copy what `goniometer study` wrote; the figures stand below the words, in their order."""
    kept = RESULTS / name
    if kept.exists():
        shutil.rmtree(kept)
    shutil.copytree(report / "figures", kept / "figures")
    figures = sorted(path.stem for path in kept.glob("figures/*.svg"))
    summary = (report / "summary.md").read_text(encoding="utf-8").strip()
    pictures = "\n\n".join(f"### {f.replace('-', ' ')}\n\n![{f}](figures/{f}.svg)" for f in figures)
    text = f"{GENERATED}{summary}\n\n## Figures\n\n{pictures}\n"
    (kept / "README.md").write_text(text, encoding="utf-8")
    return kept


if __name__ == "__main__":
    print(keep(Path(sys.argv[1]) / "report", sys.argv[2]))
