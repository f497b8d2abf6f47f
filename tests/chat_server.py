"""A server with OpenAI's chat completions, on this machine, that answers as a test says."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, dict[str, str], bytes]


def said(text: str | None, finish: str | None = "stop") -> Reply:
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": finish}
    return 200, {}, json.dumps({"choices": [choice]}).encode()


@dataclass
class Chat:
    """What was asked: bodies, headers and paths, in order; `most` requests stood at once."""

    answer: Callable[[dict[str, Any], int], Reply]
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    url: str = ""
    now: int = 0
    most: int = 0
    lock: Any = field(default_factory=threading.Lock)

    def asked(self, body: dict[str, Any], path: str, key: str | None) -> Reply:
        with self.lock:
            self.times.append(time.monotonic())
            self.bodies.append(body)
            self.paths.append(path)
            self.keys.append(key)
            number = len(self.bodies)
            self.now += 1
            self.most = max(self.most, self.now)
        try:
            return self.answer(body, number)
        finally:
            with self.lock:
                self.now -= 1


class Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that were killed say no goodbye."""


@contextmanager
def chatting(answer: Callable[[dict[str, Any], int], Reply]) -> Iterator[Chat]:
    """Serve; `answer` gets each request's body and its number from 1."""
    chat = Chat(answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = 1 << 16

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, headers, content = chat.asked(
                body, self.path, self.headers.get("Authorization")
            )
            try:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            except OSError:  # the client did not wait
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    server = Quiet(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    chat.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield chat
    finally:
        server.shutdown()
        server.server_close()
