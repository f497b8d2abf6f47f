"""A Hub on localhost: the few answers that huggingface_hub asks for, and a record of the asking."""

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "c0ffee" + "0" * 34


@dataclass
class FakeHub:
    """Repositories as folders; `refusals` gives some of them the Hub's error code."""

    repositories: Mapping[str, Path]
    refusals: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def fetched(self) -> set[str]:
        """Files of which the content was asked for."""
        return {p.split(f"/resolve/{COMMIT}/")[1] for p in self.asked if "/resolve/" in p}

    def listing(self, repository: str, kind: str) -> object:
        """What the Hub says of a repository: its commit, or (`kind` is tree) its files."""
        folder = self.repositories[repository]
        files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
        names = {str(file.relative_to(folder)): file.stat().st_size for file in files}
        if kind == "tree":
            return [
                {"type": "file", "path": name, "oid": "0" * 40, "size": size}
                for name, size in names.items()
            ]
        return {"id": repository, "sha": COMMIT, "siblings": [{"rfilename": n} for n in names]}

    def answer(self, path: str) -> tuple[int, bytes, dict[str, str]]:
        """Status, body and headers for a path."""
        self.asked.append(path)
        parts = path.removeprefix("/api/models").strip("/").split("/")
        repository, (kind, revision, *file) = "/".join(parts[:2]), [*parts[2:], "", ""][:9]
        if repository in self.refusals or repository not in self.repositories:
            code, name = self.refusals.get(repository, (404, "RepoNotFound"))
            return code, b"{}", {"X-Error-Code": name}
        if kind == "revision" and revision not in ("main", COMMIT):
            return 404, b"{}", {"X-Error-Code": "RevisionNotFound"}
        if kind == "resolve":
            body = (self.repositories[repository] / "/".join(filter(None, file))).read_bytes()
            etag = hashlib.sha256(body).hexdigest()
            return 200, body, {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT}
        return 200, json.dumps(self.listing(repository, kind)).encode(), {}


@contextmanager
def serving(hub: FakeHub) -> Iterator[FakeHub]:
    """Serve it on a free port of localhost, which it holds as `url`."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            code, body, headers = hub.answer(self.path.partition("?")[0])
            self.send_response(code)
            for name, value in (headers | {"Content-Length": str(len(body))}).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
