"""Somebody who takes in what a real server pushes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Sink:
    """`came` are the bodies, in the order in which they came; `url` is where to send them."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/hook"
        self.came: list[dict[str, Any]] = []
        self._more = threading.Condition()

    def take(self, body: bytes) -> None:
        with self._more:
            self.came.append(json.loads(body))
            self._more.notify_all()

    def wait_for(self, number: int, *, seconds: float = 30) -> bool:
        """Whether so many have come by then."""
        with self._more:
            return self._more.wait_for(lambda: len(self.came) >= number, seconds)


@contextmanager
def sink() -> Iterator[Sink]:
    class Taker(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            ready.take(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Taker) as server:
        ready = Sink(server.server_port)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield ready
        finally:
            server.shutdown()
            thread.join()
