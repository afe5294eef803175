"""A classifier behind an address of this machine, for tests."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

__all__ = ["Fault", "Server", "served"]

Fault = Callable[["Server", BaseHTTPRequestHandler, list[Any]], bool]


def sums(rows: list[Any]) -> dict[str, Any]:
    """The sum of each row as a score of the second of two classes."""
    return {"scores": [[0.0, float(np.sum(row))] for row in rows]}


class Server:
    """Answers the sum of each row as a score; `fault` may do something else first, and says whether it did.

    Attributes:
        requests: rows in each request so far; `rows` all of them.
        answer: what it says of some rows.
        gone_after: how many requests it answers, if not all.
    """

    def __init__(self) -> None:
        self.requests: list[int] = []
        self.rows = 0
        self.answer = sums
        self.gone_after: int | None = None
        self.fault: Fault = lambda server, handler, rows: False
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                rows = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["inputs"]
                outer.requests.append(len(rows))
                outer.rows += len(rows)
                if outer.gone_after is not None and len(outer.requests) > outer.gone_after:
                    self.connection.close()
                elif not outer.fault(outer, self, rows):
                    outer.reply(self, outer.answer(rows))

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.inner = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.inner.handle_error = lambda *args: None  # type: ignore[method-assign]
        self.address = f"http://127.0.0.1:{self.inner.server_address[1]}/predict"

    def reply(
        self,
        handler: BaseHTTPRequestHandler,
        told: Any,
        status: int = 200,
        headers: dict[str, str] | None = None,
    ) -> None:
        body = told if isinstance(told, bytes) else json.dumps(told).encode()
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)


def served() -> Iterator[Server]:
    """Serve for one test; to be made a fixture."""
    made = Server()
    thread = threading.Thread(target=made.inner.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield made
    made.inner.shutdown()
    made.inner.server_close()
    thread.join()
