"""HTTP: a classifier behind an address, asked in batches, patiently, and about nothing twice."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from frenemy.errors import GoneError, ModelError
from frenemy.models.predictor import Predictor

__all__ = ["Endpoint", "endpoint"]

_CACHED: Final = 200_000
"""Answers that are remembered."""
_PASSING: Final = (408, 425, 429, 500, 502, 503, 504)
"""Answers of a server that may be another a little later."""


@final
class Endpoint:
    """Post rows as `{"inputs": [[...], ...]}` and read `{"scores": [[...], ...]}`, `"probabilities"` or `"labels"`.

    A request that fails for a passing reason (time-out, reset, 408, 425, 429, 5xx, an answer cut short or garbled) is
    sent again after a pause that doubles, with jitter, or as long as `Retry-After` says. What was answered once is not
    asked again.

    Args:
        address: where to post.
        rows: the most rows in one request.
        rate: the most requests a second; 0 for no limit.
        retries: how often a request is sent again.
        patience: seconds that a whole request may take.
        pause: seconds before the first retry.

    Attributes:
        sent: rows that were sent so far, those that were sent again included.
        again: rows that were sent again.

    Raises:
        ModelError: httpx is not installed; in a call, the server refuses the request (4xx), or answers what is no
            answer.
        GoneError: in a call, all retries failed.
    """

    def __init__(
        self,
        address: str,
        *,
        rows: int = 256,
        rate: float = 0.0,
        retries: int = 5,
        patience: float = 30.0,
        pause: float = 0.2,
    ) -> None:
        try:
            import httpx
        except ImportError as error:
            raise ModelError('httpx is not installed; pip install "frenemy[http]"') from error
        self.address, self.rows, self.rate = address, rows, rate
        self.retries, self.patience, self.pause = retries, patience, pause
        self.sent = self.again = 0
        self.kind = ""
        self._httpx, self._client = (
            httpx,
            httpx.Client(timeout=httpx.Timeout(patience, connect=min(patience, 10))),
        )
        self._known: OrderedDict[bytes, Any] = OrderedDict()
        self._next = 0.0

    def __call__(self, rows: NDArray[np.float32]) -> NDArray[Any]:
        """Ask about the rows that were not asked about before; give one answer for each."""
        keys = [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in rows]
        found = {key: self._known[key] for key in keys if key in self._known}
        first_seen = {key: place for place, key in reversed(list(enumerate(keys))) if key not in found}
        new = sorted(first_seen.values())
        for part in (new[begin : begin + self.rows] for begin in range(0, len(new), self.rows)):
            for place, answer in zip(part, self._asked(rows[part]), strict=True):
                found[keys[place]] = self._known[keys[place]] = answer
        while len(self._known) > _CACHED:
            self._known.popitem(last=False)
        return np.asarray([found[key] for key in keys])

    def _asked(self, rows: NDArray[np.float32]) -> list[Any]:
        why = ""
        for attempt in range(self.retries + 1):
            time.sleep(max(0.0, self._next - time.monotonic()))
            self._next = time.monotonic() + (1 / self.rate if self.rate else 0.0)
            self.sent, self.again = self.sent + len(rows), self.again + (len(rows) if attempt else 0)
            wait = self.pause * 2**attempt * (0.5 + _jitter(self.address, self.sent))
            try:
                reply = self._posted(rows)
                if reply.status_code == 200:
                    return self._read(reply, len(rows))
                why = f"status {reply.status_code}"
                if reply.status_code not in _PASSING:
                    raise ModelError(
                        f"expected answers from {self.address}, got {why}: {reply.text[:120]}; see what it takes"
                    )
                wait = max(wait, _seconds(reply.headers.get("Retry-After", "")))
            except (self._httpx.TransportError, _Garbled) as error:
                why = f"{type(error).__name__.strip('_')}: {error}"
            if attempt < self.retries:
                time.sleep(min(wait, self.patience))
        raise GoneError(
            f"expected answers from {self.address}, got none in {self.retries + 1} attempts ({why[:160]}); see "
            f"that the "
            "server runs, then run the same command again to go on"
        )

    def _posted(self, rows: NDArray[np.float32]) -> Any:
        """Post, and read the whole answer within `patience`, however slowly it drips."""
        end = time.monotonic() + self.patience
        with self._client.stream("POST", self.address, json={"inputs": rows.tolist()}) as reply:
            parts = []
            for part in reply.iter_bytes():
                parts.append(part)
                if time.monotonic() > end:
                    raise self._httpx.ReadTimeout("the answer drips too slowly")
        return self._httpx.Response(
            reply.status_code,
            headers={"Retry-After": reply.headers.get("Retry-After", "")},
            content=b"".join(parts),
        )

    def _read(self, reply: Any, count: int) -> list[Any]:
        try:
            told = reply.json()
        except ValueError as error:
            raise _Garbled("the answer is no JSON") from error
        kinds = [
            kind for kind in ("probabilities", "scores", "labels") if isinstance(told, dict) and kind in told
        ]
        if not kinds or not isinstance(told[kinds[0]], list):
            raise ModelError(
                f"expected a list under probabilities, scores or labels from {self.address}, got {str(told)[:80]}; "
                "see the example server"
            )
        if len(told[kinds[0]]) != count:
            raise _Garbled(f"{len(told[kinds[0]])} answers came for {count} rows")
        self.kind = self.kind or kinds[0]
        return list(told[kinds[0]])


class _Garbled(Exception):
    """An answer that came incomplete."""


def endpoint(address: str, names: Sequence[object], shape: tuple[int, ...], **settings: Any) -> Predictor:
    """Take the classifier at an address; it is asked about one row of zeros to learn what it gives.

    Args:
        names: labels in the order of the classes.
        shape: of an input; rows are sent in it.
        settings: as for `Endpoint`.

    Raises:
        ModelError: as for `Endpoint`, or nobody answers.
    """
    asked = Endpoint(address, **settings)
    try:
        asked(np.zeros((1, *shape), dtype=np.float32))
    except GoneError as error:
        raise ModelError(str(error)) from error
    return Predictor(asked, asked.kind, names, flat=False)


def _jitter(address: str, sent: int) -> float:
    """A number in [0, 1) that differs from request to request."""
    return (
        int.from_bytes(hashlib.blake2b(f"{address} {sent}".encode(), digest_size=4).digest(), "little")
        / 2**32
    )


def _seconds(text: str) -> float:
    """Read Retry-After where it is a number of seconds; dates are not waited for."""
    try:
        return max(0.0, float(text))
    except ValueError:
        return 0.0
