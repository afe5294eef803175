"""Inquiry: examples, a judge and a ledger; clean answers first, then one search after another."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from frenemy.attacks.attack import Attack, Status
from frenemy.data.examples import Examples
from frenemy.errors import DataError, ModelError
from frenemy.ledger import Arrays, Ledger
from frenemy.objectives.objective import Objective
from frenemy.risks.attempt import Cost
from frenemy.risks.judge import BROKEN, Judge
from frenemy.risks.pool import Pool
from frenemy.rng import Key
from frenemy.threats.threat import Threat, radii

__all__ = ["Inquiry", "Progress", "spread"]

Progress = Callable[[str, float], None]
"""Told what is being done and which share of all the work is behind."""

_SOUND: Final = (Status.ALREADY, Status.FOUND, Status.NOT_FOUND, Status.OUT_OF_BUDGET)
_SHARD: Final = 256
"""Examples in one job: what a kill can lose, and what the batch is refilled from."""

_Rows = NDArray[np.int64]


@final
class Inquiry:
    """All that is known of a model on a data set.

    Args:
        examples: the data; inputs that are not finite are set apart at once.
        judge: the model.
        ledger: where finished work is kept.
        identity: what names the model and the data in the ledger, as JSON values.
        key: root of all randomness.
        device: where the model lives.
        progress: told of each finished job.
    """

    def __init__(
        self,
        examples: Examples,
        judge: Judge,
        ledger: Ledger,
        identity: Mapping[str, Any],
        key: Key,
        device: str,
        progress: Progress,
    ) -> None:
        self.examples, self.judge, self.key, self.device = examples, judge, key, device
        self._ledger, self._identity, self._progress = ledger, identity, progress
        self._stages, self._stage = 1, 0
        self.cost = Cost()
        self.apart: dict[int, str] = {}
        self._check_inputs()
        self.logits = self._logarithms(self._clean())
        self.labels = examples.y.numpy()
        self.answers: _Rows = self.logits.argmax(1)
        self._progress("clean answers", 0.0)

    def expect(self, stages: int) -> None:
        """Say how many searches are to come, so that progress can be told."""
        self._stages = max(stages, 1)

    def done(self) -> None:
        """Say that nothing more is to come."""
        self._progress("done", 1.0)

    @property
    def judged(self) -> _Rows:
        """Positions of the examples that something can be said about."""
        return np.array([row for row in range(len(self.examples)) if row not in self.apart], dtype=np.int64)

    def search(
        self,
        what: str,
        rows: _Rows,
        attack: Attack,
        threat: Threat,
        objective: Objective,
        pools: list[Pool],
        key: Key | None = None,
    ) -> tuple[Arrays, Cost]:
        """Attack `rows`, tell every pool of each confirmed point, and set apart the examples that fail.

        Args:
            key: root of its randomness, where it shall not be that of all searches.

        Returns:
            One row for each of `rows`, as `Judge.search` gives them, with `shown` and `points` joined; and the cost.
        """
        rows = self.possible(rows, threat)
        parts = []
        for first in range(0, len(rows), _SHARD):
            shard = rows[first : first + _SHARD]
            parts.append(self._shard(shard, attack, threat, objective, key or self.key))
            behind = self._stage + min(1.0, (first + _SHARD) / len(rows))
            self._progress(what, min(1.0, behind / self._stages))
        self._stage += 1
        self._progress(what, min(1.0, self._stage / self._stages))
        cost = Cost()
        for part in parts:
            cost += Cost(int(part["forwards"].sum()), int(part["backwards"].sum()), float(part["seconds"]))
        self.cost += cost
        if not parts:
            return {"rows": rows}, cost
        joined = {
            name: np.concatenate([part[name] for part in parts]) for name in parts[0] if name != "seconds"
        }
        for row, outcome in zip(rows.tolist(), joined["outcome"].tolist()):
            if outcome == Status.NOT_FINITE:
                self.apart[row] = "the model's answer is not finite"
            elif outcome == BROKEN:
                self.apart[row] = "the model raised an error"
        sound = np.isin(joined["outcome"], _SOUND) & (joined["answer"] >= 0)
        for pool in pools:
            pool.add(rows[sound], joined["answer"][sound], joined["distance"][sound])
        return joined | {"rows": rows}, cost

    def _shard(self, rows: _Rows, attack: Attack, threat: Threat, objective: Objective, key: Key) -> Arrays:
        job = {
            **self._identity,
            "rows": rows.tolist(),
            "attack": repr(attack),
            **_told(threat),
            "objective": repr(objective),
            "key": key.value,
        }

        def work() -> Arrays:
            batch = self.examples.batch(torch.as_tensor(rows), self.device)
            clean = torch.as_tensor(self.logits[rows], device=self.device)
            found = self.judge.search(batch, clean, attack, threat, objective, key)
            return found | {"shown": rows[found["shown"]]}

        return self._ledger.result(job, work, lambda found: not bool((found["outcome"] == BROKEN).any()))

    def kept(self, what: Mapping[str, Any], threat: Threat, work: Callable[[], Arrays]) -> Arrays:
        """Do work of another kind, once; `forwards` and `backwards` of its result are added to the cost."""

        def timed() -> Arrays:
            began = time.perf_counter()
            return work() | {"seconds": np.array(time.perf_counter() - began)}

        job = {**self._identity, **what, **_told(threat), "key": self.key.value}
        found = self._ledger.result(job, timed, _whole)
        self.cost += Cost(int(found["forwards"]), int(found["backwards"]), float(found["seconds"]))
        return found

    def possible(self, rows: _Rows, threat: Threat) -> _Rows:
        """Leave out what was set apart, and examples at which the threat holds no point."""
        rows = rows[[row not in self.apart for row in rows.tolist()]] if len(rows) else rows
        if not len(rows):
            return rows
        origin = self.examples.batch(torch.as_tensor(rows)).x
        keep: _Rows = rows[~threat.empty(origin, radii(threat.eps, origin)).numpy()]
        return keep

    def _check_inputs(self) -> None:
        x = self.examples.batch().x
        sound = x.flatten(1).isfinite().all(1)
        for row in (~sound).nonzero().flatten().tolist():
            self.apart[row] = "the input is not finite"
        low, high = torch.as_tensor(self.examples.low), torch.as_tensor(self.examples.high)
        far = ((x < low - 1e-5) | (x > high + 1e-5)).flatten(1).any(1)
        outside = (far & sound).nonzero().flatten()
        if len(outside):
            row = int(outside[0])
            raise DataError(
                f"expected inputs of {self.examples.name} between {float(low.min()):g} and {float(high.max()):g}, got "
                f"values from {float(x[row].min()):g} to {float(x[row].max()):g} at example "
                f"{int(self.examples.index[row])}; scale the data, or give the box as low and high"
            )

    def _clean(self) -> NDArray[np.float32]:
        rows = self.judged
        parts = []
        for first in range(0, len(rows), _SHARD):
            shard = rows[first : first + _SHARD]
            job = {**self._identity, "rows": shard.tolist(), "clean": True}
            batch = self.examples.batch(torch.as_tensor(shard), self.device)
            parts.append(self._ledger.result(job, lambda batch=batch: self.judge.clean(batch), _whole))  # type: ignore[misc]
            self.cost += Cost(len(shard), 0, float(parts[-1]["seconds"]))
        if not parts or all(part["broken"].all() for part in parts):
            why = f"got an error at every one: {self.judge.errors[-1]}" if self.judge.errors else "got none"
            raise ModelError(
                f"expected at least one example of {self.examples.name} that can be judged, {why}"
            )
        classes = next(part["logits"].shape[1] for part in parts if not part["broken"].all())
        if classes != len(self.examples.classes):
            raise ModelError(
                f"expected a model with {len(self.examples.classes)} classes for {self.examples.name}, got one with "
                f"{classes}; give the model that was made for these data"
            )
        logits = np.full((len(self.examples), classes), np.nan, dtype=np.float32)
        for first, part in zip(range(0, len(rows), _SHARD), parts):
            shard = rows[first : first + _SHARD]
            logits[shard] = part["logits"] if not part["broken"].all() else np.nan
            for row, broken in zip(shard.tolist(), part["broken"].tolist()):
                if broken:
                    self.apart[row] = "the model raised an error"
        for row in rows[~np.isfinite(logits[rows]).all(1)].tolist():
            self.apart.setdefault(row, "the model's answer is not finite")
        return np.nan_to_num(logits, nan=-np.inf, posinf=-np.inf)

    def _logarithms(self, answers: NDArray[np.float32]) -> NDArray[np.float32]:
        """Where the model gives probabilities, look at their logarithm, from here on at the model's too."""
        self.judge.model.soften(torch.as_tensor(answers[self.judged]))
        tiny = np.finfo(np.float32).tiny
        return np.log(np.maximum(answers, tiny)) if self.judge.model.soft else answers


def spread(rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """At most so many of the rows, evenly spread over them, so that every part of the data is looked at."""
    if len(rows) <= count:
        return rows
    places = np.linspace(0, len(rows) - 1, count).round().astype(np.int64)
    chosen: NDArray[np.int64] = rows[places]
    return chosen


def _told(threat: Threat) -> dict[str, str]:
    """What tells a threat from any other."""
    words = repr(type(threat).__name__) + repr(getattr(threat, "ball", threat))[:2000]
    return {"threat": words + _digest(threat.low) + _digest(threat.high), "eps": repr(threat.eps)}


def _digest(end: float | Tensor) -> str:
    """Tell one end of a box of many numbers from any other; a single number stands in the threat's own words."""
    return hashlib.sha256(end.cpu().numpy().tobytes()).hexdigest() if isinstance(end, Tensor) else ""


def _whole(answers: Arrays) -> bool:
    """Whether the model answered at every example, as far as it was asked."""
    return "broken" not in answers or not bool(answers["broken"].any())
