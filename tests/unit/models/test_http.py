"""A classifier behind an address, over loopback, on good days and on bad ones."""

from __future__ import annotations

import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

import numpy as np
import pytest
import torch
from tests.served import Fault, Server, served

from frenemy.errors import GoneError, ModelError
from frenemy.models.http import Endpoint, endpoint

pytest.importorskip("httpx")
server = pytest.fixture(served)


def rows(count: int, start: int = 0) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.arange(2 * start, 2 * (start + count), dtype=np.float32).reshape(count, 2)


def asked(server: Server, **settings: Any) -> Endpoint:
    return Endpoint(server.address, **{"pause": 0.005, "patience": 2.0, **settings})


def test_rows_are_sent_in_batches_and_never_twice(server: Server) -> None:
    ask = asked(server, rows=4)
    answers = ask(rows(10))
    np.testing.assert_allclose(answers[:, 1], rows(10).sum(1))
    assert server.requests == [4, 4, 2]
    again = ask(np.concatenate([rows(10)[::-1], rows(1, 50), rows(1, 50)]))
    np.testing.assert_allclose(again[:10], answers[::-1])
    assert server.requests == [4, 4, 2, 1]
    assert ask.sent == server.rows == 11
    assert ask.again == 0


def once(what: Callable[[Server, BaseHTTPRequestHandler, list[Any]], None], times: int = 2) -> Fault:
    """Do something else than answer, so many times."""

    def fault(server: Server, handler: BaseHTTPRequestHandler, rows: list[Any]) -> bool:
        if len(server.requests) > times:
            return False
        what(server, handler, rows)
        return True

    return fault


def status(code: int) -> Callable[[Server, BaseHTTPRequestHandler, list[Any]], None]:
    return lambda server, handler, rows: server.reply(handler, {"error": "busy"}, code)


def drip(server: Server, handler: BaseHTTPRequestHandler, rows: list[Any]) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    for _ in range(20):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.05)


FAULTS: dict[str, Callable[[Server, BaseHTTPRequestHandler, list[Any]], None]] = {
    "429": status(429),
    "500": status(500),
    "503": status(503),
    "reset": lambda server, handler, rows: handler.connection.close(),
    "garbled": lambda server, handler, rows: server.reply(handler, b'{"scores": [[0.1'),
    "short": lambda server, handler, rows: server.reply(handler, {"scores": [[0.0, 1.0]] * (len(rows) - 1)}),
    "slow": lambda server, handler, rows: time.sleep(0.4),
    "drip": drip,
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_passes_is_waited_for(server: Server, name: str) -> None:
    server.fault = once(FAULTS[name])
    ask = asked(server, patience=0.2)
    np.testing.assert_allclose(ask(rows(3))[:, 1], rows(3).sum(1))
    assert ask.again == 6
    assert ask.sent == 9


def test_retry_after_is_heeded(server: Server) -> None:
    server.fault = once(lambda s, h, r: s.reply(h, {}, 429, {"Retry-After": "0.3"}), 1)
    began = time.monotonic()
    asked(server)(rows(1))
    assert time.monotonic() - began >= 0.3


def test_a_rate_is_kept(server: Server) -> None:
    ask = asked(server, rows=1, rate=50.0)
    began = time.monotonic()
    ask(rows(6))
    assert time.monotonic() - began >= 5 / 50


@pytest.mark.parametrize("name", ["500", "reset", "short"])
def test_a_server_that_is_gone_for_good_is_given_up(server: Server, name: str) -> None:
    ask = asked(server, retries=2)
    ask(rows(1))
    server.fault = once(FAULTS[name], 10**6)
    with pytest.raises(GoneError, match=r"none in 3 attempts .* run the same command again"):
        ask(rows(2))
    assert server.requests == [1, 1, 1, 1]
    assert ask(rows(1)).shape == (1, 2)


def test_a_refusal_is_not_repeated(server: Server) -> None:
    server.fault = once(status(404), 10**6)
    with pytest.raises(ModelError, match="status 404"):
        asked(server)(rows(1))
    assert len(server.requests) == 1
    server.fault = once(lambda s, h, r: s.reply(h, {"verdict": "yes"}), 10**6)
    with pytest.raises(ModelError, match="under probabilities, scores or labels"):
        asked(server)(rows(1))


def test_nobody_at_the_address_is_said() -> None:
    with pytest.raises(GoneError, match="see that the server runs"):
        Endpoint("http://127.0.0.1:9/predict", retries=1, pause=0.001)(rows(1))


def test_labels_are_taken_by_name(server: Server) -> None:
    def told(server: Server, handler: BaseHTTPRequestHandler, rows: list[Any]) -> None:
        server.reply(handler, {"labels": ["spam" if row[0] > 1 else "ham" for row in rows]})

    server.fault = once(told, 10**6)
    model = endpoint(server.address, ["ham", "spam"], (2,), pause=0.005)
    assert model(torch.from_numpy(rows(2))).tolist() == [[1.0, 0.0], [0.0, 1.0]]
