"""A report is served to this machine alone, as it lies on the disk."""

import threading
from http.client import HTTPConnection
from pathlib import Path

import pytest

from goniometer.errors import GoniometerError
from goniometer.report import build
from goniometer.results import to_json
from goniometer.view import HOST, server
from tests.results_factory import results


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A study's folder, its report not built."""
    home = tmp_path / "run" / "report"
    home.mkdir(parents=True)
    (home / "results.json").write_text(to_json(results()))
    return tmp_path / "run"


def get(bound, path):
    connection = HTTPConnection(HOST, bound.server_port, timeout=10)
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_it_serves_the_page_and_no_list_of_files(folder: Path):
    with server(folder) as bound:
        threading.Thread(target=bound.serve_forever, daemon=True).start()
        status, page = get(bound, "/report.html")
        assert status == 200
        assert page == (folder / "report" / "report.html").read_bytes()
        assert page == build(results(), folder / "again").read_bytes()
        assert get(bound, "/")[0] == 404
        assert get(bound, "/../../etc/passwd")[0] == 404
        assert bound.server_address[0] == HOST
        bound.shutdown()


def test_a_port_in_use_is_one_line(folder: Path):
    with server(folder) as bound, pytest.raises(GoniometerError, match="cannot serve at port"):
        server(folder, bound.server_port)


def test_a_folder_without_results_is_refused(tmp_path: Path):
    with pytest.raises(GoniometerError, match="no results here"):
        server(tmp_path)
