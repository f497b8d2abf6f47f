"""Check the built site offline: every link and anchor leads somewhere, and nothing is fetched.

python scripts/check_site.py build/docs    exit 1 with a line a fault
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import final
from urllib.parse import unquote, urlsplit

# By tag, the attribute that names another resource; what a page loads by itself is FETCHED.
NAMED = {"a": "href", "img": "src", "script": "src", "link": "href", "source": "src"}
FETCHED = ("img", "script", "link", "source")
# Relations of a link element that load nothing.
IDLE = {"canonical", "alternate", "next", "prev", "edit"}


@final
class Page(HTMLParser):
    """The ids of a page, and what it names."""

    def __init__(self, path: Path) -> None:
        """Read one file."""
        super().__init__()
        self.ids: set[str] = set()
        self.named: list[tuple[str, str]] = []  # tag, address
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep ids and addresses."""
        found = dict(attrs)
        self.ids |= {value for key in ("id", "name") if (value := found.get(key))}
        address = found.get(NAMED.get(tag, ""))
        if address and not (tag == "link" and found.get("rel") in IDLE):
            self.named.append((tag, address))


def faults(site: Path) -> list[str]:
    """Return a line for each link, anchor or resource that is not in the site."""
    pages = {path.resolve(): Page(path) for path in sorted(site.rglob("*.html"))}
    if not pages:
        return [f"{site}: no page"]
    found = []
    for path, page in pages.items():
        if path.name == "404.html":
            continue  # its addresses are absolute, for any depth
        name = path.relative_to(site.resolve())
        for tag, address in page.named:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                if tag in FETCHED and parts.scheme != "data":
                    found.append(f"{name}: fetches {address}")
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target /= "index.html"
            anchor = unquote(parts.fragment)
            if not target.is_file():
                found.append(f"{name}: no such file: {address}")
            elif anchor and target in pages and anchor not in pages[target].ids:
                found.append(f"{name}: no such anchor: {address}")
    return found


def main() -> int:
    """Print the faults; return the exit code."""
    site = Path(sys.argv[1])
    found = list(dict.fromkeys(faults(site)))
    for line in found:
        print(line, file=sys.stderr)
    if not found:
        print(f"{len(list(site.rglob('*.html')))} pages: {site / 'index.html'}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
