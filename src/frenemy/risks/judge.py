"""Judge: look at a model and attack it, whatever it does; every point is confirmed from outside."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar, final

import numpy as np
import torch
from torch import Tensor

from frenemy.attacks.attack import Attack, Status
from frenemy.attacks.best import look
from frenemy.attacks.others import Others
from frenemy.data.batch import Batch
from frenemy.data.rules import Rules
from frenemy.errors import GoneError, UsageError
from frenemy.ledger import Arrays
from frenemy.models.answers import Answers
from frenemy.models.fast import Fast
from frenemy.models.lowered import Lowered
from frenemy.models.model import Model
from frenemy.models.still import still
from frenemy.objectives.objective import Objective
from frenemy.risks.lead import lead, levelled, out_of_memory
from frenemy.risks.ruled import ruled
from frenemy.risks.search import fitted
from frenemy.rng import Key
from frenemy.threats.threat import Threat, radii

__all__ = ["BROKEN", "Judge"]

BROKEN = len(Status)
"""Outcome of an example at which the model raised an error, also when it was asked about it alone."""

_T = TypeVar("_T")


@final
class Judge:
    """A model, and the way it is asked: batch size, precision, device.

    Memory running out halves the batch size for good; a model that raises is asked again, then in halves, until the
    examples it cannot answer stand alone. Neither changes the result of any other example.

    Args:
        model: gives logits; held still by the judge.
        fast: search with the quick float32 kernels where they apply.
        precision: `float32`, or `bfloat16` to search in bfloat16 first. What was found a quick way and is not confirmed
            on the model itself is searched for again, on the model itself in the end: points of least distance lie so
            near the border that the last bit decides.
        batch_size: the most rows in one forward.

    Attributes:
        others: examples from which searches by labels may start, where there are some.
        pictures: how many points, at most, a search shows.
        rules: which columns of a table may change, and how.
        bits: of the levels that points are rounded to and judged again, as `level_answer` and `level_distance`.
    """

    others: Others | None = None
    pictures: int = 6
    rules: Rules | None = None
    bits: int | None = None

    def __init__(self, model: Answers, *, fast: bool, precision: str, batch_size: int) -> None:
        self.model = model
        lowered: list[Model] = [Lowered(model)] if precision == "bfloat16" else []
        self.ways: list[Model] = [*lowered, *([Fast(model)] if fast else []), model]
        """How the model is searched: the quick way first; what it claims falsely is searched again the next way."""
        self.batch_size = batch_size
        self.errors: list[str] = []

    def sloped(self, batch: Batch) -> bool:
        """Whether a gradient can flow from the answers to the inputs; taken for granted where the model always raises.

        A model that answers only inputs without a gradient has none; one that raises once may just be moody.
        """

        def ask(wanted: bool) -> bool | None:
            x = batch.x.detach().clone().requires_grad_(wanted)
            try:
                with torch.inference_mode(False), torch.set_grad_enabled(wanted), still(self.model):
                    return bool(self.model(x).requires_grad)
            except Exception:
                return None

        sloped = ask(True) if len(batch) else True
        if sloped is None and ask(False) is not None:
            return bool(ask(True))
        return sloped is not False

    def clean(self, batch: Batch, classes: int = 2) -> Arrays:
        """Ask for the logits of each row: `logits` `(batch, classes)`, NaN where the model raises, and `broken`.

        Args:
            classes: how many there are, should the model raise at every row.
        """
        began = time.perf_counter()

        def ask(rows: Tensor) -> list[tuple[Tensor, Tensor | None]]:
            with still(self.model):
                return [(rows, look(self.model, batch.x[rows], self.batch_size).float().cpu())]

        parts = self._guarded(ask, torch.arange(len(batch), device=batch.x.device))
        classes = next((logits.shape[1] for _, logits in parts if logits is not None), classes)
        logits = np.full((len(batch), classes), np.nan, dtype=np.float32)
        broken = np.zeros(len(batch), dtype=bool)
        for rows, answer in parts:
            broken[rows.cpu().numpy()] = answer is None
            if answer is not None:
                logits[rows.cpu().numpy()] = answer.numpy()
        return {"logits": logits, "broken": broken, "seconds": np.array(time.perf_counter() - began)}

    def search(
        self, batch: Batch, clean: Tensor, attack: Attack, threat: Threat, objective: Objective, key: Key
    ) -> Arrays:
        """Attack each row and confirm what comes back, on the model itself and in float32.

        Args:
            clean: `(batch, classes)` the logits of the clean rows, which settle what each is measured against.

        Returns:
            `outcome` (values of `Status`, or BROKEN), `answer` (class at the point; -1 where the point is not allowed
            or the answer not finite), `loss`, `distance`, `step`, `flat`, `claimed` (success that did not stand up),
            `over_label` and `over_clean` (how far the logit of the label, and of the clean answer, lies above all
            others at the point; negative is below), `forwards` and `backwards`, each `(batch,)`; `seconds`; `shown`
            and `points`, some rows and their points, those that were found first.
        """
        began = time.perf_counter()

        def ask(rows: Tensor) -> list[tuple[Tensor, Arrays | None]]:
            return [(rows, self._confirmed(batch.rows(rows), clean[rows], attack, threat, objective, key))]

        count = len(batch)
        result: Arrays = {
            "outcome": np.full(count, BROKEN),
            "answer": np.full(count, -1),
            "loss": np.full(count, np.nan, dtype=np.float32),
            "distance": np.full(count, np.inf),
            "step": np.full(count, -1),
            "flat": np.zeros(count, dtype=bool),
            "claimed": np.zeros(count, dtype=bool),
            "over_label": np.full(count, np.nan, dtype=np.float32),
            "over_clean": np.full(count, np.nan, dtype=np.float32),
            "forwards": np.zeros(count, dtype=np.int64),
            "backwards": np.zeros(count, dtype=np.int64),
        }
        points = np.zeros(tuple(batch.x.shape), dtype=np.float32)
        for rows, columns in self._guarded(ask, torch.arange(count, device=batch.x.device)):
            if columns is not None:
                points[rows.cpu().numpy()] = columns.pop("x")
                for name, values in columns.items():
                    blank = np.inf if values.dtype.kind == "f" else 0
                    whole = result.setdefault(name, np.full((count, *values.shape[1:]), blank, values.dtype))
                    whole[rows.cpu().numpy()] = values
        sound = np.flatnonzero(result["outcome"] != BROKEN)
        shown = sound[np.argsort(result["outcome"][sound] != Status.FOUND, kind="stable")][: self.pictures]
        return result | {
            "shown": shown,
            "points": points[shown],
            "seconds": np.array(time.perf_counter() - began),
        }

    def _confirmed(
        self, batch: Batch, clean: Tensor, attack: Attack, threat: Threat, objective: Objective, key: Key
    ) -> dict[str, Any]:
        goal = objective.goal(clean, batch.y)
        attack = fitted(attack, batch_size=self.batch_size, others=self.others)
        said = clean.argmax(1)
        columns = self._tried(self.ways[0], batch, goal, said, attack, threat, objective, key)
        for way in self.ways[1:]:
            again = np.flatnonzero(columns["claimed"])
            if len(again):
                rows = torch.as_tensor(again, device=batch.x.device)
                tried = self._tried(
                    way, batch.rows(rows), goal[rows], said[rows], attack, threat, objective, key
                )
                for name, values in tried.items():
                    spent = columns[name][again] if name in ("forwards", "backwards") else 0
                    columns[name][again] = values + spent
        return columns

    def _tried(
        self,
        way: Model,
        batch: Batch,
        goal: Tensor,
        said: Tensor,
        attack: Attack,
        threat: Threat,
        objective: Objective,
        key: Key,
    ) -> dict[str, Any]:
        found, lost = ruled(attack, way, batch, goal, self.rules, threat=threat, objective=objective, key=key)
        with still(self.model):
            logits = look(self.model, found.x, self.batch_size)
        allowed = threat.contains(found.x, batch.x, radii(threat.eps, batch.x)) & logits.isfinite().all(1)
        if self.rules is not None:
            allowed &= self.rules.kept(found.x, batch.x)
        stands = allowed & objective.success(logits, goal)
        distance = threat.norm(found.x - batch.x).double()
        most = torch.as_tensor(threat.eps, dtype=torch.float64, device=distance.device)
        status = torch.where(found.success & ~stands, Status.NOT_FOUND, found.status)
        return {
            "x": found.x.float().cpu().numpy(),
            "outcome": status.cpu().numpy(),
            "answer": logits.argmax(1).masked_fill(~allowed, -1).cpu().numpy(),
            "loss": found.loss.float().cpu().numpy(),
            "distance": torch.minimum(distance, most).cpu().numpy(),
            "step": found.step.cpu().numpy(),
            "flat": found.flat.cpu().numpy(),
            "claimed": (found.success & ~stands).cpu().numpy(),
            "over_label": lead(logits, batch.y),
            "over_clean": lead(logits, said),
            "forwards": (found.forwards + 1).cpu().numpy(),
            "backwards": found.backwards.cpu().numpy(),
            **({} if lost is None else {"lost": lost.cpu().numpy()}),
            **levelled(self.model, found.x, batch.x, threat, self.bits, self.batch_size),
            **({} if found.books is None else {"trace": found.books.trace.float().cpu().numpy()}),
        }

    def _guarded(
        self, ask: Callable[[Tensor], list[tuple[Tensor, _T]]], rows: Tensor, again: bool = True
    ) -> list[tuple[Tensor, _T | None]]:
        """Ask about `rows`; on an error ask once more, then about each half, down to rows that cannot be answered."""
        if not len(rows):
            return []
        try:
            return list(ask(rows))
        except (UsageError, GoneError):
            raise
        except Exception as error:
            if out_of_memory(error) and self.batch_size > 1:
                self.batch_size = max(1, min(self.batch_size, len(rows)) // 2)
                return self._guarded(ask, rows, again)
            if again and not isinstance(error, TimeoutError):
                return self._guarded(ask, rows, again=False)
            if len(rows) == 1:
                self.errors.append(
                    f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
                )
                return [(rows, None)]
            middle = len(rows) // 2
            return [
                *self._guarded(ask, rows[:middle], again=False),
                *self._guarded(ask, rows[middle:], again=False),
            ]
