"""The check of the built site: links, anchors, and what a page fetches."""

from scripts.check_site import faults


def write(path, body):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"<!doctype html><body>{body}</body>")


def test_what_leads_somewhere_is_no_fault(tmp_path):
    write(tmp_path / "index.html", '<a href="sub/#there">a</a><a href="https://else.org/">b</a>')
    write(tmp_path / "sub" / "index.html", '<h2 id="there">c</h2><a href="../index.html">d</a>')
    assert faults(tmp_path) == []


def test_each_fault_is_a_line(tmp_path):
    write(
        tmp_path / "index.html",
        '<a href="gone.html">a</a><a href="#gone">b</a><img src="gone.svg">'
        '<script src="https://else.org/x.js"></script><link rel="canonical" href="https://x.org/">',
    )
    assert faults(tmp_path) == [
        "index.html: no such file: gone.html",
        "index.html: no such anchor: #gone",
        "index.html: no such file: gone.svg",
        "index.html: fetches https://else.org/x.js",
    ]


def test_an_empty_site_is_a_fault(tmp_path):
    assert faults(tmp_path) == [f"{tmp_path}: no page"]
