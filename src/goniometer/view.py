"""Serve one report to this machine alone, and open it."""

import webbrowser
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from goniometer.errors import GoniometerError
from goniometer.results import read_results, results_folder

HOST = "127.0.0.1"  # nobody else's machine


class _Quiet(SimpleHTTPRequestHandler):
    """Files of one folder; nothing else is listed, nothing is logged."""

    def log_message(self, *_: object) -> None:
        """Say nothing: the terminal holds the address."""

    def list_directory(self, path: object) -> None:
        """Refuse: a folder is no page."""
        del path
        self.send_error(404)


def server(folder: Path, port: int = 0) -> ThreadingHTTPServer:
    """Bind a server of the folder's report; build the report where only results.json is there.

    Raises:
        GoniometerError: no results in the folder, or the port is taken.
    """
    home = results_folder(folder)
    if not (home / "report.html").is_file():
        from goniometer.report import build

        build(read_results(home / "results.json"), home)
    try:
        return ThreadingHTTPServer((HOST, port), partial(_Quiet, directory=str(home)))
    except OSError as error:
        raise GoniometerError(
            f"cannot serve at port {port}: {error.strerror}",
            key="--port",
            found=port,
            fix="leave --port out for a free one",
        ) from None


def serve(folder: Path, *, port: int, browse: bool, tell: Callable[[str], None]) -> None:
    """Serve until interrupted; `tell` gets the address.

    Raises:
        GoniometerError: as `server`.
    """
    with server(folder, port) as bound:
        address = f"http://{HOST}:{bound.server_port}/report.html"
        tell(f"{address}\nControl-C ends it")
        if browse:
            webbrowser.open(address)
        try:
            bound.serve_forever()
        except KeyboardInterrupt:
            tell("")
